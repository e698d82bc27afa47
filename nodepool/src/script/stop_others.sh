# Takes load balancers of somebody else out of service, and keeps what they were: whoever wants to can go back.
# $1 "backup": not where a virtual address is; "owner": where it is. $2 how many virtual addresses follow, then these, then
# what stops, in this order: unit:NAME or pod:FILE.
set -u
mode=$1; count=$2; shift 2
vips=
while [ "$count" -gt 0 ]; do vips="$vips $1"; shift; count=$((count - 1)); done
kept=/var/backups/lbctl-takeover
manifests=/etc/kubernetes/manifests
where() {
  for wanted in $vips; do
    ip -o addr show 2>/dev/null | awk -v a="$wanted" '$2 != "lo" { split($4, n, "/"); if (n[1] == a) print $2, $4 }'
  done
}
held() { [ -n "$(where)" ]; }
if [ "$mode" = backup ] && held; then
  echo "error: the virtual address has come to this machine meanwhile; nothing was stopped on it"
  exit 75
fi
umask 077
mkdir -p "$kept/manifests" || exit 73
runs() {
  case $1 in
    unit:*) systemctl is-active -q "${1#unit:}" 2>/dev/null ;;
    pod:*)
      name=$(sed -n '/^metadata:/,/^[^ ]/s/^  name: *//p' "$kept/manifests/${1#pod:}" 2>/dev/null | head -n 1 | tr -d "\"' ")
      pod="$name-$(hostname | tr 'A-Z' 'a-z')"
      running=$(ctr -n k8s.io tasks ls 2>/dev/null | awk '$3 == "RUNNING" { print $1 }')
      for container in $(ctr -n k8s.io containers ls -q "labels.\"io.kubernetes.pod.name\"==\"$pod\"" 2>/dev/null); do
        printf '%s\n' "$running" | grep -qxF "$container" && return 0
      done
      return 1
      ;;
  esac
}
for item; do
  case $item in
    unit:*)
      unit=${item#unit:}
      [ ! -d "/etc/$unit" ] || [ -e "$kept/$unit" ] || cp -rp "/etc/$unit" "$kept/$unit" || exit 73
      grep -qxF "$unit" "$kept/units" 2>/dev/null || echo "$unit" >>"$kept/units"
      sync "$kept/units"
      # First: a machine that boots in between does not start it again.
      systemctl disable -q "$unit" 2>/dev/null
      systemctl stop "$unit" || { echo "error: the unit $unit does not stop"; exit 1; }
      ;;
    pod:*)
      file=${item#pod:}
      if [ -e "$manifests/$file" ]; then
        cp -p "$manifests/$file" "$kept/manifests/$file" && sync "$kept/manifests/$file" || exit 73
        rm -f "$manifests/$file"
      fi
      ;;
  esac
done
i=0
for item; do
  while runs "$item"; do
    if [ "$i" -ge 450 ]; then
      echo "error: ${item#*:} still runs 45 s after it was told to stop: does the kubelet run?"
      exit 1
    fi
    i=$((i + 1))
    sleep 0.1
  done
done
# Whoever was killed took nothing along. Nobody is left who would want it back.
if [ "$mode" = owner ]; then
  where | while read -r interface net; do
    ip addr del "$net" dev "$interface" && echo "removed $net from $interface"
  done
fi
echo "stopped; what was there is kept in $kept"
