//! `spec.loadBalancer`.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::located::{Located, Written};
use super::nodes::LoadBalancerPool;
use super::word::words;
use crate::net::{AddressSet, IpRange};

words! {
    /// Whose load balancer it is.
    Mode {
        /// On nodes of the cluster.
        Bundled = "bundled",
        /// The user's own.
        Manual = "manual",
    }
}

words! {
    /// How VIPs are announced.
    Announcement {
        /// ARP and NDP.
        Layer2 = "layer2",
        /// BGP.
        Bgp = "bgp",
    }
}

/// VIPs, pools, and who carries them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadBalancer {
    pub(crate) mode: Located<Mode>,
    pub(crate) announcement: Located<Announcement>,
    pub(crate) port: Located<u16>,
    pub(crate) api_server_port: u16,
    pub(crate) vips: Vips,
    pub(crate) pools_key: Written,
    pub(crate) pools: Vec<AddressPool>,
    pub(crate) pool: Option<LoadBalancerPool>,
    pub(crate) bgp: Bgp,
    pub(crate) vrrp: VrrpSettings,
    pub(crate) proxy: ProxySettings,
    pub(crate) data_plane: DataPlaneSettings,
}

impl LoadBalancer {
    /// Whose load balancer it is.
    pub fn mode(&self) -> Mode {
        *self.mode
    }

    /// How VIPs are announced.
    pub fn announcement(&self) -> Announcement {
        *self.announcement
    }

    /// Port of the API on the VIP.
    pub fn control_plane_port(&self) -> u16 {
        *self.port
    }

    /// Port of the API servers themselves.
    pub const fn api_server_port(&self) -> u16 {
        self.api_server_port
    }

    /// The virtual addresses.
    pub const fn vips(&self) -> &Vips {
        &self.vips
    }

    /// Addresses for Services, in the order of the file.
    pub fn address_pools(&self) -> &[AddressPool] {
        &self.pools
    }

    /// The dedicated pool of load balancer nodes.
    pub const fn node_pool(&self) -> Option<&LoadBalancerPool> {
        self.pool.as_ref()
    }

    /// BGP settings; used with [`Announcement::Bgp`] only.
    pub const fn bgp(&self) -> &Bgp {
        &self.bgp
    }

    /// Settings of the virtual router.
    pub const fn vrrp(&self) -> &VrrpSettings {
        &self.vrrp
    }

    /// Settings of the TCP proxy.
    pub const fn proxy(&self) -> &ProxySettings {
        &self.proxy
    }

    /// Settings of Service address failover.
    pub const fn data_plane(&self) -> &DataPlaneSettings {
        &self.data_plane
    }
}

/// The virtual addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vips {
    pub(crate) control_plane: Located<Ipv4Addr>,
    pub(crate) control_plane_v6: Option<Located<Ipv6Addr>>,
    pub(crate) ingress: Option<Located<Ipv4Addr>>,
}

impl Vips {
    /// Address of the Kubernetes API.
    pub fn control_plane(&self) -> Ipv4Addr {
        *self.control_plane
    }

    /// IPv6 address of the Kubernetes API.
    pub fn control_plane_v6(&self) -> Option<Ipv6Addr> {
        self.control_plane_v6.as_deref().copied()
    }

    /// Address of the ingress.
    pub fn ingress(&self) -> Option<Ipv4Addr> {
        self.ingress.as_deref().copied()
    }
}

/// Addresses for Services.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressPool {
    pub(crate) name: Located<String>,
    pub(crate) addresses: Vec<Located<IpRange>>,
    pub(crate) avoid_buggy_ips: Located<bool>,
    pub(crate) manual_assign: Located<bool>,
    pub(crate) priority: u32,
    pub(crate) service_selector: Option<Selector>,
    pub(crate) namespace_selector: Option<Selector>,
    pub(crate) interfaces: Vec<String>,
}

impl AddressPool {
    /// Name of the pool.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The ranges, in the order of the file.
    pub fn ranges(&self) -> impl Iterator<Item = IpRange> + '_ {
        self.addresses.iter().map(|range| **range)
    }

    /// What may be given out: the ranges without the addresses that `avoidBuggyIPs` leaves out.
    pub fn usable(&self) -> AddressSet {
        AddressSet::new(self.ranges().collect(), self.avoid_buggy_ips())
    }

    /// Leave out IPv4 addresses that end in .0 and .255.
    pub fn avoid_buggy_ips(&self) -> bool {
        *self.avoid_buggy_ips
    }

    /// Only for Services that ask for it.
    pub fn manual_assign(&self) -> bool {
        *self.manual_assign
    }

    /// Lower first; 0 comes last.
    pub const fn priority(&self) -> u32 {
        self.priority
    }

    /// Only for Services with these labels.
    pub const fn service_selector(&self) -> Option<&Selector> {
        self.service_selector.as_ref()
    }

    /// Only for Services in namespaces with these labels.
    pub const fn namespace_selector(&self) -> Option<&Selector> {
        self.namespace_selector.as_ref()
    }

    /// Interfaces to announce on: names or `/regex/`; empty: all on the address's subnet.
    pub fn interfaces(&self) -> &[String] {
        &self.interfaces
    }
}

words! {
    /// Condition of a label selector.
    Operator {
        /// The label has one of the values.
        In = "In",
        /// The label is absent or has another value.
        NotIn = "NotIn",
        /// The label is there.
        Exists = "Exists",
        /// The label is absent.
        DoesNotExist = "DoesNotExist",
    }
}

