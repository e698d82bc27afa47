# Has the API server listen on one address instead of all: the proxy has the same port on the virtual one.
# $1 the address, $2 the port
set -eu
path=/etc/kubernetes/manifests/kube-apiserver.yaml
kept=/var/backups/lbctl-takeover/manifests
# Beside the manifests, not among them: the kubelet would run it.
new=/etc/kubernetes/.lbctl-kube-apiserver.yaml
umask 077
mkdir -p "$kept"
if ! [ -e "$kept/kube-apiserver.yaml" ]; then
  cp -p "$path" "$kept/kube-apiserver.yaml.new"
  sync "$kept/kube-apiserver.yaml.new"
  mv -f "$kept/kube-apiserver.yaml.new" "$kept/kube-apiserver.yaml"
fi
awk -v flag="--bind-address=$1" '
  /^ *- --bind-address=/ { next }
  { print }
  /^ *- kube-apiserver *$/ { match($0, /^ */); print substr($0, 1, RLENGTH) "- " flag }' "$path" >"$new"
if ! grep -q -- "- --bind-address=$1\$" "$new"; then
  rm -f "$new"
  echo "error: $path has no line \`- kube-apiserver\` after which an argument could be added"
  exit 65
fi
sync "$new"
mv -f "$new" "$path"
own() { ss -Hltn 2>/dev/null | awk -v own="$1:$2" -v port=":$2" '
  $4 == own { found = 1 }
  $4 == "*" port || $4 == "0.0.0.0" port || $4 == "[::]" port { wide = 1 }
  END { exit !(found && !wide) }'; }
i=0
until own "$1" "$2" && lbnode get --ca /etc/kubernetes/pki/ca.crt "https://$1:$2/readyz" >/dev/null 2>&1; do
  if [ "$i" -ge 360 ]; then
    echo "error: the API server is not ready on $1:$2 alone after 3 minutes: see \`crictl ps -a\`"
    exit 1
  fi
  i=$((i + 1))
  sleep 0.5
done
echo "the API server is ready on $1:$2"
