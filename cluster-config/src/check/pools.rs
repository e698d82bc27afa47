//! Address pools: V08, V10, V12, V32, V35, F09, and their selectors.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::extent::{Extent, is_layer2};
use super::occupied::{Occupied, Use, node_uses};
use crate::code::Code;
use crate::derive::placement;
use crate::documents::Documents;
use crate::model::{Cluster, ClusterType, Mode, Operator};
use crate::net::{IpRange, never_hosts};
use crate::report::Report;
use crate::suggest::nearest;
use crate::yaml::{Node, Span};

pub(super) fn check(cluster: &Cluster, documents: &Documents<'_>, report: &mut Report<'_>) {
    allowed(cluster, report);
    names(cluster, report);
    let never = never_hosts();
    let nodes = Occupied::new(node_uses(cluster));
    for entry in pool_uses(cluster) {
        if let Some(node) = nodes.hit(&entry.range) {
            report
                .error(
                    Code::V32,
                    entry.span,
                    format!("{} holds the address of {}", entry.what, node.what),
                )
                .also(node.span, "the node")
                .hint("a Service could get this address: choose a range without machines");
        }
        let shared = never.intersection(&[entry.range].into_iter().collect());
        if let Some(bad) = shared.ranges().next() {
            report
                .error(Code::F05, entry.span, format!("`{bad}` cannot be addresses of Services"))
                .hint("loopback, link-local, multicast and reserved addresses do not work: take them out of the range");
        }
    }
    let pools = Occupied::new(pool_uses(cluster));
    for (a, b) in pools.collisions() {
        // The later one in the file is shown first.
        let (first, second) = if a.span.start <= b.span.start {
            (a, b)
        } else {
            (b, a)
        };
        report
            .error(
                Code::V10,
                second.span,
                format!(
                    "`{}` of {} overlaps `{}` of {}",
                    second.range, second.what, first.range, first.what
                ),
            )
            .also(first.span, "also here")
            .hint("every address belongs to one pool: shrink or remove one of the ranges");
    }
    subnets(cluster, report);
    manual_only(cluster, report);
    for pool in written_pools(documents) {
        for selector in ["serviceSelector", "namespaceSelector"] {
            for condition in pool
                .at(&[selector, "matchExpressions"])
                .map(Node::items)
                .unwrap_or_default()
            {
                values(condition, report);
            }
        }
    }
}

fn written_pools<'d>(documents: &Documents<'d>) -> &'d [Node] {
    documents
        .cluster
        .and_then(|document| document.at(&["spec", "loadBalancer", "addressPools"]))
        .map(Node::items)
        .unwrap_or_default()
}

/// Whether every range of the pools could be read; what lies outside of them all is unknown otherwise.
pub(super) fn all_ranges_are_known(documents: &Documents<'_>) -> bool {
    let load_balancer = documents
        .cluster
        .and_then(|document| document.at(&["spec", "loadBalancer"]));
    let Some(load_balancer) = load_balancer else {
        return true;
    };
    let mistyped = |name: &str| name != "addressPools" && nearest(name, ["addressPools"]).is_some();
    match load_balancer.entry("addressPools") {
        None => !load_balancer
            .entries()
            .iter()
            .any(|entry| mistyped(&entry.key)),
        Some(_) => written_pools(documents).iter().all(|pool| {
            let ranges = pool.get("addresses").map(Node::items).unwrap_or_default();
            let known = |range: &Node| {
                range
                    .text()
                    .is_some_and(|text| text.parse::<IpRange>().is_ok())
            };
            !ranges.is_empty() && ranges.iter().all(known)
        }),
    }
}

/// The ranges of all pools.
pub(super) fn pool_uses(cluster: &Cluster) -> Vec<Use> {
    let pools = cluster.load_balancer.pools.iter();
    pools
        .flat_map(|pool| {
            pool.addresses.iter().filter_map(|range| {
                Some(Use {
                    range: **range,
                    span: range.span()?,
                    what: format!("the pool `{}`", pool.name()),
                })
            })
        })
        .collect()
}

