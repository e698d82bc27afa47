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

mod intent;
mod permits;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use crate::core::{
    allocator::{Allocator, PoolReport},
    atlas::{Atlas, Endpoint, Exposed},
    condition::Condition,
    labels::Labels,
    ledger::{BlockId, BlockWrite, Entries, Holders, Ledger},
    pool::Pool,
    report::{Report, Reports},
    service::{Service, ServiceKey},
};

/// A Service as the API holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenService {
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.resourceVersion`.
    pub version: String,
    /// What it wants of us: it is of `type: LoadBalancer`, of a class we serve, and not being deleted.
    pub wants: Option<Service>,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// Whether the clean-up finalizer is on it.
    pub finalizer: bool,
    /// Addresses in its status.
    pub addresses: Vec<IpAddr>,
    /// Whether its status holds these addresses and nothing else, as we write them.
    pub plain: bool,
    /// Conditions of ours.
    pub conditions: Vec<Condition>,
}

/// What a Service should become. Fields that are empty are given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceWrite {
    /// Which one.
    pub key: ServiceKey,
    /// Only this incarnation of it.
    pub uid: String,
    /// The version that must still be there.
    pub version: String,
    /// Whether the clean-up finalizer belongs on it.
    pub finalizer: bool,
    /// Whether to take the finalizer off a Service that is being deleted, and nothing else.
    pub finalize: bool,
    /// Addresses for its status.
    pub addresses: Vec<IpAddr>,
    /// Conditions for its status.
    pub conditions: Vec<Condition>,
}

/// A write to the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// A Service's finalizer and status.
    Service(ServiceWrite),
    /// A block of the ledger.
    Block(BlockWrite),
}

/// An event for a Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Which Service.
    pub key: ServiceKey,
    /// Its `metadata.uid`.
    pub uid: String,
    /// `Warning` instead of `Normal`.
    pub warning: bool,
    /// Machine-readable.
    pub reason: String,
    /// For people.
    pub message: String,
}

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
    writing: BTreeMap<ServiceKey, ServiceWrite>,
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
        for address in self.reports.set(node, report) {
            self.dirty
                .extend(self.shown.get(&address).into_iter().flatten().cloned());
        }
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
                self.announce_write(&write);
                self.writing.insert(key, write.clone());
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

    /// A Service was written and has `version` now; `None`: it is gone.
    pub fn handle_service_written(&mut self, key: &ServiceKey, version: Option<String>) {
        let Some(write) = self.writing.remove(key) else {
            return;
        };
        let known = self.services.get(key).cloned();
        if version.is_none()
            && known
                .as_ref()
                .is_some_and(|known| known.version == write.version)
        {
            self.outdated.insert(key.clone(), write.version);
            return;
        }
        if let (Some(version), Some(known)) = (version, known)
            && known.uid == write.uid
            && !is_older(&version, &known.version)
        {
            self.show(key, false);
            let seen = SeenService {
                version,
                finalizer: write.finalizer,
                addresses: write.addresses,
                plain: true,
                conditions: write.conditions,
                ..known
            };
            self.services.insert(key.clone(), seen);
            self.show(key, true);
            self.chart(key);
        }
        self.dirty.insert(key.clone());
        self.follow_allocator();
        self.renew_permits(key);
    }

    /// A Service was not written: somebody else changed it first (`conflict`), or something went wrong. After a
    /// conflict the newer version is waited for.
    pub fn handle_service_failed(&mut self, key: &ServiceKey, conflict: bool) {
        let Some(write) = self.writing.remove(key) else {
            return;
        };
        let seen = self
            .services
            .get(key)
            .is_some_and(|known| known.version == write.version);
        if conflict && seen {
            self.outdated.insert(key.clone(), write.version);
        } else {
            self.dirty.insert(key.clone());
        }
    }

    /// A block was written and has `version` now; `None`: it was deleted.
    pub fn handle_block_written(&mut self, id: BlockId, version: Option<String>) {
        self.ledger.handle_written(id, version);
        if !self.leading {
            return;
        }
        // What was wanted when the write began may have become what is to be kept.
        for address in self.ledger.addresses(id) {
            self.want(address);
            self.dirty
                .extend(self.allocator.tenants(address).iter().cloned());
        }
    }

    /// A block was not written; this is what is there.
    pub fn handle_block_failed(&mut self, id: BlockId, seen: Option<(String, Entries)>) {
        self.ledger.handle_failed(id, seen);
        if self.leading {
            self.rebuild();
        }
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

    /// Builds the allocator anew from what the API holds: recorded addresses first, then those in statuses.
    fn rebuild(&mut self) {
        let mut allocator = Allocator::default();
        let mut recorded: BTreeMap<&ServiceKey, Vec<IpAddr>> = BTreeMap::new();
        for (address, services) in self.ledger.all_recorded() {
            for key in services.keys() {
                recorded.entry(key).or_default().push(address);
            }
        }
        allocator.set_pools(self.pools.clone());
        for (name, labels) in &self.namespaces {
            allocator.set_namespace(name, Some(labels.clone()));
        }
        // An address that is recorded for somebody is not adopted from another's status.
        let exists = |key: &ServiceKey| {
            self.services
                .get(key)
                .is_some_and(|one| one.wants.is_some())
        };
        for (key, seen) in &self.services {
            let Some(service) = &seen.wants else { continue };
            let mut service = service.clone();
            service.observed.retain(|address| {
                let theirs = self.ledger.recorded(*address);
                theirs.contains_key(key) || !theirs.keys().any(exists)
            });
            for address in recorded.get(key).into_iter().flatten() {
                if !service.observed.contains(address) {
                    service.observed.push(*address);
                }
            }
            allocator.upsert(service);
        }
        allocator.begin();
        self.allocator = allocator;
        self.given.clear();
        self.lingering.clear();
        self.ledger.forget_wishes();
        self.dirty.extend(self.services.keys().cloned());
        let recorded = self.ledger.all_recorded().map(|(address, _)| address);
        let addresses: BTreeSet<IpAddr> = recorded.chain(self.shown.keys().copied()).collect();
        for address in addresses {
            self.want(address);
        }
        self.follow_allocator();
    }

    /// Tells the ledger what the allocator decided, and looks at those it decided about.
    fn follow_allocator(&mut self) {
        while let Some(key) = self.allocator.poll_changed() {
            let addresses: Vec<IpAddr> = self
                .allocator
                .outcome(&key)
                .map_or_else(Vec::new, |one| one.addresses.to_vec());
            let before = if addresses.is_empty() {
                self.given.remove(&key)
            } else {
                self.given.insert(key.clone(), addresses.clone())
            };
            for address in addresses.into_iter().chain(before.unwrap_or_default()) {
                self.want(address);
            }
            self.dirty.insert(key);
        }
    }

    /// Keeps the index of addresses in statuses of Services that are ours.
    fn show(&mut self, key: &ServiceKey, shows: bool) {
        let Some(seen) = self.services.get(key).filter(|seen| seen.is_ours()) else {
            return;
        };
        for address in seen.addresses.clone() {
            if shows {
                self.shown.entry(address).or_default().insert(key.clone());
            } else if let Some(keys) = self.shown.get_mut(&address) {
                keys.remove(key);
                if keys.is_empty() {
                    self.shown.remove(&address);
                }
            }
            if self.leading {
                self.want(address);
            }
        }
    }

    /// Puts a Service on the map.
    fn chart(&mut self, key: &ServiceKey) {
        let exposed = self.services.get(key).and_then(|seen| {
            let service = seen.wants.as_ref()?;
            (!seen.addresses.is_empty()).then(|| Exposed {
                labels: service.labels.clone(),
                traffic_policy: service.traffic_policy,
                source_ranges: service.source_ranges.clone(),
                addresses: seen.addresses.clone(),
            })
        });
        self.atlas.set_service(key, exposed);
    }
}

impl SeenService {
    /// Whether this controller has written to it, or should.
    fn is_ours(&self) -> bool {
        self.wants.is_some() || !self.conditions.is_empty()
    }
}

/// Versions of one object grow (Kubernetes 1.35 says so; servers before it did the same).
fn is_older(one: &str, other: &str) -> bool {
    matches!((one.parse::<u64>(), other.parse::<u64>()), (Ok(one), Ok(other)) if one < other)
}

#[cfg(test)]
mod tests;
