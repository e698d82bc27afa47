//! `spec.loadBalancer` as a tree.

use super::value::{Value, flag, list, map, number, text, texts};
use super::{dictionary, kubelet, nodes, taints};
use crate::model::{AddressPool, LoadBalancer, Selector};

/// `spec.loadBalancer`.
pub(super) fn print(load_balancer: &LoadBalancer) -> Value {
    let vips = load_balancer.vips();
    let bgp = load_balancer.bgp();
    map([
        ("mode", text(load_balancer.mode().as_str())),
        ("type", text(load_balancer.announcement().as_str())),
        (
            "ports",
            map([
                (
                    "controlPlaneLBPort",
                    number(u32::from(load_balancer.control_plane_port())),
                ),
                (
                    "apiServerPort",
                    number(u32::from(load_balancer.api_server_port())),
                ),
            ]),
        ),
        (
            "vips",
            map([
                ("controlPlaneVIP", text(&vips.control_plane().to_string())),
                (
                    "ingressVIP",
                    vips.ingress()
                        .map_or(Value::Absent, |vip| text(&vip.to_string())),
                ),
                (
                    "controlPlaneVIPv6",
                    vips.control_plane_v6()
                        .map_or(Value::Absent, |vip| text(&vip.to_string())),
                ),
            ]),
        ),
        (
            "addressPools",
            list(load_balancer.address_pools().iter().map(address_pool)),
        ),
        (
            "nodePoolSpec",
            load_balancer.node_pool().map_or(Value::Absent, |pool| {
                map([
                    ("nodes", nodes(pool.nodes())),
                    ("kubeletConfig", kubelet(pool.kubelet())),
                    (
                        "clusterName",
                        pool.cluster_name
                            .as_ref()
                            .map_or(Value::Absent, |name| text(name)),
                    ),
                    ("labels", dictionary(pool.labels())),
                    ("taints", taints(pool.taints())),
                ])
            }),
        ),
        ("localASN", bgp.local_asn().map_or(Value::Absent, number)),
        (
            "bgpPeers",
            list(bgp.peers().iter().map(|peer| {
                let nodes: Vec<String> = peer
                    .control_plane_nodes()
                    .map(|node| node.to_string())
                    .collect();
                map([
                    ("ip", text(&peer.address().to_string())),
                    ("asn", number(peer.asn())),
                    ("controlPlaneNodes", texts(&nodes)),
                ])
            })),
        ),
        ("vrrp", vrrp(load_balancer)),
        ("proxy", proxy(load_balancer)),
        (
            "dataPlane",
            map([
                (
                    "heartbeatIntervalMillis",
                    number(load_balancer.data_plane().heartbeat_interval_millis()),
                ),
                (
                    "failoverMillis",
                    number(load_balancer.data_plane().failover_millis()),
                ),
            ]),
        ),
    ])
}

fn vrrp(load_balancer: &LoadBalancer) -> Value {
    let vrrp = load_balancer.vrrp();
    map([
        (
            "virtualRouterID",
            vrrp.virtual_router_id()
                .map_or(Value::Absent, |id| number(u32::from(id))),
        ),
        (
            "advertisementIntervalMillis",
            number(vrrp.advertisement_interval_millis()),
        ),
        ("unicast", flag(vrrp.unicast())),
        ("interface", vrrp.interface().map_or(Value::Absent, text)),
        ("preempt", flag(vrrp.preempt())),
        ("garpRefreshSeconds", number(vrrp.garp_refresh_seconds())),
    ])
}

fn proxy(load_balancer: &LoadBalancer) -> Value {
    let proxy = load_balancer.proxy();
    let sources: Vec<String> = proxy.allowed_sources().map(|net| net.to_string()).collect();
    map([
        ("maxConnections", number(proxy.max_connections())),
        ("allowedSources", texts(&sources)),
        (
            "connectTimeoutMillis",
            number(proxy.connect_timeout_millis()),
        ),
        (
            "tunnelTimeoutSeconds",
            number(proxy.tunnel_timeout_seconds()),
        ),
        ("finTimeoutSeconds", number(proxy.fin_timeout_seconds())),
        ("checkIntervalMillis", number(proxy.check_interval_millis())),
        ("checkFall", number(proxy.check_fall())),
        ("checkRise", number(proxy.check_rise())),
    ])
}

fn address_pool(pool: &AddressPool) -> Value {
    let ranges: Vec<String> = pool.ranges().map(|range| range.to_string()).collect();
    map([
        ("name", text(pool.name())),
        ("addresses", texts(&ranges)),
        ("avoidBuggyIPs", flag(pool.avoid_buggy_ips())),
        ("manualAssign", flag(pool.manual_assign())),
        ("priority", number(pool.priority())),
        (
            "serviceSelector",
            pool.service_selector().map_or(Value::Absent, selector),
        ),
        (
            "namespaceSelector",
            pool.namespace_selector().map_or(Value::Absent, selector),
        ),
        ("interfaces", texts(pool.interfaces())),
    ])
}

fn selector(selector: &Selector) -> Value {
    map([
        ("matchLabels", dictionary(&selector.match_labels)),
        (
            "matchExpressions",
            list(selector.match_expressions.iter().map(|condition| {
                map([
                    ("key", text(&condition.key)),
                    ("operator", text(condition.operator.as_str())),
                    ("values", texts(&condition.values)),
                ])
            })),
        ),
    ])
    .even_if_empty()
}
