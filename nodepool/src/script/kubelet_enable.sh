# Makes systemd know the kubelet's unit and start it at boot; kubeadm starts it now. A running one is restarted.
set -eu
remember /etc/systemd/system/kubelet.service /etc/systemd/system/kubelet.service.d/10-kubeadm.conf
systemctl daemon-reload
systemctl enable -q kubelet
systemctl try-restart kubelet
loaded
echo "kubelet enabled"
