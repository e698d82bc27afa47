//! The decision for one Service: which addresses it should have, and why not others. Nothing is changed here.

use std::net::IpAddr;

use super::{Allocator, Entry};
use crate::core::{
    family::{Family, number},
    pool::Pool,
    refusal::{Reason, Refusal},
    service::{FamilyPolicy, Service, ServiceKey},
};

/// What a Service should have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    /// At most one address of each family, in the order of the Service's families.
    pub(super) addresses: Vec<IpAddr>,
    /// What it does not get.
    pub(super) refusal: Option<Refusal>,
}

impl Allocator {
    /// Decides for `entry` as if its own addresses were the only ones that can still change.
    ///
    /// An address that works is never taken away because a new wish cannot be met.
    pub(super) fn decide(&self, entry: &Entry) -> Verdict {
        let service = &entry.service;
        let kept = |family| {
            entry.held.iter().copied().find(|address| {
                Family::of(*address) == family && self.is_tenable(service, *address)
            })
        };
        if let Some(fault) = &service.request.fault {
            let addresses = service
                .families
                .iter()
                .filter_map(|family| kept(*family))
                .collect();
            let refusal = Some(Refusal::new(Reason::InvalidRequest, fault.clone()));
            return Verdict { addresses, refusal };
        }
        let mut chosen: Vec<(Family, Result<IpAddr, Refusal>)> = Vec::new();
        let mut open = Vec::new();
        for &family in &service.families {
            if let Some(address) = service.request.address(family) {
                chosen.push((family, self.check(service, address).map(|()| address)));
            } else if let Some(address) =
                kept(family).filter(|address| self.is_asked(service, *address))
            {
                chosen.push((family, Ok(address)));
            } else {
                open.push(family);
            }
        }
        chosen.extend(self.pick(entry, &open));
        chosen.sort_by_key(|(family, _)| service.families.iter().position(|one| one == family));

        let mut refusal: Option<Refusal> = None;
        let mut fresh = false;
        let mut addresses = Vec::new();
        for (family, choice) in chosen {
            match choice {
                Ok(address) => {
                    fresh |= !entry.held.contains(&address);
                    addresses.push(address);
                }
                Err(why) => {
                    if refusal
                        .as_ref()
                        .is_none_or(|other| why.reason < other.reason)
                    {
                        refusal = Some(why);
                    }
                    addresses.extend(kept(family));
                }
            }
        }
        let short = addresses.len() < service.families.len();
        if service.policy == FamilyPolicy::RequireDual && short && fresh {
            addresses.retain(|address| entry.held.contains(address));
        }
        Verdict { addresses, refusal }
    }

    /// Whether `service` may go on with an address it has.
    pub(super) fn is_tenable(&self, service: &Service, address: IpAddr) -> bool {
        service.families.contains(&Family::of(address))
            && self.pools.pool_of(address).is_some_and(|pool| {
                pool.may_give(Family::of(address), number(address)) && self.admits(pool, service)
            })
            && self.sharing(service, address).is_ok()
    }

    /// Whether an address is from the pool that `service` asks for.
    fn is_asked(&self, service: &Service, address: IpAddr) -> bool {
        service.request.pool.as_ref().is_none_or(|name| {
            self.pools
                .pool_of(address)
                .is_some_and(|pool| pool.id.name == *name)
        })
    }

