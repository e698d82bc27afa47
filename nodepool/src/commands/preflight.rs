//! Looking at all machines, and `lbctl check preflight`.

use std::collections::BTreeMap;
use std::net::IpAddr;

use cluster_config::Cluster;
use serde::Serialize;

use super::software::Artefacts;
use super::target::Target;
use crate::cli;
use crate::core::cluster_view::ClusterView;
use crate::core::desired::Desired;
use crate::core::plan;
use crate::core::preflight::{
    self, Check, Done, Finding, NodeResult, Preflight, Reach, Severity, Verdict, network, software,
};
use crate::core::takeover;
use crate::error::{Exit, Failure};
use crate::run::{
    Fleet, Interrupt, World, lock, probe_network, rivals_in_cluster, run_number, try_front,
};
use crate::ui::{Progress, Table, Ui};

/// What is looked at.
#[derive(Clone, Copy)]
pub struct Look<'a> {
    /// The cluster file.
    pub cluster: &'a Cluster,
    /// What it asks for.
    pub desired: &'a Desired,
    /// What goes onto the machines.
    pub artefacts: &'a Artefacts,
    /// Replace a containerd configuration that somebody edited.
    pub replace_edited: bool,
    /// How long virtual routers of others are listened for.
    pub listening: network::Listening,
    /// The machines are nodes of this cluster, which others made.
    pub adopting: Option<&'a ClusterView>,
}

/// What looking at the machines has shown.
pub struct Looked {
    /// Machines by address.
    pub machines: BTreeMap<IpAddr, Reach>,
    /// What is not as it must be.
    pub findings: Vec<Finding>,
    /// What was checked.
    pub done: Done,
}

/// Looks at every machine and at their network; changes nothing.
///
/// # Errors
/// When the operator interrupts.
pub async fn look(world: &World<'_>, fleet: &Fleet<'_>, look: Look<'_>) -> Result<Looked, Failure> {
    let Look { artefacts, .. } = look;
    // Somebody works on those in maintenance: nothing is asked of them.
    let desired = &look.desired.in_service();
    for machine in look
        .desired
        .machines
        .iter()
        .filter(|machine| machine.maintenance)
    {
        let text = format!("{} is in maintenance and not looked at", machine.address);
        world.ui.note(&text);
    }
    let paths = plan::watched_paths(artefacts.bundle.as_ref());
    let machines = fleet.facts(artefacts.bundle.is_none(), &paths).await;
    let adopted = look
        .adopting
        .map(|view| takeover::adopted(desired, &machines, view));
    let preflight = Preflight {
        cluster: look.cluster,
        desired,
        bundle: artefacts.bundle.as_ref(),
        packages: artefacts.packages.as_ref(),
        lbnode: &artefacts.lbnode,
        routed_network: artefacts.cni.is_none() && look.adopting.is_none(),
        replace_edited: look.replace_edited,
        machines: adopted.as_ref().unwrap_or(&machines),
    };
    let mut findings = preflight::check(&preflight);
    let mut done = preflight::performed(&preflight);
    world.interrupt.check()?;

    let lbnode = &artefacts.lbnode;
    let survey = network::survey(desired, &machines, lbnode, run_number(), look.listening);
    if !survey.is_empty() {
        let progress = Progress::begin(world.ui, "look at the network");
        let judged = probe_network(fleet, &survey, lbnode, world.interrupt).await;
        progress.end();
        findings.extend(judged.findings);
        for (address, checks) in judged.done {
            done.entry(address).or_default().extend(checks);
        }
    }
    world.interrupt.check()?;
    if let Some(mut front) = preflight::front::front(desired, &machines, lbnode) {
        let progress = Progress::begin(world.ui, "try the way through the load balancer");
        try_front(fleet, &mut front, lbnode, world.interrupt).await;
        progress.end();
        world.interrupt.check()?;
        let (found, checked) = front.judge();
        findings.extend(found);
        for (address, checks) in checked {
            done.entry(address).or_default().extend(checks);
        }
    }
    Ok(Looked {
        machines,
        findings,
        done,
    })
}

/// An error that holds every finding when one of them forbids to go on; warnings are only noted.
pub(super) fn refuse(looked: &Looked, desired: &Desired, ui: Ui) -> Result<(), Failure> {
    let findings = &looked.findings;
    let fails = preflight::fails(findings);
    if !fails {
        for paragraph in paragraphs(findings) {
            ui.note(&paragraph);
        }
        return Ok(());
    }
    ui.say(&text(looked, desired));
    let count = findings
        .iter()
        .filter(|finding| finding.severity == Severity::Fail)
        .count();
    let problems = if count == 1 { "problem" } else { "problems" };
    Err(Failure::failed(format!(
        "preflight found {count} {problems}; nothing was changed"
    )))
}

/// Machines named for one finding.
const NAMED: usize = 8;

