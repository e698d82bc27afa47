//! Mode, type and who carries what: V09, V20, V25, V26, E01, E04.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use super::extent::data_span;
use crate::code::Code;
use crate::model::{Announcement, Cluster, Mode};
use crate::report::Report;
use crate::yaml::Span;

pub(super) fn check(cluster: &Cluster, report: &mut Report<'_>) {
    modes(cluster, report);
    let load_balancer = &cluster.load_balancer;
    match (load_balancer.mode(), load_balancer.announcement()) {
        (Mode::Bundled, Announcement::Bgp) => bgp(cluster, report),
        (mode, announcement) => {
            let because = match mode {
                Mode::Manual => "`mode: manual`",
                Mode::Bundled => "`type: layer2`",
            };
            let span = load_balancer.announcement.span();
            if let (Mode::Manual, Announcement::Bgp, Some(span)) = (mode, announcement, span) {
                no_effect("type", span, because, report);
            }
            let bgp = &load_balancer.bgp;
            for (key, span) in [
                (
                    "localASN",
                    bgp.local_asn.as_ref().and_then(|asn| asn.span()),
                ),
                ("bgpPeers", bgp.peers_key.0),
            ] {
                if let Some(span) = span {
                    no_effect(key, span, because, report);
                }
            }
        }
    }
    if load_balancer.mode() == Mode::Manual {
        for (key, span) in [
            ("vrrp", load_balancer.vrrp.key.0),
            ("proxy", load_balancer.proxy.key.0),
            ("dataPlane", load_balancer.data_plane.key.0),
        ] {
            if let Some(span) = span {
                no_effect(key, span, "`mode: manual`", report);
            }
        }
    }
}

fn no_effect(key: &str, span: Span, because: &str, report: &mut Report<'_>) {
    report.notice(
        Code::E04,
        span,
        format!("`{key}` has no effect with {because}"),
    );
}

fn modes(cluster: &Cluster, report: &mut Report<'_>) {
    let load_balancer = &cluster.load_balancer;
    let Some(mode_span) = load_balancer.mode.span() else {
        return;
    };
    if let Some(own) = &cluster.control_plane.load_balancer_mode
        && let Some(span) = own.span()
        && **own != load_balancer.mode()
    {
        report
            .error(
                Code::V20,
                span,
                format!(
                    "`controlPlane.loadBalancer.mode` is `{}`, `loadBalancer.mode` is `{}`",
                    **own,
                    load_balancer.mode()
                ),
            )
            .also(mode_span, "the other mode")
            .hint("write the same mode in both places, or remove `controlPlane.loadBalancer.mode`");
    }
    if let Some(pool) = &load_balancer.pool
        && let Some(span) = pool.key.0
        && load_balancer.mode() == Mode::Manual
    {
        report
            .error(Code::V09, span, "`nodePoolSpec` needs `mode: bundled`")
            .also(mode_span, "the mode is manual")
            .hint("remove `nodePoolSpec`: with `mode: manual` no node carries a load balancer");
    }
}

fn bgp(cluster: &Cluster, report: &mut Report<'_>) {
    let load_balancer = &cluster.load_balancer;
    let Some(kind) = load_balancer.announcement.span() else {
        return;
    };
    let bgp = &load_balancer.bgp;
    if bgp.local_asn.is_none() {
        report
            .error(Code::V25, kind, "`type: bgp` needs `localASN`")
            .hint("write `localASN: 65001` with the AS number of the cluster");
    }
    if !cluster.network.advanced_networking() {
        let found = report.error(
            Code::V25,
            kind,
            "`type: bgp` needs `advancedNetworking: true`",
        );
        let found = match cluster.network.advanced_networking.span() {
            Some(span) => found.also(span, "it is false"),
            None => found,
        };
        found.hint("write `advancedNetworking: true` under `clusterNetwork`");
    }
    peers(cluster, kind, report);
    in_a_subnet(cluster, report);
    report
        .error(Code::E01, kind, "`type: bgp` is not supported yet")
        .hint("use `type: layer2`, or `mode: manual` with a load balancer of your own");
}

/// Without netmasks, the first 24 bits stand for the subnet.
fn in_a_subnet(cluster: &Cluster, report: &mut Report<'_>) {
    let network = |address: Ipv4Addr| address.to_bits() >> 8;
    let mut nodes: BTreeMap<u32, Span> = BTreeMap::new();
    for node in cluster.nodes() {
        if let Some(span) = data_span(node) {
            nodes.entry(network(node.data_address())).or_insert(span);
        }
    }
    let vips = &cluster.load_balancer.vips;
    for (key, vip) in [
        ("controlPlaneVIP", Some(&vips.control_plane)),
        ("ingressVIP", vips.ingress.as_ref()),
    ] {
        if let Some(vip) = vip
            && let (Some(span), Some(node)) = (vip.span(), nodes.get(&network(**vip)))
        {
            report
                .warning(
                    Code::V26,
                    span,
                    format!("`{key}` seems to lie in a subnet of nodes"),
                )
                .also(*node, "a node with the same first 24 bits")
                .hint("with `type: bgp` the routers lead to the VIP: choose an address outside of every subnet of nodes");
        }
    }
}

fn peers(cluster: &Cluster, kind: Span, report: &mut Report<'_>) {
    let bgp = &cluster.load_balancer.bgp;
    let nodes: BTreeMap<_, _> = cluster
        .control_plane
        .nodes
        .iter()
        .map(|node| (node.data_address(), node.address.span()))
        .collect();
    let mut served: BTreeMap<_, _> = nodes.keys().map(|address| (*address, false)).collect();
    for peer in &bgp.peers {
        for node in &peer.control_plane_nodes {
            match (served.get_mut(&**node), node.span()) {
                (Some(has), _) => *has = true,
                (None, Some(span)) => {
                    report
                        .error(Code::V25, span, format!("`{}` is not a control-plane node", **node))
                        .hint("list data addresses of control-plane nodes, or remove the list to peer with all");
                }
                (None, None) => {}
            }
        }
    }
    if bgp
        .peers
        .iter()
        .any(|peer| peer.control_plane_nodes.is_empty())
    {
        return;
    }
    let without = served.iter().find(|(_, has)| !**has);
    if let Some((address, _)) = without
        && let Some(span) = bgp.peers_key.0.or(Some(kind))
    {
        let found = report.error(
            Code::V25,
            span,
            format!("the control-plane node `{address}` has no BGP peer"),
        );
        let found = match nodes.get(address).copied().flatten() {
            Some(node) => found.also(node, "this node"),
            None => found,
        };
        found.hint("list at least one peer in `bgpPeers`, with this node in `controlPlaneNodes` or without that list");
    }
}
