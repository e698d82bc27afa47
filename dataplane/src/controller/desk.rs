//! The desk: everything that is seen comes here, and every write leaves from here.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use daemon::ready::Latch;
use futures::{
    StreamExt as _,
    future::{BoxFuture, FutureExt as _},
    stream::FuturesUnordered,
};
use jiff::Timestamp;
use kube::Client;
use tokio::{sync::mpsc::Receiver, time::sleep_until};
use tokio_util::sync::CancellationToken;

use super::{
    catalogue::Catalogue,
    inbox::Message,
    keys::KeyKeeper,
    pool_status,
    status::{Board, Facts},
    writes::{Ended, Writes},
};
use crate::{
    core::{
        lease::{LeaseAction, LeaseClaim, LeaseTiming, Record, Written},
        ledger::BlockId,
        pool::{PoolApi, PoolId},
        registrar::{Event, Registrar, Write},
    },
    k8s::{
        follow::News,
        lease::{LeaseObject, LeaseWrite},
        write::{self, BlockWritten, ServiceWritten},
    },
};

/// Messages taken in before anything is decided: what comes together is decided together.
const BATCH: usize = 256;
/// The status of pools changes with every address; it is written so often at most.
const POOL_PAUSE: Duration = Duration::from_millis(500);
/// Events that wait to be posted; more are lost.
const EVENTS: usize = 512;
/// Kinds that must have been listed before anything is decided.
const KINDS: usize = 11;

pub(super) struct Desk {
    client: Client,
    lease: LeaseObject,
    identity: String,
    /// Where the Secret of the speakers is.
    key_namespace: String,
    /// While this process leads.
    keeper: Option<KeyKeeper>,
    registrar: Registrar,
    catalogue: Catalogue,
    claim: LeaseClaim,
    writes: Writes,
    lease_writes: FuturesUnordered<BoxFuture<'static, Written>>,
    synced: BTreeSet<&'static str>,
    /// What was seen of the Lease before everything else had been seen.
    early_lease: Option<Option<Record>>,
    lease_exists: bool,
    /// Whether blocks and speakers' reports exist.
    apis: (bool, bool),
    pools_changed: bool,
    advertisements_changed: bool,
    next_pool_status: Instant,
    events: tokio::sync::mpsc::Sender<Event>,
    board: Board,
    latch: Latch,
}

#[expect(clippy::disallowed_methods, reason = "the driver reads the clock")]
fn now() -> Instant {
    Instant::now()
}

impl Desk {
    pub(super) fn new(
        client: Client,
        lease: LeaseObject,
        identity: String,
        key_namespace: String,
        board: Board,
        latch: Latch,
    ) -> Self {
        let (events, mut posted) = tokio::sync::mpsc::channel(EVENTS);
        let poster = client.clone();
        tokio::spawn(async move {
            while let Some(event) = posted.recv().await {
                write::event(poster.clone(), event, Timestamp::now()).await;
            }
        });
        Self {
            writes: Writes::new(client.clone()),
            client,
            lease,
            claim: LeaseClaim::new(now(), identity.clone(), LeaseTiming::default()),
            identity,
            key_namespace,
            keeper: None,
            registrar: Registrar::default(),
            catalogue: Catalogue::default(),
            lease_writes: FuturesUnordered::new(),
            synced: BTreeSet::new(),
            early_lease: None,
            lease_exists: false,
            apis: (false, false),
            pools_changed: false,
            advertisements_changed: false,
            next_pool_status: now(),
            events,
            board,
            latch,
        }
    }

    /// Works until `stop`, then gives the Lease up.
    pub(super) async fn work(mut self, mut inbox: Receiver<Message>, stop: CancellationToken) {
        let mut messages = Vec::with_capacity(BATCH);
        let mut leaving = false;
        loop {
            self.decide();
            if leaving && self.lease_writes.is_empty() {
                return;
            }
            let wake = self.wake();
            tokio::select! {
                () = stop.cancelled(), if !leaving => {
                    leaving = true;
                    self.claim.handle_leave(now());
                }
                Some(written) = self.lease_writes.next() => self.claim.handle_written(now(), written),
                ended = self.writes.next() => self.handle_ended(ended),
                count = inbox.recv_many(&mut messages, BATCH) => {
                    if count == 0 {
                        return;
                    }
                    for message in messages.drain(..) {
                        self.handle(message);
                    }
                }
                () = sleep_until(wake.into()) => self.claim.handle_timeout(now()),
            }
        }
    }