/// Every finding with what to do about it; what holds for several machines is said once.
fn paragraphs(findings: &[Finding]) -> Vec<String> {
    let same = |one: &Finding, other: &Finding| {
        (one.severity, one.check) == (other.severity, other.check)
            && (&one.cause, &one.fix) == (&other.cause, &other.fix)
    };
    let mut groups: Vec<Vec<&Finding>> = Vec::new();
    for finding in findings {
        match groups.iter_mut().find(|group| same(group[0], finding)) {
            Some(group) => group.push(finding),
            None => groups.push(vec![finding]),
        }
    }
    groups.iter().map(|group| describe(group)).collect()
}

/// One finding of these machines.
fn describe(group: &[&Finding]) -> String {
    let Some(finding) = group.first() else {
        return String::new();
    };
    let place = |finding: &&Finding| match (&finding.node, finding.address) {
        (Some(node), Some(address)) => format!("{node} ({address})"),
        (None, Some(address)) => address.to_string(),
        _ => "here".to_owned(),
    };
    let mut places = group.iter().take(NAMED).map(place).collect::<Vec<_>>();
    if group.len() > NAMED {
        places.push(format!("{} more", group.len() - NAMED));
    }
    let word = match finding.severity {
        Severity::Warn => "warning",
        Severity::Fail => "error",
    };
    format!(
        "{word}: {}: {} [{}]\n  hint: {}",
        places.join(", "),
        finding.cause,
        finding.check.name(),
        finding.fix
    )
}

impl Looked {
    fn results(&self, desired: &Desired) -> Vec<NodeResult> {
        preflight::assess(desired, &self.machines, &self.findings, &self.done)
    }
}

/// Nodes side by side.
const COLUMNS: usize = 6;
/// With more machines, only those that have findings are shown.
const SHOWN: usize = 12;

/// A table of checks and nodes, then every finding with what to do about it.
fn text(looked: &Looked, desired: &Desired) -> String {
    let mut results = looked.results(desired);
    let all = results.len();
    if all > SHOWN {
        results.retain(|node| node.result != Verdict::Pass);
    }
    let mut text = String::new();
    for block in results.chunks(COLUMNS) {
        text.push_str(&format!("{}\n", table(block)));
    }
    if all > results.len() {
        let rest = all - results.len();
        text.push_str(&format!("{rest} machines passed every check\n\n"));
    }
    for line in software::lines(&looked.machines) {
        text.push_str(&format!("{line}\n"));
    }
    for paragraph in paragraphs(&looked.findings) {
        text.push_str(&format!("{paragraph}\n"));
    }
    text
}

fn table(nodes: &[NodeResult]) -> Table {
    let cells = |of: &dyn Fn(&NodeResult) -> String| nodes.iter().map(of).collect::<Vec<_>>();
    let head = cells(&|node| {
        node.node
            .clone()
            .unwrap_or_else(|| node.address.to_string())
    });
    let mut table = Table::with_head(std::iter::once("CHECK".to_owned()).chain(head));
    let mut row = |name: &str, cells: Vec<String>| {
        table.row(std::iter::once(name.to_owned()).chain(cells));
    };
    let word = |verdict: Option<&Verdict>| verdict.map_or("-", |verdict| verdict.as_str());
    for check in Check::ALL {
        if nodes.iter().any(|node| node.checks.contains_key(check)) {
            let verdicts = cells(&|node| word(node.checks.get(check)).to_owned());
            row(check.name(), verdicts);
        }
    }
    let results = cells(&|node| {
        let made = (!node.checks.is_empty()).then_some(&node.result);
        word(made).to_owned()
    });
    row("RESULT", results);
    table
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Listing<'a> {
    result: Verdict,
    nodes: Vec<NodeResult>,
    findings: &'a [Finding],
}

pub(super) async fn run(args: &cli::CheckPreflight, ui: Ui) -> Result<(), Failure> {
    const COMMAND: &str = "check preflight";
    let target = Target::open(&args.target, COMMAND, ui)?;
    let artefacts = Artefacts::load(&args.software)?;
    let interrupt = Interrupt::install(ui);
    let world = target.world(ui, &interrupt);
    let fleet = Fleet::connect(&world, &target.desired).await?;
    // Two that look at one network at the same time would take each other for strangers.
    let locks = lock(&world, &fleet, COMMAND).await?;
    let input = Look {
        cluster: &target.cluster,
        desired: &target.desired,
        artefacts: &artefacts,
        replace_edited: false,
        listening: network::Listening::Long,
        adopting: None,
    };
    let mut looked = look(&world, &fleet, input).await?;
    if !target.desired.external {
        let rivals = rivals_in_cluster(&world, &fleet, &target.desired, &looked.machines).await;
        looked.findings.extend(rivals);
    }
    drop(locks);
    let fails = preflight::fails(&looked.findings);
    let nodes = looked.results(&target.desired);
    match args.output {
        cli::Output::Table => ui.result(&text(&looked, &target.desired))?,
        form => {
            let worst = nodes.iter().map(|node| node.result).max();
            let listing = Listing {
                result: worst.unwrap_or(Verdict::Pass),
                nodes,
                findings: &looked.findings,
            };
            ui.listing(form, &listing)?;
        }
    }
    if fails {
        Err(Failure::silent(Exit::Failed))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
