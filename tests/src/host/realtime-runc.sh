#!/bin/sh
# runc for machines whose host gives realtime by cgroup (v1): a container that may schedule itself so gets a budget.
# On a machine of its own it would need none: Debian's kernel asks for CAP_SYS_NICE alone.
case " $* " in
*' create '*) ;;
*) exec /usr/sbin/runc "$@" ;;
esac
/usr/sbin/runc "$@" || exit

bundle=. pid_file=
while [ $# -gt 0 ]; do
    case $1 in
    --bundle) bundle=$2 ;;
    --pid-file) pid_file=$2 ;;
    esac
    shift
done
# A privileged container has every capability, and no use for this one.
if [ -f /sys/fs/cgroup/cpu/cpu.rt_runtime_us ] && [ -s "$pid_file" ] &&
    grep -q '"CAP_SYS_NICE"' "$bundle/config.json" && ! grep -q '"CAP_SYS_ADMIN"' "$bundle/config.json"; then
    directory=/sys/fs/cgroup/cpu
    path=$(sed -n 's/^[0-9]*:\(cpu\|cpu,.*\|.*,cpu\):\/*//p' "/proc/$(cat "$pid_file")/cgroup")
    depth=$(printf %s "$path" | tr -cd / | wc -c)
    IFS=/
    for part in $path; do
        directory=$directory/$part
        # In each second 90 ms for all containers, 40 ms for those of one pod: twice as much while one follows another.
        if [ "$depth" -gt 1 ]; then budget=90000; else budget=40000; fi
        depth=$((depth - 1))
        if [ "$(cat "$directory/cpu.rt_runtime_us")" -lt "$budget" ]; then
            # Refused where there is no more: the container runs without.
            echo "$budget" >"$directory/cpu.rt_runtime_us" || :
        fi
    done 2>/dev/null
fi
exit 0
