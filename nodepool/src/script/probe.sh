# Runs `lbnode probe` with the program that probe_bring.sh has brought. $1 name of the run, then the words.
set -u
run=$1
shift
for base in /run/lbctl /var/tmp /root; do
  directory=$base/lbctl-probe-$run
  # /var/tmp is everybody's: what stands there must be of this user.
  [ -O "$directory" ] && [ -x "$directory/lbnode" ] && exec "$directory/lbnode" probe "$@"
done
echo "the program for probes is not there any more" >&2
exit 69
