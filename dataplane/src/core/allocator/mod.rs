//! The allocator: which Service has which address.
//!
//! ```text
//!   pools, namespaces, Services ──► Allocator ──► changed Services and their outcomes
//! ```
//!
//! It starts empty, is told everything that exists, and then [`begin`](Allocator::begin)s: Services keep the
//! addresses in their status, oldest first, before anybody gets a new one. From then on every input is settled at once,
//! including the Services that wait: they are tried again, oldest first, when an address becomes free.
//! The same inputs give the same outcome, whatever the order of arrival between two calls was.
//!
//! It never writes anything. `controller/` turns outcomes into patches.

mod book;
mod decide;

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    net::IpAddr,
    ops::Bound,
};

use self::book::Book;
pub use self::book::Usage;
use crate::core::{
    family::Family,
    labels::Labels,
    pool::{Pool, PoolId},
    pool_set::{Overlap, PoolSet},
    refusal::Refusal,
    service::{Service, ServiceKey},
};

/// Gives addresses to Services.
#[derive(Debug, Clone, Default)]
pub struct Allocator {
    begun: bool,
    pools: PoolSet,
    namespaces: BTreeMap<String, Labels>,
    entries: BTreeMap<ServiceKey, Entry>,
    by_age: BTreeSet<Age>,
    book: Book,
    /// Services that miss something and would take any free address.
    queue: BTreeSet<Age>,
    /// Services that miss something and ask for an address or share one.
    particular: BTreeSet<Age>,
    /// Services that miss something, by the address they ask for.
    wishes: BTreeMap<IpAddr, BTreeSet<Age>>,
    /// Addresses that became free, or whose tenants changed, since waiting Services were last tried.
    touched: BTreeSet<IpAddr>,
    /// Addresses somebody else took although a waiting Service asks for them: it must hear the reason.
    snatched: BTreeSet<IpAddr>,
    changed: BTreeSet<ServiceKey>,
}

/// Older Services come first; of two of one age the name decides.
type Age = (i64, ServiceKey);

#[derive(Debug, Clone)]
struct Entry {
    service: Service,
    held: Vec<IpAddr>,
    /// What it had last: taken again when it is free.
    remembered: Vec<IpAddr>,
    refusal: Option<Refusal>,
}

/// What a Service has, and what it misses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome<'a> {
    /// Its addresses, at most one of each family, the primary family first.
    pub addresses: &'a [IpAddr],
    /// Why it has none, fewer than it could, or not the one it asks for.
    pub refusal: Option<&'a Refusal>,
}

/// A pool as seen from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolReport {
    /// Which pool.
    pub id: PoolId,
    /// IPv4 addresses.
    pub v4: Usage,
    /// IPv6 addresses.
    pub v6: Usage,
    /// Addresses that an older pool has.
    pub overlaps: Vec<Overlap>,
}

impl Allocator {
    /// Adopts what Services have in their status, oldest first, then serves those who have nothing.
    pub fn begin(&mut self) {
        if mem::replace(&mut self.begun, true) {
            return;
        }
        self.book.set_pools(&self.pools);
        for (_, key) in self.by_age.clone() {
            self.adopt(&key);
        }
        self.settle_all();
    }

    /// Replaces all pools.
    pub fn set_pools(&mut self, pools: Vec<Pool>) {
        self.pools = PoolSet::new(pools);
        if self.begun {
            self.book.set_pools(&self.pools);
            self.settle_all();
        }
    }

    /// Sets the labels of a namespace; `None` when it is gone.
    pub fn set_namespace(&mut self, name: &str, labels: Option<Labels>) {
        let before = match labels {
            Some(labels) => self.namespaces.insert(name.to_owned(), labels),
            None => self.namespaces.remove(name),
        };
        if !self.begun || before.as_ref() == self.namespaces.get(name) {
            return;
        }
        let mine: Vec<_> = self
            .by_age
            .iter()
            .filter(|(_, key)| key.namespace == name)
            .cloned()
            .collect();
        for (_, key) in mine {
            self.settle(&key);
        }
        self.serve_waiting();
    }

