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
  ID= ID_LIKE= VERSION_ID= PRETTY_NAME=
  [ ! -r /etc/os-release ] || . /etc/os-release
  say os_id "$ID"; say os_like "$ID_LIKE"; say os_version "$VERSION_ID"; say os_name "$PRETTY_NAME"
)
say umask "$(umask)"
say processors "$(grep -c '^processor' /proc/cpuinfo)"
awk '/^MemTotal:/ { print "memory_kib=" $2 }' /proc/meminfo
[ -d /run/systemd/system ] && say init systemd || say init "$(cat /proc/1/comm 2>/dev/null)"
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
  say cgroup 2; say controllers "$(cat /sys/fs/cgroup/cgroup.controllers)"
else
  say cgroup 1; say controllers "$(awk 'NR > 1 && $4 == 1 { printf "%s ", $1 }' /proc/cgroups 2>/dev/null)"
fi
# Built in, loaded, or to be had: a dry run loads nothing. Where there are no modules to look at, nothing is said.
if [ -d "/lib/modules/$(uname -r)" ] && command -v modprobe >/dev/null 2>&1; then
  for module in nf_tables nf_conntrack nf_nat nft_chain_nat nft_ct nft_masq nft_numgen overlay af_packet; do
    [ -d "/sys/module/$module" ] || modprobe -n -q "$module" 2>/dev/null || say kernel_lacks "$module"
  done
fi
[ "$(cat /sys/fs/selinux/enforce 2>/dev/null)" = 1 ] && say selinux enforcing
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
(
  set --
  for path in /var /var/lib /var/lib/containerd /var/lib/etcd /var/lib/kubelet; do
    [ -d "$path" ] && set -- "$@" "$path"
  done
  df -Pk "$@" 2>/dev/null | awk 'NR > 1 && $6 != "/" { print "disk=" $6 " " $4 }'
)
awk '{
  n = split("/tmp /var/tmp /run /root /usr/local/bin /opt /var/lib/containerd", paths, " ")
  for (i = 1; i <= n; i++) {
    mount = $2 == "/" ? "" : $2
    if (index(paths[i] "/", mount "/") == 1 && length(mount) >= length(best[i])) { best[i] = mount; options[i] = $4 }
  }
} END { for (i in options) if ("," options[i] "," ~ /,noexec,/) print "noexec=" paths[i] }' /proc/mounts
awk '/^nameserver/ { print "nameserver=" $2 }' /etc/resolv.conf 2>/dev/null

for program in flock sha256sum ip ss mktemp systemctl containerd ctr kubeadm kubelet kubectl crictl nft iptables; do
  found=$(command -v "$program" 2>/dev/null) && say program "$program $found"
done
if command -v apt-get >/dev/null 2>&1 && command -v dpkg >/dev/null 2>&1; then say package_manager apt
elif command -v dnf >/dev/null 2>&1 && command -v rpm >/dev/null 2>&1; then say package_manager dnf; fi
# Of others: a repository that is configured already needs no second entry, and apt refuses one with another key.
grep -rhv -s --exclude='lbctl-*' '^[[:space:]]*#' /etc/apt/sources.list /etc/apt/sources.list.d /etc/yum.repos.d |
  grep -oE 'https?://[^] "]+' | sort -u | sed 's/^/repository=/'
ip -o addr show 2>/dev/null | awk '$2 != "lo" && ($3 == "inet" || $3 == "inet6") { print "address=" $2 " " $4 }'
# One next hop a line or several below each other; an IPv6 one is not asked by ARP.
ip -4 route show default 2>/dev/null | awk '{
  via = dev = ""
  for (i = 1; i < NF; i++) { if ($i == "via") via = $(i + 1); if ($i == "dev") dev = $(i + 1) }
  if (dev != "" && via ~ /^[0-9.]+$/) print "gateway=" dev " " via
  else if (dev != "") print "way_out=" dev
}'
ip -o link show 2>/dev/null | awk '$2 !~ /^(veth|cali|lxc)/ { for (i = 3; i < NF; i++) if ($i == "link/ether") print "mac=" $(i + 1) }'
# One program for all of them; a name may have dots. The shell's own `read` cannot read such files bytewise.
( cd /proc/sys/net/ipv4/conf && grep -s . ./*/rp_filter ./*/arp_ignore ./*/arp_announce ) | awk -F '[/:]' '
  $2 !~ /^(default|lo|veth.*|cali.*|lxc.*)$/ { values[$2] = values[$2] " " $NF; count[$2]++ }
  # An interface that goes meanwhile is not there.
  END { for (name in values) if (count[name] == 3) print "conf=" name values[name] }'
[ -d /proc/sys/net/ipv4/conf/kube-ipvs0 ] && say ipvs present
# The addresses that a configuration of keepalived keeps, and the ID of its router. $1 the file
keeps() {
  [ -r "$1" ] || { echo '- -'; return; }
  awk '{ sub(/[#!].*/, "") }
    /virtual_router_id/ { id = $2 }
    /virtual_ipaddress/ { inside = 1 }
    inside {
      for (i = 1; i <= NF; i++) if ($i ~ /^[0-9a-fA-F:.]+(\/[0-9]+)?$/ && $i ~ /[.:]/ && $(i - 1) != "brd") {
        split($i, part, "/"); all = all (all == "" ? "" : ",") part[1]
      }
    }
    inside && /}/ { inside = 0 }
    END { print (all == "" ? "-" : all), (id == "" ? "-" : id) }' "$1"
}
# The value of a variable in a manifest; nothing where it has none of its own. $1 the file, $2 its name
variable() {
  awk -v wanted="$2" '
    function bare(text) { sub(/[[:space:]]#.*/, "", text); gsub(/["'\''[:space:]]/, "", text); return text }
    /^[[:space:]]*#/ { next }
    /name:/ { sub(/.*name:/, ""); want = bare($0) == wanted; next }
    want && /value:/ { sub(/.*value:/, ""); print bare($0); exit }' "$1"
}
(
  set -- firewalld keepalived haproxy
  systemctl is-active "$@" 2>/dev/null | while read -r state; do
    if [ "$state" = active ]; then
      say service "$1"
      case $1 in
        keepalived) say other "keepalived unit keepalived $(keeps /etc/keepalived/keepalived.conf)" ;;
        haproxy) say other "haproxy unit haproxy - -" ;;
      esac
    fi
    shift
  done
)
grep -qs '^ENABLED=yes' /etc/ufw/ufw.conf && command -v ufw >/dev/null 2>&1 && say service ufw
# As the kubelet: every file there that is not hidden, whatever its name ends in.
for file in /etc/kubernetes/manifests/*; do
  grep -Eqs 'image: *["'\'']?[^ ]*(kube-vip|keepalived|haproxy)' "$file" && say static_pod "${file##*/}"
  for program in kube-vip keepalived haproxy; do
    grep -Eqs 'image: *["'\'']?[^ ]*'"$program" "$file" || continue
    case $program in
      kube-vip)
        # `vip_address` is the older name, and what kube-vip takes where `address` says nothing.
        kept=$(variable "$file" address); kept=${kept:-$(variable "$file" vip_address)}; kept=${kept%%/*}
        services=
        case $(variable "$file" svc_enable) in 1 | [tT] | true | True | TRUE) services=' services' ;; esac
        say other "kube-vip pod ${file##*/} ${kept:--} -$services"
        ;;
      keepalived) say other "keepalived pod ${file##*/} $(keeps /etc/keepalived/keepalived.conf)" ;;
      haproxy) say other "haproxy pod ${file##*/} - -" ;;
    esac
  done
