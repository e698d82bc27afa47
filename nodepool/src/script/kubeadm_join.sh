# kubeadm join. Input: its configuration (secret), then the discovery kubeconfig.
# $1 bytes of configuration, $2 bytes of discovery file, $3 cluster name, $4 role; both recorded as membership.
set -eu
umask 077
directory=/run/lbctl/join
rm -rf "$directory"
mkdir -p "$directory"
trap 'rm -rf "$directory"' EXIT
cat >"$directory/input"
[ "$(wc -c <"$directory/input")" -eq "$(($1 + $2))" ] || { echo "the configuration did not arrive whole"; exit 65; }
head -c "$1" "$directory/input" >"$directory/config.yaml"
tail -c "$2" "$directory/input" >"$directory/discovery.conf"
kubeadm join --config "$directory/config.yaml"
printf '%s\n%s\n' "$3" "$4" >/var/lib/lbctl/member.new
sync /var/lib/lbctl/member.new
mv /var/lib/lbctl/member.new /var/lib/lbctl/member
