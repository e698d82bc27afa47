# Puts the control plane's keys, encrypted, where joining nodes find them. Input: kubeadm configuration with the key.
# $1 bytes of input
set -eu
umask 077
directory=$(mktemp -d /run/lbctl/kubeadm.XXXXXX)
trap 'rm -rf "$directory"' EXIT
cat >"$directory/config.yaml"
[ "$(wc -c <"$directory/config.yaml")" -eq "$1" ] || { echo "the configuration did not arrive whole"; exit 65; }
kubeadm init phase upload-certs --upload-certs --config "$directory/config.yaml" --skip-certificate-key-print
