//! kubelet's unit and kubeadm's drop-in, for machines whose kubelet comes from a bundle.

use serde_json::json;

use super::{BALANCER_CA, NodeFile, yaml};

/// Path of the unit.
pub const UNIT: &str = "/etc/systemd/system/kubelet.service";
/// Path of the drop-in.
pub const DROP_IN: &str = "/etc/systemd/system/kubelet.service.d/10-kubeadm.conf";

/// Path of the configuration of a kubelet that stands alone.
pub const STANDALONE_CONFIG: &str = "/etc/lbnode/kubelet.yaml";
/// Path of the drop-in that makes it stand alone; read after kubeadm's.
pub const STANDALONE_DROP_IN: &str =
    "/etc/systemd/system/kubelet.service.d/20-lbctl-standalone.conf";

/// Configuration of a kubelet without a cluster: it runs static pods and serves nobody. What decides about containers is
/// as in kubeadm's configuration, so that none of them is restarted when the kubelet joins.
pub fn standalone_config(cgroup_v1: bool) -> NodeFile {
    let mut config = json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "staticPodPath": "/etc/kubernetes/manifests",
        "cgroupDriver": "systemd",
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        // There is no API to ask who may do what: nobody may ask. (Without any way to know people a kubelet does not start.)
        "enableServer": false,
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": false},
            "x509": {"clientCAFile": BALANCER_CA},
        },
        "authorization": {"mode": "AlwaysAllow"},
        "imageGCHighThresholdPercent": 100,
    });
    if cgroup_v1 {
        config["failCgroupV1"] = json!(false);
    }
    NodeFile::public(STANDALONE_CONFIG, yaml(&config))
}

/// The drop-in that takes kubeadm's kubeconfig and configuration away until the machine joins.
pub fn standalone_drop_in() -> NodeFile {
    NodeFile::public(
        STANDALONE_DROP_IN,
        format!(
            "# written by lbctl; `kubeadm join` by lbctl removes it\n[Unit]\nConditionPathExists=\nConditionPathExists={STANDALONE_CONFIG}\n\n\
             [Service]\nEnvironment=\"KUBELET_KUBECONFIG_ARGS=\"\nEnvironment=\"KUBELET_CONFIG_ARGS=--config={STANDALONE_CONFIG}\"\n"
        ),
    )
}

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
