//! What speakers report of themselves through the API, and what it says of an address.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use crate::core::{
    atlas::Atlas,
    condition::{Condition, ConditionType, announced, reachable},
    ownership::NodeView,
    peers::state::{Fitness, NodeState, Phase},
    segment::Interface,
    service::ServiceKey,
};

/// An address as its owner reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportedAddress {
    /// Term of the claim: of two reports the higher one counts.
    pub term: u64,
    /// Interface by name.
    pub interface: String,
    /// Hardware address in its usual notation.
    pub mac: String,
    /// Another machine that answers for it as well, by hardware address, or a speaker that is not heard.
    pub conflict: Option<String>,
}

/// What one speaker reports.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Addresses it has.
    pub addresses: BTreeMap<IpAddr, ReportedAddress>,
    /// Interfaces on which it could serve.
    pub interfaces: Vec<Interface>,
    /// Other speakers it does not hear.
    pub silent: BTreeSet<String>,
}

/// The reports of all speakers, by node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reports {
    reports: BTreeMap<String, Report>,
}

/// Addresses about which something else may have to be said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Affected {
    /// These.
    These(BTreeSet<IpAddr>),
    /// All, also those that nobody has.
    All,
}

impl Reports {
    /// Sets what the speaker of `node` reports; `None`: it reports nothing any more.
    pub fn set(&mut self, node: &str, report: Option<Report>) -> Affected {
        let before = match report {
            Some(report) => self.reports.insert(node.to_owned(), report),
            None => self.reports.remove(node),
        };
        let (before, after) = match (before, self.reports.get(node)) {
            (None, None) => return Affected::These(BTreeSet::new()),
            (Some(before), Some(after)) => (before, after),
            // Of an address that nobody has it is told why: where it could be, and who hears whom.
            _ => return Affected::All,
        };
        if before.silent != after.silent || before.interfaces != after.interfaces {
            return Affected::All;
        }
        let both = before.addresses.keys().chain(after.addresses.keys());
        let changed = both.filter(|one| before.addresses.get(one) != after.addresses.get(one));
        Affected::These(changed.copied().collect())
    }

    /// Whether no speaker reports anything.
    pub fn is_empty(&self) -> bool {
        self.reports.is_empty()
    }

    /// Who has `address`, and what is reported of it.
    pub fn owner(&self, address: IpAddr) -> Option<(&str, &ReportedAddress)> {
        let claims = self.reports.iter().filter_map(|(node, report)| {
            let reported = report.addresses.get(&address)?;
            (!self.is_silent(node)).then_some((node.as_str(), reported))
        });
        claims.max_by_key(|(_, reported)| reported.term)
    }

    /// Whether more of the others miss a speaker than hear it: what it reported last is history.
    fn is_silent(&self, node: &str) -> bool {
        let others = || self.reports.iter().filter(|(other, _)| *other != node);
        let missed = others()
            .filter(|(_, report)| report.silent.contains(node))
            .count();
        missed * 2 > others().count()
    }

    /// `Announced` and `Reachable` of a Service with `addresses`.
    pub fn conditions(
        &self,
        atlas: &Atlas,
        key: &ServiceKey,
        addresses: &[IpAddr],
    ) -> [Condition; 2] {
        let announced = self.announced(atlas, addresses);
        let reachable = self.reachable(atlas, key, addresses, &announced);
        [announced, reachable]
    }

    fn announced(&self, atlas: &Atlas, addresses: &[IpAddr]) -> Condition {
        let unmet =
            |reason, message: String| Condition::unmet(ConditionType::Announced, reason, message);
        if addresses.is_empty() {
            return unmet(announced::NOT_ALLOCATED, "it has no address yet".to_owned());
        }
        let mut words = Vec::new();
        for address in addresses {
            let Some((node, reported)) = self.owner(*address) else {
                let (reason, why) = self.why_not(atlas, *address);
                return unmet(reason, format!("{address} is not announced: {why}"));
            };
            let ReportedAddress { interface, mac, .. } = reported;
            words.push(format!("{address} by {node} on {interface} ({mac})"));
        }
        Condition::met(
            ConditionType::Announced,
            announced::ANNOUNCED,
            words.join(", "),
        )
    }

