//! `/etc/lbnode/proxy.yaml` of a node.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

use super::{CA_FILE, LOOPBACK_PORT, PROXY_ADMIN_PORT, placement::placement};
use crate::model::{Cluster, Node};
use crate::net::{IpRange, IpSet};
use crate::node::proxy::{
    Backend, Balance, Check, CheckKind, Frontend, ProxyConfig, ProxyProtocol, Queue, Server,
    SourceLimits, Timeouts,
};

const CHECK_TIMEOUT_MILLIS: u32 = 1_000;

/// The proxy of a node with the control-plane load balancer; none for other nodes.
///
/// The same on all of them: only the addresses of VIPs and API servers matter.
pub fn proxy(cluster: &Cluster, node: &Node) -> Option<ProxyConfig> {
    placement(cluster)
        .control_plane_load_balancers()
        .find(|other| other.data_address() == node.data_address())?;
    let load_balancer = cluster.load_balancer();
    let settings = load_balancer.proxy();
    let vips = load_balancer.vips();
    let frontend = |name: &str, address: IpAddr| Frontend {
        name: name.to_owned(),
        address,
        port: load_balancer.control_plane_port(),
        allowed_sources: allowed_sources(cluster),
        proxy_protocol_from: Vec::new(),
    };
    let mut frontends = vec![frontend("api", vips.control_plane().into())];
    frontends.extend(
        vips.control_plane_v6()
            .map(|vip| frontend("api-v6", vip.into())),
    );
    frontends.push(Frontend {
        name: "loopback".to_owned(),
        address: Ipv4Addr::LOCALHOST.into(),
        port: LOOPBACK_PORT,
        allowed_sources: Vec::new(),
        proxy_protocol_from: Vec::new(),
    });
    let mut servers: Vec<Ipv4Addr> = cluster
        .control_plane()
        .nodes()
        .iter()
        .map(Node::data_address)
        .collect();
    servers.sort_unstable();
    Some(ProxyConfig {
        api_version: crate::node::API_VERSION.to_owned(),
        kind: "ProxyConfig".to_owned(),
        frontends,
        backend: Backend {
            servers: servers
                .into_iter()
                .map(|address| {
                    let port = load_balancer.api_server_port();
                    Server::new(address.to_string(), address.into(), port)
                })
                .collect(),
            balance: Balance::default(),
            check: Check {
                kind: CheckKind::Https,
                path: "/readyz".to_owned(),
                ca_file: Some(CA_FILE.to_owned()),
                interval_millis: settings.check_interval_millis(),
                fast_interval_millis: None,
                timeout_millis: CHECK_TIMEOUT_MILLIS,
                fall: settings.check_fall(),
                rise: settings.check_rise(),
            },
            close_sessions_on_down: true,
            close_backup_sessions_on_up: false,
            send_proxy_protocol: ProxyProtocol::None,
            slow_start_seconds: 0,
            preconnect: 0,
            queue: Queue::default(),
            panic_mode: false,
        },
        timeouts: Timeouts {
            connect_millis: settings.connect_timeout_millis(),
            tunnel_seconds: settings.tunnel_timeout_seconds(),
            fin_seconds: settings.fin_timeout_seconds(),
            ..Timeouts::default()
        },
        max_connections: settings.max_connections(),
        threads: None,
        source_limits: SourceLimits::default(),
        splice: true,
        session_log: false,
        admin_socket: None,
        admin: format!("0.0.0.0:{PROXY_ADMIN_PORT}"),
    })
}

/// The ranges of the file, and every node that lies in none of them: a node that cannot reach the API is lost.
fn allowed_sources(cluster: &Cluster) -> Vec<IpNet> {
    let listed: Vec<IpNet> = cluster.load_balancer().proxy().allowed_sources().collect();
    if listed.is_empty() {
        return listed;
    }
    let covered: IpSet = listed.iter().map(|net| IpRange::from(*net)).collect();
    let nodes: BTreeSet<Ipv4Addr> = cluster.nodes().map(Node::data_address).collect();
    let missing = nodes
        .into_iter()
        .map(IpAddr::V4)
        .filter(|address| !covered.contains(*address))
        .map(IpNet::from);
    listed.into_iter().chain(missing).collect()
}
