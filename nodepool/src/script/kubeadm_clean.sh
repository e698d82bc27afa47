# Takes back what a kubeadm run left that did not end well. Its etcd member was removed before, from a living node.
set -eu
rm -f /var/lib/lbctl/member
if stood_alone; then
  stand_back
  exit 0
fi
systemctl stop kubelet 2>/dev/null || true
if command -v kubeadm >/dev/null 2>&1; then
  timeout 180 kubeadm reset -f --skip-phases=remove-etcd-member || echo "kubeadm reset ended with $?"
fi
rm -rf /var/lib/etcd/member /etc/kubernetes/pki /etc/kubernetes/*.conf
rm -f /etc/kubernetes/manifests/kube-apiserver.yaml /etc/kubernetes/manifests/kube-controller-manager.yaml \
  /etc/kubernetes/manifests/kube-scheduler.yaml /etc/kubernetes/manifests/etcd.yaml
if [ -e /var/lib/etcd/member ] || [ -e /etc/kubernetes/kubelet.conf ]; then
  echo "state of the earlier attempt could not be removed"
  exit 1
fi
echo "cleaned"
