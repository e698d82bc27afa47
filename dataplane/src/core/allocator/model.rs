//! The allocator against a model that knows no index, no free list and no shortcut.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    num::NonZeroU32,
};

use super::Allocator;
use crate::core::{
    family::{Family, number},
    labels::{Labels, Selector},
    pool::{Pool, PoolApi, PoolId, Scope},
    random::Random,
    refusal::Reason,
    request::SharingScope,
    samples::service,
    service::{FamilyPolicy, Port, Protocol, Service, ServiceKey, TrafficPolicy},
};

/// Everything is found by looking at everything.
#[derive(Default)]
struct Model {
    pools: Vec<Pool>,
    namespaces: BTreeMap<String, Labels>,
    services: Vec<Held>,
    /// Every address of every pool, written out.
    addresses: BTreeMap<(PoolId, Family), Vec<IpAddr>>,
}

#[derive(Clone)]
struct Held {
    service: Service,
    held: Vec<IpAddr>,
    last: Vec<IpAddr>,
    missing: Option<Reason>,
}

impl Model {
    fn owner(&self, address: IpAddr) -> Option<&Pool> {
        let has = |pool: &&Pool| {
            pool.ranges.iter().any(|range| range.contains(address))
                && !pool.excluded.iter().any(|range| range.contains(address))
        };
        self.pools
            .iter()
            .filter(has)
            .min_by(|a, b| (a.created, &a.id).cmp(&(b.created, &b.id)))
    }

    fn set_pools(&mut self, pools: Vec<Pool>) {
        self.pools = pools;
        self.addresses = self
            .pools
            .iter()
            .flat_map(|pool| Family::ALL.map(|family| (pool, family)))
            .map(|(pool, family)| ((pool.id.clone(), family), self.write_out(pool, family)))
            .collect();
    }

    fn addresses(&self, pool: &Pool, family: Family) -> &[IpAddr] {
        &self.addresses[&(pool.id.clone(), family)]
    }

    fn write_out(&self, pool: &Pool, family: Family) -> Vec<IpAddr> {
        let mut all = BTreeSet::new();
        for range in pool.ranges.iter().filter(|range| range.family() == family) {
            let (first, last) = range.bounds();
            all.extend((first..=last).map(|bits| family.address(bits)));
        }
        all.retain(|address| self.owner(*address).map(|owner| &owner.id) == Some(&pool.id));
        all.into_iter().collect()
    }

    fn gives(pool: &Pool, address: IpAddr) -> bool {
        let octet = number(address) & 0xff;
        !(pool.avoid_buggy && address.is_ipv4() && (octet == 0 || octet == 255))
    }

    fn admits(&self, pool: &Pool, service: &Service) -> bool {
        let empty = Labels::new();
        let labels = self
            .namespaces
            .get(&service.key.namespace)
            .unwrap_or(&empty);
        pool.scope
            .admits(&service.key.namespace, labels, &service.labels)
    }

    fn agrees(&self, service: &Service, address: IpAddr) -> bool {
        self.services
            .iter()
            .filter(|other| other.service.key != service.key && other.held.contains(&address))
            .all(|other| {
                let other = &other.service;
                let near = service.key.namespace == other.key.namespace
                    || (service.request.sharing_scope.admits(&other.key.namespace)
                        && other.request.sharing_scope.admits(&service.key.namespace));
                near && service.request.sharing_key.is_some()
                    && service.request.sharing_key == other.request.sharing_key
                    && service.ports.is_disjoint(&other.ports)
                    && service.shares_back_ends_with(other)
            })
    }

    fn reserved(&self, address: IpAddr) -> Option<&ServiceKey> {
        self.owner(address)?.reservations.get(&address)
    }

    fn tenable(&self, service: &Service, address: IpAddr) -> bool {
        service.families.contains(&Family::of(address))
            && self
                .owner(address)
                .is_some_and(|pool| Self::gives(pool, address) && self.admits(pool, service))
            && self.agrees(service, address)
    }

    fn offers(&self, pool: &Pool, service: &Service) -> bool {
        let asked = match &service.request.pool {
            Some(name) => *name == pool.id.name,
            None => !pool.manual_assign,
        };
        asked && !pool.disabled && self.admits(pool, service)
    }

    fn in_order(&self) -> Vec<&Pool> {
        let mut pools: Vec<_> = self.pools.iter().collect();
        let order = |pool: &Pool| {
            let all = pool.priority.is_none() && pool.scope.is_everything();
            (pool.priority.map_or(u32::MAX, NonZeroU32::get), all)
        };
        pools.sort_by(|a, b| (order(a), &a.id).cmp(&(order(b), &b.id)));
        pools
    }

