# Fetches the key that signs a package repository. $1 apt or dnf, $2 its address, $3 where it goes
set -eu
manager=$1; address=$2; path=$3
directory=$(dirname "$path")
mkdir -p "$directory" /var/lib/lbctl
temporary=$(mktemp "$directory/.lbctl.XXXXXX")
trap 'rm -f "$temporary"' EXIT
case $address in
  https://*) ;;
  *) echo "error: a key is fetched over https only, not from $address"; exit 65 ;;
esac
# apt's own helper is there wherever apt is, and heeds its proxy; every dnf comes with curl.
if [ "$manager" = apt ]; then
  /usr/lib/apt/apt-helper download-file "$address" "$temporary"
else
  curl -fsSL --proto '=https' --max-time 60 -o "$temporary" "$address"
fi
if ! grep -q -e '-----BEGIN PGP PUBLIC KEY BLOCK-----' "$temporary"; then
  echo "error: what $address gives is no key"
  exit 65
fi
# apt reads it as a user of its own.
chmod 644 "$temporary"
sync "$temporary"
if ! grep -qxF "file $path" /var/lib/lbctl/ledger 2>/dev/null; then
  echo "file $path" >>/var/lib/lbctl/ledger
  sync /var/lib/lbctl/ledger
fi
mv -f "$temporary" "$path"
trap - EXIT
sync "$directory"
echo "fetched $path from $address"
