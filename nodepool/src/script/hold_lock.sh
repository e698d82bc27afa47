# Holds this machine for one lbctl: prints "ready", lasts until the input ends or stays silent for a minute.
# $1: who asks, in words.
set -u
command -v flock >/dev/null || exit 69
mkdir -p /run/lock /run/lbctl
lock=/run/lock/lbctl.lock
exec 9>>"$lock"
if ! flock -n 9; then
  cat "$lock"
  exit 75
fi
printf '%s\n' "$1" >"$lock"
# A step that an interrupted lbctl left behind ends first. Whoever asked may be interrupted meanwhile as well.
until flock -n /run/lock/lbctl-step.lock true; do
  beat=$(timeout 1 head -c 1)
  [ $? = 124 ] || [ -n "$beat" ] || exit 0
done
echo ready
while [ -n "$(timeout 60 head -c 1)" ]; do :; done
: >"$lock"
