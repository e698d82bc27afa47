//! Pools and advertisements of both APIs, as one set.

use std::collections::BTreeMap;

use crate::{
    core::{atlas::Advertisement, pool::Pool, service::ServiceKey},
    k8s::{
        convert,
        crd::{AddressPool, AddressPoolStatus},
        follow::News,
    },
};

/// A pool of ours, as it is and as we described it last.
#[derive(Debug, Clone)]
pub(super) struct PoolObject {
    pub(super) generation: i64,
    pub(super) pool: Result<Pool, String>,
    pub(super) status: Option<AddressPoolStatus>,
}

impl PoolObject {
    pub(super) fn read(object: &AddressPool) -> Self {
        Self {
            generation: object.metadata.generation.unwrap_or_default(),
            pool: convert::pool(object),
            status: object.status.clone(),
        }
    }
}

type Checked<T> = Result<T, String>;

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Catalogue {
    pub(super) ours: BTreeMap<ServiceKey, PoolObject>,
    metallb: BTreeMap<ServiceKey, Checked<Pool>>,
    advertisements: BTreeMap<ServiceKey, Checked<Advertisement>>,
    metallb_advertisements: BTreeMap<ServiceKey, Checked<Advertisement>>,
}

impl Catalogue {
    pub(super) fn set_pool(&mut self, news: News<PoolObject>) {
        if let News::Object(key, Some(object)) = &news
            && let Err(error) = &object.pool
        {
            tracing::warn!(pool = key.name, error, "an AddressPool is not in force");
        }
        set(&mut self.ours, news);
    }

    pub(super) fn set_metallb_pool(&mut self, news: News<Checked<Pool>>) {
        complain("IPAddressPool", &news);
        set(&mut self.metallb, news);
    }

    pub(super) fn set_advertisement(&mut self, news: News<Checked<Advertisement>>) {
        complain("L2Advertisement", &news);
        set(&mut self.advertisements, news);
    }

    pub(super) fn set_metallb_advertisement(&mut self, news: News<Checked<Advertisement>>) {
        complain("L2Advertisement (metallb.io)", &news);
        set(&mut self.metallb_advertisements, news);
    }

    /// The pools that are in force.
    pub(super) fn pools(&self) -> Vec<Pool> {
        let ours = self.ours.values().map(|object| &object.pool);
        ours.chain(self.metallb.values())
            .flatten()
            .cloned()
            .collect()
    }

    /// The advertisements that are in force.
    pub(super) fn advertisements(&self) -> Vec<Advertisement> {
        let all = self
            .advertisements
            .values()
            .chain(self.metallb_advertisements.values());
        all.flatten().cloned().collect()
    }
}

fn set<T>(map: &mut BTreeMap<ServiceKey, T>, news: News<T>) {
    match news {
        News::Object(key, Some(object)) => {
            map.insert(key, object);
        }
        News::Object(key, None) => {
            map.remove(&key);
        }
        News::Version(_) | News::Synced | News::Absent => {}
    }
}

fn complain<T>(kind: &str, news: &News<Checked<T>>) {
    if let News::Object(key, Some(Err(error))) = news {
        tracing::warn!(kind, name = key.name, error, "an object is not in force");
    }
}
