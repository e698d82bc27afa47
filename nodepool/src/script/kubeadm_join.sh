# kubeadm join. Input: its configuration (secret), then the discovery kubeconfig.
# $1 bytes of configuration, $2 bytes of discovery file, $3 cluster name, $4 role; both recorded as membership.
set -eu
umask 077
directory=/run/lbctl/join
rm -rf "$directory"
mkdir -p "$directory"
trap 'leave' EXIT
teller=
leave() {
  status=$?
  [ -z "$teller" ] || kill "$teller" 2>/dev/null || true
  rm -rf "$directory"
  if [ "$status" -ne 0 ] && stood_alone; then stand_back; fi
}
cat >"$directory/input"
[ "$(wc -c <"$directory/input")" -eq "$(($1 + $2))" ] || { echo "the configuration did not arrive whole"; exit 65; }
head -c "$1" "$directory/input" >"$directory/config.yaml"
tail -c "$2" "$directory/input" >"$directory/discovery.conf"
# A control plane's kubelet gets its certificate from the API server beside it, asks 0, 2, 6, 14 and 30 s after its start
# and then begins anew: an API server that is ready a moment after the fourth time costs a quarter of a minute. It is
# told when there is somebody to ask.
tell_kubelet() {
  i=0
  while [ "$i" -lt 240 ] && ! [ -e /var/lib/kubelet/pki/kubelet-client-current.pem ]; do
    if kubectl --kubeconfig /etc/kubernetes/bootstrap-kubelet.conf --request-timeout=1s get --raw /readyz >/dev/null 2>&1; then
      systemctl restart kubelet
      return
    fi
    i=$((i + 1))
    sleep 1
  done
}
if [ "$4" = control-plane ] && command -v kubectl >/dev/null 2>&1; then
  tell_kubelet &
  teller=$!
fi
# Keys are 0600 by kubeadm's own hand; certificates are for everybody, our pods that are not root among them.
umask 022
# The kubelet that runs the static pods is handed over: kubeadm restarts it as a member, and the containers go on meanwhile.
if [ -e "$standing" ]; then
  mv -f "$standing" "$aside"
  sync /etc/lbnode
  systemctl daemon-reload
fi
kubeadm join --config "$directory/config.yaml"
printf '%s\n%s\n' "$3" "$4" >/var/lib/lbctl/member.new
sync /var/lib/lbctl/member.new
mv /var/lib/lbctl/member.new /var/lib/lbctl/member
rm -f "$aside" /etc/lbnode/kubelet.yaml
