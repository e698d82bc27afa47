//! What follows from a cluster file: who carries which load balancer, and the configuration of each node.
//!
//! Everything here depends on the set of nodes, not on the order in which the file lists them, and on nothing
//! outside the file.

mod data_plane;
mod placement;
mod proxy;
mod vrrp;

pub use data_plane::{DataPlane, data_plane};
pub use placement::{LBNODE_LABEL, Placement, Pool, Role, placement};
pub use proxy::proxy;
pub use vrrp::{MAX_ROUTERS, priority, virtual_router_id, vrrp};

/// Port of the API servers.
pub const API_SERVER_PORT: u16 = 6444;
/// Port of the proxy's loopback front end, for end-to-end health.
pub const LOOPBACK_PORT: u16 = 11443;
/// Admin port of the proxy, on all addresses: peers ask for its health.
pub const PROXY_ADMIN_PORT: u16 = 11000;
/// Admin port of the virtual router, on loopback.
pub const VRRP_ADMIN_PORT: u16 = 11003;
/// CA of the API servers, on every node.
pub const CA_FILE: &str = "/etc/kubernetes/pki/ca.crt";

#[cfg(test)]
mod tests;
