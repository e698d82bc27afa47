# Puts the input at a path: a temporary name beside it, checked, synced, renamed. Never half a file.
# $1 path, $2 mode, $3 sha256
set -eu
path=$1; mode=$2; sum=$3
directory=$(dirname "$path")
mkdir -p "$directory" /var/lib/lbctl
temporary=$(mktemp "$directory/.lbctl.XXXXXX")
trap 'rm -f "$temporary"' EXIT
cat >"$temporary"
got=$(sha256sum <"$temporary"); got=${got%% *}
if [ "$got" != "$sum" ]; then
  echo "the content that arrived has sha256 $got, not $sum: not written"
  exit 65
fi
chmod "$mode" "$temporary"
sync "$temporary"
if ! grep -qxF "file $path" /var/lib/lbctl/ledger 2>/dev/null; then
  if [ -e "$path" ]; then
    mkdir -p "/var/lib/lbctl/original$directory"
    cp -p "$path" "/var/lib/lbctl/original$path"
  fi
  echo "file $path" >>/var/lib/lbctl/ledger
  sync /var/lib/lbctl/ledger
fi
mv -f "$temporary" "$path"
trap - EXIT
! command -v restorecon >/dev/null 2>&1 || restorecon "$path" || true
sync "$directory"
stamp=$(stat -c '%i %s %.9Y' "$path")
{ awk -v stamp="$stamp" 'substr($0, 66) != stamp' /var/lib/lbctl/sums 2>/dev/null || true; echo "$sum $stamp"; } >/var/lib/lbctl/sums.new
mv -f /var/lib/lbctl/sums.new /var/lib/lbctl/sums
echo "wrote $path, mode $mode, sha256 $sum"