    /// A Service that wants addresses, new or changed.
    pub fn upsert(&mut self, service: Service) {
        let key = service.key.clone();
        if self
            .entries
            .get(&key)
            .is_some_and(|entry| entry.service.uid != service.uid)
        {
            self.remove(&key);
        }
        match self.entries.get_mut(&key) {
            Some(entry) => {
                let mut before = mem::replace(&mut entry.service, service);
                before.observed.clone_from(&entry.service.observed);
                if before == entry.service {
                    return;
                }
                let held = entry.held.clone();
                self.index_wishes(&before, &(before.created, key.clone()), false);
                self.index_sharing(&before, &held, false);
                let after = self.entries.get(&key).map(|entry| entry.service.clone());
                if let Some(after) = after {
                    self.index_sharing(&after, &held, true);
                }
                self.touched.extend(held);
            }
            None => {
                self.by_age.insert((service.created, key.clone()));
                let remembered = service.observed.clone();
                let entry = Entry {
                    service,
                    held: Vec::new(),
                    remembered,
                    refusal: None,
                };
                self.entries.insert(key.clone(), entry);
            }
        }
        if self.begun {
            self.settle(&key);
            self.changed.insert(key);
            self.serve_waiting();
        }
    }

    /// A Service that no longer wants addresses from us, for whatever reason.
    pub fn remove(&mut self, key: &ServiceKey) {
        let Some(mut entry) = self.entries.remove(key) else {
            return;
        };
        let held = mem::take(&mut entry.held);
        self.index_sharing(&entry.service, &held, false);
        let age = (entry.service.created, key.clone());
        self.by_age.remove(&age);
        self.queue.remove(&age);
        self.particular.remove(&age);
        self.index_wishes(&entry.service, &age, false);
        for address in held {
            self.book.leave(&self.pools, address, key);
            self.touched.insert(address);
        }
        self.changed.insert(key.clone());
        if self.begun {
            self.serve_waiting();
        }
    }

    /// A Service whose outcome may have changed since it was last polled.
    pub fn poll_changed(&mut self) -> Option<ServiceKey> {
        self.changed.pop_first()
    }

