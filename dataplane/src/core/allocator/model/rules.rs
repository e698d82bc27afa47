//! What pools have and give, and who may have it.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    num::NonZeroU32,
};

use crate::core::{
    family::{Family, number},
    labels::Labels,
    pool::{Pool, PoolId},
    refusal::Reason,
    service::{Service, ServiceKey},
};

/// Everything is found by looking at everything.
#[derive(Default)]
pub(super) struct Model {
    pub(super) pools: Vec<Pool>,
    pub(super) namespaces: BTreeMap<String, Labels>,
    pub(super) services: Vec<Held>,
    /// Every address of every pool, written out.
    pub(super) addresses: BTreeMap<(PoolId, Family), Vec<IpAddr>>,
}

#[derive(Clone)]
pub(super) struct Held {
    pub(super) service: Service,
    pub(super) held: Vec<IpAddr>,
    pub(super) last: Vec<IpAddr>,
    pub(super) missing: Option<Reason>,
}

impl Model {
    pub(super) fn owner(&self, address: IpAddr) -> Option<&Pool> {
        let has = |pool: &&Pool| {
            pool.ranges.iter().any(|range| range.contains(address))
                && !pool.excluded.iter().any(|range| range.contains(address))
        };
        self.pools
            .iter()
            .filter(has)
            .min_by(|a, b| (a.created, &a.id).cmp(&(b.created, &b.id)))
    }

    pub(super) fn set_pools(&mut self, pools: Vec<Pool>) {
        self.pools = pools;
        self.addresses = self
            .pools
            .iter()
            .flat_map(|pool| Family::ALL.map(|family| (pool, family)))
            .map(|(pool, family)| ((pool.id.clone(), family), self.write_out(pool, family)))
            .collect();
    }

    pub(super) fn addresses(&self, pool: &Pool, family: Family) -> &[IpAddr] {
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

    pub(super) fn gives(pool: &Pool, address: IpAddr) -> bool {
        let octet = number(address) & 0xff;
        !(pool.avoid_buggy && address.is_ipv4() && (octet == 0 || octet == 255))
    }

    pub(super) fn admits(&self, pool: &Pool, service: &Service) -> bool {
        let empty = Labels::new();
        let labels = self
            .namespaces
            .get(&service.key.namespace)
            .unwrap_or(&empty);
        pool.scope
            .admits(&service.key.namespace, labels, &service.labels)
    }

    pub(super) fn agrees(&self, service: &Service, address: IpAddr) -> bool {
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

    pub(super) fn reserved(&self, address: IpAddr) -> Option<&ServiceKey> {
        self.owner(address)?.reservations.get(&address)
    }

    pub(super) fn tenable(&self, service: &Service, address: IpAddr) -> bool {
        service.families.contains(&Family::of(address))
            && self
                .owner(address)
                .is_some_and(|pool| Self::gives(pool, address) && self.admits(pool, service))
            && self.agrees(service, address)
    }

    pub(super) fn offers(&self, pool: &Pool, service: &Service) -> bool {
        let asked = match &service.request.pool {
            Some(name) => *name == pool.id.name,
            None => !pool.manual_assign,
        };
        asked && !pool.disabled && self.admits(pool, service)
    }

    pub(super) fn in_order(&self) -> Vec<&Pool> {
        let mut pools: Vec<_> = self.pools.iter().collect();
        let order = |pool: &Pool| {
            let all = pool.priority.is_none() && pool.scope.is_everything();
            (pool.priority.map_or(u32::MAX, NonZeroU32::get), all)
        };
        pools.sort_by(|a, b| (order(a), &a.id).cmp(&(order(b), &b.id)));
        pools
    }

    pub(super) fn vacant(&self, address: IpAddr) -> bool {
        self.services
            .iter()
            .all(|other| !other.held.contains(&address))
    }

    pub(super) fn lowest(&self, pool: &Pool, family: Family) -> Option<IpAddr> {
        let mut all = self.addresses(pool, family).iter().copied();
        all.find(|address| {
            self.vacant(*address)
                && Self::gives(pool, *address)
                && self.reserved(*address).is_none()
        })
    }
}