    fn vacant(&self, address: IpAddr) -> bool {
        self.services
            .iter()
            .all(|other| !other.held.contains(&address))
    }

    fn lowest(&self, pool: &Pool, family: Family) -> Option<IpAddr> {
        let mut all = self.addresses(pool, family).iter().copied();
        all.find(|address| {
            self.vacant(*address)
                && Self::gives(pool, *address)
                && self.reserved(*address).is_none()
        })
    }

    fn explicit(&self, entry: &Held, address: IpAddr) -> Result<IpAddr, Reason> {
        let service = &entry.service;
        let pool = self.owner(address).ok_or(Reason::AddressOutsidePools)?;
        let other_pool = service
            .request
            .pool
            .as_ref()
            .is_some_and(|name| *name != pool.id.name);
        if !Self::gives(pool, address) || other_pool {
            return Err(Reason::AddressOutsidePools);
        }
        if !self.admits(pool, service) {
            return Err(Reason::PoolNotAllowed);
        }
        if !entry.held.contains(&address) {
            if pool.disabled {
                return Err(Reason::PoolDisabled);
            }
            if self
                .reserved(address)
                .is_some_and(|key| *key != service.key)
            {
                return Err(Reason::AddressReserved);
            }
        }
        if self.agrees(service, address) {
            return Ok(address);
        }
        let keys = self
            .services
            .iter()
            .filter(|other| other.service.key != service.key && other.held.contains(&address));
        let mut keys: Vec<_> = keys
            .map(|other| {
                (
                    &other.service.key,
                    other.service.request.sharing_key.clone(),
                )
            })
            .collect();
        keys.sort();
        let mine = &service.request.sharing_key;
        let first = keys.into_iter().find(|(key, _)| {
            let other = self
                .services
                .iter()
                .find(|other| other.service.key == **key)
                .unwrap();
            let alone = Self {
                services: vec![other.clone()],
                ..Self::default()
            };
            !alone.agrees(service, address)
        });
        let same_key = first.is_some_and(|(_, key)| mine.is_some() && key == *mine);
        Err(if same_key {
            Reason::SharingConflict
        } else {
            Reason::AddressInUse
        })
    }

    fn automatic(&self, entry: &Held, open: &[Family]) -> Vec<Result<IpAddr, Reason>> {
        let service = &entry.service;
        let order = self.in_order();
        let place = |address: IpAddr| {
            let owner = self.owner(address).map(|pool| pool.id.clone());
            order
                .iter()
                .position(|pool| Some(&pool.id) == owner.as_ref())
        };
        let suits = |address: &IpAddr| {
            let Some(pool) = self.owner(*address) else {
                return false;
            };
            let mine = self.reserved(*address);
            let offered = match mine {
                Some(key) => *key == service.key && !pool.disabled && self.admits(pool, service),
                None => self.offers(pool, service),
            };
            offered
                && service
                    .request
                    .pool
                    .as_ref()
                    .is_none_or(|name| *name == pool.id.name)
                && Self::gives(pool, *address)
                && self.agrees(service, *address)
        };
        let known = |family: Family| {
            let mut reserved: Vec<IpAddr> = self
                .pools
                .iter()
                .flat_map(|pool| pool.reservations.iter().map(move |one| (pool, one)))
                .filter(|(pool, (address, key))| {
                    **key == service.key
                        && self.owner(**address).map(|owner| &owner.id) == Some(&pool.id)
                })
                .map(|(_, (address, _))| *address)
                .collect();
            reserved.sort();
            let mut shared: Vec<IpAddr> = self
                .services
                .iter()
                .filter(|other| {
                    service.request.sharing_key.is_some()
                        && other.service.request.sharing_key == service.request.sharing_key
                })
                .flat_map(|other| other.held.clone())
                .collect();
            shared.sort_by_key(|address| (place(*address), *address));
            let mut all = reserved.into_iter().chain(entry.last.clone()).chain(shared);
            all.find(|address| Family::of(*address) == family && suits(address))
        };
        let found: Vec<_> = open.iter().map(|family| known(*family)).collect();
        let offering: Vec<&Pool> = order
            .iter()
            .copied()
            .filter(|pool| self.offers(pool, service))
            .collect();
        let common = offering.iter().find(|pool| {
            found.iter().all(Option::is_none)
                && open
                    .iter()
                    .all(|family| self.lowest(pool, *family).is_some())
        });
        let fresh = |family: Family| {
            common
                .into_iter()
                .chain(offering.iter())
                .find_map(|pool| self.lowest(pool, family))
        };
        open.iter()
            .zip(found)
            .map(|(family, address)| {
                address
                    .or_else(|| fresh(*family))
                    .ok_or_else(|| self.why(service, *family))
            })
            .collect()
    }

