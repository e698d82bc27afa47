//! What the API says, made into a brief for the segment whenever it changes.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use daemon::ready::Latch;
use l2::linux::source_ranges::Admitted;
use tokio::sync::mpsc::Receiver;

use super::{KEYS, admission::admitted, inbox::Message, slot::Orders};
use crate::{
    core::{
        atlas::{Access, Advertisement, Atlas},
        ownership::Directory,
        peers::keys::MINIMUM_SECRET,
        pool::Pool,
        service::ServiceKey,
    },
    k8s::follow::News,
};

/// What the segment needs to know.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Brief {
    pub(super) directory: Arc<Directory>,
    /// Where the other speakers listen.
    pub(super) speakers: BTreeMap<String, IpAddr>,
    /// This node may serve and is not cordoned.
    pub(super) welcome: bool,
    /// Addresses with a healthy Service, and from where they may be reached.
    pub(super) healthy: BTreeMap<IpAddr, Access>,
    /// Ports that are not for everyone.
    pub(super) admitted: Arc<Admitted>,
}

/// Messages taken in before a brief is made.
const BATCH: usize = 256;
/// Kinds that must have been listed before the first brief.
const KINDS: usize = 7;

/// What has to be there before this speaker can do its work.
pub(super) struct Latches {
    /// Everything it follows has been listed.
    pub(super) objects: Latch,
    /// There is a key for the heartbeats: without one it answers for nothing.
    pub(super) keys: Latch,
}

type Checked<T> = BTreeMap<ServiceKey, Result<T, String>>;

pub(super) struct Briefing {
    node: String,
    orders: Orders,
    latches: Latches,
    atlas: Atlas,
    pools: Checked<Pool>,
    metallb_pools: Checked<Pool>,
    advertisements: Checked<Advertisement>,
    metallb_advertisements: Checked<Advertisement>,
    /// The segment has a key, and keeps it until there is another one.
    has_key: bool,
    synced: BTreeSet<&'static str>,
    admitted: Arc<Admitted>,
    /// Services have changed since `admitted` was read off them.
    services_changed: bool,
}

impl Briefing {
    pub(super) fn new(node: String, orders: Orders, latches: Latches) -> Self {
        Self {
            node,
            orders,
            latches,
            atlas: Atlas::default(),
            pools: BTreeMap::new(),
            metallb_pools: BTreeMap::new(),
            advertisements: BTreeMap::new(),
            metallb_advertisements: BTreeMap::new(),
            has_key: false,
            synced: BTreeSet::new(),
            admitted: Arc::default(),
            services_changed: false,
        }
    }

    /// Works until nobody sends any more.
    pub(super) async fn work(mut self, mut inbox: Receiver<Message>) {
        let mut messages = Vec::with_capacity(BATCH);
        let mut last = None;
        while inbox.recv_many(&mut messages, BATCH).await > 0 {
            let was_complete = self.is_complete();
            let mut news = false;
            for message in messages.drain(..) {
                news |= self.handle(message);
            }
            // Whichever kind is the last to be listed, perhaps with nothing in it, makes the first brief.
            if self.is_complete() && (news || !was_complete) {
                let brief = self.brief();
                if last.as_ref() != Some(&brief) {
                    self.orders.brief(brief.clone());
                    last = Some(brief);
                }
                self.latches.objects.ready();
            }
        }
    }

    /// Everything has been listed.
    fn is_complete(&self) -> bool {
        self.synced.len() == KINDS
    }

    /// Takes a message in; whether it may change a brief.
    fn handle(&mut self, message: Message) -> bool {
        match message {
            Message::Service(News::Object(key, exposed)) => {
                self.atlas.set_service(&key, exposed.flatten());
                self.services_changed = true;
            }
            Message::Service(news) => {
                self.note("Service", &news);
                return false;
            }
            Message::Node(News::Object(key, node)) => self.atlas.set_node(&key.name, node),
            Message::Node(news) => {
                self.note("Node", &news);
                return false;
            }
            Message::Slice(News::Object(key, slice)) => {
                self.atlas.set_slice(&key, slice.flatten());
            }
            Message::Slice(news) => {
                self.note("EndpointSlice", &news);
                return false;
            }
            Message::Pool(news) => {
                self.note("AddressPool", &news);
                return set(&mut self.pools, news) && self.refresh_pools();
            }
            Message::MetalLbPool(news) => {
                self.note("IPAddressPool", &news);
                return set(&mut self.metallb_pools, news) && self.refresh_pools();
            }
            Message::Advertisement(news) => {
                self.note("L2Advertisement", &news);
                return set(&mut self.advertisements, news) && self.refresh_advertisements();
            }
            Message::MetalLbAdvertisement(news) => {
                self.note("L2Advertisement (metallb.io)", &news);
                let changed = set(&mut self.metallb_advertisements, news);
                return changed && self.refresh_advertisements();
            }
            Message::Keys(news) => {
                self.handle_keys(news);
                return false;
            }
        }
        true
    }

    fn handle_keys(&mut self, news: News<BTreeMap<String, Vec<u8>>>) {
        match news {
            News::Object(_, Some(keys)) => {
                self.has_key |= keys.values().any(|key| key.len() >= MINIMUM_SECRET);
                self.orders.keys(keys);
            }
            News::Object(_, None) if self.has_key => tracing::warn!(
                "the Secret {KEYS} is gone: goes on with the keys it had; the controller makes a new one"
            ),
            News::Object(_, None) | News::Synced | News::Absent => {}
            News::Version(_) => return,
        }
        if self.has_key {
            self.latches.keys.ready();
        } else {
            self.latches.keys.not_ready(format!(
                "the Secret {KEYS} is not there, or has no value of {MINIMUM_SECRET} bytes or more: a controller that leads makes it"
            ));
        }
    }

