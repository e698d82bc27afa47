//! Ports that must be free, or held by the very program that will hold them.

use std::net::IpAddr;

use super::Notes;
use crate::core::desired::{API_SERVER_PORT, Desired, Machine};

struct Port {
    number: u16,
    /// Absent: every address.
    address: Option<IpAddr>,
    /// Name of its file.
    program: &'static str,
    what: &'static str,
}

pub(super) fn check(desired: &Desired, machine: &Machine, notes: &mut Notes<'_>) {
    for port in wanted(desired, machine) {
        let taken = notes
            .facts
            .listeners
            .iter()
            .find(|l| l.clashes(port.address, port.number));
        let Some(listener) = taken else { continue };
        let holder = listener.process.as_ref();
        let ours = notes.facts.ledger && holder.is_some_and(|(program, _)| program == port.program);
        if ours {
            continue;
        }
        let holder = holder.map_or_else(
            || "an unknown process".to_owned(),
            |(program, pid)| format!("`{program}` (pid {pid})"),
        );
        notes.fail(
            "ports",
            format!(
                "port {} is taken by {holder}; {} needs it",
                port.number, port.what
            ),
            format!(
                "stop that program on the machine, or give it another port than {}",
                port.number
            ),
        );
    }
}

fn wanted(desired: &Desired, machine: &Machine) -> Vec<Port> {
    let everywhere = |number, program, what| Port {
        number,
        address: None,
        program,
        what,
    };
    let mut ports = vec![everywhere(10250, "kubelet", "the kubelet")];
    if machine.is_control_plane() {
        ports.extend([
            everywhere(API_SERVER_PORT, "kube-apiserver", "the API server"),
            everywhere(2379, "etcd", "etcd"),
            everywhere(2380, "etcd", "etcd"),
            everywhere(10257, "kube-controller-manager", "the controller manager"),
            everywhere(10259, "kube-scheduler", "the scheduler"),
        ]);
    }
    if machine.load_balancer.is_some() {
        let loopback = Some(IpAddr::from([127, 0, 0, 1]));
        ports.extend([
            everywhere(11000, "lbnode", "the proxy's status page"),
            Port {
                number: 11003,
                address: loopback,
                program: "lbnode",
                what: "the routers' status page",
            },
            Port {
                number: 11443,
                address: loopback,
                program: "lbnode",
                what: "the proxy's loopback front end",
            },
        ]);
        let front = |vip| Port {
            number: desired.vip_port,
            address: Some(vip),
            program: "lbnode",
            what: "the proxy on the virtual IP",
        };
        ports.extend(desired.vips().map(front));
    }
    ports
}
