//! How writes ended.

use super::{
    Registrar, SeenService,
    records::{UnderWay, is_older},
};
use crate::core::{
    ledger::{BlockId, Entries},
    service::ServiceKey,
};

impl Registrar {
    /// A Service was written and has `version` now; `None`: it is gone.
    pub fn handle_service_written(&mut self, key: &ServiceKey, version: Option<String>) {
        let Some(UnderWay { write, news }) = self.writing.remove(key) else {
            return;
        };
        if version.is_some() || write.finalize {
            self.events.extend(news);
        }
        let known = self.services.get(key).cloned();
        if version.is_none()
            && known
                .as_ref()
                .is_some_and(|known| known.version == write.version)
        {
            self.outdated.insert(key.clone(), write.version);
            return;
        }
        if let (Some(version), Some(known)) = (version, known)
            && known.uid == write.uid
            && !is_older(&version, &known.version)
        {
            self.show(key, false);
            let seen = SeenService {
                version,
                finalizer: write.finalizer,
                addresses: write.addresses,
                plain: true,
                conditions: write.conditions,
                ..known
            };
            self.services.insert(key.clone(), seen);
            self.show(key, true);
            self.chart(key);
        }
        self.dirty.insert(key.clone());
        self.follow_allocator();
        self.renew_permits(key);
    }

    /// A Service was not written: somebody else changed it first (`conflict`), or something went wrong. After a
    /// conflict the newer version is waited for.
    pub fn handle_service_failed(&mut self, key: &ServiceKey, conflict: bool) {
        let Some(UnderWay { write, .. }) = self.writing.remove(key) else {
            return;
        };
        let seen = self
            .services
            .get(key)
            .is_some_and(|known| known.version == write.version);
        if conflict && seen {
            self.outdated.insert(key.clone(), write.version);
        } else {
            self.dirty.insert(key.clone());
        }
    }

    /// A block was written and has `version` now; `None`: it was deleted.
    pub fn handle_block_written(&mut self, id: BlockId, version: Option<String>) {
        self.ledger.handle_written(id, version);
        if !self.leading {
            return;
        }
        // What was wanted when the write began may have become what is to be kept.
        for address in self.ledger.addresses(id) {
            self.want(address);
            self.dirty
                .extend(self.allocator.tenants(address).iter().cloned());
        }
    }

    /// A block was not written; this is what is there.
    pub fn handle_block_failed(&mut self, id: BlockId, seen: Option<(String, Entries)>) {
        self.ledger.handle_failed(id, seen);
        if self.leading {
            self.rebuild();
        }
    }
}
