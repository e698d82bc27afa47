//! Who has the address when, from the kernels' own notifications.
#![expect(clippy::disallowed_methods, reason = "the instants of real changes")]

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use l2::linux::address::{Held, LOOPBACK};
use l2::linux::clock;
use l2::linux::link::{Change, Links};
use l2::linux::netlink::Notifications;
use l2::linux::poller::Poller;
use lab_tests::duel::arena::Arena;

/// A record of who had the address when.
pub(crate) struct Ownership {
    stop: Arc<AtomicBool>,
    changes: Arc<Mutex<Vec<(Instant, usize, bool)>>>,
    watchers: Vec<JoinHandle<Result<()>>>,
}

impl Ownership {
    /// Watches all routers' places from now on.
    pub(crate) fn watch(arena: &Arena, routers: usize, address: IpAddr) -> Result<Self> {
        let mut ownership = Self {
            stop: Arc::default(),
            changes: Arc::default(),
            watchers: Vec::new(),
        };
        for index in 0..routers {
            let (stop, changes) = (Arc::clone(&ownership.stop), Arc::clone(&ownership.changes));
            let tell = move |owns| {
                let mut changes = changes.lock().unwrap_or_else(PoisonError::into_inner);
                changes.push((Instant::now(), index, owns));
            };
            let work = move || follow(address, &stop, tell);
            let watcher = arena.inside(&format!("r{index}"), work)?;
            ownership.watchers.push(watcher);
        }
        Ok(ownership)
    }

    /// Ends the record.
    pub(crate) fn finish(self) -> Result<Record> {
        self.stop.store(true, Ordering::Relaxed);
        for watcher in self.watchers {
            watcher
                .join()
                .map_err(|_| anyhow!("a watcher panicked"))??;
        }
        let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changes = std::mem::take(&mut *changes);
        changes.sort_by_key(|(at, ..)| *at);
        Ok(Record {
            changes,
            end: Instant::now(),
        })
    }
}

fn follow(address: IpAddr, stop: &AtomicBool, tell: impl Fn(bool)) -> Result<()> {
    const LOOK: Duration = Duration::from_millis(50);
    let notifications = Notifications::open()?;
    let mut links = Links::read()?;
    let mut poller = Poller::new()?;
    poller.add(&notifications, 0)?;
    let mut ready = Vec::new();
    if links.holding(address).is_some() {
        tell(true);
    }
    while !stop.load(Ordering::Relaxed) {
        poller.wait(Some(clock::boottime() + LOOK), &mut ready)?;
        let Some(messages) = notifications.receive()? else {
            return Err(anyhow!("changes were lost"));
        };
        for message in messages {
            // What lingers after a planned move is on the loopback interface, and nobody answers for it.
            let ours = |held: Held| held.address == address && held.index != LOOPBACK;
            match links.apply(&message) {
                Some(Change::Added(held)) if ours(held) => tell(true),
                Some(Change::Removed(held)) if ours(held) => tell(false),
                _ => {}
            }
        }
    }
    Ok(())
}

/// Who had the address when.
#[derive(Debug)]
pub(crate) struct Record {
    changes: Vec<(Instant, usize, bool)>,
    end: Instant,
}

impl Record {
    /// For how long in all more than one router had the address from an instant on.
    pub(crate) fn shared(&self, from: Instant) -> Duration {
        self.sum(from, |owners| owners.len() > 1)
    }

    /// For how long in all nobody had it.
    pub(crate) fn nobody(&self, from: Instant) -> Duration {
        self.sum(from, BTreeSet::is_empty)
    }

    /// Whether a router took it from an instant on.
    pub(crate) fn taken_by(&self, index: usize, from: Instant) -> bool {
        let taken = |(at, who, owns): &(Instant, usize, bool)| *at > from && *who == index && *owns;
        self.changes.iter().any(taken)
    }

    fn sum(&self, from: Instant, counts: impl Fn(&BTreeSet<usize>) -> bool) -> Duration {
        let mut owners = BTreeSet::new();
        let mut sum = Duration::ZERO;
        let mut since = from;
        let last = (self.end, usize::MAX, false);
        for (at, index, owns) in self.changes.iter().chain([&last]) {
            if *at > since {
                if counts(&owners) {
                    sum += at.duration_since(since);
                }
                since = *at;
            }
            if *owns {
                owners.insert(*index);
            } else {
                owners.remove(index);
            }
        }
        sum
    }
}
