//! Nodes: V14, V15, V16, V24, V27, E02, E03, E07, E08.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use super::extent::{Extent, data_span, is_layer2};
use crate::code::Code;
use crate::derive::{MAX_ROUTERS, placement};
use crate::documents::Documents;
use crate::model::{Cluster, ClusterType, Node};
use crate::net::is_host;
use crate::report::Report;
use crate::yaml::Span;

pub(super) fn check(cluster: &Cluster, documents: &Documents<'_>, report: &mut Report<'_>) {
    unique(cluster, report);
    counts(cluster, report);
    one_network(cluster, report);
    maintenance(cluster, report);
    let lb = cluster.load_balancer.pool.as_ref();
    for written in [
        Some(cluster.control_plane.upgrade_strategy),
        lb.map(|pool| pool.upgrade_strategy),
    ]
    .into_iter()
    .flatten()
    {
        if let Some(span) = written.0 {
            report
                .error(
                    Code::V24,
                    span,
                    "control-plane and load balancer pools have no `upgradeStrategy`",
                )
                .hint("remove it: these nodes are always upgraded one by one");
        }
    }
    if cluster.header.ssh_private_key_path.is_none()
        && cluster.cluster_type() != ClusterType::User
        && let Some(header) = documents.header
    {
        report
            .notice(
                Code::V27,
                header.span,
                "the header names no `sshPrivateKeyPath`",
            )
            .hint("SSH uses your agent and default keys, unless the command line names a key");
    }
}

/// Where an address was seen first.
struct Seen {
    pool: String,
    key: &'static str,
    span: Span,
}

fn unique(cluster: &Cluster, report: &mut Report<'_>) {
    let mut seen: BTreeMap<Ipv4Addr, Seen> = BTreeMap::new();
    let lb = cluster.load_balancer.pool.as_ref();
    let pools = std::iter::once((
        "the control plane".to_owned(),
        cluster.control_plane.nodes.as_slice(),
    ))
    .chain(lb.map(|pool| ("the load balancer pool".to_owned(), pool.nodes.as_slice())))
    .chain(
        cluster
            .worker_pools
            .iter()
            .map(|pool| (format!("the pool `{}`", pool.name()), pool.nodes.as_slice())),
    );
    for (pool, nodes) in pools {
        for node in nodes {
            let own = node.address();
            let second = node.k8s_ip.as_ref().filter(|ip| ***ip != own);
            let addresses =
                std::iter::once((&node.address, "address")).chain(second.map(|ip| (ip, "k8sIP")));
            for (address, key) in addresses {
                let Some(span) = address.span() else { continue };
                let address = **address;
                if !is_host(address.into()) {
                    report
                        .error(
                            Code::F05,
                            span,
                            format!("`{address}` cannot be the address of a node"),
                        )
                        .hint("use a unicast address that other machines can reach");
                }
                match seen.get(&address) {
                    None => {
                        let pool = pool.clone();
                        seen.insert(address, Seen { pool, key, span });
                    }
                    Some(first) => twice(address, key, span, &pool, first, report),
                }
            }
        }
    }
}

fn twice(
    address: Ipv4Addr,
    key: &str,
    span: Span,
    pool: &str,
    first: &Seen,
    report: &mut Report<'_>,
) {
    let (code, message, hint) = if (key, first.key) != ("address", "address") {
        (
            Code::V16,
            format!(
                "`{address}` is `{key}` here and `{}` of another node",
                first.key
            ),
            "every node has addresses of its own",
        )
    } else if first.pool == pool {
        (
            Code::V15,
            format!("the node `{address}` is listed twice in {pool}"),
            "remove one of the two lines",
        )
    } else {
        (
            Code::V15,
            format!("the node `{address}` is in {pool} and in {}", first.pool),
            "a machine belongs to one pool: remove it from the other",
        )
    };
    report
        .error(code, span, message)
        .also(first.span, "also here")
        .hint(hint);
}

fn counts(cluster: &Cluster, report: &mut Report<'_>) {
    if report.has_errors() {
        // Perhaps nodes are missing because they were refused.
        return;
    }
    let control_plane = &cluster.control_plane.nodes;
    if let [.., last] = control_plane.as_slice()
        && control_plane.len().is_multiple_of(2)
        && let Some(span) = last.address.span()
    {
        report
            .warning(
                Code::E02,
                span,
                format!(
                    "{} control-plane nodes survive no more failures than {}",
                    control_plane.len(),
                    control_plane.len() - 1
                ),
            )
            .hint("etcd needs a majority: use one, three or five nodes");
    }
    let placement = placement(cluster);
    let routers: Vec<&Node> = placement.control_plane_load_balancers().collect();
    if let [only] = routers.as_slice()
        && let Some(span) = only.address.span()
    {
        report.notice(
            Code::E03,
            span,
            "the only load balancer node: when it fails, nobody takes the VIP over",
        );
    }
    if routers.len() > MAX_ROUTERS
        && let Some(span) = routers[MAX_ROUTERS].address.span()
    {
        report
            .error(
                Code::E07,
                span,
                format!(
                    "{} load balancer nodes, more than {MAX_ROUTERS}",
                    routers.len()
                ),
            )
            .hint("VRRP has one byte for priorities; a handful of nodes is enough");
    }
}

fn one_network(cluster: &Cluster, report: &mut Report<'_>) {
    if !is_layer2(cluster) {
        return;
    }
    let lb = cluster.load_balancer.pool.iter();
    let nodes = cluster.control_plane.nodes.iter();
    let extent = Extent::of(nodes.chain(lb.flat_map(|pool| &pool.nodes)));
    if let Some((a, b)) = extent.far_apart()
        && let (Some(one), Some(other)) = (data_span(a), data_span(b))
    {
        report
            .warning(
                Code::V14,
                if one.start > other.start { one } else { other },
                format!(
                    "`{}` and `{}` are hardly in one layer-2 network",
                    a.data_address(),
                    b.data_address()
                ),
            )
            .also(if one.start > other.start { other } else { one }, "the other node")
            .hint("ARP does not cross routers: set `k8sIP` to an address in the common network, or use other machines");
    }
}

fn maintenance(cluster: &Cluster, report: &mut Report<'_>) {
    if cluster.maintenance.is_empty() {
        return;
    }
    let mut addresses: Vec<Ipv4Addr> = cluster
        .nodes()
        .flat_map(|node| [node.address(), node.data_address()])
        .collect();
    addresses.sort_unstable();
    for range in &cluster.maintenance {
        let at =
            addresses.partition_point(|address| std::net::IpAddr::from(*address) < range.first());
        let hit = addresses
            .get(at)
            .is_some_and(|address| range.contains((*address).into()));
        if let (false, Some(span)) = (hit, range.span()) {
            report
                .warning(
                    Code::E08,
                    span,
                    format!("no node has an address in `{}`", **range),
                )
                .hint("check the address, or remove the line");
        }
    }
}
