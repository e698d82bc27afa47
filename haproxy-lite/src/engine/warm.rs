//! Connections to servers that are opened ahead: they save a new session the round trip to its server.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::opening::dial;
use super::table::{Server, Table};
use super::timers::Millis;

/// The connections of one thread, by server, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Warm {
    ready: BTreeMap<u64, Vec<(OwnedFd, Millis)>>,
}

impl Warm {
    /// The youngest connection to this server, if it is young enough.
    pub(crate) fn take(&mut self, server: u64, now: Millis) -> Option<OwnedFd> {
        let (fd, opened) = self.ready.get_mut(&server)?.pop()?;
        (now < opened + LIFETIME).then_some(fd)
    }

    /// Opens what is missing and closes what is old, or leads to servers that get no sessions.
    pub(crate) fn refresh(&mut self, table: &Table, now: Millis) {
        let wanted = table.settings.preconnect;
        if wanted == 0 && self.ready.is_empty() {
            return;
        }
        let usable = |server: &&Arc<Server>| {
            let candidate = server.candidate();
            candidate.usable && !candidate.suspect
        };
        let usable: Vec<&Arc<Server>> = table.servers.iter().filter(usable).collect();
        self.ready
            .retain(|identity, _| usable.iter().any(|server| server.identity == *identity));
        for server in usable {
            let connections = self.ready.entry(server.identity).or_default();
            connections.retain(|(_, opened)| now < opened + LIFETIME);
            while connections.len() < wanted {
                let Ok(fd) = dial(server.facts.address) else {
                    break;
                };
                connections.insert(0, (fd, now));
            }
        }
        if wanted == 0 {
            self.ready.clear();
        }
    }
}

/// Milliseconds; API servers close connections without a TLS handshake after 10 s.
const LIFETIME: Millis = 4000;
