//! Follows all objects of one kind: a list, then a watch that is resumed where it broke off.
//!
//! ```text
//!            ┌──── (a pause) too old, or the stream says nonsense ─┐
//!            ▼                                                     │
//!  list (in pages) ──► Synced ──► watch ──► Object, Version ──► ended: watch again from the last version
//!            │
//!            └── the kind does not exist: Absent, and asked again now and then
//! ```
//!
//! A kind that was there does not vanish because one answer says so: a server that has just started, or one of several
//! that is ill, may say that of a kind that all of its objects are of. (When a definition is really deleted its
//! objects go first, and the watch tells that.)
//!
//! Objects are converted at once and dropped: what is kept is what the core needs.

use std::{
    collections::{BTreeSet, hash_map::RandomState},
    fmt::Debug,
    hash::BuildHasher as _,
    time::Duration,
};

use futures::{StreamExt as _, pin_mut};
use kube::{
    Api, ResourceExt as _,
    api::{ListParams, WatchEvent, WatchParams},
};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc::Sender;
use tokio_util::sync::CancellationToken;

use super::client::SILENCE;
use crate::core::{random::Random, service::ServiceKey};

/// News of one kind of objects.
#[derive(Debug, Clone, PartialEq)]
pub enum News<T> {
    /// An object, new or changed; `None`: it is gone.
    Object(ServiceKey, Option<T>),
    /// Everything up to this version has been told.
    Version(String),
    /// The first list is told completely.
    Synced,
    /// The kind does not exist on this server (any more); its objects have been told as gone.
    Absent,
}

/// Objects in one page of a list.
const PAGE: u32 = 500;
/// The server ends a watch after so many seconds; bookmarks come about once a minute.
const WATCH_SECONDS: u32 = 290;
/// How long a list may take, and the answer to a watch may not begin.
const ANSWER: Duration = Duration::from_secs(30);
/// How fast it goes on a real server.
const PACE: Pace = Pace {
    first: Duration::from_millis(100),
    longest: Duration::from_secs(2),
    absent: Duration::from_secs(2),
};
/// Answers in a row after which a kind that was there is gone.
const ABSENT_ANSWERS: u32 = 6;

/// One kind of objects, and what becomes of them.
pub struct Follower<K, T, M> {
    /// Where they are.
    pub api: Api<K>,
    /// Only these, by `metadata` fields.
    pub fields: Option<String>,
    /// What the core needs of one.
    pub convert: Box<dyn Fn(&K) -> T + Send + Sync>,
    /// How news is told.
    pub wrap: fn(News<T>) -> M,
    /// To whom.
    pub sender: Sender<M>,
}

enum Ended {
    /// The receiver is gone.
    Unheard,
    /// Watch again from the version.
    Resume,
    /// List again.
    Relist,
}