    /// Whether `service` can have `address`, which it asks for.
    fn check(&self, service: &Service, address: IpAddr) -> Result<(), Refusal> {
        let outside = |message: String| Err(Refusal::new(Reason::AddressOutsidePools, message));
        let Some(pool) = self.pools.pool_of(address) else {
            return outside(format!("{address} is in no address pool"));
        };
        if !pool.may_give(Family::of(address), number(address)) {
            return outside(format!(
                "pool {} leaves out {address} (avoidBuggyIPs)",
                pool.id
            ));
        }
        if let Some(name) = service
            .request
            .pool
            .as_ref()
            .filter(|name| **name != pool.id.name)
        {
            return outside(format!(
                "{address} is in pool {}, not in the requested pool {name}",
                pool.id
            ));
        }
        if !self.admits(pool, service) {
            return Err(Refusal::new(
                Reason::PoolNotAllowed,
                format!(
                    "{address} is in pool {}, which does not serve {}",
                    pool.id, service.key
                ),
            ));
        }
        if self.book.tenants(address).contains(&service.key) {
            return self.sharing(service, address);
        }
        if pool.disabled {
            return Err(Refusal::new(
                Reason::PoolDisabled,
                format!("{address} is in pool {}, which is disabled", pool.id),
            ));
        }
        if let Some(other) = self
            .book
            .reserved(address)
            .filter(|other| **other != service.key)
        {
            return Err(Refusal::new(
                Reason::AddressReserved,
                format!("{address} is reserved for {other} in pool {}", pool.id),
            ));
        }
        self.sharing(service, address)
    }

    /// Whether `service` gets along with the others that have `address`.
    fn sharing(&self, service: &Service, address: IpAddr) -> Result<(), Refusal> {
        let others = self
            .book
            .tenants(address)
            .iter()
            .filter(|key| **key != service.key);
        for other in others.filter_map(|key| self.entries.get(key)) {
            conflict(service, &other.service, address).map_or(Ok(()), Err)?;
        }
        Ok(())
    }

    pub(super) fn admits(&self, pool: &Pool, service: &Service) -> bool {
        let none = std::collections::BTreeMap::new();
        let namespace = &service.key.namespace;
        let labels = self.namespaces.get(namespace).unwrap_or(&none);
        pool.scope.admits(namespace, labels, &service.labels)
    }

    /// Finds addresses of the families that are `open`; one pool for both if one can give both.
    fn pick(&self, entry: &Entry, open: &[Family]) -> Vec<(Family, Result<IpAddr, Refusal>)> {
        let service = &entry.service;
        let known = |family: Family| {
            let reserved = self.book.reserved_for(&service.key);
            let shared = service.request.sharing_key.iter().flat_map(|key| {
                let mut addresses: Vec<_> = self.book.shared(key).collect();
                addresses.sort_by_key(|address| (self.pools.position_of(*address), *address));
                addresses
            });
            let mut candidates = reserved
                .chain(entry.remembered.iter().copied())
                .chain(shared);
            candidates
                .find(|address| Family::of(*address) == family && self.suits(service, *address))
        };
        let found: Vec<_> = open
            .iter()
            .map(|family| (*family, known(*family)))
            .collect();
        let places: Vec<usize> = self.open_places(service).collect();
        let both = |place: &usize| {
            open.iter()
                .all(|family| self.book.lowest(*place, *family).is_some())
        };
        let common = if found.iter().all(|(_, address)| address.is_none()) {
            places.iter().copied().find(both)
        } else {
            None
        };
        let lowest = |family| {
            common
                .into_iter()
                .chain(places.iter().copied())
                .find_map(|place| self.book.lowest(place, family))
        };
        found
            .into_iter()
            .map(|(family, address)| {
                let choice = address.or_else(|| lowest(family));
                (family, choice.ok_or_else(|| self.explain(service, family)))
            })
            .collect()
    }

    /// Whether `service`, which did not ask for `address`, can be given it.
    fn suits(&self, service: &Service, address: IpAddr) -> bool {
        let Some(pool) = self.pools.pool_of(address) else {
            return false;
        };
        let reserved = self.book.reserved(address);
        let on_offer = match reserved {
            Some(owner) => *owner == service.key && !pool.disabled && self.admits(pool, service),
            None => self.offers(pool, service),
        };
        on_offer
            && self.is_asked(service, address)
            && pool.may_give(Family::of(address), number(address))
            && self.sharing(service, address).is_ok()
    }

    /// Whether `pool` gives `service` an address without being asked for that address.
    fn offers(&self, pool: &Pool, service: &Service) -> bool {
        let named = service
            .request
            .pool
            .as_ref()
            .is_some_and(|name| *name == pool.id.name);
        (named || service.request.pool.is_none() && !pool.manual_assign)
            && !pool.disabled
            && self.admits(pool, service)
    }

