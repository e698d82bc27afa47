//! `spec.loadBalancer` out of the tree.

use std::net::Ipv4Addr;

use super::nodes::load_balancer_pool;
use super::read::{
    address, addresses, boolean, cidrs, dictionary, items, located_text, number, optional_number,
    parsed, ranges, text, texts, word, written,
};
use crate::derive::API_SERVER_PORT;
use crate::model::{
    AddressPool, Announcement, Bgp, BgpPeer, DataPlaneSettings, LoadBalancer, Located, Mode,
    Operator, ProxySettings, Requirement, Selector, Vips, VrrpSettings,
};
use crate::yaml::Node;

pub(super) fn load_balancer(node: Option<&Node>) -> LoadBalancer {
    let at = |path: &[&str]| node.and_then(|node| node.at(path));
    LoadBalancer {
        mode: word(at(&["mode"]), Mode::from_word, Mode::Bundled),
        announcement: word(at(&["type"]), Announcement::from_word, Announcement::Layer2),
        port: number(at(&["ports", "controlPlaneLBPort"]), 443),
        api_server_port: *number(at(&["ports", "apiServerPort"]), API_SERVER_PORT),
        vips: Vips {
            control_plane: address(at(&["vips", "controlPlaneVIP"]))
                .unwrap_or(Located::unwritten(Ipv4Addr::UNSPECIFIED)),
            control_plane_v6: parsed(at(&["vips", "controlPlaneVIPv6"])),
            ingress: address(at(&["vips", "ingressVIP"])),
        },
        pools_key: written(node, "addressPools"),
        pools: items(at(&["addressPools"]))
            .iter()
            .map(address_pool)
            .collect(),
        pool: node.and_then(load_balancer_pool),
        bgp: Bgp {
            local_asn: optional_number(at(&["localASN"])),
            peers_key: written(node, "bgpPeers"),
            peers: items(at(&["bgpPeers"]))
                .iter()
                .filter_map(bgp_peer)
                .collect(),
        },
        vrrp: VrrpSettings {
            key: written(node, "vrrp"),
            virtual_router_id: optional_number(at(&["vrrp", "virtualRouterID"])),
            advertisement_interval_millis: number(
                at(&["vrrp", "advertisementIntervalMillis"]),
                100,
            ),
            unicast: *boolean(at(&["vrrp", "unicast"]), true),
            interface: text(at(&["vrrp", "interface"])),
            preempt: *boolean(at(&["vrrp", "preempt"]), false),
            garp_refresh_seconds: *number(at(&["vrrp", "garpRefreshSeconds"]), 60),
        },
        proxy: ProxySettings {
            key: written(node, "proxy"),
            max_connections: *number(at(&["proxy", "maxConnections"]), 40_000),
            allowed_sources: cidrs(at(&["proxy", "allowedSources"])),
            connect_timeout_millis: *number(at(&["proxy", "connectTimeoutMillis"]), 2_000),
            tunnel_timeout_seconds: *number(at(&["proxy", "tunnelTimeoutSeconds"]), 14_400),
            fin_timeout_seconds: *number(at(&["proxy", "finTimeoutSeconds"]), 10),
            check_interval_millis: *number(at(&["proxy", "checkIntervalMillis"]), 1_000),
            check_fall: *number(at(&["proxy", "checkFall"]), 3),
            check_rise: *number(at(&["proxy", "checkRise"]), 2),
        },
        data_plane: DataPlaneSettings {
            key: written(node, "dataPlane"),
            heartbeat_interval_millis: number(at(&["dataPlane", "heartbeatIntervalMillis"]), 200),
            failover_millis: number(at(&["dataPlane", "failoverMillis"]), 800),
        },
    }
}

fn address_pool(node: &Node) -> AddressPool {
    AddressPool {
        name: located_text(node.get("name")),
        addresses: ranges(node.get("addresses")),
        avoid_buggy_ips: boolean(node.get("avoidBuggyIPs"), false),
        manual_assign: boolean(node.get("manualAssign"), false),
        priority: *number(node.get("priority"), 0),
        service_selector: node.get("serviceSelector").map(selector),
        namespace_selector: node.get("namespaceSelector").map(selector),
        interfaces: texts(node.get("interfaces")),
    }
}

fn selector(node: &Node) -> Selector {
    Selector {
        match_labels: dictionary(node.get("matchLabels")),
        match_expressions: items(node.get("matchExpressions"))
            .iter()
            .map(|item| Requirement {
                key: text(item.get("key")).unwrap_or_default(),
                operator: *word(item.get("operator"), Operator::from_word, Operator::Exists),
                values: texts(item.get("values")),
            })
            .collect(),
    }
}

fn bgp_peer(node: &Node) -> Option<BgpPeer> {
    Some(BgpPeer {
        address: address(node.get("ip"))?,
        asn: *number(node.get("asn"), 0),
        control_plane_nodes: addresses(node.get("controlPlaneNodes")),
    })
}
