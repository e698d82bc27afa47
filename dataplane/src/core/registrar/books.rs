//! The books: allocator, ledger, index of shown addresses and map, kept in line with what is seen.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use super::Registrar;
use crate::core::{allocator::Allocator, atlas::Exposed, service::ServiceKey};

impl Registrar {
    /// Builds the allocator anew from what the API holds: recorded addresses first, then those in statuses.
    pub(super) fn rebuild(&mut self) {
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
    pub(super) fn follow_allocator(&mut self) {
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
    pub(super) fn show(&mut self, key: &ServiceKey, shows: bool) {
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
    pub(super) fn chart(&mut self, key: &ServiceKey) {
        let exposed = self.services.get(key).and_then(|seen| {
            let service = seen.wants.as_ref()?;
            (!seen.addresses.is_empty()).then(|| Exposed {
                labels: service.labels.clone(),
                traffic_policy: service.traffic_policy,
                ports: service.ports.clone(),
                source_ranges: service.source_ranges.clone(),
                addresses: seen.addresses.clone(),
            })
        });
        self.atlas.set_service(key, exposed);
    }
}
