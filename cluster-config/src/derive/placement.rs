//! Who carries which load balancer.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use crate::model::{Cluster, Mode, Node, Taint};

/// Label of the nodes that carry Service addresses, with the value `true`.
pub const LBNODE_LABEL: &str = "baremetal.cluster.gke.io/lbnode";

/// The pool a node belongs to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pool {
    /// Control-plane nodes, named like the cluster.
    ControlPlane,
    /// The dedicated load balancer pool, named like the cluster with `-lb`.
    LoadBalancer,
    /// A worker pool with its name.
    Worker(String),
}

impl Pool {
    /// Name of the pool in the cluster.
    pub fn name(&self, cluster: &Cluster) -> String {
        match self {
            Self::ControlPlane => cluster.name().to_owned(),
            Self::LoadBalancer => format!("{}-lb", cluster.name()),
            Self::Worker(name) => name.clone(),
        }
    }
}

/// A node and what it does.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Role {
    /// The machine.
    pub node: Node,
    /// Its pool.
    pub pool: Pool,
    /// Runs the control-plane load balancer: virtual router and proxy.
    pub control_plane_load_balancer: bool,
    /// Carries Service addresses and the label [`LBNODE_LABEL`].
    pub data_plane_load_balancer: bool,
    /// Labels of the node, with those of its pool.
    pub labels: BTreeMap<String, String>,
    /// Taints of its pool, beside those that Kubernetes gives to control-plane nodes.
    pub taints: Vec<Taint>,
}

/// Every node with its role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    roles: Vec<Role>,
}

/// Places both load balancers.
///
/// | `loadBalancer.nodePoolSpec` | `controlPlane.loadBalancer.mode` | API VIP | Service addresses |
/// | --- | --- | --- | --- |
/// | – | – or `bundled` | control plane | control plane |
/// | set | – | pool | pool |
/// | set | `bundled` | control plane | pool |
/// | – | `manual` (then `loadBalancer.mode` is too) | nobody | nobody |
///
/// With `loadBalancer.mode: manual` nobody carries anything.
pub fn placement(cluster: &Cluster) -> Placement {
    let load_balancer = cluster.load_balancer();
    let bundled = load_balancer.mode() == Mode::Bundled;
    let pool = load_balancer.node_pool();
    let separate = cluster.control_plane().load_balancer_mode() == Some(Mode::Bundled);
    let on_control_plane = bundled && (pool.is_none() || separate);
    let mut roles = Vec::new();
    let mut add = |node: &Node,
                   of: Pool,
                   cplb: bool,
                   dplb: bool,
                   labels: &BTreeMap<_, _>,
                   taints: &[Taint]| {
        let mut labels = labels.clone();
        if dplb {
            labels.insert(LBNODE_LABEL.to_owned(), "true".to_owned());
        }
        roles.push(Role {
            node: node.clone(),
            pool: of,
            control_plane_load_balancer: cplb,
            data_plane_load_balancer: dplb,
            labels,
            taints: taints.to_vec(),
        });
    };
    let none = BTreeMap::new();
    for node in cluster.control_plane().nodes() {
        let dplb = bundled && pool.is_none();
        add(node, Pool::ControlPlane, on_control_plane, dplb, &none, &[]);
    }
    if let Some(pool) = pool {
        for node in pool.nodes() {
            let cplb = bundled && !separate;
            add(
                node,
                Pool::LoadBalancer,
                cplb,
                bundled,
                pool.labels(),
                pool.taints(),
            );
        }
    }
    for workers in cluster.worker_pools() {
        for node in workers.nodes() {
            let of = Pool::Worker(workers.name().to_owned());
            add(node, of, false, false, workers.labels(), workers.taints());
        }
    }
    roles.sort_by(|a, b| (&a.pool, a.node.data_address()).cmp(&(&b.pool, b.node.data_address())));
    Placement { roles }
}

impl Placement {
    /// Every node once, by pool and then by address.
    pub fn roles(&self) -> &[Role] {
        &self.roles
    }

    /// Nodes with the control-plane load balancer, by address.
    pub fn control_plane_load_balancers(&self) -> impl Iterator<Item = &Node> {
        self.roles
            .iter()
            .filter(|role| role.control_plane_load_balancer)
            .map(|role| &role.node)
    }

    /// Nodes that carry Service addresses, by address.
    pub fn data_plane_load_balancers(&self) -> impl Iterator<Item = &Node> {
        self.roles
            .iter()
            .filter(|role| role.data_plane_load_balancer)
            .map(|role| &role.node)
    }

    /// The node with this SSH address.
    pub fn role(&self, address: Ipv4Addr) -> Option<&Role> {
        self.roles
            .iter()
            .find(|role| role.node.address() == address)
    }
}
