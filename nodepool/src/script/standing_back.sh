# A kubelet that stood alone and whose join did not end well stands alone again: its static pods run through all of it.
# stood_alone: a join was begun that is not over; stand_back: undo it.
standing=/etc/systemd/system/kubelet.service.d/20-lbctl-standalone.conf
aside=/etc/lbnode/standalone.conf
stood_alone() { [ -e "$aside" ]; }
stand_back() {
  systemctl stop kubelet 2>/dev/null || true
  rm -f /etc/kubernetes/kubelet.conf /etc/kubernetes/bootstrap-kubelet.conf /etc/kubernetes/pki/ca.crt \
    /var/lib/kubelet/config.yaml /var/lib/kubelet/instance-config.yaml /var/lib/kubelet/kubeadm-flags.env
  rm -rf /var/lib/kubelet/pki
  mv -f "$aside" "$standing"
  systemctl daemon-reload
  systemctl start kubelet
  echo "the kubelet stands alone again"
}