impl<K, T, M> Follower<K, T, M>
where
    K: kube::Resource + Clone + DeserializeOwned + Debug + Send + 'static,
    T: Send + 'static,
    M: Send + 'static,
{
    /// Follows until `token` is cancelled or nobody listens any more.
    pub async fn run(mut self, token: CancellationToken) {
        tokio::select! {
            () = token.cancelled() => {}
            () = self.follow(PACE) => {}
        }
    }

    async fn follow(&mut self, pace: Pace) {
        let mut known = BTreeSet::new();
        let mut backoff = Backoff::new(pace);
        let mut presence = Presence::Unknown;
        loop {
            match self.list(&mut known).await {
                Ok(Some(version)) => {
                    presence = Presence::There { doubts: 0 };
                    let begun = version.clone();
                    let Some(version) = self.watch_on(&mut known, version, pace).await else {
                        return;
                    };
                    if version != begun {
                        backoff.reset();
                    }
                    backoff.pause().await;
                }
                Ok(None) => return,
                Err(error) if is_absent(&error) => {
                    let gone = presence.deny();
                    if gone && self.forget(&mut known).await.is_none() {
                        return;
                    }
                    tokio::time::sleep(pace.absent).await;
                }
                Err(error) => {
                    if backoff.is_fresh() {
                        let kind = std::any::type_name::<K>();
                        tracing::warn!(kind, %error, "cannot list: tries again");
                    }
                    backoff.pause().await;
                }
            }
        }
    }

    /// Tells all objects that are there and all that are not any more; the version of the list.
    async fn list(&mut self, known: &mut BTreeSet<ServiceKey>) -> kube::Result<Option<String>> {
        let mut found = BTreeSet::new();
        let mut params = ListParams {
            field_selector: self.fields.clone(),
            ..ListParams::default()
        };
        params.limit = Some(PAGE);
        let version = loop {
            let page = in_time(self.api.list(&params)).await?;
            for object in &page.items {
                let key = key_of(object);
                found.insert(key.clone());
                known.insert(key.clone());
                if self
                    .tell(News::Object(key, Some((self.convert)(object))))
                    .await
                    .is_none()
                {
                    return Ok(None);
                }
            }
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params.continue_token = Some(token),
                None => break page.metadata.resource_version.unwrap_or_default(),
            }
        };
        for key in known.difference(&found).cloned().collect::<Vec<_>>() {
            known.remove(&key);
            if self.tell(News::Object(key, None)).await.is_none() {
                return Ok(None);
            }
        }
        let told = self.tell(News::Version(version.clone())).await.is_some()
            && self.tell(News::Synced).await.is_some();
        Ok(told.then_some(version))
    }

    async fn forget(&mut self, known: &mut BTreeSet<ServiceKey>) -> Option<()> {
        while let Some(key) = known.pop_first() {
            self.tell(News::Object(key, None)).await?;
        }
        self.tell(News::Absent).await
    }

    /// Watches until everything has to be listed anew: the version it came to; `None`: nobody listens.
    async fn watch_on(
        &self,
        known: &mut BTreeSet<ServiceKey>,
        mut version: String,
        pace: Pace,
    ) -> Option<String> {
        let mut backoff = Backoff::new(pace);
        loop {
            let before = version.clone();
            match self.watch(known, &mut version).await {
                Ended::Unheard => return None,
                Ended::Relist => return Some(version),
                Ended::Resume => {}
            }
            if before == version {
                backoff.pause().await;
            } else {
                backoff.reset();
            }
        }
    }

    async fn watch(&self, known: &mut BTreeSet<ServiceKey>, version: &mut String) -> Ended {
        let params = WatchParams {
            field_selector: self.fields.clone(),
            ..WatchParams::default()
        };
        let params = params.timeout(WATCH_SECONDS);
        let events = match in_time(self.api.watch(&params, version)).await {
            Ok(events) => events,
            Err(error) => return self.judge(&error),
        };
        pin_mut!(events);
        loop {
            let event = match tokio::time::timeout(SILENCE, events.next()).await {
                Ok(Some(Ok(event))) => event,
                Ok(Some(Err(error))) => return self.judge(&error),
                Ok(None) | Err(_) => return Ended::Resume,
            };
            let told = match event {
                WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                    let key = key_of(&object);
                    known.insert(key.clone());
                    let fresh = object.resource_version();
                    let news = News::Object(key, Some((self.convert)(&object)));
                    self.advance(version, fresh, Some(news)).await
                }
                WatchEvent::Deleted(object) => {
                    let key = key_of(&object);
                    known.remove(&key);
                    let news = News::Object(key, None);
                    self.advance(version, object.resource_version(), Some(news))
                        .await
                }
                WatchEvent::Bookmark(bookmark) => {
                    self.advance(version, Some(bookmark.metadata.resource_version), None)
                        .await
                }
                WatchEvent::Error(_) => return Ended::Relist,
            };
            if told.is_none() {
                return Ended::Unheard;
            }
        }
    }

    async fn advance(
        &self,
        version: &mut String,
        fresh: Option<String>,
        news: Option<News<T>>,
    ) -> Option<()> {
        if let Some(news) = news {
            self.tell(news).await?;
        }
        let fresh = fresh?;
        version.clone_from(&fresh);
        self.tell(News::Version(fresh)).await
    }

    fn judge(&self, error: &kube::Error) -> Ended {
        tracing::debug!(%error, "a watch ended");
        match error {
            // Too old, or the kind is gone.
            kube::Error::Api(status) if status.code == 410 || status.code == 404 => Ended::Relist,
            kube::Error::Api(status) if status.code == 400 => Ended::Relist,
            _ => Ended::Resume,
        }
    }

    async fn tell(&self, news: News<T>) -> Option<()> {
        self.sender.send((self.wrap)(news)).await.ok()
    }
}

/// Whether the server has the kind, as far as is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presence {
    /// It was not listed yet.
    Unknown,
    /// It was listed; so many answers in a row denied it since.
    There { doubts: u32 },
    /// It is not there, and that was told.
    Absent,
}

impl Presence {
    /// The server says that there is no such kind; whether that is to be believed, and is news.
    const fn deny(&mut self) -> bool {
        match self {
            Self::There { doubts } if *doubts + 1 < ABSENT_ANSWERS => {
                *doubts += 1;
                false
            }
            Self::Absent => false,
            Self::Unknown | Self::There { .. } => {
                *self = Self::Absent;
                true
            }
        }
    }
}

/// How long the pauses are.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// After the first thing that went wrong, and after many.
    first: Duration,
    longest: Duration,
    /// Between two questions for a kind that does not exist.
    absent: Duration,
}

/// Pauses that grow, and differ from process to process: all of them lose the same server at the same moment.
struct Backoff {
    pace: Pace,
    next: Duration,
    random: Random,
}

impl Backoff {
    fn new(pace: Pace) -> Self {
        Self {
            pace,
            next: pace.first,
            random: Random::new(RandomState::new().hash_one(())),
        }
    }

    fn is_fresh(&self) -> bool {
        self.next == self.pace.first
    }

    const fn reset(&mut self) {
        self.next = self.pace.first;
    }

    async fn pause(&mut self) {
        let most = u64::try_from(self.next.as_micros()).unwrap_or(u64::MAX);
        let jitter = Duration::from_micros(self.random.below(most.max(1)));
        tokio::time::sleep(self.next / 2 + jitter).await;
        self.next = (self.next * 2).min(self.pace.longest);
    }
}

