//! The cluster file against the networks that the machines really have.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use cluster_config::{Code, NodeNetworks, Severity as Weight, check_networks};

use super::{Check, Finding, Preflight, Reach, Severity};
use crate::core::desired::Machine;
use crate::core::facts::Facts;

pub(super) fn check(preflight: &Preflight<'_>, findings: &mut Vec<Finding>) {
    let mut names = BTreeMap::new();
    let mut networks: BTreeMap<Ipv4Addr, NodeNetworks> = BTreeMap::new();
    for machine in &preflight.desired.machines {
        let reach = preflight.machines.get(&machine.address);
        if let (Some(Reach::Up(facts)), IpAddr::V4(address)) = (reach, machine.address) {
            names.insert(address, facts.hostname.clone());
            networks.insert(address, networks_of(machine, facts));
        }
    }
    for found in check_networks(preflight.cluster, &networks) {
        findings.push(Finding {
            severity: match found.severity {
                Weight::Error => Severity::Fail,
                Weight::Warning | Weight::Notice => Severity::Warn,
            },
            address: Some(found.node.into()),
            node: names.get(&found.node).cloned(),
            check: match found.code {
                Code::V12 => Check::PoolSubnet,
                Code::V14 => Check::SameNetwork,
                Code::V18 => Check::CidrOverlap,
                _ => Check::VipSubnet,
            },
            cause: found.message,
            fix: found.hint.to_owned(),
        });
    }
}

/// On a node that lives, the interfaces of its pods lie in the Pod range, as they should.
fn networks_of(machine: &Machine, facts: &Facts) -> NodeNetworks {
    let of = |address| facts.interface_of(address).map(|(name, _)| name.as_str());
    let own = [of(machine.node_ip), of(machine.address)];
    let counts = |name: &str| !facts.is_ours() || own.contains(&Some(name));
    let addresses = facts.addresses.iter();
    NodeNetworks {
        addresses: addresses
            .filter(|(name, _)| counts(name))
            .cloned()
            .collect(),
        gateways: facts
            .wiring
            .gateways
            .iter()
            .map(|(_, gateway)| *gateway)
            .collect(),
        servers: facts
            .nameservers
            .iter()
            .filter_map(|server| server.parse().ok())
            .collect(),
    }
}
