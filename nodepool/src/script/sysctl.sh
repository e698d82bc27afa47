# Loads one sysctl file and notes the values before. $1 path
set -eu
for key in $(sed -n 's/^\([a-z][a-z0-9_.]*\) *=.*/\1/p' "$1"); do
  grep -q "^value $key " /var/lib/lbctl/ledger 2>/dev/null || echo "value $key $(sysctl -n "$key")" >>/var/lib/lbctl/ledger
done
sysctl -q -p "$1"
echo "loaded $1"
