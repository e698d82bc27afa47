# Says what is worth knowing about this node when something is odd, one part after the other. Reads only, and nothing that
# holds keys: no kubeconfig, no certificate, no Secret. $1: what begins a line that names a part.
set -u
mark=$1
most=1048576
part() { printf '\n%s %s\n' "$mark" "$1"; }
# take NAME COMMAND...: the end of what it says, within ten seconds.
take() {
  part "$1"; shift
  timeout 10 "$@" 2>&1 | tail -c "$most"
}

take system sh -c 'hostname; date; uptime; uname -a; head -n 4 /etc/os-release; cat /proc/loadavg; free -m; df -P; cat /proc/pressure/cpu /proc/pressure/memory /proc/pressure/io'
take versions sh -c 'lbnode version; sha256sum /usr/local/bin/lbnode; kubelet --version; containerd --version; ctr -n k8s.io images ls | awk "/lbnode/ { print \$1, \$3 }"'
take addresses sh -c 'ip -o addr; ip -s link'
take routes sh -c 'ip rule; ip route; ip -6 route'
take neighbours sh -c 'ip neigh; ip -6 neigh'
take sockets ss -tulnp
take sysctl sh -c 'cd /proc/sys/net && grep -s . ipv4/ip_forward ipv4/conf/*/rp_filter ipv4/conf/*/arp_ignore ipv4/conf/*/arp_announce netfilter/nf_conntrack_count netfilter/nf_conntrack_max'
take packet-filter sh -c 'nft list tables; nft list tables | sed -n "s/^table \(.* lbnode-[vs][a-z]*-.*\)$/\1/p" | while read -r table; do nft list table $table; done'
take containers sh -c 'crictl ps -a 2>/dev/null || ctr -n k8s.io tasks ls'
take manifests sh -c 'ls -l --time-style=full-iso /etc/kubernetes/manifests; grep -H "image:" /etc/kubernetes/manifests/*.yaml'
take ours sh -c 'cat /var/lib/lbctl/member /var/lib/lbctl/ledger; ls -l /etc/lbnode /run/lbctl'

for file in /etc/kubernetes/manifests/lb-*.yaml /etc/lbnode/vrrp.yaml /etc/lbnode/proxy.yaml; do
  [ -f "$file" ] && take "files/${file##*/}" cat "$file"
done
for role in vrrp:11003 proxy:11000 speaker:11004; do
  for page in status readyz metrics record; do
    case $role.$page in proxy:*.record) continue ;; esac
    take "pages/${role%:*}-$page" lbnode get "http://127.0.0.1:${role#*:}/$page"
  done
done
ls -t /var/log/pods/kube-system_lb-*/*/*.log /var/log/pods/lb-system_*/*/*.log 2>/dev/null | head -n 24 | while read -r file; do
  take "logs/${file#/var/log/pods/}" cat "$file"
done
take logs/kubelet.log journalctl -u kubelet -n 2000 --no-pager -o short-iso
take logs/containerd.log journalctl -u containerd -n 500 --no-pager -o short-iso
take logs/kernel.log journalctl -k -n 500 --no-pager -o short-iso
part end
exit 0