    /// When something happens by itself.
    fn wake(&self) -> Instant {
        let lease = self.claim.poll_timeout();
        let pools = self.is_leading().then_some(self.next_pool_status);
        let pools = pools.map(|at| at.max(now() + Duration::from_millis(1)));
        [lease, pools]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or_else(|| now() + Duration::from_secs(60))
    }

    fn is_leading(&self) -> bool {
        self.claim.term().is_some()
    }

    fn handle(&mut self, message: Message) {
        match message {
            Message::Service(News::Object(key, seen)) => self.registrar.handle_service(&key, seen),
            Message::Service(News::Version(version)) => {
                self.registrar.handle_service_horizon(&version);
            }
            Message::Service(news) => self.note("Service", &news),
            Message::Namespace(News::Object(key, labels)) => {
                self.registrar.handle_namespace(&key.name, labels);
            }
            Message::Namespace(news) => self.note("Namespace", &news),
            Message::Node(News::Object(key, node)) => {
                self.registrar
                    .update_atlas(|atlas| atlas.set_node(&key.name, node));
            }
            Message::Node(news) => self.note("Node", &news),
            Message::Slice(News::Object(key, slice)) => {
                self.registrar.handle_slice(&key, slice.flatten());
            }
            Message::Slice(news) => self.note("EndpointSlice", &news),
            Message::Pool(news) => {
                self.note("AddressPool", &news);
                // A status that was just written is no change of the pools.
                let before = self.catalogue.pools();
                self.catalogue.set_pool(news);
                self.pools_changed |= before != self.catalogue.pools();
            }
            Message::MetalLbPool(news) => {
                self.note("IPAddressPool", &news);
                self.catalogue.set_metallb_pool(news);
                self.pools_changed = true;
            }
            Message::Advertisement(news) => {
                self.note("L2Advertisement", &news);
                self.catalogue.set_advertisement(news);
                self.advertisements_changed = true;
            }
            Message::MetalLbAdvertisement(news) => {
                self.note("L2Advertisement (metallb.io)", &news);
                self.catalogue.set_metallb_advertisement(news);
                self.advertisements_changed = true;
            }
            Message::Block(News::Object(key, seen)) => {
                if let Some(id) = BlockId::parse(&key.name) {
                    self.registrar.handle_block(id, seen);
                }
            }
            Message::Block(news) => {
                self.note("AddressBlock", &news);
                self.set_api(&news, |apis| &mut apis.0);
            }
            Message::Speaker(News::Object(key, report)) => {
                self.registrar.handle_report(&key.name, report);
            }
            Message::Speaker(news) => {
                self.note("Speaker", &news);
                self.set_api(&news, |apis| &mut apis.1);
            }
            Message::Lease(News::Object(_, record)) => {
                self.lease_exists = record.is_some();
                self.see_lease(record);
            }
            Message::Lease(news) => {
                if matches!(news, News::Synced) && !self.lease_exists {
                    self.see_lease(None);
                }
                self.note("Lease", &news);
            }
        }
    }

    /// A kind is known completely; when all are, this process may lead.
    fn note<T>(&mut self, kind: &'static str, news: &News<T>) {
        if !matches!(news, News::Synced | News::Absent) || !self.synced.insert(kind) {
            return;
        }
        if self.synced.len() == KINDS {
            tracing::info!("all objects are known");
            self.latch.ready();
            self.refresh();
            if let Some(record) = self.early_lease.take() {
                self.claim.handle_seen(now(), record);
            }
        }
    }

    fn see_lease(&mut self, record: Option<Record>) {
        if self.synced.len() == KINDS {
            self.claim.handle_seen(now(), record);
        } else {
            self.early_lease = Some(record);
        }
    }