    fn why_not(&self, atlas: &Atlas, address: IpAddr) -> (&'static str, String) {
        let directory = atlas.directory();
        let wanted = directory.addresses.get(&address);
        let Some(wanted) = wanted.filter(|wanted| !wanted.reaches.is_empty()) else {
            let why = "no L2Advertisement selects its pool and this Service: make one that names the pool in `spec.pools`, or one with an empty `spec`, which selects everything".to_owned();
            return (announced::NO_ADVERTISEMENT, why);
        };
        if directory.nodes.is_empty() {
            let label = crate::core::LOAD_BALANCER_NODE_LABEL;
            let why = format!(
                "no node has the label {label}: `kubectl label node NODE {label}=true` lets a node announce"
            );
            return (announced::NO_LOAD_BALANCER_NODE, why);
        }
        let selected = |node: &str| {
            directory.nodes.contains(node)
                && wanted
                    .reaches
                    .iter()
                    .any(|reach| reach.nodes.contains(node))
        };
        let running: Vec<_> = self
            .reports
            .iter()
            .filter(|(node, _)| selected(node) && !self.is_silent(node))
            .collect();
        if running.is_empty() {
            if let Some((one, other)) = self.apart(selected) {
                let why = format!(
                    "the speakers of {one} and {other} do not hear each other: let UDP 7946 pass between them, in both directions"
                );
                return (announced::NO_ELIGIBLE_NODE, why);
            }
            let why = "no node that an L2Advertisement selects runs a speaker: see its `spec.nodeSelectors`, and `kubectl get speakers`".to_owned();
            return (announced::NO_ELIGIBLE_NODE, why);
        }
        let connected = |report: &Report| {
            let mut interfaces = report.interfaces.iter().filter(|interface| interface.up);
            interfaces.any(|interface| {
                wanted
                    .reaches
                    .iter()
                    .any(|reach| reach.interfaces.admits(interface, address))
            })
        };
        if !running.iter().any(|(_, report)| connected(report)) {
            let names: Vec<_> = running.iter().map(|(node, _)| node.as_str()).collect();
            let why = format!(
                "no interface that is up has it in its network, or the L2Advertisement's `spec.interfaces` leaves it out, on {}",
                names.join(", ")
            );
            return (announced::NO_INTERFACE_MATCHED, why);
        }
        let fit = |(node, report): &&(&String, &Report)| {
            let state = NodeState {
                phase: Phase::Serving,
                interfaces: report.interfaces.clone(),
                ..NodeState::default()
            };
            let view = NodeView {
                name: node,
                state: &state,
                deaf: false,
            };
            directory.fitness(address, view) > Fitness::Unfit
        };
        if running.iter().any(|one| fit(&one)) {
            return (announced::PENDING, "a node is about to take it".to_owned());
        }
        let why = "externalTrafficPolicy is Local, and no node that may announce it has a ready endpoint: run a pod there, or use Cluster";
        (announced::NO_LOCAL_ENDPOINTS, why.to_owned())
    }

    /// Two of the selected nodes whose speakers miss each other.
    fn apart(&self, selected: impl Fn(&str) -> bool) -> Option<(&str, &str)> {
        let misses = |one: &str, other: &str| {
            let report = self.reports.get(one);
            report.is_some_and(|report| report.silent.contains(other))
        };
        let nodes = || self.reports.keys().map(String::as_str);
        let selected = |node: &&str| selected(node);
        nodes().filter(selected).find_map(|one| {
            let other = nodes().find(|other| misses(one, other) && misses(other, one))?;
            Some((one, other))
        })
    }

    fn reachable(
        &self,
        atlas: &Atlas,
        key: &ServiceKey,
        addresses: &[IpAddr],
        announced: &Condition,
    ) -> Condition {
        let unmet =
            |reason, message: String| Condition::unmet(ConditionType::Reachable, reason, message);
        if !announced.holds {
            return unmet(
                reachable::NOT_ANNOUNCED,
                "nobody answers for its addresses".to_owned(),
            );
        }
        let conflict = addresses.iter().find_map(|address| {
            let (node, reported) = self.owner(*address)?;
            Some((*address, node, reported.conflict.as_ref()?))
        });
        if let Some((address, node, mac)) = conflict {
            return unmet(
                reachable::ADDRESS_CONFLICT,
                format!(
                    "{mac} answers for {address}, too (seen by {node}): find that machine, or let UDP 7946 pass if it is a speaker"
                ),
            );
        }
        if !atlas.has_ready_endpoint(key) {
            return unmet(
                reachable::NO_ENDPOINTS,
                "it has no ready endpoint: `kubectl get endpointslices` and the Service's selector say which pods it should have".to_owned(),
            );
        }
        Condition::met(
            ConditionType::Reachable,
            reachable::REACHABLE,
            "announced, with ready endpoints",
        )
    }
}

#[cfg(test)]
mod tests;
