# Runs "$@" in the background inside the cgroup $LAB_CGROUP of every hierarchy in $LAB_HIERARCHIES
# (lines of "file-system options directory"), which is the root of all hierarchies it sees.
while read -r type options directory; do
    echo $$ >"$directory/$LAB_CGROUP/cgroup.procs"
done <<TABLE
$LAB_HIERARCHIES
TABLE
exec setsid --fork unshare --cgroup --mount sh -euc '
    while read -r type options directory; do
        umount "$directory"
        mount -t "$type" -o "$options" "$type" "$directory"
    done <<TABLE
$LAB_HIERARCHIES
TABLE
    unset LAB_HIERARCHIES LAB_CGROUP
    exec "$@"
' machine "$@"
