//! Ports that must be free, or held by the very program that will hold them.

use std::net::IpAddr;

use super::{Check, Notes};
use crate::core::desired::{Desired, HEARTBEAT_PORT, Machine};
use crate::core::facts::Facts;

struct Port {
    number: u16,
    /// Absent: every address.
    address: Option<IpAddr>,
    /// Name of its file.
    program: &'static str,
    what: &'static str,
    udp: bool,
    /// Of a pod that the cluster's API makes.
    of_pods: bool,
}

pub(super) fn check(desired: &Desired, machine: &Machine, notes: &mut Notes<'_>) {
    let facts = notes.facts;
    let sockets = |udp: bool| {
        if udp {
            &facts.wiring.udp
        } else {
            &facts.listeners
        }
    };
    for port in wanted(desired, machine) {
        let mut sockets = sockets(port.udp).iter();
        let taken = sockets.find(|l| l.clashes(port.address, port.number));
        let Some(listener) = taken else { continue };
        let holder = listener.process.as_ref();
        // What runs in a pod of a cluster that lives is its own.
        let pods = port.of_pods && facts.is_member_of(&desired.name);
        let ours = facts.ledger && holder.is_some_and(|(program, _)| program == port.program);
        let leaves =
            holder.is_some_and(|(program, _)| makes_room(desired, machine, facts, program));
        if ours || pods || leaves {
            continue;
        }
        let holder = holder.map_or_else(
            || "an unknown process".to_owned(),
            |(program, pid)| format!("`{program}` (pid {pid})"),
        );
        notes.fail(
            Check::Ports,
            format!(
                "port {}{} is taken by {holder}; {} needs it",
                port.number,
                if port.udp { "/udp" } else { "" },
                port.what
            ),
            format!(
                "stop that program on the machine, or give it another port than {}",
                port.number
            ),
        );
    }
}

/// On a machine of a cluster that lives, who holds the port of the virtual IP and is stopped or moved when ours comes.
fn makes_room(desired: &Desired, machine: &Machine, facts: &Facts, program: &str) -> bool {
    let mut others = facts.others.iter();
    facts.is_member_of(&desired.name)
        && (others.any(|other| other.program.name() == program)
            || (program == "kube-apiserver" && desired.shares_port(machine)))
}

fn wanted(desired: &Desired, machine: &Machine) -> Vec<Port> {
    let everywhere = |number, program, what| Port {
        number,
        address: None,
        program,
        what,
        udp: false,
        of_pods: false,
    };
    let on = |address: IpAddr, port: Port| Port {
        address: Some(address),
        ..port
    };
    let of_pods = |port: Port| Port {
        of_pods: true,
        ..port
    };
    let loopback = IpAddr::from([127, 0, 0, 1]);
    let mut ports = vec![
        everywhere(10250, "kubelet", "the kubelet"),
        on(
            loopback,
            everywhere(10248, "kubelet", "the kubelet's health page"),
        ),
        of_pods(everywhere(10256, "kube-proxy", "kube-proxy's health page")),
    ];
    if machine.is_control_plane() {
        ports.extend([
            if desired.shares_port(machine) {
                on(
                    machine.node_ip,
                    everywhere(desired.api_port, "kube-apiserver", "the API server"),
                )
            } else {
                everywhere(desired.api_port, "kube-apiserver", "the API server")
            },
            everywhere(2379, "etcd", "etcd"),
            everywhere(2380, "etcd", "etcd"),
            everywhere(10257, "kube-controller-manager", "the controller manager"),
            everywhere(10259, "kube-scheduler", "the scheduler"),
        ]);
    }
    if machine.load_balancer.is_some() {
        ports.extend([
            everywhere(11000, "lbnode", "the proxy's status page"),
            on(
                loopback,
                everywhere(11003, "lbnode", "the routers' status page"),
            ),
            on(
                loopback,
                everywhere(11443, "lbnode", "the proxy's loopback front end"),
            ),
        ]);
        let front = |vip| {
            let port = everywhere(desired.vip_port, "lbnode", "the proxy on the virtual IP");
            on(vip, port)
        };
        ports.extend(desired.vips().map(front));
    }
    if machine.lbnode {
        let heartbeats = everywhere(HEARTBEAT_PORT, "lbnode", "the speakers' heartbeat");
        ports.extend([
            of_pods(everywhere(11004, "lbnode", "the speaker's status page")),
            of_pods(Port {
                udp: true,
                ..heartbeats
            }),
        ]);
    }
    ports
}
