//! The cluster as its API shows it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;

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
    /// Addresses inside the cluster.
    pub addresses: Vec<IpAddr>,
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
