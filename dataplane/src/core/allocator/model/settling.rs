//! Services come, go and are served.

use std::{collections::BTreeMap, net::IpAddr};

use super::rules::{Held, Model};
use crate::core::{
    family::Family,
    refusal::Reason,
    service::{FamilyPolicy, Service, ServiceKey},
};

impl Model {
    /// Settles one Service; whether it let go of an address.
    pub(super) fn settle(&mut self, index: usize) -> bool {
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

    pub(super) fn serve(&mut self) {
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

    pub(super) fn settle_all(&mut self) {
        for index in 0..self.services.len() {
            self.settle(index);
        }
        self.serve();
    }

    pub(super) fn upsert(&mut self, service: Service) {
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

    pub(super) fn remove(&mut self, key: &ServiceKey) {
        self.services.retain(|entry| entry.service.key != *key);
        self.serve();
    }
}