done
# $1: t or u, $2: the key. Sockets that are listened on, with the programs that have them.
listening() {
  ss -Hln"$1"p 2>/dev/null | awk '{
    process = "- 0"
    if (match($0, /users:\(\("[^"]*",pid=[0-9]+/)) {
      process = substr($0, RSTART + 9, RLENGTH - 9); sub(/",pid=/, " ", process)
    }
    print $4, process
  }' | while read -r socket name pid; do
    # A program that started itself anew from /proc/self/exe is called "exe"; its file still has its name.
    program=$(readlink "/proc/$pid/exe" 2>/dev/null) && { program=${program% (deleted)}; name=${program##*/}; }
    say "$2" "$socket $name $pid"
  done
}
listening t listen
listening u listen_udp

version=$(containerd --version 2>/dev/null | awk '{ print $3 }') && [ -n "$version" ] && say containerd "$version"
active=$(systemctl is-active containerd 2>/dev/null)
say containerd_active "$active"
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
if [ "$(id -u)" = 0 ] && [ "$active" = active ]; then
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
  version=$(kubectl version --client 2>/dev/null | awk '/^Client Version:/ { print $3 }') && [ -n "$version" ] && say kubectl "$version"
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
if [ -e /etc/kubernetes/pki/ca.crt ]; then
  # `authority`: a CA that was made before the cluster, and nothing else.
  case $(ls -A /etc/kubernetes/pki | tr '\n' ' ') in
    "ca.crt ca.key ") say pki authority ;;
    *) say pki present ;;
  esac
  [ ! -e /etc/kubernetes/pki/ca.key ] || say ca "$(tr '\n' '|' </etc/kubernetes/pki/ca.crt)"
fi
server=/etc/kubernetes/manifests/kube-apiserver.yaml
flag() { sed -n "s/^ *- --$1=\\([^ ]*\\).*/\\1/p" "$server" | tail -n 1; }
port=; [ -r "$server" ] && port=$(flag secure-port)
[ -n "$port" ] && say api_server "$port $(flag bind-address)"
if command -v openssl >/dev/null 2>&1; then
  openssl x509 -in /etc/kubernetes/pki/apiserver.crt -noout -ext subjectAltName 2>/dev/null |
    tr ',' '\n' | sed -n -e 's/^ *DNS:/api_name=/p' -e 's/^ *IP Address:/api_name=/p'
fi
[ -d /var/lib/etcd/member ] && say etcd_data present
[ -r /var/lib/lbctl/member ] && say member "$(tr '\n' ' ' </var/lib/lbctl/member)"
[ -e /var/lib/lbctl/ledger ] && say ledger present
grep -qsx 'packages begun' /var/lib/lbctl/ledger && say packages begun
sed -n 's/^\([0-9a-f]\{64\}\) /loaded=sha256:\1 /p' /var/lib/lbctl/loaded 2>/dev/null

# put_file.sh notes the checksum of what it wrote: as long as inode, size and time of change are the same, so is
# the content, and nothing large is read again. A few programs for all files, not some for each.
count=$#
for path; do [ -f "$path" ] && set -- "$@" "$path"; done
shift "$count"
[ $# = 0 ] || stat -c '%i %s %.9Y %a %n' "$@" | awk '
  BEGIN {
    while ((getline line <"/var/lib/lbctl/sums") > 0) {
      stamp = substr(line, 66)
      if (!(stamp in known)) known[stamp] = substr(line, 1, 64)
    }
  }
  {
    stamp = $1 " " $2 " " $3; inode = $1; mode = $4
    sub(/^[^ ]+ [^ ]+ [^ ]+ [^ ]+ /, "")
    print (stamp in known ? known[stamp] : "-"), mode, inode, $0
  }' | while read -r sum mode inode path; do
  [ "$sum" != - ] || sum=$(sha256sum <"$path") || continue
  say file "sha256:${sum%% *} $mode $inode $path"
done
say end 1
