//! Which check had which result on which machine.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde::Serialize;

use super::software::found;
use super::{Check, Finding, Reach, Severity};
use crate::core::desired::{Desired, Machine};

/// What was checked, machine by machine. What is missing was not: it does not concern the machine, or it could not be
/// looked at.
pub type Done = BTreeMap<IpAddr, BTreeSet<Check>>;

/// One machine's results.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeResult {
    /// Its SSH address.
    pub address: IpAddr,
    /// Host name, when it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// What it is in the cluster.
    pub role: &'static str,
    /// The worst of its checks.
    pub result: Verdict,
    /// Each check that was made.
    pub checks: BTreeMap<Check, Verdict>,
    /// Kubernetes' programs and containerd, as far as they are there, with their versions.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub software: BTreeMap<&'static str, String>,
}

/// Outcome of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Verdict {
    /// As it must be.
    Pass,
    /// Worth knowing.
    Warn,
    /// Nothing is begun.
    Fail,
}

impl Verdict {
    /// For tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::Warn => "WARN",
            Self::Fail => "FAIL",
        }
    }
}

impl From<Severity> for Verdict {
    fn from(severity: Severity) -> Self {
        match severity {
            Severity::Warn => Self::Warn,
            Severity::Fail => Self::Fail,
        }
    }
}

/// Results of all machines, in the file's order.
pub fn assess(
    desired: &Desired,
    machines: &BTreeMap<IpAddr, Reach>,
    findings: &[Finding],
    done: &Done,
) -> Vec<NodeResult> {
    let node = |machine: &Machine| match machines.get(&machine.address) {
        Some(Reach::Up(facts)) => Some(facts.hostname.clone()),
        _ => None,
    };
    let software = |machine: &Machine| match machines.get(&machine.address) {
        Some(Reach::Up(facts)) => found(facts),
        _ => BTreeMap::new(),
    };
    let results = desired.machines.iter().map(|machine| {
        let done = done.get(&machine.address).into_iter().flatten();
        let mut checks: BTreeMap<Check, Verdict> =
            done.map(|check| (*check, Verdict::Pass)).collect();
        let mine = findings
            .iter()
            .filter(|finding| finding.address == Some(machine.address));
        for finding in mine {
            let verdict = checks.entry(finding.check).or_insert(Verdict::Pass);
            *verdict = (*verdict).max(finding.severity.into());
        }
        NodeResult {
            address: machine.address,
            node: node(machine),
            role: machine.role.name(),
            result: checks.values().copied().max().unwrap_or(Verdict::Pass),
            checks,
            software: software(machine),
        }
    });
    results.collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{desired, good};
    use super::*;

    #[test]
    fn the_worst_finding_of_a_check_counts_and_what_was_not_done_is_missing() {
        let desired = desired();
        let [first, second, third] = [0, 1, 2].map(|at| desired.machines[at].address);
        let facts = good(&desired.machines[0], "cp1");
        let machines = BTreeMap::from([(first, Reach::Up(Box::new(facts)))]);
        let finding = |address, check, severity| Finding {
            severity,
            address: Some(address),
            node: None,
            check,
            cause: String::new(),
            fix: String::new(),
        };
        let findings = [
            finding(first, Check::Clock, Severity::Fail),
            finding(first, Check::Clock, Severity::Warn),
            finding(second, Check::Ssh, Severity::Fail),
        ];
        let done = Done::from([(first, BTreeSet::from([Check::Clock, Check::Swap]))]);
        let results = assess(&desired, &machines, &findings, &done);
        let expected =
            BTreeMap::from([(Check::Clock, Verdict::Fail), (Check::Swap, Verdict::Pass)]);
        assert_eq!(results[0].checks, expected);
        assert_eq!(results[0].node.as_deref(), Some("cp1"));
        assert_eq!(
            (results[0].result, results[1].result),
            (Verdict::Fail, Verdict::Fail)
        );
        assert_eq!(
            results[1].checks,
            BTreeMap::from([(Check::Ssh, Verdict::Fail)])
        );
        assert_eq!((results[2].address, results[2].checks.len()), (third, 0));
    }
}
