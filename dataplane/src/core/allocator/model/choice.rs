//! Which address a Service should have, or why none.

use std::net::IpAddr;

use super::rules::{Held, Model};
use crate::core::{family::Family, pool::Pool, refusal::Reason, service::Service};

impl Model {
    pub(super) fn explicit(&self, entry: &Held, address: IpAddr) -> Result<IpAddr, Reason> {
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

    pub(super) fn automatic(&self, entry: &Held, open: &[Family]) -> Vec<Result<IpAddr, Reason>> {
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
}
