# Stops the virtual router in order: its peers hear of it, and the virtual addresses leave. The arguments are those.
set -u
rm -f /etc/kubernetes/manifests/lb-vrrp.yaml
held() {
  for wanted; do
    ip -o addr show 2>/dev/null | awk -v a="$wanted" '$2 != "lo" { split($4, n, "/"); if (n[1] == a) found = 1 } END { exit !found }' && return 0
  done
  return 1
}
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
