//! What an update would change, node by node: for who only looks.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use super::maintenance::pauses;
use super::order::{bring, turns};
use super::removal::{Leaver, unlisted};
use super::settings::{NodeSettings, differences};
use super::wording::Wording;
use crate::core::cluster_view::ClusterView;
use crate::core::desired::{Desired, Machine};
use crate::core::facts::Facts;
use crate::core::plan::{self, Plan, Situation};
use crate::core::step::{ApiStep, Mark, Step};
use crate::lbnode::{self, Lbnode};
use crate::manifest::{NodeFile, PROXY_CONFIG, VRRP_CONFIG, cni};
use crate::oci::Archive;

/// What differs from the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Drift {
    /// Changes of each machine that was looked at; none: it is as the file says.
    pub machines: BTreeMap<IpAddr, Vec<String>>,
    /// Changes that are not about one machine of the file.
    pub cluster: Vec<String>,
    /// This program is of another release than most nodes, and no node binary was named: what is only worded otherwise, on
    /// the nodes or in the API, was left out.
    pub other_release: bool,
}

/// What was read of the machines, to compare them with the file.
#[derive(Debug, Clone)]
pub struct Inspected {
    /// Those that answered.
    pub facts: BTreeMap<IpAddr, Facts>,
    /// Settings of those whose API load balancer differs.
    pub settings: BTreeMap<IpAddr, NodeSettings>,
    /// The node binary that they should have, without the program itself.
    lbnode: Lbnode,
    /// Which one that is was said.
    named: bool,
}

impl Inspected {
    /// `lbnode`: what the machines should have; without it, what most of them have.
    pub fn new(facts: BTreeMap<IpAddr, Facts>, lbnode: Option<&Lbnode>) -> Self {
        let named = lbnode.is_some();
        let lbnode = lbnode.map_or_else(|| usual(&facts), outside);
        Self {
            facts,
            settings: BTreeMap::new(),
            lbnode,
            named,
        }
    }

    /// The node binary that the machines should have, without the program itself.
    pub fn lbnode(&self) -> &Lbnode {
        &self.lbnode
    }

    /// What the planner of an update looks at.
    pub fn situation<'a>(
        &'a self,
        desired: &'a Desired,
        view: Option<&'a ClusterView>,
    ) -> Situation<'a> {
        let mut facts = self.facts.values();
        Situation {
            desired,
            bundle: None,
            packages: None,
            lbnode: &self.lbnode,
            routed_network: facts.any(|facts| facts.files.contains_key(cni::CONFLIST)),
            facts: &self.facts,
            view,
        }
    }

    /// What an update would change; where no node binary was named, without what only another release makes of it.
    pub fn drift(&self, desired: &Desired, view: Option<&ClusterView>) -> Drift {
        let situation = self.situation(desired, view);
        drift(&situation, &self.settings, self.named)
    }
}

/// All that a plan needs to know of it.
fn outside(lbnode: &Lbnode) -> Lbnode {
    Lbnode {
        path: PathBuf::new(),
        architecture: lbnode.architecture.clone(),
        sha256: lbnode.sha256.clone(),
        version: lbnode.version.clone(),
        image: Archive {
            bytes: [].into(),
            digest: lbnode.image.digest.clone(),
        },
    }
}

/// What most machines have: one that was changed by hand stands out.
fn usual(facts: &BTreeMap<IpAddr, Facts>) -> Lbnode {
    let program = |facts: &Facts| {
        let file = facts.files.get(lbnode::INSTALLED)?;
        Some(file.sha256.clone())
    };
    Lbnode {
        path: PathBuf::new(),
        architecture: String::new(),
        sha256: most_frequent(facts.values().filter_map(program)),
        version: None,
        image: Archive {
            bytes: [].into(),
            digest: most_frequent(
                facts
                    .values()
                    .filter_map(|facts| facts.images.get(lbnode::IMAGE).cloned()),
            ),
        },
    }
}

fn most_frequent(values: impl Iterator<Item = String>) -> String {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for value in values {
        *counts.entry(value).or_default() += 1;
    }
    let most = counts.into_iter().max_by_key(|(_, count)| *count);
    most.map(|(value, _)| value).unwrap_or_default()
}

