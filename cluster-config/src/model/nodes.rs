//! Nodes and their pools.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use super::load_balancer::Mode;
use super::located::{Located, Written};
use super::word::words;

/// One machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    pub(crate) address: Located<Ipv4Addr>,
    pub(crate) k8s_ip: Option<Located<Ipv4Addr>>,
    pub(crate) provider_id: Option<String>,
}

impl Node {
    /// Address for SSH.
    pub fn address(&self) -> Ipv4Addr {
        *self.address
    }

    /// `k8sIP` as written.
    pub fn k8s_ip(&self) -> Option<Ipv4Addr> {
        self.k8s_ip.as_deref().copied()
    }

    /// Address for Kubernetes and data: `k8sIP`, else `address`.
    pub fn data_address(&self) -> Ipv4Addr {
        self.k8s_ip().unwrap_or(*self.address)
    }

    /// Identity for a cloud provider.
    pub fn provider_id(&self) -> Option<&str> {
        self.provider_id.as_deref()
    }
}

/// Kubelet settings of a pool; absent values are the kubelet's defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct KubeletSettings {
    /// Most image pulls queued in a burst.
    pub registry_burst: u32,
    /// Image pulls per second; 0 = no limit.
    pub registry_pull_qps: u32,
    /// Pull one image at a time.
    pub serialize_image_pulls: bool,
}

impl Default for KubeletSettings {
    fn default() -> Self {
        Self {
            registry_burst: 10,
            registry_pull_qps: 5,
            serialize_image_pulls: true,
        }
    }
}

/// Control-plane nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlPlane {
    pub(crate) nodes: Vec<Node>,
    pub(crate) kubelet: KubeletSettings,
    pub(crate) cluster_name: Option<Located<String>>,
    pub(crate) upgrade_strategy: Written,
    pub(crate) load_balancer_mode: Option<Located<Mode>>,
    pub(crate) garp_repeat: Located<u8>,
    pub(crate) extra_sans: Vec<String>,
}

impl ControlPlane {
    /// The nodes, in the order of the file.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Kubelet settings.
    pub const fn kubelet(&self) -> KubeletSettings {
        self.kubelet
    }

    /// `controlPlane.loadBalancer.mode`; [`crate::derive::Placement`] says what follows from it.
    pub fn load_balancer_mode(&self) -> Option<Mode> {
        self.load_balancer_mode.as_deref().copied()
    }

    /// Gratuitous ARP messages in the burst after a take-over.
    pub fn garp_repeat(&self) -> u8 {
        *self.garp_repeat
    }

    /// More names and addresses for the API servers' certificate.
    pub fn extra_sans(&self) -> &[String] {
        &self.extra_sans
    }
}

/// `loadBalancer.nodePoolSpec`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadBalancerPool {
    pub(crate) key: Written,
    pub(crate) nodes: Vec<Node>,
    pub(crate) kubelet: KubeletSettings,
    pub(crate) cluster_name: Option<Located<String>>,
    pub(crate) upgrade_strategy: Written,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) taints: Vec<Taint>,
}

impl LoadBalancerPool {
    /// The nodes, in the order of the file.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Kubelet settings.
    pub const fn kubelet(&self) -> KubeletSettings {
        self.kubelet
    }

    /// Labels of the nodes.
    pub const fn labels(&self) -> &BTreeMap<String, String> {
        &self.labels
    }

    /// Taints of the nodes.
    pub fn taints(&self) -> &[Taint] {
        &self.taints
    }
}

words! {
    /// What a taint does to pods that do not tolerate it.
    Effect {
        /// They are not put there.
        NoSchedule = "NoSchedule",
        /// They are put elsewhere if possible.
        PreferNoSchedule = "PreferNoSchedule",
        /// They are driven away.
        NoExecute = "NoExecute",
    }
}

/// A node taint.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Taint {
    /// Key.
    pub key: String,
    /// Value; may be empty.
    pub value: String,
    /// Effect.
    pub effect: Effect,
}

/// `upgradeStrategy.parallelUpgrade`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParallelUpgrade {
    /// Nodes upgraded at the same time.
    pub concurrent_nodes: u32,
    /// Nodes that must stay available meanwhile.
    pub minimum_available_nodes: u32,
}

/// A pool of worker nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerPool {
    pub(crate) name: Located<String>,
    pub(crate) namespace: Located<String>,
    pub(crate) cluster_name: Located<String>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) taints: Vec<Taint>,
    pub(crate) kubelet: KubeletSettings,
    pub(crate) version: Option<String>,
    pub(crate) parallel_upgrade: ParallelUpgrade,
}

impl WorkerPool {
    /// Name of the pool.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The nodes, in the order of the file.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Labels of the nodes.
    pub const fn labels(&self) -> &BTreeMap<String, String> {
        &self.labels
    }

    /// Taints of the nodes.
    pub fn taints(&self) -> &[Taint] {
        &self.taints
    }

    /// Kubelet settings.
    pub const fn kubelet(&self) -> KubeletSettings {
        self.kubelet
    }

    /// Version of this pool where it lags behind the cluster.
    pub fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// How the pool is upgraded.
    pub const fn parallel_upgrade(&self) -> ParallelUpgrade {
        self.parallel_upgrade
    }
}
