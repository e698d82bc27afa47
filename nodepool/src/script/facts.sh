# Says what is true on this machine, one `key=value` a line. Reads only.
# $1: "installed" to ask for versions of installed software; further arguments: paths whose content matters.
set -u
say() { printf '%s=%s\n' "$1" "$2"; }
installed=$1; shift

say format 1
say hostname "$(hostname | tr 'A-Z' 'a-z')"
say arch "$(uname -m)"
say kernel "$(uname -r)"
say now "$(date +%s)"
say uid "$(id -u)"
(
  ID= VERSION_ID= PRETTY_NAME=
  [ ! -r /etc/os-release ] || . /etc/os-release
  say os_id "$ID"; say os_version "$VERSION_ID"; say os_name "$PRETTY_NAME"
)
[ -d /run/systemd/system ] && say init systemd || say init "$(cat /proc/1/comm 2>/dev/null)"
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then say cgroup 2; else say cgroup 1; fi
awk '/^CapBnd:/ { print "capabilities=" $2 }' /proc/1/status
say ip_forward "$(cat /proc/sys/net/ipv4/ip_forward 2>/dev/null)"
if [ -w /proc/sys/net/netfilter/nf_conntrack_max ]; then say conntrack writable; else say conntrack read-only; fi
if [ -r /proc/config.gz ] || [ -r "/boot/config-$(uname -r)" ] || [ -r "/lib/modules/$(uname -r)/config" ]; then
  say kernel_config readable
else
  say kernel_config absent
fi
awk 'NR > 1 { print "swap=" $1 }' /proc/swaps 2>/dev/null
df -Pk / | awk 'NR == 2 { print "disk_free_kib=" $4 }'
awk '/^nameserver/ { print "nameserver=" $2 }' /etc/resolv.conf 2>/dev/null

for program in flock sha256sum ip ss mktemp systemctl containerd ctr kubeadm kubelet kubectl nft iptables; do
  found=$(command -v "$program" 2>/dev/null) && say program "$program $found"
done
ip -o addr show 2>/dev/null | awk '$2 != "lo" && ($3 == "inet" || $3 == "inet6") { print "address=" $2 " " $4 }'
ss -Hltnp 2>/dev/null | awk '{
  process = "- 0"
  if (match($0, /users:\(\("[^"]*",pid=[0-9]+/)) {
    process = substr($0, RSTART + 9, RLENGTH - 9); sub(/",pid=/, " ", process)
  }
  print $4, process
}' | while read -r socket name pid; do
  # A program that started itself anew from /proc/self/exe is called "exe"; its file still has its name.
  program=$(readlink "/proc/$pid/exe" 2>/dev/null) && { program=${program% (deleted)}; name=${program##*/}; }
  say listen "$socket $name $pid"
done

version=$(containerd --version 2>/dev/null | awk '{ print $3 }') && [ -n "$version" ] && say containerd "$version"
say containerd_active "$(systemctl is-active containerd 2>/dev/null)"
config=/etc/containerd/config.toml
if [ -e "$config" ]; then
  sum=$(md5sum <"$config"); sum=${sum%% *}
  if head -n 1 "$config" | grep -q 'written by lbctl'; then say containerd_config ours
  elif dpkg-query -W -f '${Conffiles}\n' containerd containerd.io 2>/dev/null | grep -q "$config $sum"; then say containerd_config distribution
  elif command -v rpm >/dev/null 2>&1 && rpm -qf "$config" >/dev/null 2>&1 && rpm -Vf "$config" 2>/dev/null | awk -v f="$config" '$NF == f { changed = 1 } END { exit changed }'; then say containerd_config distribution
  else say containerd_config edited; fi
  grep -Eq '^[[:space:]]*SystemdCgroup[[:space:]]*=[[:space:]]*true' "$config" && say containerd_has systemd-cgroup
  grep -Eq '^[[:space:]]*disabled_plugins[[:space:]]*=.*cri' "$config" && say containerd_has cri-disabled
  sed -n 's/^[[:space:]]*\(sandbox_image\|sandbox\)[[:space:]]*=[[:space:]]*["'\'']\([^"'\'']*\)["'\''].*/containerd_sandbox=\2/p' "$config"
fi
if [ "$(id -u)" = 0 ] && systemctl is-active -q containerd 2>/dev/null; then
  ctr -n k8s.io images ls 2>/dev/null | awk 'NR > 1 { print "image=" $1 " " $3 }'
fi
for directory in /opt/cni/bin /usr/lib/cni /usr/libexec/cni; do
  for plugin in loopback ptp host-local portmap; do
    [ -x "$directory/$plugin" ] && say cni_plugin "$directory $plugin"
  done
done
if [ "$installed" = installed ]; then
  version=$(kubeadm version -o short 2>/dev/null) && say kubeadm "$version"
  version=$(kubelet --version 2>/dev/null | awk '{ print $2 }') && [ -n "$version" ] && say kubelet "$version"
fi
say kubelet_enabled "$(systemctl is-enabled kubelet 2>/dev/null)"
say kubelet_active "$(systemctl is-active kubelet 2>/dev/null)"
systemctl cat kubelet >/dev/null 2>&1 && say kubelet_unit present

for conf in kubelet admin bootstrap-kubelet; do
  file=/etc/kubernetes/$conf.conf
  [ -e "$file" ] && say kubeconfig "$conf $(awk '/^ *server:/ { print $2; exit }' "$file" 2>/dev/null)"
done
for pod in kube-apiserver kube-controller-manager kube-scheduler etcd; do
  [ -e "/etc/kubernetes/manifests/$pod.yaml" ] && say manifest "$pod"
done
[ -e /etc/kubernetes/pki/ca.crt ] && say pki present
[ -d /var/lib/etcd/member ] && say etcd_data present
[ -r /var/lib/lbctl/member ] && say member "$(tr '\n' ' ' </var/lib/lbctl/member)"
[ -e /var/lib/lbctl/ledger ] && say ledger present
sed -n 's/^\([0-9a-f]\{64\}\) /loaded=sha256:\1 /p' /var/lib/lbctl/loaded 2>/dev/null

# put_file.sh notes the checksum of what it wrote: as long as inode, size and time of change are the same, so is
# the content, and nothing large is read again.
for path; do
  [ -f "$path" ] || continue
  stamp=$(stat -c '%i %s %.9Y' "$path")
  sum=$(awk -v stamp="$stamp" 'substr($0, 66) == stamp { print $1; exit }' /var/lib/lbctl/sums 2>/dev/null)
  [ -n "$sum" ] || sum=$(sha256sum <"$path") || continue
  say file "sha256:${sum%% *} $(stat -c '%a %i' "$path") $path"
done
say end 1
