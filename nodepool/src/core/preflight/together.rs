//! Checks over several machines.

use std::collections::BTreeMap;

use super::{Check, Finding, Preflight, Reach, Severity};
use crate::core::desired::Machine;
use crate::core::facts::Facts;
use crate::core::plan::cluster_lives;
use crate::manifest::static_pod;

/// Clocks further apart than this break certificates that were made just now.
const CLOCK_SECONDS: i64 = 30;

pub(super) fn check(preflight: &Preflight<'_>, findings: &mut Vec<Finding>) {
    let up: Vec<(&Machine, &Facts)> = preflight
        .desired
        .machines
        .iter()
        .filter_map(|machine| match preflight.machines.get(&machine.address) {
            Some(Reach::Up(facts)) => Some((machine, facts.as_ref())),
            _ => None,
        })
        .collect();
    let mut fail = |machine: &Machine, facts: &Facts, check, cause: String, fix: String| {
        findings.push(Finding {
            severity: Severity::Fail,
            address: Some(machine.address),
            node: Some(facts.hostname.clone()),
            check,
            cause,
            fix,
        });
    };

    let mut names: BTreeMap<&str, &Machine> = BTreeMap::new();
    for (machine, facts) in &up {
        if let Some(first) = names.insert(&facts.hostname, machine) {
            fail(
                machine,
                facts,
                Check::Hostname,
                format!(
                    "{} and {} have the same host name `{}`",
                    first.address, machine.address, facts.hostname
                ),
                "give each machine a name of its own with `hostnamectl set-hostname NAME`"
                    .to_owned(),
            );
        }
    }

    // Whoever is with the majority is right.
    let mut clocks: Vec<i64> = up.iter().map(|(_, facts)| facts.now).collect();
    clocks.sort_unstable();
    let middle = clocks.get(clocks.len() / 2).copied().unwrap_or_default();
    for (machine, facts) in &up {
        let apart = facts.now - middle;
        if apart.abs() > CLOCK_SECONDS {
            fail(
                machine,
                facts,
                Check::Clock,
                format!("its clock is {apart} s off those of the others"),
                "set up time synchronisation (chrony or systemd-timesyncd) on all machines"
                    .to_owned(),
            );
        }
    }

    let facts = up
        .iter()
        .map(|(machine, facts)| (machine.address, (*facts).clone()))
        .collect();
    let lives = cluster_lives(preflight.desired, &facts);
    for (machine, facts) in &up {
        if facts.member.is_some() && !lives && up.len() == preflight.desired.machines.len() {
            fail(
                machine,
                facts,
                Check::Membership,
                "the machine belongs to a cluster of this name that has no control plane any more"
                    .to_owned(),
                "run `lbctl reset cluster` with this file, then create again".to_owned(),
            );
        }
        for vip in preflight.desired.own_vips() {
            let manifest = static_pod::VRRP.path();
            if let Some((interface, _)) = facts.interface_of(vip)
                && !facts.files.contains_key(&manifest)
            {
                fail(
                    machine,
                    facts,
                    Check::VipFree,
                    format!(
                        "the virtual IP {vip} is configured on the machine's interface {interface}"
                    ),
                    format!(
                        "remove it (`ip addr del {vip} dev {interface}`): the load balancer assigns it itself"
                    ),
                );
            }
        }
    }
}
