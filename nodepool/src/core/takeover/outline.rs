//! What a take-over is going to do, in words.

use std::collections::BTreeSet;

use super::{KEPT, holder, in_the_way, name};
use crate::core::facts::{Facts, OtherProgram};
use crate::core::plan::{Situation, Stage};

/// Lines for the operator; empty: nobody is to be taken over from, and no machine is new. `adopt`: as planned.
pub fn outline(situation: &Situation<'_>, adopt: &Stage) -> Vec<String> {
    let desired = situation.desired;
    let mut lines = Vec::new();
    if !adopt.machines.is_empty() {
        let names: Vec<String> = adopt
            .machines
            .keys()
            .map(|address| name(situation.facts, *address))
            .collect();
        lines.push(format!(
            "note that {} {} of {}",
            names.join(", "),
            if names.len() == 1 {
                "is a machine"
            } else {
                "are machines"
            },
            desired.name
        ));
    }
    let holder = holder(desired, situation.facts);
    let mut stops = false;
    for machine in &desired.machines {
        let Some(facts) = situation.facts.get(&machine.address) else {
            continue;
        };
        let here = in_the_way(desired, facts);
        for other in &here {
            let last = if Some(machine.address) == holder {
                ", last: the virtual IP moves to one of ours"
            } else {
                ""
            };
            lines.push(format!("stop {other} on {}{last}", facts.hostname));
            stops = true;
        }
        if here
            .iter()
            .any(|other| other.program == OtherProgram::Haproxy)
        {
            lines.extend(also_ends(desired.vip_port, facts));
        }
        let address = desired.api_server(machine);
        let keeps = facts.api_server.and_then(|server| server.address);
        if desired.shares_port(machine) && keeps != Some(address.ip()) {
            lines.push(format!(
                "restart the API server of {}: it listens on {address} alone, the proxy has the port on the virtual IP",
                facts.hostname
            ));
        }
    }
    if stops {
        lines.push(format!("what is stopped is kept in {KEPT} on each machine"));
        let balancers = desired.machines.iter();
        if balancers
            .filter(|machine| machine.load_balancer.is_some())
            .count()
            == 1
        {
            lines.push("warning: there is nobody to hand over to: the virtual IP is away until the only load balancer has started".to_owned());
        }
    }
    lines
}

/// Other ports that HAProxy serves.
fn also_ends(port: u16, facts: &Facts) -> Option<String> {
    let listeners = facts.listeners.iter().filter(|listener| {
        let program = listener.process.as_ref();
        let same = program.is_some_and(|(program, _)| program == OtherProgram::Haproxy.name());
        same && listener.port != port
    });
    let ports: BTreeSet<u16> = listeners.map(|listener| listener.port).collect();
    let ports: Vec<String> = ports.iter().map(ToString::to_string).collect();
    (!ports.is_empty()).then(|| {
        format!(
            "warning: haproxy of {} serves port {} as well: that ends",
            facts.hostname,
            ports.join(", ")
        )
    })
}
