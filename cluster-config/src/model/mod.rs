//! The checked cluster: what the rest of the program works with. Only [`crate::load()`] makes one.

mod cluster;
mod header;
mod load_balancer;
mod located;
mod network;
mod nodes;
mod word;

pub use cluster::{Cluster, ClusterType, Profile, UpgradeSettings};
pub use header::{Header, PrivateRegistry, RegistryMirror};
pub use load_balancer::{
    AddressPool, Announcement, Bgp, BgpPeer, DataPlaneSettings, LoadBalancer, Mode, Operator,
    ProxySettings, Requirement, Selector, Vips, VrrpSettings,
};
pub(crate) use located::{Located, Written};
pub use network::{ClusterNetwork, ForwardMode, HttpProxy};
pub use nodes::{
    ControlPlane, Effect, KubeletSettings, LoadBalancerPool, Node, ParallelUpgrade, Taint,
    WorkerPool,
};
