//! VIPs: V05, V06, V07, V13, V32, V34, V36.

use std::net::IpAddr;

use super::extent::{Extent, is_layer2};
use super::occupied::{Occupied, node_uses};
use super::pools::{all_ranges_are_known, pool_uses};
use crate::code::Code;
use crate::derive::placement;
use crate::documents::Documents;
use crate::model::{Cluster, ClusterType, Mode};
use crate::net::{is_buggy, is_host};
use crate::report::Report;
use crate::yaml::Span;

pub(super) fn check(cluster: &Cluster, documents: &Documents<'_>, report: &mut Report<'_>) {
    let vips = &cluster.load_balancer.vips;
    let pools = Occupied::new(pool_uses(cluster));
    let nodes = Occupied::new(node_uses(cluster));
    let placement = placement(cluster);
    let layer2 = is_layer2(cluster);
    let api = Extent::of(placement.control_plane_load_balancers().filter(|_| layer2));
    let services = Extent::of(placement.data_plane_load_balancers().filter(|_| layer2));
    let listed: Vec<(&str, IpAddr, Span)> = [
        vips.control_plane
            .span()
            .map(|span| ("controlPlaneVIP", vips.control_plane().into(), span)),
        vips.control_plane_v6
            .as_ref()
            .and_then(|vip| Some(("controlPlaneVIPv6", (**vip).into(), vip.span()?))),
        vips.ingress
            .as_ref()
            .and_then(|vip| Some(("ingressVIP", (**vip).into(), vip.span()?))),
    ]
    .into_iter()
    .flatten()
    .collect();
    for &(key, vip, span) in &listed {
        usable(key, vip, span, report);
        if let Some(node) = nodes.hit_address(vip) {
            report
                .error(
                    Code::V32,
                    span,
                    format!("`{key}` is the address of {}", node.what),
                )
                .also(node.span, "the node")
                .hint("a VIP moves between nodes: use an address that no machine has");
        }
        if key != "ingressVIP"
            && let Some(pool) = pools.hit_address(vip)
        {
            report
                .error(Code::V05, span, format!("`{key}` lies inside {}", pool.what))
                .also(pool.span, "this range")
                .hint("a Service could get this address: choose one outside of every pool, or shrink the pool");
        }
        let carriers = if key == "ingressVIP" { &services } else { &api };
        if is_host(vip) {
            subnet(key, vip, span, carriers, report);
        }
    }
    if let (Some(ingress), Some(span)) = (&vips.ingress, vips.control_plane.span())
        && **ingress == *vips.control_plane
        && let Some(ingress_span) = ingress.span()
    {
        report
            .error(
                Code::V32,
                ingress_span,
                "`ingressVIP` and `controlPlaneVIP` are the same address",
            )
            .also(span, "also here")
            .hint("give each its own address");
    }
    ingress(cluster, documents, &pools, report);
}

fn usable(key: &str, vip: IpAddr, span: Span, report: &mut Report<'_>) {
    if !is_host(vip) {
        report
            .error(Code::V34, span, format!("`{vip}` cannot be the address of a host"))
            .hint("use a unicast address of the nodes' subnet; loopback, link-local, multicast and reserved addresses do not work");
    } else if is_buggy(vip) {
        report
            .warning(
                Code::V34,
                span,
                format!("`{key}` ends in .0 or .255: in most subnets that is no host"),
            )
            .hint("choose another address, unless the subnet is larger than a /24 and all devices take it");
    }
}

fn subnet(key: &str, vip: IpAddr, span: Span, carriers: &Extent<'_>, report: &mut Report<'_>) {
    let IpAddr::V4(vip) = vip else { return };
    if let Some((address, place)) = carriers.far_from(vip) {
        report
            .warning(
                Code::V13,
                span,
                format!("`{key}` is hardly in one subnet with the load balancer node `{address}`"),
            )
            .also(place, "the node")
            .hint("choose an address of the nodes' subnet, or set the nodes' `k8sIP` to addresses in the VIP's subnet");
    }
}

fn ingress(
    cluster: &Cluster,
    documents: &Documents<'_>,
    pools: &Occupied,
    report: &mut Report<'_>,
) {
    let load_balancer = &cluster.load_balancer;
    let Some((vip, span)) = load_balancer
        .vips
        .ingress
        .as_ref()
        .and_then(|vip| Some((IpAddr::from(**vip), vip.span()?)))
    else {
        return;
    };
    if let (ClusterType::Admin, Some(kind)) = (cluster.cluster_type(), cluster.cluster_type.span())
    {
        report
            .error(Code::V06, span, "an admin cluster has no `ingressVIP`")
            .also(kind, "the cluster is an admin cluster")
            .hint("remove `ingressVIP`: admin clusters carry no workloads");
        return;
    }
    if load_balancer.mode() == Mode::Manual {
        return;
    }
    match pools.hit_address(vip) {
        None if !all_ranges_are_known(documents) => {}
        None => {
            let found = report.error(
                Code::V07,
                span,
                format!("`ingressVIP` `{vip}` lies outside every address pool"),
            );
            let found = match load_balancer.pools_key.0 {
                Some(pools) => found.also(pools, "the pools"),
                None => found,
            };
            found.hint(format!(
                "add `{vip}/32` to a pool in `addressPools`, or choose an address inside one"
            ));
        }
        Some(_) if is_buggy(vip) => {
            let pool = load_balancer.pools.iter().find(|pool| {
                pool.avoid_buggy_ips() && pool.ranges().any(|range| range.contains(vip))
            });
            if let Some(flag) = pool.and_then(|pool| pool.avoid_buggy_ips.span()) {
                report
                    .warning(
                        Code::V36,
                        span,
                        "`ingressVIP` is an address that `avoidBuggyIPs` leaves out",
                    )
                    .also(flag, "left out by this")
                    .hint("choose an address that ends neither in .0 nor in .255");
            }
        }
        Some(_) => {}
    }
}
