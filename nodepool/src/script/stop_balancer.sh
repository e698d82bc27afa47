# Stops router and proxy of a machine whose kubelet stands alone; they are started anew with other files.
set -u
rm -f /etc/kubernetes/manifests/lb-vrrp.yaml /etc/kubernetes/manifests/lb-proxy.yaml
# A kubelet that does not run ends no pods.
systemctl is-active -q kubelet 2>/dev/null || systemctl start kubelet 2>/dev/null
i=0
while systemctl is-active -q kubelet 2>/dev/null && {
  lbnode get http://127.0.0.1:11000/livez >/dev/null 2>&1 || lbnode get http://127.0.0.1:11003/livez >/dev/null 2>&1
}; do
  if [ "$i" -ge 450 ]; then
    echo "the load balancer still runs 45 s after its manifests were removed: does the kubelet run?"
    exit 1
  fi
  i=$((i + 1))
  sleep 0.1
done
echo "the load balancer has stopped"
