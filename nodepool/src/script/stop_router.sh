# Stops the virtual router in order: its peers hear of it, and the virtual addresses leave. The arguments are those.
set -u
rm -f /etc/kubernetes/manifests/lb-vrrp.yaml
held() {
  for wanted; do
    ip -o addr show 2>/dev/null | awk -v a="$wanted" '$2 != "lo" { split($4, n, "/"); if (n[1] == a) found = 1 } END { exit !found }' && return 0
  done
  return 1
}
# A kubelet that does not run ends no pods: the router gets the signal from here.
if ! systemctl is-active -q kubelet 2>/dev/null; then
  router='labels."io.kubernetes.container.name"=="vrrp",labels."io.kubernetes.pod.namespace"=="kube-system"'
  for container in $(ctr -n k8s.io containers ls -q "$router" 2>/dev/null); do
    ctr -n k8s.io tasks kill -s TERM "$container" 2>/dev/null
  done
fi
i=0
while held "$@" || lbnode get http://127.0.0.1:11003/status >/dev/null 2>&1; do
  if [ "$i" -ge 450 ]; then
    echo "the router still runs 45 s after its manifest was removed: does the kubelet run?"
    exit 1
  fi
  i=$((i + 1))
  sleep 0.1
done
echo "the router has stopped"
