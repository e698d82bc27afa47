# Takes back what packages_install.sh did; false when something of it could not be removed.
# Packages that others need by now stay: they are somebody's.
take_package() {
  case $1 in
    apt)
      how=--purge
      ! grep -qxF "settings $2" "$ledger" || how=--remove
      dpkg "$how" "$2"
      ;;
    *) if rpm -q "$2" >/dev/null 2>&1; then rpm -e "$2"; fi ;;
  esac
}
packages_back() {
  manager=$(sed -n 's/^manager //p' "$ledger" 2>/dev/null)
  [ -n "$manager" ] || return 0
  before=/var/lib/lbctl/packages.before
  if [ -e "$before" ]; then
    # An installation that did not come to its end.
    { rpm -qa --qf '%{NAME}\n' | grep -vx gpg-pubkey; rpm -qa 'gpg-pubkey*' --qf '%{NAME}-%{VERSION}-%{RELEASE}\n'; } |
      sort -u | grep -vxF -f "$before" | sed 's/^/package /' >>"$ledger"
  fi
  DEBIAN_FRONTEND=noninteractive; export DEBIAN_FRONTEND
  [ "$manager" != apt ] || dpkg --configure -a >/dev/null 2>&1
  for name in kubelet containerd containerd.io; do
    ! grep -qxF "package $name" "$ledger" || systemctl disable -q --now "${name%.io}" >/dev/null 2>&1
  done
  for name in $(sed -n 's/^hold //p' "$ledger"); do
    case $manager in
      apt) apt-mark -q unhold "$name" >/dev/null 2>&1 ;;
      *) dnf -q -y versionlock delete "$name" >/dev/null 2>&1 ;;
    esac
  done
  left=$(sed -n 's/^package //p' "$ledger" | sort -u)
  progress=1
  while [ -n "$left" ] && [ "$progress" = 1 ]; do
    progress=0; later=
    for name in $left; do
      if take_package "$manager" "$name" >/dev/null 2>&1; then
        progress=1; note "removed the package $name"
      else
        later="$later $name"
      fi
    done
    left=$later
  done
  stuck=
  for name in $left; do
    said=$(take_package "$manager" "$name" 2>&1)
    case $said in
      *"dependency problems"* | *"is needed by"*) note "the package $name stays: others need it" ;;
      *) note "cannot remove the package $name: $said"; stuck="$stuck $name" ;;
    esac
  done
  if [ -n "$stuck" ]; then
    # shellcheck disable=SC2086
    printf 'package %s\n' $stuck >/var/lib/lbctl/left
    # The files were taken back: once more would take away what was put in their places.
    grep -E '^(manager|package|settings|tree) ' "$ledger" >"$ledger.new"
    mv -f "$ledger.new" "$ledger"
    rm -rf /var/lib/lbctl/original /var/lib/lbctl/member /var/lib/lbctl/loaded /var/lib/lbctl/sums "$before"
    return 1
  fi
  rm -f /var/lib/lbctl/left
}
# Directories that came with packages, unless something is mounted there or their program is there for somebody else.
# $1… the directories
trees_back() {
  for tree; do
    awk -v below="$tree/" -v at="$tree" '$2 == at || index($2, below) == 1 { found = 1 } END { exit !found }' /proc/self/mounts &&
      continue
    case $tree in
      /opt/cni) find "$tree" -depth -type d -empty -delete 2>/dev/null ;;
      *) command -v "${tree##*/}" >/dev/null 2>&1 || rm -rf "$tree" ;;
    esac
  done
}
