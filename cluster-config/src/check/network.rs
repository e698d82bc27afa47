//! Pod and Service networks: V18, V19.

use ipnet::IpNet;

use super::occupied::{Occupied, Use};
use super::pools::pool_uses;
use crate::code::Code;
use crate::model::{Cluster, Located};
use crate::net::IpRange;
use crate::report::Report;

pub(super) fn check(cluster: &Cluster, report: &mut Report<'_>) {
    let pods = &cluster.network.pods;
    let services = &cluster.network.services;
    sizes("Pod", pods, (8, 18), report);
    sizes("Service", services, (12, 24), report);
    let outside = Occupied::new(outside(cluster));
    for (name, nets) in [("Pod", pods), ("Service", services)] {
        for net in nets {
            let range = IpRange::from(**net);
            if let (Some(span), Some(hit)) = (net.span(), outside.hit(&range)) {
                report
                    .error(
                        Code::V18,
                        span,
                        format!("the {name} range `{}` overlaps {}", **net, hit.what),
                    )
                    .also(hit.span, "this address")
                    .hint("packets to that address would stay inside the cluster: choose a range that nothing else uses");
            }
        }
    }
    let ranges = |name: &str, nets: &[Located<IpNet>]| -> Vec<Use> {
        nets.iter()
            .filter_map(|net| {
                Some(Use {
                    range: IpRange::from(**net),
                    span: net.span()?,
                    what: format!("the {name} range `{}`", **net),
                })
            })
            .collect()
    };
    let mut both = ranges("Pod", pods);
    both.extend(ranges("Service", services));
    for (a, b) in Occupied::new(both).collisions() {
        let (first, second) = if a.span.start <= b.span.start {
            (a, b)
        } else {
            (b, a)
        };
        report
            .error(
                Code::V18,
                second.span,
                format!("{} overlaps {}", second.what, first.what),
            )
            .also(first.span, "also here")
            .hint("choose ranges that share no address");
    }
}

/// What lives outside the cluster's own networks: nodes, VIPs, pools.
fn outside(cluster: &Cluster) -> Vec<Use> {
    let vips = &cluster.load_balancer.vips;
    let mut uses = pool_uses(cluster);
    let mut single = |address: std::net::IpAddr, span, what: String| {
        if let Some(span) = span {
            uses.push(Use {
                range: IpRange::single(address),
                span,
                what,
            });
        }
    };
    for node in cluster.nodes() {
        for address in std::iter::once(&node.address).chain(&node.k8s_ip) {
            let what = format!("the node `{}`", **address);
            single((**address).into(), address.span(), what);
        }
    }
    let vip = &vips.control_plane;
    single(
        (**vip).into(),
        vip.span(),
        format!("`controlPlaneVIP` `{}`", **vip),
    );
    if let Some(vip) = &vips.control_plane_v6 {
        single(
            (**vip).into(),
            vip.span(),
            format!("`controlPlaneVIPv6` `{}`", **vip),
        );
    }
    if let Some(vip) = &vips.ingress {
        single(
            (**vip).into(),
            vip.span(),
            format!("`ingressVIP` `{}`", **vip),
        );
    }
    uses
}

/// IPv4 only: the limits for IPv6 are other programs' business.
fn sizes(
    name: &str,
    nets: &[Located<IpNet>],
    (shortest, longest): (u8, u8),
    report: &mut Report<'_>,
) {
    for net in nets {
        let length = net.prefix_len();
        if let (Some(span), IpNet::V4(_)) = (net.span(), **net)
            && !(shortest..=longest).contains(&length)
        {
            let why = if length > longest {
                "too small"
            } else {
                "too large"
            };
            report
                .error(
                    Code::V19,
                    span,
                    format!("the {name} range `{}` is {why}", **net),
                )
                .hint(format!("use a prefix from /{longest} to /{shortest}"));
        }
    }
}