/// A request whose answer does not begin in time has failed.
async fn in_time<T>(request: impl Future<Output = kube::Result<T>>) -> kube::Result<T> {
    match tokio::time::timeout(ANSWER, request).await {
        Ok(answer) => answer,
        Err(elapsed) => Err(kube::Error::Service(elapsed.into())),
    }
}

fn key_of<K: kube::Resource>(object: &K) -> ServiceKey {
    ServiceKey::new(object.namespace().unwrap_or_default(), object.name_any())
}

fn is_absent(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use k8s_openapi::api::core::v1::ConfigMap;
    use serde_json::{Value, json};
    use tokio::sync::mpsc::{self, Receiver};

    use super::*;
    use crate::k8s::fake;

    type Answers = Arc<Mutex<Vec<(u16, Value)>>>;

    fn list() -> (u16, Value) {
        let object =
            json!({ "metadata": { "name": "a", "namespace": "n", "resourceVersion": "7" } });
        let list = json!({
            "apiVersion": "v1", "kind": "ConfigMapList",
            "metadata": { "resourceVersion": "7" }, "items": [object],
        });
        (200, list)
    }

    fn no() -> (u16, Value) {
        (404, fake::refusal(404, "NotFound"))
    }

    /// Follows a server that gives `answers` to lists, the last one for ever, and ends every watch as too old.
    fn follow(answers: &[(u16, Value)]) -> (Receiver<News<()>>, Answers) {
        let asked = Answers::default();
        let (answers, record) = (answers.to_vec(), Arc::clone(&asked));
        let client = fake::client(move |request| {
            if request.uri().query().unwrap_or_default().contains("watch=") {
                return (410, fake::refusal(410, "Expired"));
            }
            let mut record = record.lock().unwrap();
            let place = record.len().min(answers.len() - 1);
            record.push(answers[place].clone());
            assert!(record.len() < 1000, "it asks without a pause");
            answers[place].clone()
        });
        let (sender, inbox) = mpsc::channel(100);
        let mut follower: Follower<ConfigMap, (), News<()>> = Follower {
            api: Api::all(client),
            fields: None,
            convert: Box::new(|_| ()),
            wrap: |news| news,
            sender,
        };
        let pace = Pace {
            first: Duration::from_millis(1),
            longest: Duration::from_millis(20),
            absent: Duration::from_millis(5),
        };
        tokio::spawn(async move { follower.follow(pace).await });
        (inbox, asked)
    }

    /// Everything that is told until it is enough.
    async fn told(
        inbox: &mut Receiver<News<()>>,
        enough: impl Fn(&[News<()>]) -> bool,
    ) -> Vec<News<()>> {
        let mut all = Vec::new();
        while !enough(&all) {
            let news = tokio::time::timeout(Duration::from_secs(20), inbox.recv()).await;
            all.push(news.expect("something is told").expect("it follows"));
        }
        all
    }

    fn gone() -> News<()> {
        News::Object(ServiceKey::new("n", "a"), None)
    }

    fn count(told: &[News<()>], news: &News<()>) -> usize {
        told.iter().filter(|one| *one == news).count()
    }

    #[tokio::test]
    async fn a_kind_does_not_vanish_because_one_answer_says_so() {
        let mut answers = vec![list()];
        answers.extend((1..ABSENT_ANSWERS).map(|_| no()));
        answers.push(list());
        let (mut inbox, asked) = follow(&answers);
        let told = told(&mut inbox, |told| count(told, &News::Synced) == 2).await;
        assert_eq!(asked.lock().unwrap().len(), answers.len());
        let lost = count(&told, &gone()) + count(&told, &News::Absent);
        assert_eq!(lost, 0, "{told:?}");
    }

    #[tokio::test]
    async fn a_kind_that_stays_away_is_gone_and_comes_back() {
        let mut answers = vec![list()];
        answers.extend((0..ABSENT_ANSWERS + 3).map(|_| no()));
        answers.push(list());
        let (mut inbox, _) = follow(&answers);
        let told = told(&mut inbox, |told| count(told, &News::Synced) == 2).await;
        let lost = (count(&told, &gone()), count(&told, &News::Absent));
        assert_eq!(lost, (1, 1), "{told:?}");
    }

    #[tokio::test]
    async fn a_kind_that_was_never_there_is_absent_at_once() {
        let (mut inbox, asked) = follow(&[no()]);
        assert_eq!(
            told(&mut inbox, |told| !told.is_empty()).await,
            [News::Absent]
        );
        assert_eq!(asked.lock().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn lists_that_lead_nowhere_are_made_ever_more_rarely() {
        let (mut inbox, asked) = follow(&[list()]);
        let reading = told(&mut inbox, |_| false);
        let _ = tokio::time::timeout(Duration::from_millis(400), reading).await;
        let count = asked.lock().unwrap().len();
        assert!((2..60).contains(&count), "{count} lists in 0.4 s");
    }
}