/// A Kubernetes label selector: all parts must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Selector {
    /// Labels that must be there with these values.
    pub match_labels: BTreeMap<String, String>,
    /// Conditions.
    pub match_expressions: Vec<Requirement>,
}

/// One condition of a selector.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Requirement {
    /// Label.
    pub key: String,
    /// Condition.
    pub operator: Operator,
    /// Values for `In` and `NotIn`.
    pub values: Vec<String>,
}

/// BGP settings.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bgp {
    pub(crate) local_asn: Option<Located<u32>>,
    pub(crate) peers_key: Written,
    pub(crate) peers: Vec<BgpPeer>,
}

impl Bgp {
    /// Own AS number.
    pub fn local_asn(&self) -> Option<u32> {
        self.local_asn.as_deref().copied()
    }

    /// Peers of the control plane.
    pub fn peers(&self) -> &[BgpPeer] {
        &self.peers
    }
}

/// A BGP peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BgpPeer {
    pub(crate) address: Located<Ipv4Addr>,
    pub(crate) asn: u32,
    pub(crate) control_plane_nodes: Vec<Located<Ipv4Addr>>,
}

impl BgpPeer {
    /// Address of the peer.
    pub fn address(&self) -> Ipv4Addr {
        *self.address
    }

    /// Its AS number.
    pub const fn asn(&self) -> u32 {
        self.asn
    }

    /// Control-plane nodes that peer with it; empty: all.
    pub fn control_plane_nodes(&self) -> impl Iterator<Item = Ipv4Addr> + '_ {
        self.control_plane_nodes.iter().map(|node| **node)
    }
}

/// Settings of the virtual router.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VrrpSettings {
    pub(crate) key: Written,
    pub(crate) virtual_router_id: Option<Located<u8>>,
    pub(crate) advertisement_interval_millis: Located<u32>,
    pub(crate) unicast: bool,
    pub(crate) interface: Option<String>,
    pub(crate) preempt: bool,
    pub(crate) garp_refresh_seconds: u32,
}

impl VrrpSettings {
    /// As written; [`crate::derive::virtual_router_id`] says what is used.
    pub fn virtual_router_id(&self) -> Option<u8> {
        self.virtual_router_id.as_deref().copied()
    }

    /// Milliseconds between adverts.
    pub fn advertisement_interval_millis(&self) -> u32 {
        *self.advertisement_interval_millis
    }

    /// Adverts to each peer instead of the multicast groups.
    pub const fn unicast(&self) -> bool {
        self.unicast
    }

    /// Interface of the VIP; none: the one that holds the node's data address.
    pub fn interface(&self) -> Option<&str> {
        self.interface.as_deref()
    }

    /// A returning node of higher priority takes the VIP back.
    pub const fn preempt(&self) -> bool {
        self.preempt
    }

    /// Seconds between refreshing gratuitous ARPs; 0 = off.
    pub const fn garp_refresh_seconds(&self) -> u32 {
        self.garp_refresh_seconds
    }
}

/// Settings of the TCP proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxySettings {
    pub(crate) key: Written,
    pub(crate) max_connections: u32,
    pub(crate) allowed_sources: Vec<Located<IpNet>>,
    pub(crate) connect_timeout_millis: u32,
    pub(crate) tunnel_timeout_seconds: u32,
    pub(crate) fin_timeout_seconds: u32,
    pub(crate) check_interval_millis: u32,
    pub(crate) check_fall: u32,
    pub(crate) check_rise: u32,
}

impl ProxySettings {
    /// Sessions at the same time on one node.
    pub const fn max_connections(&self) -> u32 {
        self.max_connections
    }

    /// Clients that may use the VIP; empty: all.
    pub fn allowed_sources(&self) -> impl Iterator<Item = IpNet> + '_ {
        self.allowed_sources.iter().map(|net| **net)
    }

    /// Milliseconds until an API server must have accepted a connection.
    pub const fn connect_timeout_millis(&self) -> u32 {
        self.connect_timeout_millis
    }

    /// Seconds without a byte until a session is closed.
    pub const fn tunnel_timeout_seconds(&self) -> u32 {
        self.tunnel_timeout_seconds
    }

    /// Seconds without a byte until a half-closed session is closed.
    pub const fn fin_timeout_seconds(&self) -> u32 {
        self.fin_timeout_seconds
    }

    /// Milliseconds between health checks of an API server.
    pub const fn check_interval_millis(&self) -> u32 {
        self.check_interval_millis
    }

    /// Failed checks in a row until an API server is out.
    pub const fn check_fall(&self) -> u32 {
        self.check_fall
    }

    /// Good checks in a row until it is back.
    pub const fn check_rise(&self) -> u32 {
        self.check_rise
    }
}

/// Settings of Service address failover.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataPlaneSettings {
    pub(crate) key: Written,
    pub(crate) heartbeat_interval_millis: Located<u32>,
    pub(crate) failover_millis: Located<u32>,
}

impl DataPlaneSettings {
    /// Milliseconds between heartbeats of the speakers.
    pub fn heartbeat_interval_millis(&self) -> u32 {
        *self.heartbeat_interval_millis
    }

    /// Milliseconds of silence until a node's Service addresses move.
    pub fn failover_millis(&self) -> u32 {
        *self.failover_millis
    }
}