    fn why(&self, service: &Service, family: Family) -> Reason {
        let wanted = &service.request.pool;
        let named: Vec<_> = self
            .pools
            .iter()
            .filter(|pool| wanted.as_ref().is_none_or(|name| *name == pool.id.name))
            .collect();
        if wanted.is_some() && named.is_empty() {
            return Reason::PoolNotFound;
        }
        let mut left: Vec<_> = named
            .into_iter()
            .filter(|pool| {
                self.addresses(pool, family)
                    .iter()
                    .any(|one| Self::gives(pool, *one))
            })
            .collect();
        for (reason, keep) in [
            (
                Reason::NoPool,
                Box::new(|_: &Pool| true) as Box<dyn Fn(&Pool) -> bool>,
            ),
            (
                Reason::PoolNotAllowed,
                Box::new(|pool: &Pool| self.admits(pool, service)),
            ),
            (Reason::PoolDisabled, Box::new(|pool: &Pool| !pool.disabled)),
            (
                Reason::PoolManual,
                Box::new(|pool: &Pool| self.offers(pool, service)),
            ),
        ] {
            left.retain(|pool| keep(pool));
            if left.is_empty() {
                return reason;
            }
        }
        Reason::PoolExhausted
    }

    /// Settles one Service; whether it let go of an address.
    fn settle(&mut self, index: usize) -> bool {
        let entry = self.services[index].clone();
        let service = &entry.service;
        let kept = |family: Family| {
            let mut held = entry.held.iter().copied();
            held.find(|one| Family::of(*one) == family && self.tenable(service, *one))
        };
        let mut choices: BTreeMap<Family, Result<IpAddr, Reason>> = BTreeMap::new();
        if service.request.fault.is_some() {
            for family in &service.families {
                choices.insert(*family, Err(Reason::InvalidRequest));
            }
        } else {
            let mut open = Vec::new();
            for &family in &service.families {
                let asked = |one: &IpAddr| {
                    let pool = &service.request.pool;
                    let owner = self.owner(*one);
                    pool.as_ref()
                        .is_none_or(|name| owner.is_some_and(|owner| owner.id.name == *name))
                };
                if let Some(address) = service.request.address(family) {
                    choices.insert(family, self.explicit(&entry, address));
                } else if let Some(address) = kept(family).filter(asked) {
                    choices.insert(family, Ok(address));
                } else {
                    open.push(family);
                }
            }
            choices.extend(open.iter().copied().zip(self.automatic(&entry, &open)));
        }
        let mut missing = None;
        let mut addresses = Vec::new();
        for family in &service.families {
            match choices[family] {
                Ok(address) => addresses.push(address),
                Err(reason) => {
                    missing = Some(missing.map_or(reason, |other: Reason| other.min(reason)));
                    addresses.extend(kept(*family));
                }
            }
        }
        if service.policy == FamilyPolicy::RequireDual && addresses.len() < service.families.len() {
            addresses.retain(|address| entry.held.contains(address));
        }
        let freed = entry.held.iter().any(|old| !addresses.contains(old));
        if !addresses.is_empty() && (addresses != entry.held || missing != entry.missing) {
            self.services[index].last.clone_from(&addresses);
        }
        self.services[index].held = addresses;
        self.services[index].missing = missing;
        freed
    }

    fn serve(&mut self) {
        while self.serve_once() {}
        // Nobody gains any more, but those who were passed over hear the latest reason.
        assert!(!self.serve_once());
    }

    fn serve_once(&mut self) -> bool {
        (0..self.services.len()).any(|index| {
            let entry = &self.services[index];
            let waits = entry.missing.is_some() && entry.service.request.fault.is_none();
            waits && self.settle(index)
        })
    }

    fn settle_all(&mut self) {
        for index in 0..self.services.len() {
            self.settle(index);
        }
        self.serve();
    }

    fn upsert(&mut self, service: Service) {
        let key = service.key.clone();
        match self
            .services
            .iter_mut()
            .find(|entry| entry.service.key == key)
        {
            Some(entry) => entry.service = service,
            None => self.services.push(Held {
                last: service.observed.clone(),
                service,
                held: Vec::new(),
                missing: None,
            }),
        }
        self.services
            .sort_by_key(|entry| (entry.service.created, entry.service.key.clone()));
        let index = self
            .services
            .iter()
            .position(|entry| entry.service.key == key)
            .unwrap();
        self.settle(index);
        self.serve();
    }

