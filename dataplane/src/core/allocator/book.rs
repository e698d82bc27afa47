//! Who has which address, and what is left: the bookkeeping under the allocator's decisions.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use crate::core::{
    family::{Family, number},
    intervals::IntervalSet,
    pool_set::PoolSet,
    service::ServiceKey,
};

/// How full a pool is, for one address family.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Addresses the pool can give in all.
    pub total: u128,
    /// Addresses that Services have.
    pub assigned: u128,
    /// Addresses that are left; those kept for a Service count as left.
    pub available: u128,
}

/// Tenants of every address, and the free list of every pool.
#[derive(Debug, Clone, Default)]
pub(super) struct Book {
    tenants: BTreeMap<IpAddr, Vec<ServiceKey>>,
    /// Addresses whose tenants share, by sharing key.
    shared: BTreeMap<String, BTreeSet<IpAddr>>,
    /// By place of the pool in the order.
    shelves: Vec<BTreeMap<Family, Shelf>>,
    reserved: BTreeMap<IpAddr, ServiceKey>,
    reserved_for: BTreeMap<ServiceKey, BTreeSet<IpAddr>>,
}

#[derive(Debug, Clone, Default)]
struct Shelf {
    free: IntervalSet,
    total: u128,
    /// Addresses in use, and how many of them the pool would give again.
    assigned: u128,
    returnable: u128,
}

impl Book {
    /// Starts over with other pools; tenants stay where they are.
    pub(super) fn set_pools(&mut self, pools: &PoolSet) {
        self.reserved.clear();
        self.reserved_for.clear();
        self.shelves.clear();
        for (place, pool) in pools.iter().enumerate() {
            for (&address, service) in &pool.reservations {
                if pools.position_of(address) == Some(place) {
                    self.reserved.insert(address, service.clone());
                    self.reserved_for
                        .entry(service.clone())
                        .or_default()
                        .insert(address);
                }
            }
            let shelf = |family| {
                let free = pools.addresses(place, family)?.clone();
                let total = pools.capacity(place, family);
                Some((
                    family,
                    Shelf {
                        free,
                        total,
                        ..Shelf::default()
                    },
                ))
            };
            self.shelves
                .push(Family::ALL.into_iter().filter_map(shelf).collect());
        }
        let taken: Vec<_> = self
            .tenants
            .keys()
            .chain(self.reserved.keys())
            .copied()
            .collect();
        for address in taken {
            if let Some(shelf) = Self::shelf(&mut self.shelves, pools, address) {
                shelf.free.remove(number(address), number(address));
            }
        }
        let held: Vec<_> = self.tenants.keys().copied().collect();
        for address in held {
            self.count(pools, address, true);
        }
        for place in 0..self.shelves.len() {
            self.trim(pools, place);
        }
    }

    /// The Services that have `address`.
    pub(super) fn tenants(&self, address: IpAddr) -> &[ServiceKey] {
        self.tenants.get(&address).map_or(&[], Vec::as_slice)
    }

    /// Whether nobody has `address`.
    pub(super) fn is_vacant(&self, address: IpAddr) -> bool {
        !self.tenants.contains_key(&address)
    }

    /// The Service `address` is kept for.
    pub(super) fn reserved(&self, address: IpAddr) -> Option<&ServiceKey> {
        self.reserved.get(&address)
    }

