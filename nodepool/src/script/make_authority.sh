# Makes the cluster's CA before the cluster: the load balancers of a pool of their own need its certificate to check API
# servers. `kubeadm init` uses it then. Input: kubeadm configuration (secret). $1 bytes of input
set -eu
umask 077
directory=$(mktemp -d /run/lbctl/kubeadm.XXXXXX)
trap 'rm -rf "$directory"' EXIT
cat >"$directory/config.yaml"
[ "$(wc -c <"$directory/config.yaml")" -eq "$1" ] || { echo "the configuration did not arrive whole"; exit 65; }
umask 022
kubeadm init phase certs ca --config "$directory/config.yaml"
