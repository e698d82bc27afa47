//! Follows all objects of one kind: a list, then a watch that is resumed where it broke off.
//!
//! ```text
//!            ┌──────── too old, or the stream says nonsense ───────┐
//!            ▼                                                     │
//!  list (in pages) ──► Synced ──► watch ──► Object, Version ──► ended: watch again from the last version
//!            │
//!            └── the kind does not exist: Absent, and asked again now and then
//! ```
//!
//! Objects are converted at once and dropped: what is kept is what the core needs.

use std::{collections::BTreeSet, fmt::Debug, time::Duration};

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
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// How often a kind that does not exist is asked for.
const ABSENT_PAUSE: Duration = Duration::from_secs(2);

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
            () = self.follow() => {}
        }
    }

    async fn follow(&mut self) {
        let mut known = BTreeSet::new();
        let mut pause = FIRST_PAUSE;
        let mut random = Random::new(u64::from(std::process::id()));
        let mut absent = false;
        loop {
            match self.list(&mut known).await {
                Ok(Some(version)) => {
                    pause = FIRST_PAUSE;
                    absent = false;
                    if self.watch_on(&mut known, version).await.is_none() {
                        return;
                    }
                }
                Ok(None) => return,
                Err(error) if is_absent(&error) => {
                    if !std::mem::replace(&mut absent, true)
                        && self.forget(&mut known).await.is_none()
                    {
                        return;
                    }
                    tokio::time::sleep(ABSENT_PAUSE).await;
                }
                Err(error) => {
                    if pause == FIRST_PAUSE {
                        let kind = std::any::type_name::<K>();
                        tracing::warn!(kind, %error, "cannot list: tries again");
                    }
                    let jitter = Duration::from_millis(random.below(100));
                    tokio::time::sleep(pause + jitter).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
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

    /// Watches until everything has to be listed anew; `None`: nobody listens.
    async fn watch_on(&self, known: &mut BTreeSet<ServiceKey>, mut version: String) -> Option<()> {
        let mut pause = FIRST_PAUSE;
        loop {
            let before = version.clone();
            match self.watch(known, &mut version).await {
                Ended::Unheard => return None,
                Ended::Relist => return Some(()),
                Ended::Resume => {}
            }
            if before == version {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            } else {
                pause = FIRST_PAUSE;
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
