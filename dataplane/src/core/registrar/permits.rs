//! Which permits the ledger should hold: see [`crate::core::ledger`].

use std::net::IpAddr;

use super::{Registrar, is_older};
use crate::core::{ledger::Holders, service::ServiceKey};

impl Registrar {
    /// Tells the ledger who should have `address`, and who must be kept in it because the address is in their
    /// status or may still get there.
    pub(super) fn want(&mut self, address: IpAddr) {
        let recorded = self.ledger.recorded(address);
        let tenants = self.allocator.tenants(address);
        let given: Holders = tenants
            .iter()
            .filter_map(|key| Some((key.clone(), self.permit(address, key, recorded)?)))
            .collect();
        let mut kept: Holders = recorded
            .iter()
            .filter(|(key, permit)| {
                !given.contains_key(*key) && !self.is_over(address, key, permit)
            })
            .map(|(key, permit)| (key.clone(), permit.clone()))
            .collect();
        for key in self.shown.get(&address).into_iter().flatten() {
            if !given.contains_key(key)
                && !kept.contains_key(key)
                && let Some(seen) = self.services.get(key)
            {
                kept.insert(key.clone(), seen.version.clone());
            }
        }
        for key in recorded.keys().chain(given.keys()) {
            let lingers = kept.contains_key(key);
            if lingers {
                self.lingering
                    .entry(key.clone())
                    .or_default()
                    .insert(address);
                self.dirty.insert(key.clone());
            } else if let Some(addresses) = self.lingering.get_mut(key) {
                addresses.remove(&address);
                if addresses.is_empty() {
                    self.lingering.remove(key);
                }
            }
        }
        if self.ledger.want(address, given, kept) {
            self.dirty
                .extend(self.allocator.tenants(address).iter().cloned());
        }
    }

    /// A Service has another version: permits are for the old one, and some may be over.
    pub(super) fn renew_permits(&mut self, key: &ServiceKey) {
        if !self.leading {
            return;
        }
        let lingering = self.lingering.get(key).into_iter().flatten();
        let given = self.given.get(key).into_iter().flatten();
        let addresses: Vec<IpAddr> = lingering.chain(given).copied().collect();
        for address in addresses {
            self.want(address);
        }
    }

    /// The version on top of which `key` may get `address`. Where the status shows it, the permit that brought it
    /// there stands; and a permit for a version that has not been seen yet is never taken back.
    fn permit(&self, address: IpAddr, key: &ServiceKey, recorded: &Holders) -> Option<String> {
        let seen = self.services.get(key)?;
        let before = recorded.get(key);
        let stands = |permit: &&String| self.shows(address, key) || is_older(&seen.version, permit);
        Some(before.filter(stands).unwrap_or(&seen.version).clone())
    }

    /// Whether a permit can no longer bring `address` into the status of `key`, and has not.
    fn is_over(&self, address: IpAddr, key: &ServiceKey, permit: &str) -> bool {
        match self.services.get(key) {
            Some(seen) => !self.shows(address, key) && is_older(permit, &seen.version),
            None => permit == self.horizon || is_older(permit, &self.horizon),
        }
    }

    pub(super) fn shows(&self, address: IpAddr, key: &ServiceKey) -> bool {
        self.shown
            .get(&address)
            .is_some_and(|keys| keys.contains(key))
    }

    /// Whether `address` may be written into the status of `key`: it is there already, or the ledger permits it.
    pub(super) fn is_confirmed(&self, address: IpAddr, key: &ServiceKey) -> bool {
        let Some(seen) = self.services.get(key).filter(|_| self.records) else {
            return !self.records;
        };
        let there = self.shows(address, key) && self.ledger.recorded(address).contains_key(key);
        there || self.ledger.permits(address, key, &seen.version)
    }

    /// Whether an address of another cannot be given on before `key` is written once more: its permit is for just
    /// this version, and only another version proves that nobody uses it.
    pub(super) fn holds_up(&self, key: &ServiceKey) -> bool {
        let Some(seen) = self.services.get(key).filter(|_| self.records) else {
            return false;
        };
        let mut lingering = self.lingering.get(key).into_iter().flatten();
        lingering.any(|address| {
            !self.shows(*address, key)
                && self.ledger.recorded(*address).get(key) == Some(&seen.version)
        })
    }

    /// Whether `key` should show less for now: it waits for an address that another must give up first, while
    /// others wait for what it shows.
    pub(super) fn should_yield(&self, key: &ServiceKey, given: &[IpAddr]) -> bool {
        let awaited = |address: &IpAddr| {
            !given.contains(address) && !self.allocator.tenants(*address).is_empty()
        };
        let shown = self
            .services
            .get(key)
            .into_iter()
            .flat_map(|seen| &seen.addresses);
        let contested = given
            .iter()
            .any(|address| !self.is_confirmed(*address, key) && self.ledger.is_contested(*address));
        contested && (self.holds_up(key) || shown.into_iter().any(awaited))
    }
}