    fn remove(&mut self, key: &ServiceKey) {
        self.services.retain(|entry| entry.service.key != *key);
        self.serve();
    }
}

fn random_pool(random: &mut Random, index: u64) -> Pool {
    let (low, high) = (random.below(30), random.below(6));
    let mut ranges: Vec<String> = Vec::new();
    if random.chance(85) {
        ranges.push(format!(
            "10.0.{}.{}-10.0.{}.{}",
            index % 2,
            250 + high,
            index % 2 + 1,
            low % 5
        ));
    }
    if random.chance(40) {
        ranges.push(format!("fd00::{low:x}-fd00::{:x}", low + high));
    }
    let selector = |key: &str, value: &str| {
        Selector::new(&Labels::from([(key.to_owned(), value.to_owned())]), []).unwrap()
    };
    let mut scope = Scope::default();
    if random.chance(15) {
        scope.namespaces.insert(format!("n{}", random.below(3)));
    }
    if random.chance(15) {
        scope.namespace_selectors.push(selector(
            "team",
            ["red", "blue"][usize::from(random.chance(50))],
        ));
    }
    if random.chance(15) {
        scope.service_selectors.push(selector("tier", "front"));
    }
    let mut reservations = BTreeMap::new();
    if random.chance(20) {
        let address = format!("10.0.1.{}", random.below(4)).parse().unwrap();
        reservations.insert(
            address,
            ServiceKey::new("n0", format!("s{}", random.below(20))),
        );
    }
    Pool {
        id: PoolId {
            name: format!("p{}", index % 4),
            api: if index >= 4 {
                PoolApi::MetalLb
            } else {
                PoolApi::Bundled
            },
        },
        created: i64::try_from(random.below(3)).unwrap(),
        labels: Labels::new(),
        ranges: ranges.iter().map(|range| range.parse().unwrap()).collect(),
        excluded: if random.chance(20) {
            vec!["10.0.1.2".parse().unwrap()]
        } else {
            Vec::new()
        },
        reservations,
        avoid_buggy: random.chance(40),
        manual_assign: random.chance(15),
        disabled: random.chance(10),
        priority: NonZeroU32::new(u32::try_from(random.below(3)).unwrap()),
        scope,
    }
}

fn random_service(random: &mut Random, observed: Vec<IpAddr>) -> Service {
    let name = random.below(20);
    let mut service = service(&format!("n{}/s{name}", name % 3));
    service.created = i64::try_from(name / 4).unwrap();
    service.observed = observed;
    service.families = match random.below(6) {
        0..3 => vec![Family::V4],
        3 => vec![Family::V6],
        4 => vec![Family::V4, Family::V6],
        _ => vec![Family::V6, Family::V4],
    };
    if service.families.len() == 2 {
        service.policy = if random.chance(50) {
            FamilyPolicy::PreferDual
        } else {
            FamilyPolicy::RequireDual
        };
    }
    if random.chance(50) {
        service.labels.insert("tier".to_owned(), "front".to_owned());
    }
    service.ports = (0..=random.below(2))
        .map(|_| Port {
            protocol: if random.chance(80) {
                Protocol::Tcp
            } else {
                Protocol::Udp
            },
            number: 80 + u16::try_from(random.below(4)).unwrap(),
        })
        .collect();
    if random.chance(25) {
        service.traffic_policy = TrafficPolicy::Local;
    }
    service
        .selector
        .insert("app".to_owned(), format!("a{}", random.below(2)));
    let request = &mut service.request;
    if random.chance(50) {
        request.sharing_key = Some(format!("k{}", random.below(2)));
    }
    request.sharing_scope = match random.below(3) {
        0 => SharingScope::Everywhere,
        1 => SharingScope::Namespaces(BTreeSet::from(["n0".to_owned(), "n1".to_owned()])),
        _ => SharingScope::default(),
    };
    if random.chance(15) {
        request.pool = Some(format!("p{}", random.below(5)));
    }
    for family in service.families.clone() {
        if random.chance(20) {
            let bits = match family {
                Family::V4 => (10 << 24 | 1 << 8) + u128::from(random.below(10)) - 4,
                Family::V6 => (0xfd00 << 112) + u128::from(random.below(40)),
            };
            request.addresses.push(family.address(bits));
        }
    }
    if random.chance(4) {
        request.fault = Some("no sense".to_owned());
    }
    service
}

