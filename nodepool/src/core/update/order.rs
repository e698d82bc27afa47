//! Which node is next.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::health::{Balancer, Balancers};
use crate::core::cluster_view::ClusterView;
use crate::core::desired::{Desired, Machine};
use crate::core::facts::Facts;
use crate::core::plan::{Situation, Stage, StageName};
use crate::core::step::Step;

/// What to do next about the API load balancers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// All of them run with the settings of the file and are well.
    Done,
    /// It is this node's turn.
    Turn(IpAddr),
    /// First something must become well by itself.
    Wait(Waiting),
    /// Going on would break the cluster.
    Stop(String),
}

/// What is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Whom to ask again.
    pub machines: Vec<IpAddr>,
    /// What is not well, in words.
    pub why: String,
}

/// Machines that belong to the cluster, run an API load balancer, and are not in maintenance.
pub fn members_with_balancer(situation: &Situation<'_>) -> Vec<IpAddr> {
    let machines = situation.desired.machines.iter();
    let balancers = machines.filter(|machine| machine.load_balancer.is_some());
    let balancers = balancers.filter(|machine| !machine.maintenance);
    let member = |address: &IpAddr| {
        let facts = situation.facts.get(address);
        facts.is_some_and(|facts| facts.member.is_some())
    };
    balancers
        .map(|machine| machine.address)
        .filter(member)
        .collect()
}

/// The node binary and its image for members that lack them: nothing restarts by it, so all at once. A worker in
/// maintenance gets them when it is back.
pub fn bring(situation: &Situation<'_>) -> Stage {
    Stage {
        machines: work(situation, |machine, facts| {
            if machine.maintenance && !machine.serves() {
                return Vec::new();
            }
            situation.bring(machine, facts)
        }),
        ..Stage::empty(StageName::Bring)
    }
}

/// Members whose API load balancer differs from the file, with the steps that correct it.
pub fn turns(situation: &Situation<'_>) -> BTreeMap<IpAddr, Vec<Step>> {
    work(situation, |machine, facts| situation.turn(machine, facts))
}

/// One machine's turn, as a stage.
pub fn turn(address: IpAddr, turns: &BTreeMap<IpAddr, Vec<Step>>) -> Stage {
    let steps = turns.get(&address).cloned();
    Stage {
        machines: steps.map(|steps| (address, steps)).into_iter().collect(),
        ..Stage::empty(StageName::Turn)
    }
}

fn work(
    situation: &Situation<'_>,
    steps: impl Fn(&Machine, &Facts) -> Vec<Step>,
) -> BTreeMap<IpAddr, Vec<Step>> {
    let members = situation.desired.machines.iter().filter_map(|machine| {
        let facts = situation.facts.get(&machine.address)?;
        facts.member.as_ref()?;
        Some((machine.address, steps(machine, facts)))
    });
    members.filter(|(_, steps)| !steps.is_empty()).collect()
}

/// Decides by the turns that are left and by how the nodes are at the moment.
pub fn next(
    situation: &Situation<'_>,
    turns: &BTreeMap<IpAddr, Vec<Step>>,
    balancers: &Balancers,
) -> Next {
    let digest = situation.lbnode.image.digest.as_str();
    let mut well = Vec::new();
    let mut ill_with_turn = Vec::new();
    let mut ill = Vec::new();
    for (machine, balancer) in known(situation.desired, balancers) {
        let waits = turns.contains_key(&machine.address);
        let expected = (!waits).then_some(digest);
        match balancer.trouble(machine, expected) {
            None => well.push((machine, balancer)),
            Some(_) if waits => ill_with_turn.push(machine.address),
            Some(why) => ill.push((machine.address, why)),
        }
    }
    if !ill.is_empty() {
        let words = ill
            .iter()
            .map(|(address, why)| format!("{}: {why}", name(situation, *address)));
        return Next::Wait(Waiting {
            why: words.collect::<Vec<_>>().join("; "),
            machines: ill.into_iter().map(|(address, _)| address).collect(),
        });
    }
    let owners: Vec<IpAddr> = well
        .iter()
        .filter(|(_, balancer)| balancer.is_active())
        .map(|(machine, _)| machine.address)
        .collect();
    let everybody = || well.iter().map(|(machine, _)| machine.address).collect();
    if owners.len() != 1 && ill_with_turn.is_empty() && !well.is_empty() {
        let names: Vec<_> = owners.iter().map(|at| name(situation, *at)).collect();
        let why = if names.is_empty() {
            format!("nobody has the virtual IP {}", situation.desired.vip)
        } else {
            format!(
                "the virtual IP {} has more than one owner: {}",
                situation.desired.vip,
                names.join(", ")
            )
        };
        return Next::Wait(Waiting {
            machines: everybody(),
            why,
        });
    }
    if turns.is_empty() {
        return Next::Done;
    }
    if let Some(why) = situation.view.and_then(|view| no_quorum(situation, view)) {
        return Next::Stop(why);
    }
    if let Some(first) = ill_with_turn.first() {
        return Next::Turn(*first);
    }
    // Whoever has the highest priority takes over from the owner: it comes as late as a backup can.
    let mut candidates: Vec<_> = well
        .iter()
        .filter(|(machine, _)| turns.contains_key(&machine.address))
        .map(|(machine, balancer)| (balancer.is_active(), priority(machine), machine.address))
        .collect();
    candidates.sort_unstable();
    candidates
        .first()
        .map_or(Next::Done, |(_, _, address)| Next::Turn(*address))
}

fn known<'a>(
    desired: &'a Desired,
    balancers: &'a Balancers,
) -> impl Iterator<Item = (&'a Machine, &'a Balancer)> {
    let machines = desired.machines.iter();
    machines.filter_map(|machine| Some((machine, balancers.get(&machine.address)?)))
}

pub(in crate::core) fn priority(machine: &Machine) -> u8 {
    let files = machine.load_balancer.as_ref();
    let routers = files.into_iter().flat_map(|files| &files.vrrp.routers);
    routers.map(|router| router.priority).max().unwrap_or(0)
}

/// A majority of the control planes that have joined must be Ready.
pub(in crate::core) fn no_quorum(situation: &Situation<'_>, view: &ClusterView) -> Option<String> {
    let planes = situation.desired.control_planes().filter_map(|machine| {
        let facts = situation.facts.get(&machine.address)?;
        facts.member.as_ref()?;
        let node = view.nodes.get(&facts.hostname);
        Some((facts.hostname.as_str(), node.is_some_and(|node| node.ready)))
    });
    let planes: Vec<_> = planes.collect();
    let ready = planes.iter().filter(|(_, ready)| *ready).count();
    let missing = planes.iter().filter(|(_, ready)| !ready);
    let missing: Vec<&str> = missing.map(|(name, _)| *name).collect();
    (ready * 2 <= planes.len()).then(|| {
        format!(
            "only {ready} of {} control planes are Ready, no majority: {} must be well first",
            planes.len(),
            missing.join(", ")
        )
    })
}

/// The node's name, or its address while that is not known.
fn name(situation: &Situation<'_>, address: IpAddr) -> String {
    let facts = situation.facts.get(&address);
    facts.map_or_else(|| address.to_string(), |facts| facts.hostname.clone())
}