    /// What `key` has; `None` when it wants nothing from us.
    pub fn outcome(&self, key: &ServiceKey) -> Option<Outcome<'_>> {
        let entry = self.entries.get(key).filter(|_| self.begun)?;
        Some(Outcome {
            addresses: &entry.held,
            refusal: entry.refusal.as_ref(),
        })
    }

    /// The Service as the allocator knows it.
    pub fn service(&self, key: &ServiceKey) -> Option<&Service> {
        self.entries.get(key).map(|entry| &entry.service)
    }

    /// All Services that want addresses, in the order of their names.
    pub fn services(&self) -> impl Iterator<Item = &Service> {
        self.entries.values().map(|entry| &entry.service)
    }

    /// How many Services want addresses.
    pub fn services_count(&self) -> usize {
        self.entries.len()
    }

    /// The Services that have `address`.
    pub fn tenants(&self, address: IpAddr) -> &[ServiceKey] {
        self.book.tenants(address)
    }

    /// The pool that has `address`.
    pub fn pool_of(&self, address: IpAddr) -> Option<&Pool> {
        self.pools.pool_of(address)
    }

    /// All pools in the order in which they are tried.
    pub fn report(&self) -> Vec<PoolReport> {
        let report = |(place, pool): (usize, &Pool)| PoolReport {
            id: pool.id.clone(),
            v4: self.book.usage(place, Family::V4),
            v6: self.book.usage(place, Family::V6),
            overlaps: self.pools.overlaps(place).to_vec(),
        };
        self.pools.iter().enumerate().map(report).collect()
    }

    fn adopt(&mut self, key: &ServiceKey) {
        let Some(entry) = self.entries.get(key) else {
            return;
        };
        let mut held: Vec<IpAddr> = Vec::new();
        for address in &entry.service.observed {
            let address = address.to_canonical();
            let first = held
                .iter()
                .all(|other| Family::of(*other) != Family::of(address));
            if first && self.is_tenable(&entry.service, address) {
                held.push(address);
            }
        }
        self.hold(key, held);
    }

    fn settle_all(&mut self) {
        for (_, key) in self.by_age.clone() {
            self.settle(&key);
        }
        self.serve_waiting();
    }

    /// Decides for one Service and carries the decision out in the books.
    fn settle(&mut self, key: &ServiceKey) {
        let Some(entry) = self.entries.get(key) else {
            return;
        };
        let verdict = self.decide(entry);
        let age = (entry.service.created, key.clone());
        let request = &entry.service.request;
        let particular = !request.addresses.is_empty() || request.sharing_key.is_some();
        let misses = verdict.refusal.is_some() && request.fault.is_none();
        for (set, belongs) in [
            (&mut self.queue, misses && !particular),
            (&mut self.particular, misses && particular),
        ] {
            if belongs {
                set.insert(age.clone());
            } else {
                set.remove(&age);
            }
        }
        let service = entry.service.clone();
        self.index_wishes(&service, &age, misses);
        let Some(entry) = self.entries.get(key) else {
            return;
        };
        let news = entry.held != verdict.addresses || entry.refusal != verdict.refusal;
        if news {
            self.changed.insert(key.clone());
            self.hold(key, verdict.addresses);
        }
        if let Some(entry) = self.entries.get_mut(key) {
            entry.refusal = verdict.refusal;
        }
    }

    fn hold(&mut self, key: &ServiceKey, addresses: Vec<IpAddr>) {
        let Some(entry) = self.entries.get_mut(key) else {
            return;
        };
        let before = mem::replace(&mut entry.held, addresses.clone());
        if !addresses.is_empty() {
            entry.remembered.clone_from(&addresses);
        }
        let service = entry.service.clone();
        let gone: Vec<_> = before
            .iter()
            .filter(|old| !addresses.contains(old))
            .copied()
            .collect();
        for address in &gone {
            self.book.leave(&self.pools, *address, key);
        }
        self.index_sharing(&service, &gone, false);
        self.touched.extend(gone);
        for address in &addresses {
            self.book.take(&self.pools, *address, key);
            if !before.contains(address) && self.wishes.contains_key(address) {
                self.snatched.insert(*address);
            }
        }
        self.index_sharing(&service, &addresses, true);
    }

    /// Keeps the index of shared addresses: an address stays in it while any tenant has the key.
    fn index_sharing(&mut self, service: &Service, addresses: &[IpAddr], shared: bool) {
        let Some(key) = &service.request.sharing_key else {
            return;
        };
        for &address in addresses {
            let others = self
                .book
                .tenants(address)
                .iter()
                .filter(|other| **other != service.key);
            let mut others = others.filter_map(|other| self.entries.get(other));
            let by_others =
                others.any(|other| other.service.request.sharing_key.as_ref() == Some(key));
            self.book.set_shared(key, address, shared || by_others);
        }
    }

    fn index_wishes(&mut self, service: &Service, age: &Age, waits: bool) {
        for address in &service.request.addresses {
            if waits {
                self.wishes.entry(*address).or_default().insert(age.clone());
            } else if let Some(wishers) = self.wishes.get_mut(address) {
                wishers.remove(age);
                if wishers.is_empty() {
                    self.wishes.remove(address);
                }
            }
        }
    }

    /// Tries the Services that wait, oldest first; from the oldest again whenever one of them frees an address.
    ///
    /// Those who take any address can only gain by an address that became free since they were last tried.
    fn serve_waiting(&mut self) {
        let mut fresh = mem::take(&mut self.touched);
        let mut last: Option<Age> = None;
        while !fresh.is_empty() {
            let after = last.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
            let next = |set: &BTreeSet<Age>| set.range((after, Bound::Unbounded)).next().cloned();
            let vacancy = fresh.iter().any(|address| self.book.is_vacant(*address));
            let queued = if vacancy { next(&self.queue) } else { None };
            let Some(age) = [queued, next(&self.particular)].into_iter().flatten().min() else {
                break;
            };
            self.settle(&age.1);
            last = Some(age);
            if !self.touched.is_empty() {
                fresh.append(&mut self.touched);
                last = None;
            }
        }
        while let Some(address) = self.snatched.pop_first() {
            for (_, key) in self.wishes.get(&address).cloned().unwrap_or_default() {
                self.settle(&key);
            }
        }
        self.touched.clear();
    }
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
