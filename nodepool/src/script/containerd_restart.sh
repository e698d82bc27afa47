# Starts containerd with its configuration as it is on disk, and waits until it answers.
set -eu
remember /etc/containerd/config.toml
systemctl enable -q containerd
systemctl restart containerd
i=0
until ctr version >/dev/null 2>&1; do
  i=$((i + 1))
  if [ "$i" -ge 100 ]; then
    echo "containerd does not answer 10 s after its start:"
    journalctl -u containerd -n 20 --no-pager 2>/dev/null || systemctl status containerd --no-pager || true
    exit 1
  fi
  sleep 0.1
done
loaded
echo "containerd restarted"
