# kubeadm init. Input: its configuration (secret). $1 bytes of input; $2 cluster name, recorded as membership.
set -eu
umask 077
directory=$(mktemp -d /run/lbctl/kubeadm.XXXXXX)
trap 'rm -rf "$directory"' EXIT
cat >"$directory/config.yaml"
[ "$(wc -c <"$directory/config.yaml")" -eq "$1" ] || { echo "the configuration did not arrive whole"; exit 65; }
# Keys are 0600 by kubeadm's own hand; certificates are for everybody, our pods that are not root among them.
umask 022
kubeadm init --config "$directory/config.yaml" --upload-certs --skip-token-print --skip-certificate-key-print
printf '%s\ncontrol-plane\n' "$2" >/var/lib/lbctl/member.new
sync /var/lib/lbctl/member.new
mv /var/lib/lbctl/member.new /var/lib/lbctl/member
