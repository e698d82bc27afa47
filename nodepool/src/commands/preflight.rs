//! Looking at all machines, and `lbctl check preflight`.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Serialize;

use super::software::Artefacts;
use super::target::Target;
use crate::cli;
use crate::core::desired::Desired;
use crate::core::from_config;
use crate::core::plan;
use crate::core::preflight::{self, Finding, Preflight, Reach, Severity};
use crate::error::{Exit, Failure};
use crate::run::{Fleet, Interrupt, probe_vips};
use crate::ui::{Table, Ui};

/// What looking at the machines has shown.
pub struct Looked {
    /// Machines by address.
    pub machines: BTreeMap<IpAddr, Reach>,
    /// What is not as it must be.
    pub findings: Vec<Finding>,
}

/// Looks at every machine and at the virtual IPs; changes nothing.
pub async fn look(
    fleet: &Fleet<'_>,
    desired: &Desired,
    artefacts: &Artefacts,
    replace_edited: bool,
) -> Looked {
    let paths = plan::watched_paths(artefacts.bundle.as_ref());
    let machines = fleet.facts(artefacts.bundle.is_none(), &paths).await;
    let mut findings = preflight::check(&Preflight {
        desired,
        bundle: artefacts.bundle.as_ref(),
        lbnode: &artefacts.lbnode,
        routed_network: artefacts.cni.is_none(),
        replace_edited,
        machines: &machines,
    });
    let reached = desired.machines.iter().filter(|machine| {
        let arch =
            |facts: &crate::core::facts::Facts| facts.architecture == artefacts.lbnode.architecture;
        matches!(machines.get(&machine.address), Some(Reach::Up(facts)) if arch(facts))
    });
    let reachable = Desired {
        machines: reached.cloned().collect(),
        ..desired.clone()
    };
    findings.extend(probe_vips(fleet, &reachable, &artefacts.lbnode, &machines).await);
    Looked { machines, findings }
}

/// An error that holds every finding when one of them forbids to go on; warnings are only noted.
pub(super) fn refuse(
    findings: &[Finding],
    desired: &Desired,
    machines: &BTreeMap<IpAddr, Reach>,
    ui: Ui,
) -> Result<(), Failure> {
    let fails = preflight::fails(findings);
    if !fails {
        for finding in findings {
            ui.note(&describe(finding));
        }
        return Ok(());
    }
    ui.say(&table(findings, desired, machines).to_string());
    for finding in findings {
        ui.say(&describe(finding));
    }
    let count = findings
        .iter()
        .filter(|finding| finding.severity == Severity::Fail)
        .count();
    let problems = if count == 1 { "problem" } else { "problems" };
    Err(Failure::failed(format!(
        "preflight found {count} {problems}; nothing was changed"
    )))
}

fn describe(finding: &Finding) -> String {
    let place = match (&finding.node, finding.address) {
        (Some(node), Some(address)) => format!("{node} ({address})"),
        (None, Some(address)) => address.to_string(),
        _ => "here".to_owned(),
    };
    let word = match finding.severity {
        Severity::Warn => "warning",
        Severity::Fail => "error",
    };
    format!(
        "{word}: {place}: {} [{}]\n  hint: {}",
        finding.cause, finding.check, finding.fix
    )
}

fn table(findings: &[Finding], desired: &Desired, machines: &BTreeMap<IpAddr, Reach>) -> Table {
    let mut table = Table::new(["NODE", "ADDRESS", "ROLE", "RESULT", "CHECKS"]);
    for machine in &desired.machines {
        let mine = || {
            findings
                .iter()
                .filter(|finding| finding.address == Some(machine.address))
        };
        let result = match mine().map(|finding| finding.severity).max() {
            None => "PASS",
            Some(Severity::Warn) => "WARN",
            Some(Severity::Fail) => "FAIL",
        };
        let mut checks: Vec<&str> = mine().map(|finding| finding.check).collect();
        checks.dedup();
        let node = match machines.get(&machine.address) {
            Some(Reach::Up(facts)) => facts.hostname.clone(),
            _ => "-".to_owned(),
        };
        table.row([
            node,
            machine.address.to_string(),
            machine.role.name().to_owned(),
            result.to_owned(),
            checks.join(", "),
        ]);
    }
    table
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Listing<'a> {
    result: &'static str,
    findings: &'a [Finding],
}

pub(super) async fn run(args: &cli::CheckPreflight, ui: Ui) -> Result<(), Failure> {
    let target = Target::open(&args.target, "check preflight", ui)?;
    let artefacts = Artefacts::load(&args.software)?;
    from_config::supported(&target.cluster, &target.desired)
        .map_err(|reason| Failure::new(Exit::Config, reason.to_string()).hint(reason.hint()))?;
    let interrupt = Interrupt::install(ui);
    let world = target.world(ui, &interrupt);
    let fleet = Fleet::connect(&world, &target.desired).await?;
    let looked = look(&fleet, &target.desired, &artefacts, false).await;
    let fails = preflight::fails(&looked.findings);
    let listing = Listing {
        result: if fails { "FAIL" } else { "PASS" },
        findings: &looked.findings,
    };
    match args.output {
        cli::Output::Table => {
            ui.result(&table(&looked.findings, &target.desired, &looked.machines).to_string())?;
            for finding in &looked.findings {
                ui.result(&(describe(finding) + "\n"))?;
            }
        }
        form => ui.listing(form, &listing)?,
    }
    if fails {
        Err(Failure::silent(Exit::Failed))
    } else {
        Ok(())
    }
}
