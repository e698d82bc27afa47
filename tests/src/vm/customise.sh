# Turns a fresh Debian tree ($1) into the disk of a virtual machine that runs one trial and ends.
tree=$1
inside() { chroot "$tree" "$@"; }

rm -rf "$tree"/var/cache/apt/archives/*.deb "$tree"/var/lib/apt/lists/*
inside systemctl mask apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer \
    e2scrub_all.timer e2scrub_reap.service fstrim.timer systemd-timesyncd.service getty.target
echo host >"$tree/etc/hostname"
echo '127.0.0.1 localhost host' >"$tree/etc/hosts"
echo '/dev/vda / ext4 defaults 0 1' >"$tree/etc/fstab"
echo overlay >"$tree/etc/modules-load.d/lab.conf"

cat >"$tree/usr/local/sbin/vm-trial" <<'SCRIPT'
#!/bin/sh
cd /lab
stat -fc 'cgroups: %T, systemd: '"$(systemctl --version | head -n1)"', kernel: '"$(uname -r)" /sys/fs/cgroup
if ./lab-tests $(cat scenarios); then verdict=passed; else verdict=failed; fi
echo "vm-trial: $verdict"
systemctl --no-block poweroff
SCRIPT
chmod 755 "$tree/usr/local/sbin/vm-trial"

cat >"$tree/etc/systemd/system/vm-trial.service" <<'UNIT'
[Unit]
Description=The lab's trial
After=multi-user.target

[Service]
Type=oneshot
EnvironmentFile=/lab/environment
ExecStart=/usr/local/sbin/vm-trial
StandardOutput=tty
StandardError=tty
TTYPath=/dev/ttyS0

[Install]
WantedBy=graphical.target
UNIT
inside systemctl enable vm-trial.service
