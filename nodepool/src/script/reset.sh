# Takes a node out of Kubernetes and removes everything of ours. The arguments are the virtual addresses.
# Every part is safe to run again; what cannot be removed is named by leftovers.sh afterwards.
set -u
note() { echo "$*"; }
ledger=/var/lib/lbctl/ledger

# The routers go first: the virtual address leaves in peace while everything else still runs.
rm -f /etc/kubernetes/manifests/lb-vrrp.yaml
held() {
  for wanted; do
    ip -o addr show 2>/dev/null | awk -v a="$wanted" '$2 != "lo" { split($4, n, "/"); if (n[1] == a) found = 1 } END { exit !found }' && return 0
  done
  return 1
}
i=0
while systemctl is-active -q kubelet 2>/dev/null && held "$@" && [ "$i" -lt 50 ]; do
  i=$((i + 1)); sleep 0.1
done
systemctl stop kubelet 2>/dev/null

if command -v kubeadm >/dev/null 2>&1 && systemctl is-active -q containerd 2>/dev/null; then
  if [ -e /etc/kubernetes/kubelet.conf ] || [ -e /etc/kubernetes/admin.conf ] || [ -d /var/lib/kubelet/pki ] || [ -n "$(ls -A /etc/kubernetes/manifests 2>/dev/null)" ]; then
    timeout 180 kubeadm reset -f --skip-phases=remove-etcd-member || note "kubeadm reset ended with $?"
  fi
fi
rm -rf /var/lib/etcd/member /etc/kubernetes/pki
rm -f /etc/lbnode/standalone.conf
rm -f /etc/kubernetes/*.conf /etc/kubernetes/manifests/kube-*.yaml /etc/kubernetes/manifests/etcd.yaml /etc/kubernetes/manifests/lb-*.yaml

# Pods that a killed kubelet left.
if systemctl is-active -q containerd 2>/dev/null; then
  for task in $(ctr -n k8s.io tasks ls -q 2>/dev/null); do
    ctr -n k8s.io tasks kill -s KILL "$task" 2>/dev/null
  done
  sleep 0.2
  for container in $(ctr -n k8s.io containers ls -q 2>/dev/null); do
    ctr -n k8s.io tasks delete -f "$container" >/dev/null 2>&1
    ctr -n k8s.io containers delete "$container" >/dev/null 2>&1
  done
  if [ -e "$ledger" ]; then
    images=$(sed -n 's/^image //p' "$ledger")
    for image in $images; do ctr -n k8s.io images rm "$image" >/dev/null 2>&1; done
    # Kubernetes keeps a second name, by digest, of what it used.
    for image in $(ctr -n k8s.io images ls -q 2>/dev/null | grep '^sha256:'); do
      ctr -n k8s.io images rm "$image" >/dev/null 2>&1
    done
  fi
fi

for address; do
  ip -o addr show 2>/dev/null | awk -v a="$address" '{ split($4, n, "/"); if (n[1] == a) print $2, $4 }' | while read -r interface net; do
    ip addr del "$net" dev "$interface" && note "removed $net from $interface"
  done
done

if command -v nft >/dev/null 2>&1; then
  for family in ip ip6; do nft delete table "$family" kube-proxy 2>/dev/null; done
  nft list tables 2>/dev/null | awk '$3 ~ /^lbnode-(vrrp|speaker)-/ { print $2, $3 }' | while read -r family table; do
    nft delete table "$family" "$table"
  done
fi
for tables in iptables ip6tables; do
  command -v "$tables-save" >/dev/null 2>&1 || continue
  if "$tables-save" 2>/dev/null | grep -Eq 'KUBE-|CNI-'; then
    "$tables-save" | grep -Ev 'KUBE-|CNI-' | "$tables-restore"
  fi
done

# Tables that iptables made and that are empty.
if command -v nft >/dev/null 2>&1; then
  for table in "ip mangle" "ip filter" "ip nat" "ip6 mangle" "ip6 filter" "ip6 nat"; do
    # shellcheck disable=SC2086
    rules=$(nft list table $table 2>/dev/null | grep -Ev '^table |^[[:space:]]*(chain .*\{|type .* policy accept;|\})?$')
    [ -n "$rules" ] || nft delete table $table 2>/dev/null
  done
fi

if [ -e "$ledger" ]; then
  sed -n 's/^value //p' "$ledger" | while read -r key value; do
    sysctl -q -w "$key=$value" && note "restored $key = $value"
  done
  sed -n 's/^file //p' "$ledger" | while read -r path; do
    case $path in
      *.service)
        unit=${path##*/}
        systemctl disable --now "$unit" >/dev/null 2>&1
        ;;
    esac
    rm -f "$path"
    if [ -e "/var/lib/lbctl/original$path" ]; then
      mv -f "/var/lib/lbctl/original$path" "$path"
      note "restored $path"
    else
      note "removed $path"
    fi
    find "${path%/*}" -maxdepth 1 -name '.lbctl.*' -delete 2>/dev/null
  done
  if grep -qxF 'file /etc/containerd/config.toml' "$ledger"; then
    systemctl restart containerd 2>/dev/null
  fi
fi
trees=$(sed -n 's/^tree //p' "$ledger" 2>/dev/null)
# After the files: of a file that came with a package, the package's own was put back, and goes with it. What cannot be
# removed is noted still, and named by leftovers.sh.
if packages_back; then rm -rf /var/lib/lbctl; fi
rmdir /etc/lbnode/kubeadm-patches /etc/lbnode /etc/systemd/system/kubelet.service.d /etc/kubernetes/manifests /etc/kubernetes 2>/dev/null
rm -rf /var/lib/cni/networks/pods
find /run/lbctl -mindepth 1 ! -name "output.*" -exec rm -rf {} + 2>/dev/null
systemctl daemon-reload
systemctl reset-failed kubelet 2>/dev/null

# Volumes of pods are mounted below it, and what is in them belongs to others: as long as one is, nothing is removed.
kubelet=$(readlink -f /var/lib/kubelet) || exit 0
mounted() { awk -v below="$kubelet/" 'index($2, below) == 1 { print $2 }' /proc/self/mounts | sort -r; }
mounted | while read -r escaped; do
  path=$(printf '%b' "$escaped")
  timeout 20 umount "$path" || note "cannot unmount $path"
done
if [ -z "$(mounted)" ]; then
  find "$kubelet" -mindepth 1 -maxdepth 1 -exec rm -rf {} + 2>/dev/null
fi
# shellcheck disable=SC2086
[ -z "${trees:-}" ] || trees_back $trees
exit 0
