//! Checks of one machine by itself: packet filters, settings of the network, other programs of the trade.

use super::{Check, Notes};
use crate::core::desired::{Desired, HEARTBEAT_PORT, Machine};

/// Ports and protocols that must be let in, for firewalls that are told so.
fn let_in(desired: &Desired) -> String {
    format!(
        "`firewall-cmd --permanent --add-port={{{},{},2379-2380,10250,11000}}/tcp --add-port={HEARTBEAT_PORT}/udp --add-protocol=vrrp`, then `firewall-cmd --reload` and Pod and Service ranges into the zone `trusted`",
        desired.vip_port, desired.api_port
    )
}

pub(super) fn check(desired: &Desired, machine: &Machine, notes: &mut Notes<'_>) {
    firewalls(desired, notes);
    if !desired.external {
        others(notes);
    }
    if machine.load_balancer.is_some() || machine.lbnode {
        reverse_path(machine, notes);
        strict_arp(notes);
    }
    default_route(desired, machine, notes);
}

fn firewalls(desired: &Desired, notes: &mut Notes<'_>) {
    let services = &notes.facts.wiring.services;
    if services.contains("ufw") {
        notes.fail(
            Check::Firewall,
            "ufw is on: it drops what pods and nodes send to each other",
            "run `ufw disable`",
        );
    }
    if services.contains("firewalld") {
        notes.warn(
            Check::Firewall,
            "firewalld runs; a reload of it takes away the rules of the pod network",
            format!(
                "run `systemctl disable --now firewalld`, or let in what is needed: {}",
                let_in(desired)
            ),
        );
    }
}

fn others(notes: &mut Notes<'_>) {
    let wiring = &notes.facts.wiring;
    for service in ["keepalived", "haproxy"] {
        if wiring.services.contains(service) {
            notes.warn(
                Check::OtherBalancer,
                format!("the service `{service}` runs on the machine"),
                format!(
                    "run `systemctl disable --now {service}` if it served this API: two of them for one address are a fault"
                ),
            );
        }
    }
    for pod in &wiring.static_pods {
        notes.warn(
            Check::OtherBalancer,
            format!("the static pod `{pod}` keeps virtual addresses or balances"),
            format!("take /etc/kubernetes/manifests/{pod} away if it served this API"),
        );
    }
}

/// What comes in where it would not leave is dropped: the way back from a second network, and of Services with
/// `externalTrafficPolicy: Local`.
fn reverse_path(machine: &Machine, notes: &mut Notes<'_>) {
    let facts = notes.facts;
    let mut interfaces: Vec<&str> = Vec::new();
    for (name, _) in &facts.addresses {
        if !interfaces.contains(&name.as_str()) {
            interfaces.push(name);
        }
    }
    // On a node that lives, the interfaces of its pods are there as well.
    if interfaces.len() < 2 || facts.is_ours() {
        return;
    }
    let Some((own, _)) = facts.interface_of(machine.node_ip) else {
        return;
    };
    if facts.wiring.in_force(own).rp_filter != 1 {
        return;
    }
    notes.warn(
        Check::RpFilter,
        format!("rp_filter is strict on {own}, and the machine has several interfaces: {}", interfaces.join(", ")),
        format!(
            "set it to loose, here and in /etc/sysctl.d: `sysctl -w net/ipv4/conf/{own}/rp_filter=2 net/ipv4/conf/all/rp_filter=2`"
        ),
    );
}

fn strict_arp(notes: &mut Notes<'_>) {
    let wiring = &notes.facts.wiring;
    let all = wiring.settings.get("all").copied().unwrap_or_default();
    if wiring.ipvs && (all.arp_ignore == 0 || all.arp_announce < 2) {
        notes.fail(
            Check::StrictArp,
            "kube-proxy runs in IPVS mode without `strictARP`: every node answers ARP for every Service",
            "set `ipvs.strictARP: true` (or `mode: nftables`) in `kubectl -n kube-system edit configmap kube-proxy`, then `kubectl -n kube-system rollout restart daemonset kube-proxy`",
        );
    }
}

fn default_route(desired: &Desired, machine: &Machine, notes: &mut Notes<'_>) {
    let facts = notes.facts;
    let Some((own, _)) = facts.interface_of(machine.node_ip) else {
        return;
    };
    let exits: Vec<&str> = facts.wiring.exits().collect();
    if exits.is_empty() {
        notes.warn(
            Check::DefaultRoute,
            "the machine has no default route",
            format!(
                "give it one: kubelet and kube-proxy look for it, and clients beyond the network cannot reach {}",
                desired.vip
            ),
        );
    } else if !exits.contains(&own.as_str()) && machine.load_balancer.is_some() {
        notes.warn(
            Check::DefaultRoute,
            format!(
                "the default route leaves through {}, not through {own}, which will have {}",
                exits.join(", "),
                desired.vip
            ),
            format!(
                "clients beyond the network get their answers the other way: give {own} a routing table of its own, or the default route"
            ),
        );
    }
}
