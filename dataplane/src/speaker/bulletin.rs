//! What the segment last said of itself: for the admin pages, the metrics and the report.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use daemon::metrics::SharedRegistry;
use prometheus_client::metrics::{counter::Counter, family::Family, gauge::Gauge};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::k8s::crd::SpeakerStatus;

type Label = Vec<(String, String)>;

/// Clones share it.
#[derive(Clone)]
pub(super) struct Bulletin {
    status: Arc<Mutex<SpeakerStatus>>,
    changed: Arc<Notify>,
    addresses: Gauge,
    peers: Gauge,
    freezes: Gauge,
    grace: Gauge,
    answers: Family<Label, Counter>,
    rejections: Family<Label, Counter>,
    announcements: Counter,
    conflicts: Counter,
    unheard_rivals: Counter,
}

impl Bulletin {
    pub(super) fn new(registry: &SharedRegistry) -> Self {
        let bulletin = Self {
            status: Arc::default(),
            changed: Arc::default(),
            addresses: Gauge::default(),
            peers: Gauge::default(),
            freezes: Gauge::default(),
            grace: Gauge::default(),
            answers: Family::default(),
            rejections: Family::default(),
            announcements: Counter::default(),
            conflicts: Counter::default(),
            unheard_rivals: Counter::default(),
        };
        let mut registry = registry.lock().unwrap_or_else(PoisonError::into_inner);
        let own = registry.sub_registry_with_prefix("lbnode_speaker");
        own.register(
            "addresses",
            "Addresses this node answers for",
            bulletin.addresses.clone(),
        );
        own.register(
            "peers",
            "Other speakers that are heard",
            bulletin.peers.clone(),
        );
        own.register(
            "freezes",
            "How often this process did not run for too long",
            bulletin.freezes.clone(),
        );
        own.register(
            "hand_over_grace_milliseconds",
            "How long connections go on at the node that hands an address over; 0: they are reset",
            bulletin.grace.clone(),
        );
        own.register("answers", "Questions answered", bulletin.answers.clone());
        own.register(
            "rejected_heartbeats",
            "Heartbeats not taken",
            bulletin.rejections.clone(),
        );
        own.register(
            "address_conflicts",
            "Alarms: another machine answers for an address",
            bulletin.conflicts.clone(),
        );
        own.register(
            "unheard_rivals",
            "Alarms: another speaker answers for an address, and its heartbeats do not arrive",
            bulletin.unheard_rivals.clone(),
        );
        // The same meaning and name as MetalLB's.
        let metallb = registry.sub_registry_with_prefix("metallb_layer2");
        metallb.register(
            "gratuitous_sent",
            "Announcements sent",
            bulletin.announcements.clone(),
        );
        drop(registry);
        bulletin
    }

    pub(super) fn tell(&self, status: SpeakerStatus, peers: usize, freezes: u64) {
        self.addresses.set(i64::from(status.count));
        self.peers.set(i64::try_from(peers).unwrap_or(i64::MAX));
        self.freezes.set(i64::try_from(freezes).unwrap_or(i64::MAX));
        let mut told = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        if *told != status {
            *told = status;
            self.changed.notify_one();
        }
    }

    pub(super) fn tell_grace(&self, grace: Duration) {
        self.grace
            .set(i64::try_from(grace.as_millis()).unwrap_or(i64::MAX));
    }

    pub(super) fn count_answer(&self, kind: &str) {
        self.answers
            .get_or_create(&vec![("kind".to_owned(), kind.to_owned())])
            .inc();
    }

    pub(super) fn count_rejection(&self, kind: &str) {
        self.rejections
            .get_or_create(&vec![("reason".to_owned(), kind.to_owned())])
            .inc();
    }

    pub(super) fn count_announcement(&self) {
        self.announcements.inc();
    }

    pub(super) fn count_conflict(&self) {
        self.conflicts.inc();
    }

    pub(super) fn count_unheard_rival(&self) {
        self.unheard_rivals.inc();
    }

    /// Waits until something has changed.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    pub(super) fn current(&self) -> SpeakerStatus {
        self.status
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(super) fn status(&self) -> Value {
        serde_json::to_value(self.current())
            .unwrap_or_else(|error| json!({ "error": error.to_string() }))
    }
}
