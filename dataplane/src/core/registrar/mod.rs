//! The registrar: what the controller writes, and when.
//!
//! ```text
//!   objects of the API ──► Registrar ──► writes (blocks, Services, pools), events
//!                             ▲                     │
//!                             └── how they ended ◄──┘
//! ```
//!
//! It remembers nothing that the API does not hold. While this process does not lead it only watches; when it
//! begins to lead, it builds the allocator from what it has seen, and every Service keeps its addresses.
//!
//! For one Service: recorded in the ledger first, then finalizer, addresses and conditions in one write, each on
//! top of the version that was seen. One write at a time; what happened meanwhile is compared again afterwards.

mod books;
mod ended;
mod intent;
mod permits;
mod records;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

pub use self::records::{Event, SeenService, ServiceWrite, Write};
use self::records::{UnderWay, is_older};
use crate::core::{
    allocator::{Allocator, PoolReport},
    atlas::{Atlas, Endpoint},
    labels::Labels,
    ledger::{BlockId, Entries, Ledger},
    pool::Pool,
    report::{Affected, Report, Reports},
    service::ServiceKey,
};

/// Decides what to write.
#[derive(Debug, Clone, Default)]
pub struct Registrar {
    /// Set while this process leads.
    leading: bool,
    /// Whether addresses are recorded in blocks; without that API only the Lease guards against two leaders.
    records: bool,
    /// Whether speakers report through the API.
    reports_exist: bool,
    services: BTreeMap<ServiceKey, SeenService>,
    pools: Vec<Pool>,
    namespaces: BTreeMap<String, Labels>,
    atlas: Atlas,
    reports: Reports,
    ledger: Ledger,
    allocator: Allocator,
    /// What the allocator gave when it was asked last.
    given: BTreeMap<ServiceKey, Vec<IpAddr>>,
    /// Services whose status shows an address.
    shown: BTreeMap<IpAddr, BTreeSet<ServiceKey>>,
    /// Addresses that a Service should no longer have, but may still get by a write that is on its way.
    lingering: BTreeMap<ServiceKey, BTreeSet<IpAddr>>,
    /// All changes of Services up to this version have been seen.
    horizon: String,
    dirty: BTreeSet<ServiceKey>,
    writing: BTreeMap<ServiceKey, UnderWay>,
    /// Services of which a newer version must be seen before anything is written.
    outdated: BTreeMap<ServiceKey, String>,
    events: Vec<Event>,
}

impl Registrar {
    /// Whether the APIs for blocks and for reports of speakers exist.
    pub fn set_apis(&mut self, records: bool, reports: bool) {
        if (self.records, self.reports_exist) != (records, reports) {
            self.records = records;
            self.reports_exist = reports;
            self.dirty.extend(self.services.keys().cloned());
        }
    }

    /// This process leads from now on: everybody keeps what they have, and what is missing is given.
    pub fn begin(&mut self) {
        self.leading = true;
        self.rebuild();
    }

    /// This process no longer leads: it writes nothing any more.
    pub fn stand_down(&mut self) {
        self.leading = false;
        self.allocator = Allocator::default();
        self.given.clear();
        self.lingering.clear();
        self.ledger.stand_down();
        self.writing.clear();
        self.outdated.clear();
        self.dirty.clear();
        self.events.clear();
    }

    /// A Service, new or changed; `None`: it is gone.
    pub fn handle_service(&mut self, key: &ServiceKey, seen: Option<SeenService>) {
        let known = self.services.get(key);
        if let (Some(seen), Some(known)) = (&seen, known)
            && known.uid == seen.uid
            && is_older(&seen.version, &known.version)
        {
            return;
        }
        self.show(key, false);
        match &seen {
            Some(seen) => {
                if self
                    .outdated
                    .get(key)
                    .is_some_and(|version| *version != seen.version)
                {
                    self.outdated.remove(key);
                }
                self.services.insert(key.clone(), seen.clone());
            }
            None => {
                self.services.remove(key);
                self.outdated.remove(key);
            }
        }
        self.show(key, true);
        self.chart(key);
        if self.leading {
            match seen.and_then(|seen| seen.wants) {
                Some(service) => self.allocator.upsert(service),
                None => self.allocator.remove(key),
            }
            self.dirty.insert(key.clone());
            self.follow_allocator();
            self.renew_permits(key);
        }
    }

