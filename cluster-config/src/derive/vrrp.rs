//! `/etc/lbnode/vrrp.yaml` of a node.

use std::net::{IpAddr, Ipv6Addr};

use super::{CA_FILE, LOOPBACK_PORT, PROXY_ADMIN_PORT, VRRP_ADMIN_PORT, placement::placement};
use crate::model::{Cluster, Node};
use crate::node::vrrp::{
    ChecksumForm, HAND_OVER_GRACE_MILLIS, Track, Tuning, VirtualRouter, VrrpConfig,
};

/// Most nodes that can have priorities of their own.
pub const MAX_ROUTERS: usize = 240;

/// The virtual router of a node with the control-plane load balancer; none for other nodes.
pub fn vrrp(cluster: &Cluster, node: &Node) -> Option<VrrpConfig> {
    let placement = placement(cluster);
    let routers: Vec<&Node> = placement.control_plane_load_balancers().collect();
    let own = node.data_address();
    let rank = routers
        .iter()
        .position(|other| other.data_address() == own)?;
    let peers = || {
        routers
            .iter()
            .map(|other| other.data_address())
            .filter(move |address| *address != own)
    };
    let settings = cluster.load_balancer().vrrp();
    let vips = cluster.load_balancer().vips();
    let router = |name: &str, vip: IpAddr, source: IpAddr, peers: Vec<IpAddr>| VirtualRouter {
        name: name.to_owned(),
        virtual_router_id: virtual_router_id(cluster),
        priority: priority(rank, routers.len()),
        interface: settings.interface().map(str::to_owned),
        source_address: source,
        peers,
        addresses: vec![vip],
        advertisement_interval_millis: settings.advertisement_interval_millis(),
        preempt: settings.preempt(),
        garp_repeat: cluster.control_plane().garp_repeat(),
        garp_refresh_seconds: settings.garp_refresh_seconds(),
        checksum: ChecksumForm::default(),
        tuning: Tuning::default(),
    };
    let unicast = if settings.unicast() {
        peers().map(IpAddr::V4).collect()
    } else {
        Vec::new()
    };
    let mut virtual_routers = vec![router(
        "control-plane",
        vips.control_plane().into(),
        own.into(),
        unicast,
    )];
    if let Some(vip) = vips.control_plane_v6() {
        // The file names no IPv6 addresses of nodes: link-local source, multicast adverts.
        virtual_routers.push(router(
            "control-plane-v6",
            vip.into(),
            Ipv6Addr::UNSPECIFIED.into(),
            Vec::new(),
        ));
    }
    Some(VrrpConfig {
        api_version: crate::node::API_VERSION.to_owned(),
        kind: "VrrpConfig".to_owned(),
        routers: virtual_routers,
        track: Some(track(cluster, peers().map(|peer| peer.to_string()))),
        hand_over_grace_millis: HAND_OVER_GRACE_MILLIS,
        stand_back: false,
        admin: format!("127.0.0.1:{VRRP_ADMIN_PORT}"),
    })
}

fn track(cluster: &Cluster, peers: impl Iterator<Item = String>) -> Track {
    let proxy = cluster.load_balancer().proxy();
    Track {
        proxy_live_url: format!("http://127.0.0.1:{PROXY_ADMIN_PORT}/livez"),
        api_ready_url: format!("https://127.0.0.1:{LOOPBACK_PORT}/readyz"),
        ca_file: CA_FILE.to_owned(),
        server_name: cluster.load_balancer().vips().control_plane().to_string(),
        peer_ready_urls: peers
            .map(|peer| format!("http://{peer}:{PROXY_ADMIN_PORT}/readyz"))
            .collect(),
        interval_millis: proxy.check_interval_millis(),
        fall: proxy.check_fall(),
        rise: proxy.check_rise(),
    }
}

/// Priority of the router with this rank (0 = lowest address) among `routers`: 240, 160, 80 for three.
///
/// Far apart, so that skew times (RFC 9568 §6.1) differ and two backups never time out together.
pub fn priority(rank: usize, routers: usize) -> u8 {
    let routers = routers.max(1);
    let share = MAX_ROUTERS * (routers - rank.min(routers - 1)) / routers;
    u8::try_from(share.max(1)).unwrap_or(u8::MAX - 1)
}

/// `vrrp.virtualRouterID`, else a hash of cluster name and VIP: 2–254 without 51.
///
/// 1 and 51 are what examples of other programs use.
pub fn virtual_router_id(cluster: &Cluster) -> u8 {
    let load_balancer = cluster.load_balancer();
    if let Some(id) = load_balancer.vrrp().virtual_router_id() {
        return id;
    }
    let vip = load_balancer.vips().control_plane().octets();
    let bytes = cluster.name().bytes().chain([0]).chain(vip);
    // FNV-1a, 64 bits.
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let candidates = (2..=254).filter(|id| *id != 51);
    let count = 252;
    let index = usize::try_from(hash % count).unwrap_or_default();
    candidates.into_iter().nth(index).unwrap_or(254)
}
