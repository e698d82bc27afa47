//! The API's port on the VIP: V33.

use crate::code::Code;
use crate::derive::{Pool, placement};
use crate::diagnostic::Severity;
use crate::model::{Cluster, Mode};
use crate::report::Report;

/// Who listens on a port of all addresses of a node. API servers do not where they have the port of the VIP: then each
/// keeps to its node's address.
struct Listener {
    first: u16,
    last: u16,
    who: &'static str,
    on: On,
}

#[derive(PartialEq, Eq, Clone, Copy)]
enum On {
    EveryNode,
    ControlPlane,
    /// Opened when some Service is given the port.
    Perhaps,
}

const fn on(first: u16, last: u16, who: &'static str, on: On) -> Listener {
    Listener {
        first,
        last,
        who,
        on,
    }
}

const LISTENERS: &[Listener] = &[
    on(22, 22, "SSH", On::EveryNode),
    on(2_379, 2_384, "etcd", On::ControlPlane),
    on(4_240, 4_240, "the CNI's health check", On::EveryNode),
    on(7_946, 7_946, "the speakers' heartbeats", On::EveryNode),
    on(9_100, 9_101, "metrics exporters", On::Perhaps),
    on(10_250, 10_250, "the kubelet", On::EveryNode),
    on(
        10_256,
        10_256,
        "the health check of Services",
        On::EveryNode,
    ),
    on(10_257, 10_257, "the controller manager", On::ControlPlane),
    on(10_259, 10_259, "the scheduler", On::ControlPlane),
    on(
        11_000,
        11_005,
        "the load balancers' own status",
        On::EveryNode,
    ),
    on(
        11_443,
        11_443,
        "the load balancers' own health check",
        On::EveryNode,
    ),
    on(30_000, 32_767, "node ports of Services", On::Perhaps),
];

pub(super) fn check(cluster: &Cluster, report: &mut Report<'_>) {
    let load_balancer = &cluster.load_balancer;
    let (Some(span), Mode::Bundled) = (load_balancer.port.span(), load_balancer.mode()) else {
        return;
    };
    let port = load_balancer.control_plane_port();
    let taken = LISTENERS
        .iter()
        .find(|listener| (listener.first..=listener.last).contains(&port));
    let Some(listener) = taken else { return };
    let on_control_plane = placement(cluster)
        .roles()
        .iter()
        .any(|role| role.control_plane_load_balancer && role.pool == Pool::ControlPlane);
    let severity = match listener.on {
        On::EveryNode => Severity::Error,
        On::ControlPlane if on_control_plane => Severity::Error,
        On::ControlPlane | On::Perhaps => Severity::Warning,
    };
    let message = format!("port {port} is used by {} on the nodes", listener.who);
    let found = match severity {
        Severity::Error => report.error(Code::V33, span, message),
        _ => report.warning(Code::V33, span, message),
    };
    found.hint("use 443, or another port that nothing on the nodes listens on");
}