fn allowed(cluster: &Cluster, report: &mut Report<'_>) {
    let load_balancer = &cluster.load_balancer;
    let Some(key) = load_balancer.pools_key.0 else {
        return;
    };
    if let (Mode::Manual, Some(span)) = (load_balancer.mode(), load_balancer.mode.span()) {
        report
            .error(Code::V08, key, "`addressPools` needs `mode: bundled`")
            .also(span, "the mode is manual")
            .hint("remove `addressPools`: your own load balancer gives out the addresses");
    }
    if let (ClusterType::Admin, Some(span)) = (cluster.cluster_type(), cluster.cluster_type.span())
    {
        report
            .error(Code::V08, key, "an admin cluster has no `addressPools`")
            .also(span, "the cluster is an admin cluster")
            .hint("remove `addressPools`: admin clusters carry no Services for others");
    }
}

fn names(cluster: &Cluster, report: &mut Report<'_>) {
    let mut names: BTreeMap<&str, Span> = BTreeMap::new();
    for pool in &cluster.load_balancer.pools {
        let Some(span) = pool.name.span() else {
            continue;
        };
        if let Some(first) = names.insert(pool.name(), span) {
            report
                .error(
                    Code::F09,
                    span,
                    format!("two address pools are named `{}`", pool.name()),
                )
                .also(first, "also here")
                .hint("rename one of them, or put their ranges into one pool");
        }
    }
}

fn subnets(cluster: &Cluster, report: &mut Report<'_>) {
    if !is_layer2(cluster) {
        return;
    }
    let placement = placement(cluster);
    let carriers = Extent::of(placement.data_plane_load_balancers());
    // Pools with interfaces of their own may live in another network.
    let pools = cluster.load_balancer.pools.iter();
    for pool in pools.filter(|pool| pool.interfaces.is_empty()) {
        for range in &pool.addresses {
            let ends = [range.first(), range.last()];
            let far = ends.into_iter().find_map(|end| match end {
                IpAddr::V4(end) => carriers.far_from(end),
                IpAddr::V6(_) => None,
            });
            if let (Some((node, place)), Some(span)) = (far, range.span()) {
                report
                    .warning(
                        Code::V12,
                        span,
                        format!("`{}` is hardly in one subnet with the load balancer node `{node}`", **range),
                    )
                    .also(place, "the node")
                    .hint("ARP works inside a subnet: use addresses of the nodes' subnet, or name the pool's `interfaces`");
            }
        }
    }
}

fn manual_only(cluster: &Cluster, report: &mut Report<'_>) {
    let pools = &cluster.load_balancer.pools;
    if let [.., last] = pools.as_slice()
        && pools.iter().all(|pool| pool.manual_assign())
        && let Some(span) = last.manual_assign.span()
    {
        report
            .warning(
                Code::V35,
                span,
                "no pool gives addresses to Services that ask for none",
            )
            .hint("fine if every Service names its address or pool; else set `manualAssign: false` on one pool");
    }
}

/// `In` and `NotIn` compare with values, the others ask for the key alone.
fn values(condition: &Node, report: &mut Report<'_>) {
    let Some(word) = condition.get("operator") else {
        return;
    };
    let Some(operator) = word.text().and_then(Operator::from_word) else {
        return;
    };
    let listed = condition
        .entry("values")
        .filter(|entry| !entry.value.items().is_empty());
    match (operator, listed) {
        (Operator::In | Operator::NotIn, None) => {
            report
                .error(Code::F05, word.span, format!("`{operator}` needs `values`"))
                .hint("list the values to compare with");
        }
        (Operator::Exists | Operator::DoesNotExist, Some(entry)) => {
            report
                .error(
                    Code::F05,
                    entry.key_span,
                    format!("`{operator}` takes no `values`"),
                )
                .also(word.span, "the condition")
                .hint("remove `values`, or use `In`");
        }
        _ => {}
    }
}
