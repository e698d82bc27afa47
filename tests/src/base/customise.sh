# Turns a fresh Debian tree ($1) into the file system that every lab machine boots from.
tree=$1
inside() { chroot "$tree" "$@"; }

rm -rf "$tree"/var/cache/apt/archives/*.deb "$tree"/var/lib/apt/lists/*

# Units that fail in a container, or only cost a short-lived machine time.
inside systemctl mask \
    apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer \
    e2scrub_reap.service fstrim.timer systemd-timesyncd.service \
    systemd-networkd-wait-online.service dev-hugepages.mount sys-kernel-debug.mount \
    sys-kernel-tracing.mount getty.target console-getty.service
inside systemctl enable ssh.service containerd.service

# Each machine gets an identity of its own.
rm -f "$tree"/etc/ssh/ssh_host_*
: >"$tree/etc/machine-id"

# Tests open many sessions at once, and no name server answers here.
cat >"$tree/etc/ssh/sshd_config.d/lab.conf" <<'CONF'
UseDNS no
UsePAM no
MaxStartups 200
MaxSessions 100
CONF
echo 'nameserver 10.10.0.1' >"$tree/etc/resolv.conf"

# Two users beside root: one who may do everything through sudo, one who may not.
for user in debian guest; do
    inside useradd --create-home --shell /bin/bash --password '*' "$user"
done
echo 'debian ALL=(ALL) NOPASSWD: ALL' >"$tree/etc/sudoers.d/debian"
chmod 440 "$tree/etc/sudoers.d/debian"

# Debian keeps the CNI plugins elsewhere than everybody looks for them.
mkdir -p "$tree/opt/cni" "$tree/etc/cni/net.d"
ln -sfn /usr/lib/cni "$tree/opt/cni/bin"
rm -f "$tree"/etc/cni/net.d/*

# What a machine has and a container lacks: cgroup v1 hierarchies that can be written to ("bind",
# or the kernel says busy), and a kernel log, without which the kubelet does not start.
cat >"$tree/etc/systemd/system/as-on-a-machine.service" <<'UNIT'
[Unit]
Description=What a container lacks of a machine
DefaultDependencies=no
Before=sysinit.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c 'for d in /sys/fs/cgroup/*/; do if mountpoint -q $$d; then mount -o remount,bind,rw $$d; fi; done; ln -sf null /dev/kmsg'

[Install]
WantedBy=sysinit.target
UNIT
inside systemctl enable as-on-a-machine.service