/// `settings`: of the nodes whose API load balancer differs; `named`: what they should have was said.
fn drift(
    situation: &Situation<'_>,
    settings: &BTreeMap<IpAddr, NodeSettings>,
    named: bool,
) -> Drift {
    // Who cannot see a control plane takes the cluster for one that is yet to be made.
    let plan = if plan::cluster_lives(situation.desired, situation.facts) {
        plan::plan_beside_members(situation)
    } else {
        Plan::default()
    };
    let mut planned: BTreeMap<IpAddr, Vec<&Step>> = BTreeMap::new();
    let (bring, turns) = (bring(situation), turns(situation));
    let stages = plan.stages.iter().flat_map(|stage| &stage.machines);
    for (address, steps) in bring.machines.iter().chain(&turns).chain(stages) {
        planned.entry(*address).or_default().extend(steps);
    }
    let wording = if named {
        Wording::default()
    } else {
        Wording::of_most(situation.facts, &planned)
    };
    let mut drift = Drift {
        other_release: wording.differs(),
        ..Drift::default()
    };
    for machine in &situation.desired.machines {
        let Some(facts) = situation.facts.get(&machine.address) else {
            continue;
        };
        let mut lines = Vec::new();
        if facts.member.is_none() {
            let role = machine.role.name();
            lines.push(format!("join the cluster as {role}"));
        } else {
            let steps = planned.get(&machine.address).map(Vec::as_slice);
            let steps = steps.unwrap_or_default();
            let settings = settings.get(&machine.address);
            let edited = steps
                .iter()
                .any(|step| edits(step, machine, facts, settings));
            let told = steps
                .iter()
                .filter(|step| !wording.explains(step, facts, edited));
            lines.extend(told.map(|step| described(step, machine, facts, settings)));
        }
        drift.machines.insert(machine.address, lines);
    }
    for stage in &plan.stages {
        for step in stage.first.iter().chain(&stage.api) {
            drift.note(situation, step);
        }
    }
    let pauses = pauses(situation);
    for pause in &pauses.begin {
        drift.of(pause.address, "take it out of service".to_owned());
    }
    for pause in &pauses.end {
        let since = pause.since.as_deref().unwrap_or("unknown");
        let line = format!("take it into service again; in maintenance since {since}");
        drift.of(pause.address, line);
    }
    let leave = |leaver: &Leaver| {
        let name = leaver.name();
        format!("remove the node {name}: the file does not have it")
    };
    drift.cluster.extend(unlisted(situation).iter().map(leave));
    drift
}

impl Drift {
    /// Nothing differs, as far as anything is known.
    pub fn is_empty(&self) -> bool {
        self.cluster.is_empty() && self.machines.values().all(Vec::is_empty)
    }

    fn of(&mut self, address: IpAddr, line: String) {
        self.machines.entry(address).or_default().push(line);
    }

    fn note(&mut self, situation: &Situation<'_>, step: &ApiStep) {
        let own = match step {
            ApiStep::Mark(mark) => Some((&mark.node, marked(mark))),
            ApiStep::Withdraw { node } => {
                Some((node, "hand its Service addresses over".to_owned()))
            }
            ApiStep::RemoveEtcdMember { .. } | ApiStep::DeleteNode { .. } => None,
        };
        let Some((name, line)) = own else {
            self.cluster.push(step.title());
            return;
        };
        let mut facts = situation.facts.iter();
        match facts.find(|(_, facts)| facts.hostname == *name) {
            Some((address, _)) => self.of(*address, line),
            None => self.cluster.push(step.title()),
        }
    }
}

fn marked(mark: &Mark) -> String {
    let labels = mark.labels.iter().map(|(key, value)| {
        if value.is_empty() {
            format!("label {key}")
        } else {
            format!("label {key}={value}")
        }
    });
    let added = mark.add_taints.iter();
    let added = added.map(|taint| format!("taint {}:{}", taint.key, taint.effect));
    let removed = mark.remove_taints.iter();
    let removed = removed.map(|key| format!("no taint {key}"));
    let all: Vec<String> = labels.chain(added).chain(removed).collect();
    format!("set {}", all.join(", "))
}

/// A step corrects settings that differ by more than their words.
fn edits(step: &Step, machine: &Machine, facts: &Facts, settings: Option<&NodeSettings>) -> bool {
    let Step::PutFile(file) = step else {
        return false;
    };
    let concerned = [VRRP_CONFIG, PROXY_CONFIG].contains(&file.path.as_str());
    concerned && (!has_other_content(file, facts) || changed(file, machine, settings) != REWORDED)
}

/// A file is there, and its content is another one.
pub(super) fn has_other_content(file: &NodeFile, facts: &Facts) -> bool {
    let known = facts.files.get(&file.path);
    known.is_some_and(|known| known.sha256 != file.sha256())
}

/// A step with what differs, where it writes a file.
fn described(
    step: &Step,
    machine: &Machine,
    facts: &Facts,
    settings: Option<&NodeSettings>,
) -> String {
    let title = step.title();
    let Step::PutFile(file) = step else {
        return title;
    };
    let why = match facts.files.get(&file.path) {
        None => "it is missing".to_owned(),
        Some(known) if known.sha256 == file.sha256() => {
            format!("its mode is {}, not {}", known.mode, file.mode)
        }
        Some(_) => changed(file, machine, settings),
    };
    format!("{title}: {why}")
}

const REWORDED: &str = "the same settings in other words";

/// Key by key for settings, as far as they differ by more than their words.
fn changed(file: &NodeFile, machine: &Machine, settings: Option<&NodeSettings>) -> String {
    let name = match file.path.as_str() {
        VRRP_CONFIG => "vrrp",
        PROXY_CONFIG => "proxy",
        _ => return "its content differs".to_owned(),
    };
    let (Some(settings), Some(wanted)) = (settings, &machine.load_balancer) else {
        return "its content differs".to_owned();
    };
    let mut all = differences(settings, wanted);
    all.retain(|difference| difference.starts_with(name));
    if all.is_empty() {
        REWORDED.to_owned()
    } else {
        all.join(", ")
    }
}
