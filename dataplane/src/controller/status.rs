//! What the admin pages show of the controller.

use std::sync::{Arc, Mutex, PoisonError};

use daemon::metrics::SharedRegistry;
use prometheus_client::metrics::{family::Family, gauge::Gauge};
use serde_json::{Value, json};

use crate::core::{allocator::PoolReport, registrar::Registrar};

/// What there is to show.
pub(super) struct Facts<'a> {
    pub(super) registrar: &'a Registrar,
    pub(super) leading: Option<u64>,
    pub(super) holder: Option<&'a str>,
}

type Label = Vec<(String, String)>;

/// What is shown. Clones share it.
#[derive(Clone)]
pub(super) struct Board {
    shown: Arc<Mutex<Shown>>,
    leading: Gauge,
    services: Gauge,
    writing: Gauge,
    total: Family<Label, Gauge>,
    in_use: Family<Label, Gauge>,
}

#[derive(Default, Clone, PartialEq)]
struct Shown {
    term: Option<u64>,
    holder: Option<String>,
    services: usize,
    writing: usize,
    pools: Vec<PoolReport>,
}

impl Board {
    pub(super) fn new(registry: &SharedRegistry) -> Self {
        let board = Self {
            shown: Arc::default(),
            leading: Gauge::default(),
            services: Gauge::default(),
            writing: Gauge::default(),
            total: Family::default(),
            in_use: Family::default(),
        };
        let mut registry = registry.lock().unwrap_or_else(PoisonError::into_inner);
        let own = registry.sub_registry_with_prefix("lbnode_controller");
        own.register(
            "leading",
            "Whether this process leads",
            board.leading.clone(),
        );
        own.register(
            "services",
            "Services that want addresses",
            board.services.clone(),
        );
        own.register(
            "writes_under_way",
            "Requests without an answer yet",
            board.writing.clone(),
        );
        // The same meaning and names as MetalLB's, for dashboards that exist.
        let metallb = registry.sub_registry_with_prefix("metallb_allocator");
        metallb.register(
            "addresses_total",
            "Addresses of a pool",
            board.total.clone(),
        );
        metallb.register(
            "addresses_in_use_total",
            "Addresses of a pool that Services have",
            board.in_use.clone(),
        );
        drop(registry);
        board
    }

    pub(super) fn show(&self, facts: Facts<'_>) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = Shown {
            term: facts.leading,
            holder: facts.holder.map(str::to_owned),
            services: facts.registrar.allocator().services_count(),
            writing: facts.registrar.writes_under_way(),
            pools: facts.registrar.pool_reports(),
        };
        if *shown == fresh {
            return;
        }
        let count = |count: u128| i64::try_from(count).unwrap_or(i64::MAX);
        self.leading.set(i64::from(fresh.term.is_some()));
        self.services
            .set(i64::try_from(fresh.services).unwrap_or(i64::MAX));
        self.writing
            .set(i64::try_from(fresh.writing).unwrap_or(i64::MAX));
        for pool in &fresh.pools {
            let label = vec![("pool".to_owned(), pool.id.to_string())];
            let total = pool.v4.total.saturating_add(pool.v6.total);
            let used = pool.v4.assigned.saturating_add(pool.v6.assigned);
            self.total.get_or_create(&label).set(count(total));
            self.in_use.get_or_create(&label).set(count(used));
        }
        *shown = fresh;
    }

    pub(super) fn status(&self) -> Value {
        let shown = self
            .shown
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let pools: Vec<Value> = shown
            .pools
            .iter()
            .map(|pool| {
                json!({
                    "pool": pool.id.to_string(),
                    "ipv4": { "total": pool.v4.total.to_string(), "assigned": pool.v4.assigned.to_string() },
                    "ipv6": { "total": pool.v6.total.to_string(), "assigned": pool.v6.assigned.to_string() },
                })
            })
            .collect();
        json!({
            "leading": shown.term.is_some(),
            "term": shown.term,
            "holder": shown.holder,
            "services": shown.services,
            "writesUnderWay": shown.writing,
            "pools": pools,
        })
    }
}
