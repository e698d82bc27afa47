//! A client that opens a new connection all the time, whatever became of the ones before, and
//! tells afterwards when it failed and why.
//!
//! It is the judge of every failover: a fault lasts from its instant to the last failed attempt
//! ([`Report::last_failure`]). The prober runs in a thread of its own inside a network namespace.

mod attempt;
mod impression;
mod report;
mod stream;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use tokio::task::JoinSet;

use crate::host::take_share;
use crate::namespace::Namespace;

pub use attempt::{Exchange, Trust};
pub use impression::Impression;
pub use report::{Attempt, Report};
pub use stream::{Answers, Stream};

/// What to try, and how often.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Where to connect.
    pub target: SocketAddr,
    /// Time between the starts of two attempts.
    pub every: Duration,
    /// Time that each attempt has; it counts as failed after that.
    pub patience: Duration,
    /// What makes an attempt a success.
    pub exchange: Exchange,
}

impl Plan {
    /// A TLS handshake and a `GET` that answers 200, each 10 ms, 300 ms each: a client of the API.
    pub fn tls_get(target: SocketAddr, trust: Trust, path: &str) -> Self {
        Self {
            target,
            every: Duration::from_millis(10),
            patience: Duration::from_millis(300),
            exchange: Exchange::get_over_tls(trust, path),
        }
    }

    /// A TLS handshake each 10 ms, 300 ms each.
    pub fn handshake(target: SocketAddr, trust: Trust) -> Self {
        Self {
            exchange: Exchange::handshake(trust),
            ..Self::connect(target)
        }
        .paced(10, 300)
    }

    /// A TCP connection each 5 ms, 100 ms each.
    pub fn connect(target: SocketAddr) -> Self {
        Self {
            target,
            every: Duration::from_millis(5),
            patience: Duration::from_millis(100),
            exchange: Exchange::connect(),
        }
    }

    /// The same with other times, in milliseconds.
    #[must_use]
    pub const fn paced(mut self, every: u64, patience: u64) -> Self {
        self.every = Duration::from_millis(every);
        self.patience = Duration::from_millis(patience);
        self
    }
}

/// Where a prober is.
#[derive(Debug, Clone)]
pub struct Seat {
    /// The file that stands for the network namespace.
    pub namespace: PathBuf,
    /// The file that moves a thread into a cgroup with a share of the processors.
    pub tasks: Option<PathBuf>,
}

impl Seat {
    /// Moves the calling thread there.
    fn take(&self) -> Result<()> {
        if let Some(tasks) = &self.tasks {
            take_share(tasks)?;
        }
        Namespace::open(&self.namespace)?.enter()
    }
}

/// A prober at work.
#[derive(Debug)]
pub struct Prober {
    shared: Arc<Shared>,
    thread: Option<thread::JoinHandle<Result<()>>>,
}

#[derive(Debug)]
struct Shared {
    origin: Instant,
    stop: AtomicBool,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default, Clone)]
struct Seen {
    attempts: Vec<Attempt>,
    lateness: Duration,
}

impl Prober {
    /// Starts at a place of a lab; `None` stays where this program is.
    pub fn start(seat: Option<&Seat>, plan: Plan) -> Result<Self> {
        let seat = seat.cloned();
        let shared = Arc::new(Shared {
            origin: now(),
            stop: AtomicBool::new(false),
            seen: Mutex::default(),
        });
        let for_thread = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("prober".to_owned())
            .spawn(move || {
                if let Some(seat) = seat {
                    seat.take()?;
                }
                tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()?
                    .block_on(probe(&plan, &for_thread))
            })?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// What has been seen so far; attempts under way are not in it.
    pub fn so_far(&self) -> Report {
        let seen = self.shared.seen().clone();
        Report::new(self.shared.origin, seen.attempts, seen.lateness)
    }

    /// Waits until nothing has failed for `calm`, at most `limit`; false when that did not happen.
    pub fn wait_for_calm(&self, calm: Duration, limit: Duration) -> bool {
        let begin = now();
        while begin.elapsed() < limit {
            thread::sleep(Duration::from_millis(50));
            if begin.elapsed() >= calm && self.so_far().is_calm_for(calm) {
                return true;
            }
        }
        false
    }

    /// Starts no more attempts, waits for those under way, and reports.
    pub fn finish(mut self) -> Result<Report> {
        self.shared.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().context("a prober finishes once")?;
        thread
            .join()
            .map_err(|_| anyhow!("the prober panicked"))??;
        Ok(self.so_far())
    }
}

impl Drop for Prober {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }
}

impl Shared {
    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts an attempt whenever one is due, and collects those that have ended.
async fn probe(plan: &Plan, shared: &Shared) -> Result<()> {
    let client = attempt::Client::new(plan)?;
    let mut under_way = JoinSet::new();
    let mut due = now();
    while !shared.stop.load(Ordering::Relaxed) {
        tokio::time::sleep_until(due.into()).await;
        let start = now();
        under_way.spawn(attempt::observe(client.clone(), shared.origin, start));
        let mut seen = shared.seen();
        seen.lateness = seen.lateness.max(start.saturating_duration_since(due));
        while let Some(ended) = under_way.try_join_next() {
            seen.attempts.push(ended?);
        }
        due += plan.every;
    }
    while let Some(ended) = under_way.join_next().await {
        shared.seen().attempts.push(ended?);
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "a prober measures real time")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests;
