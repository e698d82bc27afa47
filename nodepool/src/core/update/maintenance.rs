//! Nodes in maintenance: who goes out of service, who comes back, and what forbids it.
//!
//! ```text
//! in the file ─► cordoned, router stopped ─► pods and Service addresses gone: drained
//! not in it   ─► its turn: the router again, as a backup ─► in service
//! ```
//!
//! What the node object notes ([`crate::core::cluster_view::Maintenance`]) and whether the router's manifest is there say how far
//! it is; so every run goes on where another one stopped.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::health::Balancers;
use super::refusal::Refused;
use super::removal::{joiners, last_balancer};
use crate::core::cluster_view::ClusterView;
use crate::core::desired::{Desired, Machine};
use crate::core::facts::Facts;
use crate::core::plan::{Situation, Stage};
use crate::core::step::Step;
use crate::manifest::static_pod;

/// A node whose service is interrupted or resumed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    /// Where SSH reaches its machine.
    pub address: IpAddr,
    /// Its name in the cluster.
    pub node: String,
    /// Since when it is out of service, where it was begun.
    pub since: Option<String>,
    /// It carries the virtual IP or may.
    pub routes: bool,
}

/// What the file's `maintenanceBlocks` make of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pauses {
    /// They go out of service, in the file's order.
    pub begin: Vec<Pause>,
    /// They come back.
    pub end: Vec<Pause>,
}

/// Whether the router of this machine is stopped on purpose.
pub fn rests(machine: &Machine, facts: &Facts) -> bool {
    machine.maintenance && !facts.files.contains_key(&static_pod::VRRP.path())
}

/// Members whose maintenance differs from what the file says.
pub fn pauses(situation: &Situation<'_>) -> Pauses {
    let mut pauses = Pauses::default();
    for machine in &situation.desired.machines {
        let known = situation.facts.get(&machine.address);
        let Some(facts) = known.filter(|facts| facts.member.is_some()) else {
            continue;
        };
        let Some(node) = situation
            .view
            .and_then(|view| view.nodes.get(&facts.hostname))
        else {
            continue;
        };
        let noted = node.maintenance.as_ref();
        let pause = Pause {
            address: machine.address,
            node: facts.hostname.clone(),
            since: noted.map(|noted| noted.since.clone()),
            routes: machine.load_balancer.is_some(),
        };
        let stopped = machine.load_balancer.is_none() || rests(machine, facts);
        let done = node.cordoned && stopped && noted.is_some_and(|noted| noted.drained);
        match (machine.maintenance, noted) {
            (true, _) if !done => pauses.begin.push(pause),
            (false, Some(_)) => pauses.end.push(pause),
            _ => {}
        }
    }
    pauses
}

/// What a change would do to nodes in maintenance: somebody works on them.
pub fn in_maintenance(
    situation: &Situation<'_>,
    bring: &Stage,
    turns: &BTreeMap<IpAddr, Vec<Step>>,
    pauses: &Pauses,
) -> Vec<Refused> {
    let mut refused = Vec::new();
    let mut refuse = |what: String| {
        refused.push(Refused {
            what,
            hint: "first take it out of `maintenanceBlocks`".to_owned(),
        });
    };
    let returns = |address: &IpAddr| pauses.end.iter().any(|pause| pause.address == *address);
    let mut changed = turns.keys().chain(bring.machines.keys());
    let others_change = changed.any(|address| !returns(address));
    let machines = situation.desired.machines.iter();
    for machine in machines.filter(|machine| machine.maintenance) {
        let address = machine.address;
        let name = match (situation.facts.get(&address), situation.view) {
            (Some(facts), _) => facts.hostname.clone(),
            (None, Some(view)) => view
                .node_at(machine.node_ip)
                .map_or_else(String::new, |(name, _)| name.clone()),
            (None, None) => String::new(),
        };
        let known = situation.facts.contains_key(&address);
        if turns.contains_key(&address) {
            refuse(format!(
                "{name} ({address}) is in maintenance, and its API load balancer would be restarted"
            ));
        } else if bring.machines.contains_key(&address) {
            refuse(format!(
                "{name} ({address}) is in maintenance, and another lbnode would be brought to it"
            ));
        } else if !known && machine.serves() && others_change {
            refuse(format!(
                "{name} ({address}) is in maintenance and does not answer: it would not get what the others get"
            ));
        }
    }
    let joiners = joiners(situation.desired, situation.facts);
    for machine in joiners.filter(|machine| machine.maintenance) {
        refuse(format!(
            "{} is in maintenance and is to join the cluster",
            machine.address
        ));
    }
    refused
}

/// Why a machine in maintenance that does not answer cannot be left out; `None`: nothing of it is in use.
pub fn still_in_use(view: &ClusterView, machine: &Machine) -> Option<String> {
    let Some((name, node)) = view.node_at(machine.node_ip) else {
        return Some("no node of the cluster has its address".to_owned());
    };
    let drained = node.maintenance.as_ref().is_some_and(|noted| noted.drained);
    (!drained).then(|| format!("{name} has not been taken out of service yet"))
}

/// Why these nodes cannot go out of service; `None`: they can. `balancers`: of members that are not in maintenance.
pub fn leaves_too_few(
    situation: &Situation<'_>,
    begin: &[Pause],
    balancers: &Balancers,
) -> Option<String> {
    let machine = |pause: &Pause| situation.desired.machine(pause.address);
    let machines: Vec<&Machine> = begin.iter().filter_map(machine).collect();
    if begin.iter().any(|pause| pause.routes)
        && let Some(why) = last_balancer(situation, balancers)
    {
        return Some(why);
    }
    let ready = |machine: &&Machine| {
        let facts = situation.facts.get(&machine.address);
        let view = situation.view.zip(facts);
        let node = view.and_then(|(view, facts)| view.nodes.get(&facts.hostname));
        !machine.maintenance && node.is_some_and(|node| node.ready)
    };
    if machines.iter().any(|machine| machine.lbnode) {
        let mut others = situation
            .desired
            .machines
            .iter()
            .filter(|other| other.lbnode);
        if !others.any(|other| ready(&other)) {
            return Some(
                "no node that is Ready would be left for the addresses of Services".to_owned(),
            );
        }
    }
    if machines.iter().any(|machine| machine.is_control_plane()) {
        return no_majority(situation.desired, &ready);
    }
    None
}

fn no_majority(desired: &Desired, ready: &dyn Fn(&&Machine) -> bool) -> Option<String> {
    let all = desired.control_planes().count();
    let left = desired.control_planes().filter(ready).count();
    (left * 2 <= all).then(|| {
        format!("only {left} of {all} control planes would be Ready and in service, no majority")
    })
}
