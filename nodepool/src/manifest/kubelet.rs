//! kubelet's unit and kubeadm's drop-in, for machines whose kubelet comes from a bundle.

use super::NodeFile;

/// Path of the unit.
pub const UNIT: &str = "/etc/systemd/system/kubelet.service";
/// Path of the drop-in.
pub const DROP_IN: &str = "/etc/systemd/system/kubelet.service.d/10-kubeadm.conf";

/// The unit. kubeadm starts it; until it has written a configuration the kubelet would only fail, so it waits.
pub fn unit(kubelet: &str) -> NodeFile {
    NodeFile::public(
        UNIT,
        format!(
            "# written by lbctl\n[Unit]\nDescription=kubelet: the Kubernetes node agent\n\
             Documentation=https://kubernetes.io/docs/\nWants=network-online.target containerd.service\n\
             After=network-online.target containerd.service\n\n\
             [Service]\nExecStart={kubelet}\nRestart=always\nRestartSec=1\nStartLimitIntervalSec=0\n\n\
             [Install]\nWantedBy=multi-user.target\n"
        ),
    )
}

/// The drop-in with the arguments that kubeadm decides, and after them the machine's own (`KUBELET_EXTRA_ARGS` in
/// `/etc/default/kubelet`, as with Kubernetes' Debian packages).
pub fn drop_in(kubelet: &str) -> NodeFile {
    NodeFile::public(
        DROP_IN,
        format!(
            "# written by lbctl\n[Unit]\nConditionPathExists=/var/lib/kubelet/config.yaml\n\n[Service]\n\
             Environment=\"KUBELET_KUBECONFIG_ARGS=--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf --kubeconfig=/etc/kubernetes/kubelet.conf\"\n\
             Environment=\"KUBELET_CONFIG_ARGS=--config=/var/lib/kubelet/config.yaml\"\n\
             EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env\n\
             EnvironmentFile=-/etc/default/kubelet\nExecStart=\n\
             ExecStart={kubelet} $KUBELET_KUBECONFIG_ARGS $KUBELET_CONFIG_ARGS $KUBELET_KUBEADM_ARGS $KUBELET_EXTRA_ARGS\n"
        ),
    )
}
