//! What the controller and the speakers need to know.

use std::net::Ipv4Addr;

use super::placement::placement;
use crate::model::{AddressPool, Cluster};

/// The data plane of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DataPlane {
    /// Data addresses of the nodes that carry Service addresses, in order. Empty: nobody does.
    pub nodes: Vec<Ipv4Addr>,
    /// Milliseconds between heartbeats.
    pub heartbeat_interval_millis: u32,
    /// Milliseconds of silence until a node's addresses move.
    pub failover_millis: u32,
    /// Pools by priority (0 last), then by name: the order in which they are used.
    pub pools: Vec<AddressPool>,
    /// Address of the bundled ingress.
    pub ingress_vip: Option<Ipv4Addr>,
}

/// The data plane of a cluster.
pub fn data_plane(cluster: &Cluster) -> DataPlane {
    let load_balancer = cluster.load_balancer();
    let settings = load_balancer.data_plane();
    let mut pools = load_balancer.address_pools().to_vec();
    pools.sort_by(|a, b| {
        let rank = |pool: &AddressPool| (pool.priority() == 0, pool.priority());
        (rank(a), a.name()).cmp(&(rank(b), b.name()))
    });
    DataPlane {
        nodes: placement(cluster)
            .data_plane_load_balancers()
            .map(|node| node.data_address())
            .collect(),
        heartbeat_interval_millis: settings.heartbeat_interval_millis(),
        failover_millis: settings.failover_millis(),
        pools,
        ingress_vip: load_balancer.vips().ingress(),
    }
}