    /// All changes of Services up to `version` have been told.
    pub fn handle_service_horizon(&mut self, version: &str) {
        if self.horizon == version || is_older(version, &self.horizon) {
            return;
        }
        version.clone_into(&mut self.horizon);
        let unknown = |key: &&ServiceKey| !self.services.contains_key(*key);
        let gone: Vec<_> = self.lingering.keys().filter(unknown).cloned().collect();
        for key in gone {
            self.renew_permits(&key);
        }
    }

    /// Replaces all pools.
    pub fn handle_pools(&mut self, pools: Vec<Pool>) {
        if self.pools == pools {
            return;
        }
        self.atlas.set_pools(pools.clone());
        self.pools = pools;
        if self.leading {
            self.allocator.set_pools(self.pools.clone());
            // Messages name pools: everybody is compared again.
            self.dirty.extend(self.services.keys().cloned());
            self.follow_allocator();
        }
    }

    /// Labels of a namespace; `None`: it is gone.
    pub fn handle_namespace(&mut self, name: &str, labels: Option<Labels>) {
        match &labels {
            Some(labels) => self.namespaces.insert(name.to_owned(), labels.clone()),
            None => self.namespaces.remove(name),
        };
        if self.leading {
            self.allocator.set_namespace(name, labels);
            self.follow_allocator();
        }
    }

    /// A block of the ledger; `None`: it is gone.
    pub fn handle_block(&mut self, id: BlockId, seen: Option<(String, Entries)>) {
        let foreign = self.ledger.handle_block(id, seen);
        if self.leading && foreign {
            self.rebuild();
        }
    }

    /// What the speaker of a node reports; `None`: nothing any more.
    pub fn handle_report(&mut self, node: &str, report: Option<Report>) {
        let shown: Vec<_> = match self.reports.set(node, report) {
            Affected::These(these) => these.iter().filter_map(|one| self.shown.get(one)).collect(),
            Affected::All => self.shown.values().collect(),
        };
        self.dirty.extend(shown.into_iter().flatten().cloned());
    }

    /// Changes the map of what should be announced, and looks at everybody whose announcement it may touch.
    pub fn update_atlas(&mut self, update: impl FnOnce(&mut Atlas)) {
        let before = self.atlas.directory();
        update(&mut self.atlas);
        let after = self.atlas.directory();
        let shown = self.shown.iter().filter(|(address, _)| {
            before.nodes != after.nodes
                || before.addresses.get(address) != after.addresses.get(address)
        });
        self.dirty.extend(shown.flat_map(|(_, keys)| keys).cloned());
    }

    /// A slice of endpoints, by its namespace and name; `None`: it is gone.
    pub fn handle_slice(
        &mut self,
        slice: &ServiceKey,
        endpoints: Option<(ServiceKey, Vec<Endpoint>)>,
    ) {
        let mut touched = BTreeSet::new();
        self.update_atlas(|atlas| touched = atlas.set_slice(slice, endpoints));
        if self.reports_exist {
            self.dirty.extend(touched);
        }
    }

    /// The next write. Blocks come before the Services that wait for them.
    pub fn poll_write(&mut self) -> Option<Write> {
        if !self.leading {
            return None;
        }
        if self.records
            && let Some(write) = self.ledger.poll_write()
        {
            return Some(Write::Block(write));
        }
        while let Some(key) = self.dirty.pop_first() {
            if self.writing.contains_key(&key) || self.outdated.contains_key(&key) {
                continue;
            }
            if let Some(write) = self.intent(&key) {
                let news = self.news(&write);
                let under_way = UnderWay {
                    write: write.clone(),
                    news,
                };
                self.writing.insert(key, under_way);
                return Some(Write::Service(write));
            }
        }
        None
    }

    /// How full the pools are; empty while this process does not lead.
    pub fn pool_reports(&self) -> Vec<PoolReport> {
        self.allocator.report()
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        (!self.events.is_empty()).then(|| self.events.remove(0))
    }

    /// The allocator, for status and metrics.
    pub const fn allocator(&self) -> &Allocator {
        &self.allocator
    }

    /// The map, for status.
    pub const fn atlas(&self) -> &Atlas {
        &self.atlas
    }

    /// The reports, for status.
    pub const fn reports(&self) -> &Reports {
        &self.reports
    }

    /// Writes that are under way.
    pub fn writes_under_way(&self) -> usize {
        self.writing.len()
    }
}

#[cfg(test)]
mod tests;