    /// The addresses kept for `service`.
    pub(super) fn reserved_for(&self, service: &ServiceKey) -> impl Iterator<Item = IpAddr> + '_ {
        self.reserved_for
            .get(service)
            .into_iter()
            .flatten()
            .copied()
    }

    /// The addresses that Services with this sharing key have, from the lowest up.
    pub(super) fn shared(&self, key: &str) -> impl Iterator<Item = IpAddr> + '_ {
        self.shared.get(key).into_iter().flatten().copied()
    }

    /// The lowest address of `family` that the pool at `place` has left.
    pub(super) fn lowest(&self, place: usize, family: Family) -> Option<IpAddr> {
        let shelf = self.shelves.get(place)?.get(&family)?;
        shelf.free.lowest().map(|bits| family.address(bits))
    }

    /// How full the pool at `place` is.
    pub(super) fn usage(&self, place: usize, family: Family) -> Usage {
        let Some(shelf) = self
            .shelves
            .get(place)
            .and_then(|shelves| shelves.get(&family))
        else {
            return Usage::default();
        };
        Usage {
            total: shelf.total,
            assigned: shelf.assigned,
            available: shelf.total.saturating_sub(shelf.returnable),
        }
    }

    /// Gives `address` to `service`, beside those who have it already.
    pub(super) fn take(&mut self, pools: &PoolSet, address: IpAddr, service: &ServiceKey) {
        let tenants = self.tenants.entry(address).or_default();
        let newly = tenants.is_empty();
        if let Err(place) = tenants.binary_search(service) {
            tenants.insert(place, service.clone());
        }
        if newly {
            if let Some(shelf) = Self::shelf(&mut self.shelves, pools, address) {
                shelf.free.remove(number(address), number(address));
            }
            self.count(pools, address, true);
            if let Some(place) = pools.position_of(address) {
                self.trim(pools, place);
            }
        }
    }

    /// Takes `address` from `service`.
    pub(super) fn leave(&mut self, pools: &PoolSet, address: IpAddr, service: &ServiceKey) {
        let Some(tenants) = self.tenants.get_mut(&address) else {
            return;
        };
        tenants.retain(|tenant| tenant != service);
        if !tenants.is_empty() {
            return;
        }
        self.tenants.remove(&address);
        self.count(pools, address, false);
        let (family, bits) = (Family::of(address), number(address));
        let given = pools
            .pool_of(address)
            .is_some_and(|pool| pool.may_give(family, bits));
        if given
            && !self.reserved.contains_key(&address)
            && let Some(shelf) = Self::shelf(&mut self.shelves, pools, address)
        {
            shelf.free.insert(bits, bits);
        }
    }

    /// Notes whether the tenants of `address` share it under `key`.
    pub(super) fn set_shared(&mut self, key: &str, address: IpAddr, shared: bool) {
        if shared {
            self.shared
                .entry(key.to_owned())
                .or_default()
                .insert(address);
        } else if let Some(addresses) = self.shared.get_mut(key) {
            addresses.remove(&address);
            if addresses.is_empty() {
                self.shared.remove(key);
            }
        }
    }

    fn shelf<'a>(
        shelves: &'a mut [BTreeMap<Family, Shelf>],
        pools: &PoolSet,
        address: IpAddr,
    ) -> Option<&'a mut Shelf> {
        shelves
            .get_mut(pools.position_of(address)?)?
            .get_mut(&Family::of(address))
    }

    fn count(&mut self, pools: &PoolSet, address: IpAddr, taken: bool) {
        let (family, bits) = (Family::of(address), number(address));
        let returnable = pools
            .pool_of(address)
            .is_some_and(|pool| pool.may_give(family, bits));
        let Some(shelf) = Self::shelf(&mut self.shelves, pools, address) else {
            return;
        };
        let change = |counter: &mut u128, by: u128| {
            *counter = if taken {
                *counter + by
            } else {
                counter.saturating_sub(by)
            };
        };
        change(&mut shelf.assigned, 1);
        change(&mut shelf.returnable, u128::from(returnable));
    }

    /// Drops addresses the pool never gives from the front of its free lists. Doing it only there keeps a pool
    /// of any size one interval until it is used.
    fn trim(&mut self, pools: &PoolSet, place: usize) {
        let Some((pool, shelves)) = pools.get(place).zip(self.shelves.get_mut(place)) else {
            return;
        };
        for (&family, shelf) in shelves {
            while let Some(bits) = shelf.free.lowest()
                && !pool.may_give(family, bits)
            {
                shelf.free.remove(bits, bits);
            }
        }
    }
}
