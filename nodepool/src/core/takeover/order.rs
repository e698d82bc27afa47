//! What is next.

use std::net::IpAddr;

use super::{has_proxy, has_router, holder, in_the_way, name, routers_in_the_way};
use crate::core::desired::Machine;
use crate::core::facts::{Facts, OtherBalancer};
use crate::core::plan::{Situation, Stage, StageName};
use crate::core::step::{Step, StopOthers};
use crate::core::update::{Balancer, Balancers, Waiting, no_quorum, priority};
use crate::manifest::kubeadm;

/// What to do next until nobody else has anything to do with the virtual IP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// All that is left is an update.
    Done,
    /// Others stop on these machines, which do not have the virtual IP.
    StandDown(Vec<IpAddr>),
    /// This machine makes room.
    Place(IpAddr),
    /// This machine lets go of the virtual IP.
    HandOver(IpAddr),
    /// First something must become well by itself.
    Wait(Waiting),
    /// Going on would break the cluster.
    Stop(String),
}

/// Decides. `situation.desired` has routers that stand back ([`crate::core::desired::Desired::standing_back`]);
/// `balancers`: how those of ours are.
pub fn next(situation: &Situation<'_>, balancers: &Balancers) -> Next {
    let desired = situation.desired;
    let holder = holder(desired, situation.facts);
    let known = known(situation);
    let (ours, theirs): (Vec<_>, Vec<_>) = known
        .iter()
        .copied()
        .partition(|(_, facts)| has_router(facts));
    let backups: Vec<IpAddr> = known
        .iter()
        .filter(|(machine, facts)| {
            Some(machine.address) != holder && routers_in_the_way(desired, facts).next().is_some()
        })
        .map(|(machine, _)| machine.address)
        .collect();
    let active = ours.iter().any(|(machine, _)| {
        let balancer = balancers.get(&machine.address);
        balancer.is_some_and(Balancer::is_active)
    });
    if !backups.is_empty() {
        if holder.is_some() || active {
            return Next::StandDown(backups);
        }
        return wait(
            backups.clone(),
            format!(
                "nobody has the virtual IP {}: {} must take it, or be stopped",
                desired.vip,
                names(situation, &backups)
            ),
        );
    }
    if let Some(holder) = holder.filter(|_| active) {
        // One of ours has begun: somebody was silent for too long. It ends where it must end in any case.
        return Next::HandOver(holder);
    }
    // Where only the router has begun, an interruption left it: nothing comes of waiting for it.
    let whole: Vec<_> = ours.iter().filter(|(_, facts)| has_proxy(facts)).collect();
    let ill: Vec<(IpAddr, String)> = whole
        .iter()
        .filter_map(|(machine, _)| {
            let why = match balancers.get(&machine.address) {
                Some(balancer) => trouble(balancer)?,
                None => "was not asked".to_owned(),
            };
            Some((machine.address, why))
        })
        .collect();
    if !ill.is_empty() {
        let words = ill
            .iter()
            .map(|(address, why)| format!("{}: {why}", name(situation.facts, *address)));
        let words = words.collect::<Vec<_>>().join("; ");
        return wait(ill.into_iter().map(|(address, _)| address).collect(), words);
    }
    if holder.is_none() && !whole.is_empty() && !active {
        let why = format!("nobody has the virtual IP {}", desired.vip);
        let asked = whole.iter().map(|(machine, _)| machine.address);
        return wait(asked.collect(), why);
    }
    let mut unplaced: Vec<_> = theirs
        .iter()
        .chain(&ours)
        .filter(|(machine, facts)| {
            Some(machine.address) != holder && !place(situation, machine, facts).is_empty()
        })
        .map(|(machine, facts)| (!has_router(facts), priority(machine), machine.address))
        .collect();
    unplaced.sort_unstable();
    if let Some((_, _, first)) = unplaced.first() {
        let lost = situation.view.and_then(|view| no_quorum(situation, view));
        return lost.map_or(Next::Place(*first), Next::Stop);
    }
    holder.map_or(Next::Done, Next::HandOver)
}

fn known<'a>(situation: &Situation<'a>) -> Vec<(&'a Machine, &'a Facts)> {
    let (desired, facts) = (situation.desired, situation.facts);
    let machines = desired.machines.iter();
    machines
        .filter_map(|machine| Some((machine, facts.get(&machine.address)?)))
        .collect()
}

