# Starts the kubelet without a cluster: it runs the static pods, and nothing else. Ends when both of them answer.
set -eu
remember /etc/lbnode/kubelet.yaml /etc/systemd/system/kubelet.service.d/20-lbctl-standalone.conf
systemctl daemon-reload
systemctl enable -q kubelet
systemctl restart kubelet
i=0
until lbnode get http://127.0.0.1:11000/livez >/dev/null 2>&1 && lbnode get http://127.0.0.1:11003/livez >/dev/null 2>&1; do
  if [ "$i" -ge 240 ]; then
    journalctl -u kubelet -n 20 --no-pager 2>/dev/null || true
    echo "the load balancer does not answer 2 minutes after the kubelet was started: see \`crictl ps -a\`"
    exit 1
  fi
  i=$((i + 1))
  sleep 0.5
done
loaded
echo "the load balancer runs"