    fn set_api<T>(&mut self, news: &News<T>, api: fn(&mut (bool, bool)) -> &mut bool) {
        match news {
            News::Synced => *api(&mut self.apis) = true,
            News::Absent => *api(&mut self.apis) = false,
            News::Object(..) | News::Version(_) => return,
        }
        self.registrar.set_apis(self.apis.0, self.apis.1);
    }

    /// Hands over pools and advertisements that have changed.
    fn refresh(&mut self) {
        if std::mem::take(&mut self.pools_changed) {
            self.registrar.handle_pools(self.catalogue.pools());
        }
        if std::mem::take(&mut self.advertisements_changed) {
            let all = self.catalogue.advertisements();
            self.registrar
                .update_atlas(|atlas| atlas.set_advertisements(all));
        }
    }

    fn handle_ended(&mut self, ended: Ended) {
        match ended {
            Ended::Service(key, ServiceWritten::Done(version)) => {
                self.registrar.handle_service_written(&key, Some(version));
            }
            Ended::Service(key, ServiceWritten::Gone) => {
                self.registrar.handle_service_written(&key, None);
            }
            Ended::Service(key, ServiceWritten::Conflict) => {
                self.registrar.handle_service_failed(&key, true);
            }
            Ended::Service(key, ServiceWritten::Failed) => {
                self.registrar.handle_service_failed(&key, false);
            }
            Ended::Block(id, BlockWritten::Done(version)) => {
                self.registrar.handle_block_written(id, version);
            }
            Ended::Block(id, BlockWritten::Failed(seen)) => {
                self.registrar.handle_block_failed(id, seen);
            }
            // What is not there is written again with the next look at the pools.
            Ended::Pool => {}
        }
    }

    /// Sends what is to be sent.
    fn decide(&mut self) {
        if self.synced.len() == KINDS {
            self.refresh();
        }
        while let Some(action) = self.claim.poll_action() {
            self.act(action);
        }
        while self.writes.have_room()
            && self.claim.may_write(now())
            && let Some(write) = self.registrar.poll_write()
        {
            match write {
                Write::Service(write) => self.writes.service(write, Timestamp::now()),
                Write::Block(write) => self.writes.block(write),
            }
        }
        while let Some(event) = self.registrar.poll_event() {
            tracing::info!(service = %event.key, reason = event.reason, "{}", event.message);
            // A full queue means that nobody could read them all.
            let _ = self.events.try_send(event);
        }
        if self.is_leading() && self.claim.may_write(now()) && now() >= self.next_pool_status {
            self.next_pool_status = now() + POOL_PAUSE;
            self.describe_pools();
        }
        self.board.show(Facts {
            registrar: &self.registrar,
            leading: self.claim.term(),
            holder: self.claim.holder(),
        });
    }

    fn describe_pools(&mut self) {
        let reports = self.registrar.pool_reports();
        for (key, object) in &self.catalogue.ours {
            let mine = |id: &PoolId| id.api == PoolApi::Bundled && id.name == key.name;
            let report = reports.iter().find(|report| mine(&report.id));
            if let Some(status) = pool_status::due(&key.name, object, report, Timestamp::now()) {
                self.writes.pool(status);
            }
        }
    }

    fn act(&mut self, action: LeaseAction) {
        let (holder, version, term) = match action {
            LeaseAction::Claim { version, term } => (self.identity.clone(), version, term),
            LeaseAction::Release { version, term } => (String::new(), Some(version), term),
            LeaseAction::Started { term } => {
                tracing::info!(term, "leads");
                self.registrar.begin();
                let (client, namespace) = (self.client.clone(), self.key_namespace.clone());
                self.keeper = Some(KeyKeeper::start(client, namespace));
                return;
            }
            LeaseAction::Stopped(why) => {
                tracing::warn!(?why, "does not lead any more");
                self.keeper = None;
                self.writes.abandon();
                self.registrar.stand_down();
                return;
            }
        };
        let write = LeaseWrite {
            holder,
            version,
            term,
            duration: LeaseTiming::default().duration,
            at: Timestamp::now(),
        };
        let lease = self.lease.clone();
        let request = async move {
            let request = lease.write(write);
            tokio::time::timeout(write::PATIENCE, request)
                .await
                .unwrap_or(Written::Failed)
        };
        self.lease_writes.push(request.boxed());
    }
}
