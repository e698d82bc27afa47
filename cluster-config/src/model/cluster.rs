//! The whole cluster.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use super::header::Header;
use super::load_balancer::LoadBalancer;
use super::located::Located;
use super::network::{ClusterNetwork, HttpProxy};
use super::nodes::{ControlPlane, Node, WorkerPool};
use super::word::words;
use crate::net::IpRange;

words! {
    /// What a cluster is for.
    ClusterType {
        /// Manages user clusters, has no workloads.
        Admin = "admin",
        /// Has workloads, is managed by an admin cluster.
        User = "user",
        /// Manages itself and user clusters, has workloads.
        Hybrid = "hybrid",
        /// Manages itself only, has workloads.
        Standalone = "standalone",
    }
}

words! {
    /// How much a cluster may consume.
    Profile {
        /// Ordinary machines.
        Default = "default",
        /// Small machines; standalone clusters only.
        Edge = "edge",
    }
}

/// A checked cluster file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    pub(crate) header: Header,
    pub(crate) has_namespace_document: bool,
    pub(crate) name: Located<String>,
    pub(crate) namespace: Located<String>,
    pub(crate) annotations: BTreeMap<String, String>,
    pub(crate) cluster_type: Located<ClusterType>,
    pub(crate) profile: Located<Profile>,
    pub(crate) version: Option<Located<String>>,
    pub(crate) bypass_preflight_check: bool,
    pub(crate) login_user: String,
    pub(crate) control_plane: ControlPlane,
    pub(crate) load_balancer: LoadBalancer,
    pub(crate) network: ClusterNetwork,
    pub(crate) worker_pools: Vec<WorkerPool>,
    pub(crate) maintenance: Vec<Located<IpRange>>,
    pub(crate) max_pods_per_node: Located<u32>,
    pub(crate) upgrade: UpgradeSettings,
    pub(crate) add_package_repo: bool,
    pub(crate) periodic_health_check: bool,
    pub(crate) http_proxy: Option<HttpProxy>,
}

/// How worker pools are upgraded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UpgradeSettings {
    /// One pool after the other.
    pub pools_in_turn: bool,
    /// A running upgrade waits.
    pub pause: bool,
}

impl Cluster {
    /// Settings of the operator's tool.
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// Name of the cluster.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Namespace of the cluster's objects.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Annotations of the Cluster object, such as `baremetal.cluster.gke.io/prevent-deletion`.
    pub const fn annotations(&self) -> &BTreeMap<String, String> {
        &self.annotations
    }

    /// Whether the file forbids to remove the cluster: annotation `baremetal.cluster.gke.io/prevent-deletion: "true"`.
    pub fn prevents_deletion(&self) -> bool {
        let value = self
            .annotations
            .get("baremetal.cluster.gke.io/prevent-deletion");
        value.is_some_and(|value| value == "true")
    }

    /// What the cluster is for.
    pub fn cluster_type(&self) -> ClusterType {
        *self.cluster_type
    }

    /// How much it may consume.
    pub fn profile(&self) -> Profile {
        *self.profile
    }

    /// `anthosBareMetalVersion` as written. The bundle decides which Kubernetes is installed.
    pub fn version(&self) -> Option<&str> {
        self.version.as_ref().map(|version| version.as_str())
    }

    /// Whether machine checks are skipped when an existing cluster is updated.
    pub const fn bypass_preflight_check(&self) -> bool {
        self.bypass_preflight_check
    }

    /// `sshPrivateKeyPath` as written: may be relative or begin with `~`.
    pub fn ssh_private_key_path(&self) -> Option<&str> {
        self.header.ssh_private_key_path()
    }

    /// User for SSH.
    pub fn login_user(&self) -> &str {
        &self.login_user
    }

    /// Control-plane nodes.
    pub const fn control_plane(&self) -> &ControlPlane {
        &self.control_plane
    }

    /// VIPs, pools, and who carries them.
    pub const fn load_balancer(&self) -> &LoadBalancer {
        &self.load_balancer
    }

    /// Pod and Service networks.
    pub const fn network(&self) -> &ClusterNetwork {
        &self.network
    }

    /// Worker pools, in the order of the file.
    pub fn worker_pools(&self) -> &[WorkerPool] {
        &self.worker_pools
    }

    /// Addresses of nodes in maintenance.
    pub fn maintenance(&self) -> impl Iterator<Item = IpRange> + '_ {
        self.maintenance.iter().map(|range| **range)
    }

    /// Whether a node is in maintenance, by `address` or `k8sIP`.
    pub fn in_maintenance(&self, node: &Node) -> bool {
        self.maintenance().any(|range| {
            range.contains(node.address().into()) || range.contains(node.data_address().into())
        })
    }

    /// Most pods on one node.
    pub fn max_pods_per_node(&self) -> u32 {
        *self.max_pods_per_node
    }

    /// How worker pools are upgraded.
    pub const fn upgrade(&self) -> UpgradeSettings {
        self.upgrade
    }

    /// Whether package repositories are added to the nodes.
    pub const fn add_package_repo(&self) -> bool {
        self.add_package_repo
    }

    /// Whether the cluster's health is checked regularly.
    pub const fn periodic_health_check(&self) -> bool {
        self.periodic_health_check
    }

    /// HTTP proxy of the site.
    pub const fn http_proxy(&self) -> Option<&HttpProxy> {
        self.http_proxy.as_ref()
    }

    /// The same cluster without the nodes at these SSH addresses, as if the file did not have them. What it is then was not
    /// checked: it may have no control plane.
    #[must_use]
    pub fn without(&self, addresses: &[Ipv4Addr]) -> Self {
        let mut cluster = self.clone();
        let stays = |node: &Node| !addresses.contains(&node.address());
        cluster.control_plane.nodes.retain(stays);
        if let Some(pool) = &mut cluster.load_balancer.pool {
            pool.nodes.retain(stays);
        }
        for pool in &mut cluster.worker_pools {
            pool.nodes.retain(stays);
        }
        cluster
    }

    /// Every node once: control plane, load balancer pool, worker pools, each in the order of the file.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        let lb = self.load_balancer.pool.iter();
        self.control_plane
            .nodes
            .iter()
            .chain(lb.flat_map(|pool| &pool.nodes))
            .chain(self.worker_pools.iter().flat_map(|pool| &pool.nodes))
    }
}