    fn note<T>(&mut self, kind: &'static str, news: &News<T>) {
        if matches!(news, News::Synced | News::Absent) {
            self.synced.insert(kind);
        }
    }

    fn refresh_pools(&mut self) -> bool {
        let all = self.pools.values().chain(self.metallb_pools.values());
        self.atlas.set_pools(all.flatten().cloned().collect());
        true
    }

    fn refresh_advertisements(&mut self) -> bool {
        let all = self
            .advertisements
            .values()
            .chain(self.metallb_advertisements.values());
        self.atlas
            .set_advertisements(all.flatten().cloned().collect());
        true
    }

    fn brief(&mut self) -> Brief {
        if std::mem::take(&mut self.services_changed) {
            let admitted = admitted(&self.atlas);
            // The same as before stays the same in memory: that is soon compared.
            if *self.admitted != admitted {
                self.admitted = Arc::new(admitted);
            }
        }
        let directory = self.atlas.directory();
        let healthy = directory
            .addresses
            .keys()
            .filter(|address| self.atlas.is_healthy(**address));
        let healthy = healthy
            .map(|address| (*address, self.atlas.access(*address)))
            .collect();
        let own = self.atlas.node(&self.node);
        Brief {
            speakers: self.atlas.speakers(),
            welcome: own.is_some_and(|node| node.may_serve && !node.cordoned),
            healthy,
            admitted: Arc::clone(&self.admitted),
            directory,
        }
    }
}

/// Takes an object in; whether that changed anything.
fn set<T: PartialEq>(map: &mut Checked<T>, news: News<Result<T, String>>) -> bool {
    match news {
        News::Object(key, Some(object)) => {
            if let Err(error) = &object {
                tracing::warn!(name = key.name, error, "an object is not in force");
            }
            let same = map.get(&key) == Some(&object);
            map.insert(key, object);
            !same
        }
        News::Object(key, None) => map.remove(&key).is_some(),
        News::Version(_) | News::Synced | News::Absent => false,
    }
}

#[cfg(test)]
mod tests {
    use daemon::ready::Readiness;
    use tokio::sync::mpsc;

    use super::*;
    use crate::speaker::slot::slot;

    fn missing(readiness: &Readiness) -> Vec<String> {
        let missing = readiness.missing();
        missing.into_iter().map(|one| one.name).collect()
    }

    /// The end of the first list of each kind. What is not installed is absent.
    fn ends_of_lists() -> Vec<Message> {
        vec![
            Message::Service(News::Synced),
            Message::Node(News::Synced),
            Message::Slice(News::Synced),
            Message::Pool(News::Synced),
            Message::MetalLbPool(News::Absent),
            Message::Advertisement(News::Synced),
            Message::MetalLbAdvertisement(News::Absent),
        ]
    }

    #[tokio::test]
    async fn whichever_kind_is_listed_last_the_speaker_is_briefed_and_ready() {
        for last in 0..KINDS {
            let readiness = Readiness::new();
            let latches = Latches {
                objects: readiness.latch("addresses"),
                keys: Readiness::new().latch("keys"),
            };
            let (orders, mut standing) = slot().unwrap();
            let (sender, inbox) = mpsc::channel(1);
            let work = Briefing::new("n1".to_owned(), orders, latches).work(inbox);
            let work = tokio::spawn(work);
            let mut ends = ends_of_lists();
            ends.rotate_left(last + 1);
            for (told, end) in ends.into_iter().enumerate() {
                assert!(!readiness.is_ready(), "{told} of {KINDS}");
                sender.send(end).await.unwrap();
            }
            drop(sender);
            work.await.unwrap();
            assert!(readiness.is_ready(), "the {last}. is the last");
            assert!(standing.take().brief.is_some(), "the {last}. is the last");
        }
    }

    #[tokio::test]
    async fn without_a_usable_key_a_speaker_is_not_ready() {
        let readiness = Readiness::new();
        let latches = Latches {
            objects: readiness.latch("addresses"),
            keys: readiness.latch("keys"),
        };
        let (orders, mut standing) = slot().unwrap();
        let mut briefing = Briefing::new("n1".to_owned(), orders, latches);
        briefing.latches.objects.ready();
        let keys = |length| {
            let keys = BTreeMap::from([("0001".to_owned(), vec![7; length])]);
            Message::Keys(News::Object(ServiceKey::new("lb-system", KEYS), Some(keys)))
        };
        let gone = || Message::Keys(News::Object(ServiceKey::new("lb-system", KEYS), None));
        for without in [Message::Keys(News::Synced), keys(15), gone()] {
            briefing.handle(without);
            assert_eq!(missing(&readiness), ["keys"]);
        }
        briefing.handle(keys(16));
        assert!(readiness.is_ready());
        assert!(standing.take().keys.is_some());
        briefing.handle(gone());
        assert!(readiness.is_ready(), "the segment keeps the key it had");
        assert_eq!(standing.take().keys, None);
        // The inbox that ends ends the work.
        let (sender, inbox) = mpsc::channel(1);
        drop(sender);
        briefing.work(inbox).await;
    }
}
