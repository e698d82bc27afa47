printf 'hostname %s\n' "$(hostname | tr 'A-Z' 'a-z')"
address=$1; shift
found=$(timeout 5 lbnode probe vip --address "$address" 2>/dev/null) && printf 'segment %s\n' "$found"
if command -v ping >/dev/null 2>&1; then
    if ping -c 1 -W 2 -q "$address" >/dev/null 2>&1; then echo 'ping ok'; else echo 'ping failed'; fi
fi
command -v bash >/dev/null 2>&1 || exit 0
for port in "$@"; do
    if timeout 2 bash -c "</dev/tcp/$address/$port" 2>/dev/null; then state=ok; else state=failed; fi
    echo "tcp $port $state"
done
exit 0
