# Installs packages with the machine's own package manager, and keeps them at their version. $1 apt or dnf; then
# NAME, or NAME=VERSION with a pattern, each; of several names with `|` between, the first that some repository has.
# Notes before it begins what was not there: a reset removes that, and nothing else. Names that are installed stay.
set -euf
manager=$1; shift
state=/var/lib/lbctl
ledger=$state/ledger
mkdir -p "$state"
touch "$ledger"
note() { grep -qxF "$1" "$ledger" || echo "$1" >>"$ledger"; }
# What packages leave behind when they are removed.
for directory in /var/lib/containerd /opt/containerd /opt/cni /var/lib/kubelet; do
  [ -e "$directory" ] || note "tree $directory"
done
note "manager $manager"
note 'packages begun'
sync "$ledger"

apt() {
  apt-get -q -o DPkg::Lock::Timeout=300 -o APT::Keep-Downloaded-Packages=false -o Dpkg::Options::=--force-confold \
    --no-install-recommends --no-remove --allow-change-held-packages "$@"
}
case $manager in
  apt)
    export DEBIAN_FRONTEND=noninteractive
    # After a power cut some packages may be unpacked and no more.
    dpkg --configure -a
    refresh() { apt-get -q update; }
    has() { apt-cache policy "$1" | grep -q 'Candidate: [^(]'; }
    ;;
  dnf)
    # The repository's own list of exclusions is what keeps the packages at their version.
    dnf_() { dnf -y -q --setopt=disable_excludes=lbctl-kubernetes --setopt=install_weak_deps=False "$@"; }
    refresh() { dnf_ makecache; }
    has() { [ -n "$(dnf_ repoquery "$1" 2>/dev/null)" ]; }
    ;;
  *) echo "error: no such package manager: $manager"; exit 64 ;;
esac
# Keys are packages to rpm; each has a version for a name.
listed() { rpm -qa --qf '%{NAME}\n' | grep -vx gpg-pubkey; rpm -qa 'gpg-pubkey*' --qf '%{NAME}-%{VERSION}-%{RELEASE}\n'; }

said=
complaint() { printf '%s\n' "$said" | grep -iE '^(E|W|error|warning):' | head -n 1; }
if [ $# -gt 0 ]; then
  # Somebody's timer may be at it at the same moment.
  i=0
  until said=$(refresh 2>&1); do
    i=$((i + 1))
    if [ "$i" -ge 3 ]; then
      printf '%s\n' "$said"
      echo "error: the lists of packages could not be read, nothing was installed: $(complaint)"
      exit 66
    fi
    sleep 5
  done
  printf '%s\n' "$said"
fi
chosen=
for wanted; do
  name=
  for candidate in $(printf '%s' "${wanted%%=*}" | tr '|' ' '); do
    if has "$candidate"; then name=$candidate; break; fi
  done
  if [ -z "$name" ]; then
    echo "error: no package repository of this machine has ${wanted%%=*}, nothing was installed: $(complaint)"
    exit 66
  fi
  case $wanted in
    *=*) version=${wanted#*=} ;;
    *) version= ;;
  esac
  case $manager in
    apt) chosen="$chosen $name${version:+=$version}" ;;
    dnf) chosen="$chosen $name${version:+-$version}" ;;
  esac
  note "hold $name"
done

if [ -n "$chosen" ]; then
  case $manager in
    apt)
      planned=$(apt -s install $chosen) || { printf '%s\n' "$planned"; echo "error: apt cannot install$chosen; nothing was installed"; exit 66; }
      # "Inst NAME (…" is new; "Inst NAME [OLD] (…" was there.
      for name in $(printf '%s\n' "$planned" | sed -n 's/^Inst \([^ ]*\) (.*/\1/p'); do
        # Somebody has removed it and kept its settings: these stay.
        case $(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null) in
          config-files) grep -qxF "package $name" "$ledger" || note "settings $name" ;;
        esac
        note "package $name"
      done
      sync "$ledger"
      apt -y install $chosen
      ;;
    dnf)
      if [ ! -e "$state/packages.before" ]; then
        listed | sort -u >"$state/packages.before.new"
        sync "$state/packages.before.new"
        mv -f "$state/packages.before.new" "$state/packages.before"
      fi
      dnf_ install $chosen
      ;;
  esac
fi
if [ -e "$state/packages.before" ]; then
  listed | sort -u | grep -vxF -f "$state/packages.before" | while read -r name; do note "package $name"; done
fi

for name in $(sed -n 's/^hold //p' "$ledger"); do
  # An earlier run may have chosen another one, and its repository may be gone.
  has "$name" || continue
  case $manager in
    apt) apt-mark -q hold "$name" ;;
    dnf)
      # A plugin that not every machine has.
      if dnf -q versionlock list >/dev/null 2>&1; then dnf -q -y versionlock add "$name"; fi
      ;;
  esac
done
grep -vx 'packages begun' "$ledger" >"$ledger.new" || true
sync "$ledger.new"
mv -f "$ledger.new" "$ledger"
rm -f "$state/packages.before"
echo "installed:${chosen:- nothing more}"
