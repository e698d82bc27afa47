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
}