    fn open_places(&self, service: &Service) -> impl Iterator<Item = usize> + '_ {
        let offers: Vec<_> = self
            .pools
            .iter()
            .map(|pool| self.offers(pool, service))
            .collect();
        offers
            .into_iter()
            .enumerate()
            .filter_map(|(place, open)| open.then_some(place))
    }

    /// Why no pool gives `service` an address of `family`.
    fn explain(&self, service: &Service, family: Family) -> Refusal {
        let wanted = service.request.pool.as_ref();
        let candidates = || {
            let named = move |pool: &&Pool| wanted.is_none_or(|name| pool.id.name == *name);
            self.pools
                .iter()
                .enumerate()
                .filter(move |(_, pool)| named(pool))
        };
        if let Some(name) = wanted.filter(|_| candidates().next().is_none()) {
            let message = format!("the requested pool {name} does not exist");
            return Refusal::new(Reason::PoolNotFound, message);
        }
        if self.pools.is_empty() {
            return Refusal::new(Reason::NoPool, "no address pool exists");
        }
        let names = |pools: Vec<&Pool>| {
            pools
                .iter()
                .map(|pool| pool.id.to_string())
                .collect::<Vec<_>>()
                .join(", ")
        };
        let with_family: Vec<_> = candidates()
            .filter(|(place, _)| self.pools.capacity(*place, family) > 0)
            .map(|(_, pool)| pool)
            .collect();
        if with_family.is_empty() {
            let all = names(candidates().map(|(_, pool)| pool).collect());
            return Refusal::new(Reason::NoPool, format!("no {family} address in pool {all}"));
        }
        let admitting: Vec<_> = with_family
            .iter()
            .copied()
            .filter(|pool| self.admits(pool, service))
            .collect();
        if admitting.is_empty() {
            return Refusal::new(
                Reason::PoolNotAllowed,
                format!(
                    "no pool with {family} addresses serves {}: the namespaces or selectors of {} leave it out",
                    service.key,
                    names(with_family),
                ),
            );
        }
        let enabled: Vec<_> = admitting
            .iter()
            .copied()
            .filter(|pool| !pool.disabled)
            .collect();
        if enabled.is_empty() {
            let message = format!("pool {} is disabled", names(admitting));
            return Refusal::new(Reason::PoolDisabled, message);
        }
        let offering: Vec<_> = enabled
            .iter()
            .copied()
            .filter(|pool| self.offers(pool, service))
            .collect();
        if offering.is_empty() {
            return Refusal::new(
                Reason::PoolManual,
                format!(
                    "pool {} gives addresses only on request (annotation {})",
                    names(enabled),
                    crate::core::request::POOL,
                ),
            );
        }
        let message = format!("no free {family} address in pool {}", names(offering));
        Refusal::new(Reason::PoolExhausted, message)
    }
}

/// Why `service` and `other` cannot both have `address`.
fn conflict(service: &Service, other: &Service, address: IpAddr) -> Option<Refusal> {
    let key = service.request.sharing_key.as_ref();
    if key.is_none() || key != other.request.sharing_key.as_ref() {
        return Some(Refusal::new(
            Reason::AddressInUse,
            format!(
                "{address} belongs to {}, and the two have no common sharing key",
                other.key
            ),
        ));
    }
    let refuse = |message| Some(Refusal::new(Reason::SharingConflict, message));
    if !are_neighbours(service, &other.key) || !are_neighbours(other, &service.key) {
        return refuse(format!(
            "{address} belongs to {}; to share across namespaces both need annotation {}",
            other.key,
            crate::core::request::SHARING_NAMESPACES,
        ));
    }
    if let Some(port) = service.ports.intersection(&other.ports).next() {
        return refuse(format!("{address} port {port} belongs to {}", other.key));
    }
    if !service.shares_back_ends_with(other) {
        return refuse(format!(
            "{address} belongs to {}; sharing needs the same externalTrafficPolicy, and under Local the same selector",
            other.key,
        ));
    }
    None
}

fn are_neighbours(service: &Service, other: &ServiceKey) -> bool {
    service.key.namespace == other.namespace
        || service.request.sharing_scope.admits(&other.namespace)
}
