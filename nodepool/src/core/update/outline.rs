//! What an update is going to do, in words.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::removal::joiners;
use super::settings::{NodeSettings, differences};
use crate::core::plan::{Plan, Situation, Stage, StageName};
use crate::core::step::{ApiStep, Step};

/// Lines for the operator; empty: nothing to do. `bring` and `turns` as planned, `settings` of the nodes in them,
/// `plan` of everything else.
pub fn outline(
    situation: &Situation<'_>,
    bring: &Stage,
    turns: &BTreeMap<IpAddr, Vec<Step>>,
    settings: &BTreeMap<IpAddr, NodeSettings>,
    plan: &Plan,
) -> Vec<String> {
    let mut lines = Vec::new();
    let name = |address: &IpAddr| {
        let facts = situation.facts.get(address);
        facts.map_or_else(|| address.to_string(), |facts| facts.hostname.clone())
    };
    let names = |addresses: Vec<&IpAddr>| {
        let names: Vec<String> = addresses.into_iter().map(name).collect();
        names.join(", ")
    };
    if !bring.machines.is_empty() {
        lines.push(format!(
            "bring lbnode and its image to {}",
            names(bring.machines.keys().collect())
        ));
        lines.extend(versions(situation, bring, settings, &names));
    }
    if !turns.is_empty() {
        lines.push(format!(
            "restart the API load balancer, one node at a time, on {}",
            names(turns.keys().collect())
        ));
    }
    // What is the same on several nodes is said once.
    let mut changes: BTreeMap<String, Vec<&IpAddr>> = BTreeMap::new();
    for (address, settings) in settings {
        let machine = situation.desired.machine(*address);
        let wanted = machine.and_then(|machine| machine.load_balancer.as_ref());
        for change in wanted.map_or_else(Vec::new, |wanted| differences(settings, wanted)) {
            changes.entry(change).or_default().push(address);
        }
    }
    for (change, addresses) in changes {
        lines.push(format!("  {change} ({})", names(addresses)));
    }
    let joins = |stage: &Stage| stage.name <= StageName::JoinWorkers;
    let joiners = joiners(situation.desired, situation.facts);
    for machine in joiners.filter(|_| plan.stages.iter().any(joins)) {
        let address = machine.address;
        let (name, role) = (name(&address), machine.role.name());
        lines.push(format!("join {name} ({address}) as {role}"));
        if situation.desired.external && machine.is_control_plane() {
            let back_end = situation.desired.api_server(machine);
            lines.push(format!(
                "  make {back_end} a back end of your load balancer"
            ));
        }
    }
    for stage in &plan.stages {
        let through_api = stage.first.iter().chain(&stage.api);
        lines.extend(through_api.map(ApiStep::title));
        let members = stage.machines.iter().filter(|(address, _)| {
            let facts = situation.facts.get(address);
            facts.is_some_and(|facts| facts.member.is_some())
        });
        for (address, steps) in members {
            let titles: Vec<String> = steps.iter().map(Step::title).collect();
            lines.push(format!("{}: {}", name(address), titles.join(", ")));
        }
    }
    lines
}

/// Which lbnode takes the place of which, a line each.
fn versions(
    situation: &Situation<'_>,
    bring: &Stage,
    settings: &BTreeMap<IpAddr, NodeSettings>,
    names: &dyn Fn(Vec<&IpAddr>) -> String,
) -> Vec<String> {
    let new = situation.lbnode.version.as_deref().unwrap_or("unknown");
    let mut olds: BTreeMap<&str, Vec<&IpAddr>> = BTreeMap::new();
    for address in bring.machines.keys() {
        let old = settings
            .get(address)
            .and_then(|known| known.lbnode.as_deref());
        olds.entry(old.unwrap_or("none")).or_default().push(address);
    }
    let line = |(old, addresses): (&str, Vec<&IpAddr>)| {
        let names = names(addresses);
        if old == new {
            format!("  lbnode {old}: another build of it ({names})")
        } else {
            format!("  lbnode {old} -> {new} ({names})")
        }
    };
    olds.into_iter().map(line).collect()
}