fn wait(machines: Vec<IpAddr>, why: String) -> Next {
    Next::Wait(Waiting { machines, why })
}

fn names(situation: &Situation<'_>, addresses: &[IpAddr]) -> String {
    let names = addresses
        .iter()
        .map(|address| name(situation.facts, *address));
    names.collect::<Vec<_>>().join(", ")
}

/// Why this load balancer of ours could not take the virtual IP at once; `None`: it could, or has it.
fn trouble(balancer: &Balancer) -> Option<String> {
    let pages = match &balancer.pages {
        Ok(pages) => pages,
        Err(why) => return Some(format!("cannot be asked: {why}")),
    };
    let Some(proxy) = &pages.proxy else {
        return Some("its proxy says nothing".to_owned());
    };
    if let Some(server) = proxy.servers.iter().find(|server| !server.is_up()) {
        let (name, state, why) = (&server.name, &server.state, &server.why);
        return Some(format!(
            "its proxy has the API server {name} {state}: {why}"
        ));
    }
    let Some(router) = &pages.vrrp else {
        return Some("its router says nothing".to_owned());
    };
    let is = |state| router.state.eq_ignore_ascii_case(state);
    let well = is("active") || is("backup") || router.stands_back();
    (!well).then(|| format!("its router is in state {}: {}", router.state, router.why))
}

/// What a machine needs so that ours can take over there: others stop, the API server leaves the port of the virtual IP to
/// the proxy, and, as long as somebody else has the virtual IP, ours begins to stand back. Later an update brings ours.
pub(super) fn place(situation: &Situation<'_>, machine: &Machine, facts: &Facts) -> Vec<Step> {
    let desired = situation.desired;
    let mut steps = stop(situation, facts, in_the_way(desired, facts), false);
    if desired.shares_port(machine) {
        let patch = kubeadm::api_server_patch(machine);
        let written = facts.files.get(&patch.path);
        if written.is_none_or(|written| written.sha256 != patch.sha256()) {
            steps.push(Step::PutFile(patch));
        }
        let address = desired.api_server(machine);
        let keeps = facts.api_server.and_then(|server| server.address);
        if keeps != Some(address.ip()) {
            steps.push(Step::KeepToAddress(address));
        }
    }
    if holder(desired, situation.facts).is_some() {
        steps.extend(situation.turn(machine, facts));
    }
    steps
}

fn stop(
    situation: &Situation<'_>,
    facts: &Facts,
    others: Vec<OtherBalancer>,
    owner: bool,
) -> Vec<Step> {
    if others.is_empty() && !(owner && situation.desired.own_vips().any(|vip| facts.holds(vip))) {
        return Vec::new();
    }
    vec![Step::StopOthers(StopOthers {
        others,
        vips: situation.desired.own_vips().collect(),
        owner,
    })]
}

/// The stage in which others stop on these machines.
pub fn stand_down(situation: &Situation<'_>, machines: &[IpAddr]) -> Stage {
    let steps = machines.iter().filter_map(|address| {
        let facts = situation.facts.get(address)?;
        let routers = routers_in_the_way(situation.desired, facts);
        let steps = stop(situation, facts, routers.cloned().collect(), false);
        Some((*address, steps))
    });
    Stage {
        machines: steps.collect(),
        ..Stage::empty(StageName::StandDown)
    }
}

/// The stage in which this machine makes room.
pub fn placing(situation: &Situation<'_>, address: IpAddr) -> Stage {
    let machine = situation.desired.machine(address);
    let steps = machine.zip(situation.facts.get(&address));
    let steps = steps.map(|(machine, facts)| (address, place(situation, machine, facts)));
    Stage {
        machines: steps.into_iter().collect(),
        ..Stage::empty(StageName::Place)
    }
}

/// The stage in which this machine lets go of the virtual IP. What balances there runs on: connections that it has begun
/// with would not come back sooner without it.
pub fn hand_over(situation: &Situation<'_>, address: IpAddr) -> Stage {
    let steps = situation.facts.get(&address).map(|facts| {
        let routers = routers_in_the_way(situation.desired, facts);
        let steps = stop(situation, facts, routers.cloned().collect(), true);
        (address, steps)
    });
    Stage {
        machines: steps.into_iter().collect(),
        ..Stage::empty(StageName::HandOver)
    }
}
