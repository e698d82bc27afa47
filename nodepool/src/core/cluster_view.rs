//! The cluster as its API shows it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;
use serde::Serialize;

use super::desired::Taint;

/// Nodes by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClusterView {
    /// Nodes by name.
    pub nodes: BTreeMap<String, NodeView>,
    /// Addresses of etcd's members; only looked for while a control plane is to join.
    pub etcd: BTreeSet<IpAddr>,
}

/// One node object.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NodeView {
    /// Condition `Ready` is true.
    pub ready: bool,
    /// Since when the condition is as it is.
    pub since: Option<String>,
    /// Reason and message of condition `Ready` when it is not true.
    pub why: Option<String>,
    /// Pod ranges.
    pub pod_cidrs: Vec<IpNet>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Taints.
    pub taints: Vec<Taint>,
    /// Version of the kubelet.
    pub version: String,
    /// Container runtime with its version: `containerd://1.7.24`.
    pub runtime: Option<String>,
    /// Addresses inside the cluster.
    pub addresses: Vec<IpAddr>,
    /// Nothing new is placed on it (`spec.unschedulable`).
    pub cordoned: bool,
    /// What `lbctl` noted when it took the node out of service.
    pub maintenance: Option<Maintenance>,
}

impl ClusterView {
    /// The node with this address inside the cluster.
    pub fn node_at(&self, address: IpAddr) -> Option<(&String, &NodeView)> {
        let mut nodes = self.nodes.iter();
        nodes.find(|(_, node)| node.addresses.contains(&address))
    }
}

/// A node that is out of service for a while.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Maintenance {
    /// Since when, as RFC 3339 writes it.
    pub since: String,
    /// Nothing of it is in use any more: somebody may switch it off.
    pub drained: bool,
}

/// A change of a node's maintenance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Maintain {
    /// Nothing new is placed on it, it hands its Service addresses over, and the time is noted.
    Begin,
    /// Nothing of it is in use any more.
    Drained,
    /// It is in service again; one that was cordoned before stays so.
    End,
}

/// How a node is emptied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drain {
    /// It leaves the cluster: its speaker ends as well.
    Leaves,
    /// It comes back: what belongs to it stays.
    ComesBack,
}

/// A static pod of the API load balancer, as the API shows it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BalancerPod {
    /// Node that it runs on.
    pub node: String,
    /// `lb-vrrp` or `lb-proxy`.
    pub name: String,
    /// Checksum of the configuration that it runs with.
    pub config_sha256: String,
    /// Digest of the image that it runs.
    pub image_digest: String,
    /// Condition `Ready` is true.
    pub ready: bool,
}
