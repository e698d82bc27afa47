//! Whether the machine itself stood still: what is said about milliseconds holds only while its processors run.
#![expect(clippy::disallowed_methods, reason = "watches real time")]

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use l2::linux::realtime;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// How often a processor is asked for a sign of life.
const PERIOD: Duration = Duration::from_millis(2);
/// Above every router's, so that nothing but the host can hold a watcher up.
const PRIORITY: u8 = 99;
/// Trials of one thing, the void ones included.
const TRIALS: usize = 3;

/// A processor did not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Stall {
    lasted: Duration,
    processor: usize,
}

impl fmt::Display for Stall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "processor {} stood still for {} ms",
            self.processor,
            self.lasted.as_millis()
        )
    }
}

/// Looks at every processor until it is dropped.
struct Watch {
    over: Arc<AtomicBool>,
    longest: Arc<Mutex<Option<Stall>>>,
}

impl Watch {
    fn start() -> Result<Self> {
        let watch = Self {
            over: Arc::default(),
            longest: Arc::default(),
        };
        let allowed = sched_getaffinity(Pid::from_raw(0))?;
        for processor in (0..CpuSet::count()).filter(|cpu| allowed.is_set(*cpu).unwrap_or(false)) {
            let over = Arc::clone(&watch.over);
            let longest = Arc::clone(&watch.longest);
            thread::Builder::new()
                .name(format!("watch {processor}"))
                .spawn(move || {
                    let mut here = CpuSet::new();
                    let placed = here
                        .set(processor)
                        .and_then(|()| sched_setaffinity(Pid::from_raw(0), &here));
                    // Without realtime it would see how busy the machine is, which is no excuse.
                    if placed.is_ok() && realtime::schedule(PRIORITY).is_ok() {
                        look(processor, &over, &longest);
                    }
                })?;
        }
        Ok(watch)
    }

    fn longest(&self) -> Option<Stall> {
        *self.longest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

fn look(processor: usize, over: &AtomicBool, longest: &Mutex<Option<Stall>>) {
    let mut before = Instant::now();
    while !over.load(Ordering::Relaxed) {
        thread::sleep(PERIOD);
        let now = Instant::now();
        let stall = Stall {
            lasted: (now - before).saturating_sub(PERIOD),
            processor,
        };
        before = now;
        let mut longest = longest.lock().unwrap_or_else(PoisonError::into_inner);
        *longest = (*longest).max(Some(stall));
    }
}

/// What a trial comes to. One that fails while a processor of this machine stood still for `limit` says nothing about
/// the routers: it is void, and made again.
pub(crate) fn undisturbed<T>(limit: Duration, mut trial: impl FnMut() -> Result<T>) -> Result<T> {
    for _ in 1..TRIALS {
        let watch = Watch::start()?;
        match (trial(), watch.longest()) {
            (Err(error), Some(stall)) if stall.lasted >= limit => {
                println!("  void, {stall}: {error:#}");
            }
            (outcome, stall) => {
                return outcome.map_err(|error| match stall {
                    Some(stall) => error.context(format!("{stall} at most")),
                    None => error,
                });
            }
        }
    }
    trial()
}
