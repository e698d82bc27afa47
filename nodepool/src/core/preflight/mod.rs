//! What must be true before anything is changed: facts → findings, all of all machines at once.

mod machine;
mod ports;
mod together;

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Serialize;

use super::desired::Desired;
use super::facts::Facts;
use crate::bundle::Bundle;
use crate::lbnode::Lbnode;

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
    /// Stable name of the check.
    pub check: &'static str,
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
        /// Stable name of the check that failed.
        check: &'static str,
        /// In words.
        cause: String,
        /// What to do.
        fix: String,
    },
    /// Its facts are known.
    Up(Box<Facts>),
}

/// An answer to the question who has a virtual IP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VipAnswer {
    /// The virtual IP.
    pub vip: IpAddr,
    /// MAC address of whoever answered.
    pub mac: String,
    /// Interface of the asking machine.
    pub interface: String,
}

/// Everything the checks look at.
#[derive(Debug, Clone, Copy)]
pub struct Preflight<'a> {
    /// What should be.
    pub desired: &'a Desired,
    /// Software for the machines, if any.
    pub bundle: Option<&'a Bundle>,
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
                machine::check(preflight, machine, &mut notes);
                ports::check(preflight.desired, machine, &mut notes);
            }
            Some(Reach::Down { check, cause, fix }) => findings.push(Finding {
                severity: Severity::Fail,
                address: Some(machine.address),
                node: None,
                check,
                cause: cause.clone(),
                fix: fix.clone(),
            }),
            None => {}
        }
    }
    together::check(preflight, &mut findings);
    findings
}

/// Findings for the answers to the question who has the virtual IPs. `asked`: machine by address.
pub fn vip_answers(
    answers: &BTreeMap<IpAddr, Vec<VipAnswer>>,
    node: impl Fn(IpAddr) -> Option<String>,
) -> Vec<Finding> {
    let answers = answers
        .iter()
        .flat_map(|(asked, answers)| answers.iter().map(move |a| (asked, a)));
    answers
        .map(|(asked, answer)| Finding {
            severity: Severity::Fail,
            address: Some(*asked),
            node: node(*asked),
            check: "vip-free",
            cause: format!(
                "the virtual IP {} is already in use: {} answers for it on {}",
                answer.vip, answer.mac, answer.interface
            ),
            fix: format!(
                "find the machine with MAC {} and take {} off it, or choose another address for `controlPlaneVIP`",
                answer.mac, answer.vip
            ),
        })
        .collect()
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
    fn fail(&mut self, check: &'static str, cause: impl Into<String>, fix: impl Into<String>) {
        self.note(Severity::Fail, check, cause.into(), fix.into());
    }

    fn warn(&mut self, check: &'static str, cause: impl Into<String>, fix: impl Into<String>) {
        self.note(Severity::Warn, check, cause.into(), fix.into());
    }

    fn note(&mut self, severity: Severity, check: &'static str, cause: String, fix: String) {
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
