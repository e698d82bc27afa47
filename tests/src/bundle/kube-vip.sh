#!/bin/sh
# Stands in for `kube-vip manager`: whoever has the lease has the address, and gives both back when it is told to stop.
set -u
conf=/etc/kubernetes/admin.conf
leases=https://kubernetes:$port/apis/coordination.k8s.io/v1/namespaces/$cp_namespace/leases
me=$vip_nodename
mkdir -p /keys
value() { sed -n "s/^ *$1: *//p" "$conf" | head -n 1; }
value certificate-authority-data | base64 -d >/keys/ca
value client-certificate-data | base64 -d >/keys/cert
value client-key-data | base64 -d >/keys/key
# $1 the method, $2 the rest of the address, $3 the body
ask() {
  curl -q -s -f -m "$vip_retryperiod" --cacert /keys/ca --cert /keys/cert --key /keys/key -X "$1" \
    -H 'Content-Type: application/json' ${3:+-d "$3"} "$leases$2?pretty=false"
}
# $1 the holder, $2 the version that is replaced, $3 for how many seconds
lease() {
  printf '{"apiVersion":"coordination.k8s.io/v1","kind":"Lease","metadata":{"name":"%s","namespace":"%s"%s},"spec":{"holderIdentity":"%s","leaseDurationSeconds":%s,"renewTime":"%s"}}' \
    "$vip_leasename" "$cp_namespace" "${2:+,\"resourceVersion\":\"$2\"}" "$1" "${3:-$vip_leaseduration}" "$(date -u +%Y-%m-%dT%H:%M:%S.000000Z)"
}
of() { printf '%s' "$found" | sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p"; }
# Deprecated, as kube-vip has it since v1.0: not to be a source address.
take() {
  ip addr replace "$address/$vip_subnet" dev "$vip_interface" valid_lft forever preferred_lft 0
  arping -q -U -c 1 -I "$vip_interface" "$address" >/dev/null 2>&1
}
let_go() { ip addr del "$address/$vip_subnet" dev "$vip_interface" 2>/dev/null; }
leave() {
  let_go
  [ -z "$holds" ] || ask PUT "/$vip_leasename" "$(lease '' "$(found=$(ask GET "/$vip_leasename") && of resourceVersion)" 1)" >/dev/null
  exit 0
}
holds= last= seen=0 renewed=0
trap leave TERM INT
let_go
while :; do
  found=$(ask GET "/$vip_leasename")
  if [ -z "$found" ]; then
    ask POST '' "$(lease "$me" '')" >/dev/null && found=$(ask GET "/$vip_leasename")
  fi
  holder=$(of holderIdentity) version=$(of resourceVersion)
  now=$(date +%s)
  [ "$version" = "$last" ] || seen=$now
  last=$version
  if [ -n "$version" ] && { [ "$holder" = "$me" ] || [ -z "$holder" ] || [ $((now - seen)) -gt "$vip_leaseduration" ]; } &&
    ask PUT "/$vip_leasename" "$(lease "$me" "$version")" >/dev/null; then
    holds=yes renewed=$now
    take
  elif [ -n "$holds" ]; then
    if [ $((now - renewed)) -gt "$vip_renewdeadline" ] || { [ -n "$holder" ] && [ "$holder" != "$me" ]; }; then
      holds=
      let_go
    fi
  fi
  sleep "$vip_retryperiod" &
  wait $!
done
