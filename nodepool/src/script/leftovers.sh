# Names what of ours is left, one thing a line. The arguments are the virtual addresses.
set -u
for address; do
  ip -o addr show 2>/dev/null | awk -v a="$address" '{ split($4, n, "/"); if (n[1] == a) print "virtual address " $4 " on " $2 }'
done
for path in /etc/lbnode /etc/kubernetes/manifests/lb-vrrp.yaml /etc/kubernetes/manifests/lb-proxy.yaml /etc/kubernetes/kubelet.conf \
  /etc/kubernetes/admin.conf /etc/kubernetes/pki /var/lib/etcd/member /var/lib/lbctl /etc/cni/net.d/10-lbctl.conflist \
  /etc/systemd/system/lbctl-pod-routes.service /etc/sysctl.d/90-lbctl.conf /etc/apt/sources.list.d/lbctl-kubernetes.sources \
  /etc/apt/keyrings/lbctl-kubernetes.asc /etc/yum.repos.d/lbctl-kubernetes.repo /etc/pki/rpm-gpg/lbctl-kubernetes.asc; do
  [ ! -e "$path" ] || echo "file $path"
done
cat /var/lib/lbctl/left 2>/dev/null
for file in /etc/containerd/config.toml /etc/systemd/system/kubelet.service; do
  if head -n 1 "$file" 2>/dev/null | grep -q 'written by lbctl'; then echo "file $file"; fi
done
kubelet=$(readlink -f /var/lib/kubelet) &&
  awk -v below="$kubelet/" 'index($2, below) == 1 { print "mount " $2 }' /proc/self/mounts
if systemctl is-active -q containerd 2>/dev/null; then
  ctr -n k8s.io images ls -q 2>/dev/null | sed -n 's#^docker.io/library/lbnode:#image lbnode:#p'
  ctr -n k8s.io containers ls -q 2>/dev/null | sed 's/^/container /'
fi
if command -v nft >/dev/null 2>&1; then
  nft list tables 2>/dev/null | sed -n -e 's/^table \(.*kube-proxy\)$/nft table \1/p' -e 's/^table \(.* lbnode-[vs][a-z]*-.*\)$/nft table \1/p'
fi
for tables in iptables ip6tables; do
  command -v "$tables-save" >/dev/null 2>&1 || continue
  "$tables-save" 2>/dev/null | grep -E 'KUBE-|CNI-' | sed "s/^/$tables rule /"
done
exit 0
