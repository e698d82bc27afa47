# Asks the segment whether somebody answers for an address. Input: the lbnode program; it is gone afterwards.
# $1 address, $2 this node's address, $3 sha256 of the program
set -eu
umask 077
directory=
trap '[ -z "$directory" ] || rm -rf "$directory"' EXIT
if [ -x /usr/local/bin/lbnode ] && sum=$(sha256sum </usr/local/bin/lbnode) && [ "${sum%% *}" = "$3" ]; then
  cat >/dev/null
  program=/usr/local/bin/lbnode
else
  # /run may be mounted noexec.
  for base in /run /var/tmp /root; do
    directory=$(mktemp -d "$base/lbctl-XXXXXXXX") || continue
    printf '#!/bin/sh\n' >"$directory/try"
    chmod 700 "$directory/try"
    "$directory/try" 2>/dev/null && break
    rm -rf "$directory"
    directory=
  done
  [ -n "$directory" ] || { echo "no directory to run a program from: /run, /var/tmp and /root are noexec" >&2; exit 73; }
  program=$directory/lbnode
  cat >"$program"
  sum=$(sha256sum <"$program")
  [ "${sum%% *}" = "$3" ] || { echo "the program did not arrive whole" >&2; exit 65; }
  chmod 700 "$program"
fi
"$program" probe vip --address "$1" --source "$2"