/// One run: random operations on both, compared after each.
fn run(seed: u64, operations: u32) {
    let mut random = Random::new(seed);
    let (mut allocator, mut model) = (Allocator::default(), Model::default());
    let mut pools: BTreeMap<u64, Pool> = BTreeMap::new();
    allocator.begin();
    for operation in 0..operations {
        match random.below(100) {
            0..60 => {
                let service = random_service(&mut random, Vec::new());
                allocator.upsert(service.clone());
                model.upsert(service);
            }
            60..82 => {
                let name = random.below(20);
                let key = ServiceKey::new(format!("n{}", name % 3), format!("s{name}"));
                allocator.remove(&key);
                model.remove(&key);
            }
            82..92 => {
                let index = random.below(6);
                if random.chance(30) {
                    pools.remove(&index);
                } else {
                    pools.insert(index, random_pool(&mut random, index));
                }
                model.set_pools(pools.values().cloned().collect());
                allocator.set_pools(model.pools.clone());
                model.settle_all();
            }
            92..97 => {
                let name = format!("n{}", random.below(3));
                let team = ["red", "blue"][usize::from(random.chance(50))];
                let labels = Labels::from([("team".to_owned(), team.to_owned())]);
                allocator.set_namespace(&name, Some(labels.clone()));
                if model.namespaces.insert(name.clone(), labels.clone()) != Some(labels) {
                    for index in 0..model.services.len() {
                        if model.services[index].service.key.namespace == name {
                            model.settle(index);
                        }
                    }
                    model.serve();
                }
            }
            _ => allocator = restart(&allocator, &mut model),
        }
        compare(&allocator, &model, seed, operation);
    }
}

/// A new allocator that knows only what the API holds: it must come to the same.
fn restart(before: &Allocator, model: &mut Model) -> Allocator {
    let mut after = Allocator::default();
    for (name, labels) in &model.namespaces {
        after.set_namespace(name, Some(labels.clone()));
    }
    after.set_pools(model.pools.clone());
    for service in before.services().rev_by_name() {
        let mut service = service.clone();
        service.observed = before.outcome(&service.key).unwrap().addresses.to_vec();
        after.upsert(service);
    }
    after.begin();
    for entry in &mut model.services {
        entry.last.clone_from(&entry.held);
    }
    after
}

trait ReverseByName<'a> {
    fn rev_by_name(self) -> Vec<&'a Service>;
}

impl<'a, I: Iterator<Item = &'a Service>> ReverseByName<'a> for I {
    fn rev_by_name(self) -> Vec<&'a Service> {
        let mut all: Vec<_> = self.collect();
        all.reverse();
        all
    }
}

fn compare(allocator: &Allocator, model: &Model, seed: u64, operation: u32) {
    assert_eq!(allocator.services().count(), model.services.len());
    for entry in &model.services {
        let key = &entry.service.key;
        let outcome = allocator.outcome(key).unwrap();
        assert_eq!(
            (
                outcome.addresses,
                outcome.refusal.map(|refusal| refusal.reason)
            ),
            (&entry.held[..], entry.missing),
            "{key}, seed {seed}, operation {operation}: {:?} {:?}\n{:#?}\n{:#?}",
            outcome.refusal,
            entry.service,
            model.pools,
            model.namespaces,
        );
        for address in &entry.held {
            assert!(
                model.tenable(&entry.service, *address),
                "{key} {address} seed {seed}"
            );
        }
    }
    for report in allocator
        .report()
        .into_iter()
        .filter(|_| operation.is_multiple_of(8))
    {
        let pool = model
            .pools
            .iter()
            .find(|pool| pool.id == report.id)
            .unwrap();
        for (family, usage) in [(Family::V4, report.v4), (Family::V6, report.v6)] {
            let all = model.addresses(pool, family);
            let given = all.iter().filter(|address| Model::gives(pool, **address));
            let left = given
                .clone()
                .filter(|address| model.vacant(**address))
                .count();
            assert_eq!(
                usage.total,
                given.count() as u128,
                "seed {seed}, operation {operation}"
            );
            assert_eq!(
                usage.available, left as u128,
                "seed {seed}, operation {operation}"
            );
            let taken = all
                .iter()
                .filter(|address| !model.vacant(**address))
                .count();
            assert_eq!(
                usage.assigned, taken as u128,
                "seed {seed}, operation {operation}"
            );
        }
    }
}

/// 200 operations a seed; `MODEL_SEEDS=500` makes it 100 000.
#[test]
fn random_operations_agree_with_the_model() {
    let seeds = std::env::var("MODEL_SEEDS").map_or(60, |seeds| seeds.parse().unwrap());
    for seed in 0..seeds {
        run(seed, 200);
    }
}
