//! What must be true before anything is changed: facts → findings, all of all machines at once.
//!
//! Machines by themselves: `system`, [`software`], `machine`, `surroundings`, `ports`. Machines beside each other: `together`,
//! `networks`. What only the network can tell: [`network`], which plans what the machines ask of it and judges the
//! answers; and [`front`], where the API's load balancer is somebody else's.

mod assessment;
mod check;
pub mod front;
mod machine;
pub mod network;
mod networks;
mod ports;
pub mod software;
mod surroundings;
mod system;
mod together;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

pub use assessment::{Done, NodeResult, Verdict, assess};
pub use check::Check;
use cluster_config::Cluster;

use serde::Serialize;

use super::desired::Desired;
use super::facts::Facts;
use crate::bundle::Bundle;
use crate::lbnode::Lbnode;
use crate::packages::Packages;

/// Something that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// Machine by address; absent: the operator's side.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// Host name, when it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Which check.
    pub check: Check,
    /// What is wrong.
    pub cause: String,
    /// What to do.
    pub fix: String,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Severity {
    /// Worth knowing.
    Warn,
    /// Nothing is begun.
    Fail,
}

/// How far a machine could be looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// Not at all.
    Down {
        /// The check that failed.
        check: Check,
        /// In words.
        cause: String,
        /// What to do.
        fix: String,
    },
    /// Its facts are known.
    Up(Box<Facts>),
}

/// Everything the checks look at.
#[derive(Debug, Clone, Copy)]
pub struct Preflight<'a> {
    /// The cluster file.
    pub cluster: &'a Cluster,
    /// What it asks for.
    pub desired: &'a Desired,
    /// Software for the machines, if any.
    pub bundle: Option<&'a Bundle>,
    /// Packages of the machines' distribution to install where they are missing.
    pub packages: Option<&'a Packages>,
    /// The node binary.
    pub lbnode: &'a Lbnode,
    /// The routed pod network is wanted.
    pub routed_network: bool,
    /// A containerd configuration that somebody edited may be replaced.
    pub replace_edited: bool,
    /// The machines.
    pub machines: &'a BTreeMap<IpAddr, Reach>,
}

/// Runs every check; the worst first, then by machine in the file's order.
pub fn check(preflight: &Preflight<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for machine in &preflight.desired.machines {
        match preflight.machines.get(&machine.address) {
            Some(Reach::Up(facts)) => {
                let mut notes = Notes {
                    address: machine.address,
                    facts,
                    findings: &mut findings,
                };
                system::check(machine, &mut notes);
                software::check(preflight, &mut notes);
                machine::check(preflight, machine, &mut notes);
                surroundings::check(preflight.desired, machine, &mut notes);
                ports::check(preflight.desired, machine, &mut notes);
            }
            Some(Reach::Down { check, cause, fix }) => findings.push(Finding {
                severity: Severity::Fail,
                address: Some(machine.address),
                node: None,
                check: *check,
                cause: cause.clone(),
                fix: fix.clone(),
            }),
            None => {}
        }
    }
    together::check(preflight, &mut findings);
    networks::check(preflight, &mut findings);
    findings
}

/// What [`check()`] looks at on each machine that could be reached.
pub fn performed(preflight: &Preflight<'_>) -> Done {
    let mut done = Done::new();
    for machine in &preflight.desired.machines {
        if let Some(Reach::Up(facts)) = preflight.machines.get(&machine.address) {
            let carries = machine.load_balancer.is_some() || machine.lbnode;
            let concerns = |check: &Check| match check {
                Check::Sudo => facts.uid == 0,
                Check::RpFilter | Check::StrictArp | Check::VipSubnet => carries,
                Check::PoolSubnet => machine.lbnode,
                Check::SameNetwork => carries || machine.is_control_plane(),
                Check::CniPlugins => preflight.routed_network,
                Check::BundleArchitecture => preflight.bundle.is_some(),
                Check::VipFree | Check::OtherBalancer => !preflight.desired.external,
                other => *other < Check::Probe,
            };
            let checks: BTreeSet<Check> = Check::ALL
                .iter()
                .copied()
                .filter(|check| concerns(check))
                .collect();
            done.insert(machine.address, checks);
        }
    }
    done
}

/// Whether anything forbids to go on.
pub fn fails(findings: &[Finding]) -> bool {
    findings
        .iter()
        .any(|finding| finding.severity == Severity::Fail)
}

/// Collects findings about one machine.
struct Notes<'a> {
    address: IpAddr,
    facts: &'a Facts,
    findings: &'a mut Vec<Finding>,
}

impl Notes<'_> {
    fn fail(&mut self, check: Check, cause: impl Into<String>, fix: impl Into<String>) {
        self.note(Severity::Fail, check, cause.into(), fix.into());
    }

    fn warn(&mut self, check: Check, cause: impl Into<String>, fix: impl Into<String>) {
        self.note(Severity::Warn, check, cause.into(), fix.into());
    }

    fn note(&mut self, severity: Severity, check: Check, cause: String, fix: String) {
        self.findings.push(Finding {
            severity,
            address: Some(self.address),
            node: Some(self.facts.hostname.clone()),
            check,
            cause,
            fix,
        });
    }
}

#[cfg(test)]
mod tests;
