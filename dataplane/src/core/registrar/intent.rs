//! What one Service should become, compared with what it is.

use std::net::IpAddr;

use super::{Event, Registrar, SeenService, ServiceWrite};
use crate::core::{
    condition::{Condition, ConditionType, allocated},
    service::ServiceKey,
};

impl Registrar {
    /// The write that brings a Service to where it should be; `None`: it is there, or must wait.
    pub(super) fn intent(&self, key: &ServiceKey) -> Option<ServiceWrite> {
        let seen = self.services.get(key)?;
        let write = |finalizer, addresses, conditions| ServiceWrite {
            key: key.clone(),
            uid: seen.uid.clone(),
            version: seen.version.clone(),
            finalizer,
            finalize: seen.deleting && seen.finalizer,
            addresses,
            conditions,
        };
        if seen.wants.is_none() {
            // Traces of ours on something that is not ours any more.
            let traces = !seen.conditions.is_empty();
            return traces.then(|| write(false, Vec::new(), Vec::new()));
        }
        let outcome = self.allocator.outcome(key)?;
        let (ready, waiting): (Vec<IpAddr>, Vec<IpAddr>) = outcome
            .addresses
            .iter()
            .partition(|address| self.is_confirmed(**address, key));
        let mut conditions = if waiting.is_empty() {
            vec![self.allocated(key)?]
        } else if self.should_yield(key, outcome.addresses) {
            let list = list(&waiting);
            let message =
                format!("{list} is given to it as soon as the Service that had it has let go");
            vec![Condition::unmet(
                ConditionType::Allocated,
                allocated::PENDING,
                message,
            )]
        } else {
            return None;
        };
        if self.reports_exist {
            conditions.extend(self.reports.conditions(&self.atlas, key, &ready));
        }
        for condition in &mut conditions {
            let same =
                |old: &&Condition| (old.kind, old.holds) == (condition.kind, condition.holds);
            condition.since = seen.conditions.iter().find(same).and_then(|old| old.since);
        }
        let mut write = write(true, ready, conditions);
        if !seen.matches(&write) {
            return Some(write);
        }
        // The same once more, with a time of its own: see `holds_up`.
        self.holds_up(key).then(|| {
            for condition in &mut write.conditions {
                condition.since = None;
            }
            write
        })
    }

    fn allocated(&self, key: &ServiceKey) -> Option<Condition> {
        let outcome = self.allocator.outcome(key)?;
        let from = |address: &IpAddr| match self.allocator.pool_of(*address) {
            Some(pool) => format!("{address} from pool {}", pool.id),
            None => address.to_string(),
        };
        let given: Vec<String> = outcome.addresses.iter().map(from).collect();
        let given = given.join(", ");
        let kind = ConditionType::Allocated;
        Some(match outcome.refusal {
            None => Condition::met(kind, allocated::ALLOCATED, given),
            Some(refusal) if outcome.addresses.is_empty() => {
                Condition::unmet(kind, refusal.reason.as_str(), refusal.message.clone())
            }
            Some(refusal) => {
                let reason = refusal.reason.as_str();
                let message = format!("{given}; but {reason}: {}", refusal.message);
                Condition::met(kind, allocated::PARTIAL, message)
            }
        })
    }

    /// Events for what a write changes; only changes of addresses and of reasons are news.
    pub(super) fn news(&self, write: &ServiceWrite) -> Vec<Event> {
        let Some(seen) = self.services.get(&write.key) else {
            return Vec::new();
        };
        let old = |kind| {
            seen.conditions
                .iter()
                .find(|condition| condition.kind == kind)
        };
        let mut news = Vec::new();
        if seen.addresses != write.addresses {
            if write.addresses.is_empty() {
                news.push((false, "AddressReleased".to_owned(), list(&seen.addresses)));
            } else if seen.addresses.is_empty() {
                let message = write
                    .conditions
                    .first()
                    .map_or_else(String::new, |one| one.message.clone());
                news.push((false, "AddressAllocated".to_owned(), message));
            } else {
                let message = format!(
                    "from {} to {}",
                    list(&seen.addresses),
                    list(&write.addresses)
                );
                news.push((false, "AddressChanged".to_owned(), message));
            }
        }
        for condition in &write.conditions {
            let before = old(condition.kind).map(|before| &before.reason);
            let transient = condition.kind == ConditionType::Reachable;
            let bad = !condition.holds || condition.reason == allocated::PARTIAL;
            let moved = condition.kind == ConditionType::Announced
                && condition.holds
                && old(condition.kind).map(|before| &before.message) != Some(&condition.message);
            let quiet = matches!(
                condition.reason.as_str(),
                "NotAllocated" | "Pending" | "NotAnnounced"
            );
            if moved {
                news.push((false, condition.reason.clone(), condition.message.clone()));
            } else if bad && before != Some(&condition.reason) && !quiet {
                news.push((
                    !transient,
                    condition.reason.clone(),
                    condition.message.clone(),
                ));
            }
        }
        let event = |(warning, reason, message)| Event {
            key: write.key.clone(),
            uid: write.uid.clone(),
            warning,
            reason,
            message,
        };
        news.into_iter().map(event).collect()
    }
}

fn list(addresses: &[IpAddr]) -> String {
    let words: Vec<_> = addresses.iter().map(ToString::to_string).collect();
    words.join(", ")
}

impl SeenService {
    /// Whether it is as `write` would make it.
    fn matches(&self, write: &ServiceWrite) -> bool {
        self.finalizer == write.finalizer
            && self.plain
            && self.addresses == write.addresses
            && self.conditions.len() == write.conditions.len()
            && self
                .conditions
                .iter()
                .zip(&write.conditions)
                .all(|(a, b)| a.says_the_same(b))
    }
}
