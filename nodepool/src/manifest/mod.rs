//! Every file that lands on a node, as text. Pure: from the desired cluster and a machine's facts.

pub mod cni;
pub mod containerd;
pub mod data_plane;
pub mod kubeadm;
pub mod kubelet;
pub mod packages;
pub mod static_pod;

use serde::Serialize;

use crate::core::desired::Machine;
use crate::digest;

/// A file for a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeFile {
    /// Absolute path on the node.
    pub path: String,
    /// Permission bits, octal.
    pub mode: &'static str,
    /// Content.
    pub content: String,
}

impl NodeFile {
    /// A file that everyone may read.
    pub fn public(path: impl Into<String>, content: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            mode: "644",
            content: content.into(),
        }
    }

    /// A file for root only.
    pub fn private(path: impl Into<String>, content: impl Into<String>) -> Self {
        Self {
            mode: "600",
            ..Self::public(path, content)
        }
    }

    /// SHA-256 of the content, in hex.
    pub fn sha256(&self) -> String {
        digest::sha256(self.content.as_bytes())
    }
}

/// Path of the routers' configuration.
pub const VRRP_CONFIG: &str = "/etc/lbnode/vrrp.yaml";
/// Path of the proxy's configuration.
pub const PROXY_CONFIG: &str = "/etc/lbnode/proxy.yaml";
/// Path of the CA's certificate on load balancers of a pool of their own: they run before kubeadm has written it there.
pub const BALANCER_CA: &str = "/etc/lbnode/ca.crt";
/// Path of the forwarding switch.
pub const SYSCTL: &str = "/etc/sysctl.d/90-lbctl.conf";

/// The switch that pods need.
pub fn sysctl() -> NodeFile {
    NodeFile::public(
        SYSCTL,
        "# written by lbctl: a node forwards between its pods and the network\nnet.ipv4.ip_forward = 1\n",
    )
}

/// Configuration files of the API load balancer; empty on machines that do not run it.
pub fn load_balancer_configs(machine: &Machine) -> Vec<NodeFile> {
    machine
        .load_balancer
        .iter()
        .flat_map(|balancer| {
            [
                NodeFile::public(VRRP_CONFIG, yaml(&balancer.vrrp)),
                NodeFile::public(PROXY_CONFIG, yaml(&balancer.proxy)),
            ]
        })
        .collect()
}

/// Static pods of the API load balancer; they name the configuration and image they run, so that a change of
/// either, and nothing else, restarts them.
pub fn load_balancer_pods(machine: &Machine, image_digest: &str) -> Vec<NodeFile> {
    let configs = load_balancer_configs(machine);
    let pods = [&static_pod::VRRP, &static_pod::PROXY];
    let ca = if machine.is_dedicated_balancer() {
        BALANCER_CA
    } else {
        static_pod::CA
    };
    let rendered = configs
        .iter()
        .zip(pods)
        .map(|(config, pod)| pod.file(&config.sha256(), image_digest, ca));
    rendered.collect()
}

/// YAML text of a value.
pub fn yaml<T: Serialize>(value: &T) -> String {
    serde_yaml::to_string(value).expect("the types of this crate have a YAML form")
}
