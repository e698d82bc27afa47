//! The live objects of the servers: made once, kept while the configuration names them, closed some time after it does
//! not any more.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::config::ServerPlan;
use crate::engine::table::Server;

/// Servers by identity.
#[derive(Debug, Default)]
pub(crate) struct Servers {
    current: Vec<Arc<Server>>,
    leaving: BTreeMap<u64, (Arc<Server>, Instant)>,
}

impl Servers {
    /// Uses these from now on. One that stays keeps its counters; one that leaves may finish its sessions.
    pub(crate) fn adopt(&mut self, plans: &[ServerPlan], now: Instant, drain: Duration) {
        let mut before: BTreeMap<u64, Arc<Server>> = std::mem::take(&mut self.current)
            .into_iter()
            .map(|s| (s.identity, s))
            .collect();
        for plan in plans {
            let fresh = Server::new(plan.facts.clone());
            let returning = self
                .leaving
                .remove(&fresh.identity)
                .map(|(server, _)| server);
            if let Some(server) = &returning {
                server.set_weight(1000);
            }
            let known = before.remove(&fresh.identity).or(returning);
            let server = known.unwrap_or_else(|| Arc::new(fresh));
            server.set_terms(&plan.terms);
            self.current.push(server);
        }
        for (identity, server) in before {
            server.set_usable(false);
            self.leaving.insert(identity, (server, now + drain));
        }
    }

    pub(crate) fn current(&self) -> &[Arc<Server>] {
        &self.current
    }

    pub(crate) fn find(&self, identity: u64) -> Option<&Arc<Server>> {
        self.current
            .iter()
            .find(|server| server.identity == identity)
    }

    pub(crate) fn named(&self, name: &str) -> Option<&Arc<Server>> {
        self.current.iter().find(|server| server.facts.name == name)
    }

    /// When [`Self::take_overdue`] has something to say.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.leaving.values().map(|(_, until)| *until).min()
    }

    /// Servers that left and whose sessions have had their time.
    pub(crate) fn take_overdue(&mut self, now: Instant) -> Vec<Arc<Server>> {
        let (overdue, rest) = std::mem::take(&mut self.leaving)
            .into_iter()
            .partition(|(_, (_, until))| *until <= now);
        self.leaving = rest;
        let overdue: BTreeMap<u64, (Arc<Server>, Instant)> = overdue;
        overdue.into_values().map(|(server, _)| server).collect()
    }
}
