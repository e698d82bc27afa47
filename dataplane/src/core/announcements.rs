//! When to tell the neighbours where an address is.
//!
//! A burst when an address comes here (neighbours may miss the first ones), then a refresh for ever: a switch or a
//! router that was restarted learns the address again without anybody's help.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::{Duration, Instant},
};

use crate::core::random::Random;

/// Offsets of a burst from the moment an address comes here.
const BURST: [Duration; 5] = [
    Duration::ZERO,
    Duration::from_millis(50),
    Duration::from_millis(200),
    Duration::from_secs(1),
    Duration::from_secs(2),
];
/// Announcements at one instant; the rest of a large take-over follows a little later.
const BATCH: usize = 256;
const BATCH_PAUSE: Duration = Duration::from_millis(2);

/// The schedule of all addresses this node has.
#[derive(Debug, Clone)]
pub struct Announcements {
    /// Between refreshes; zero: none.
    refresh: Duration,
    random: Random,
    due: BTreeSet<(Instant, IpAddr)>,
    entries: BTreeMap<IpAddr, Entry>,
    paused_until: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    started: Instant,
    next: Instant,
    /// Position in the burst; past its end: refreshing.
    step: usize,
}

/// One announcement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// The address.
    pub address: IpAddr,
    /// Part of a burst, or a refresh.
    pub refresh: bool,
}

impl Announcements {
    /// An empty schedule; `seed` spreads the refreshes.
    pub const fn new(refresh: Duration, seed: u64) -> Self {
        Self {
            refresh,
            random: Random::new(seed),
            due: BTreeSet::new(),
            entries: BTreeMap::new(),
            paused_until: None,
        }
    }

    /// Starts a burst for `address`, anew if one is under way.
    pub fn start(&mut self, now: Instant, address: IpAddr) {
        self.stop(address);
        self.entries.insert(
            address,
            Entry {
                started: now,
                next: now,
                step: 0,
            },
        );
        self.due.insert((now, address));
    }

    /// Announces `address` now and twice within two seconds, unless a burst is under way: something happened
    /// that neighbours may have misunderstood.
    pub fn remind(&mut self, now: Instant, address: IpAddr) {
        let bursting = |entry: &Entry| entry.step < BURST.len();
        if self.entries.get(&address).is_some_and(bursting) {
            return;
        }
        self.stop(address);
        let [_, _, third, ..] = BURST;
        let started = now.checked_sub(third).unwrap_or(now);
        let step = 2;
        self.entries.insert(
            address,
            Entry {
                started,
                next: now,
                step,
            },
        );
        self.due.insert((now, address));
    }

    /// Ends all announcements of `address`.
    pub fn stop(&mut self, address: IpAddr) {
        if let Some(entry) = self.entries.remove(&address) {
            self.due.remove(&(entry.next, address));
        }
    }

    /// The announcements that are due.
    pub fn poll(&mut self, now: Instant) -> Vec<Due> {
        if self.paused_until.is_some_and(|until| now < until) {
            return Vec::new();
        }
        self.paused_until = None;
        let mut announced = Vec::new();
        while let Some(&(at, address)) = self.due.first()
            && at <= now
        {
            if announced.len() == BATCH {
                self.paused_until = Some(now + BATCH_PAUSE);
                break;
            }
            self.due.remove(&(at, address));
            if let Some(entry) = self.entries.get_mut(&address) {
                announced.push(Due {
                    address,
                    refresh: entry.step >= BURST.len(),
                });
                entry.step += 1;
                entry.next = match BURST.get(entry.step) {
                    Some(offset) => entry.started + *offset,
                    None if self.refresh.is_zero() => continue,
                    None => now + jittered(self.refresh, &mut self.random),
                };
                // A burst that was delayed is not made up for all at once.
                entry.next = entry.next.max(now + BATCH_PAUSE);
                self.due.insert((entry.next, address));
            }
        }
        announced
    }

    /// When the next one is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let (next, _) = self.due.first()?;
        Some(self.paused_until.map_or(*next, |until| until.max(*next)))
    }
}

/// 90 to 100 % of `period`.
fn jittered(period: Duration, random: &mut Random) -> Duration {
    let tenth = u64::try_from(period.as_micros() / 10).unwrap_or(u64::MAX);
    period.saturating_sub(Duration::from_micros(random.below(tenth)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::samples::start;

    fn offsets(schedule: &mut Announcements, from: Instant, until: Duration) -> Vec<(u128, bool)> {
        let mut seen = Vec::new();
        while let Some(next) = schedule.poll_timeout().filter(|next| *next <= from + until) {
            let due = schedule.poll(next);
            seen.extend(
                due.iter()
                    .map(|due| ((next - from).as_millis(), due.refresh)),
            );
        }
        seen
    }

    #[test]
    fn a_burst_of_five_and_then_a_refresh_each_minute() {
        let mut schedule = Announcements::new(Duration::from_secs(60), 1);
        let now = start();
        schedule.start(now, IpAddr::from([10, 0, 0, 1]));
        let seen = offsets(&mut schedule, now, Duration::from_secs(130));
        let burst: Vec<_> = seen
            .iter()
            .filter(|(_, refresh)| !refresh)
            .map(|(at, _)| *at)
            .collect();
        assert_eq!(burst, [0, 50, 200, 1000, 2000]);
        let refreshes: Vec<_> = seen
            .iter()
            .filter(|(_, refresh)| *refresh)
            .map(|(at, _)| *at)
            .collect();
        assert_eq!(refreshes.len(), 2);
        assert!((56_000..=62_000).contains(&refreshes[0]), "{refreshes:?}");
    }

    #[test]
    fn a_stopped_address_is_silent_at_once() {
        let mut schedule = Announcements::new(Duration::from_secs(60), 1);
        let (now, address) = (start(), IpAddr::from([10, 0, 0, 1]));
        schedule.start(now, address);
        assert_eq!(schedule.poll(now).len(), 1);
        schedule.stop(address);
        assert_eq!(schedule.poll_timeout(), None);
        assert_eq!(schedule.poll(now + Duration::from_secs(99)), []);
    }

    #[test]
    fn a_large_take_over_is_spread_and_nobody_is_forgotten() {
        let mut schedule = Announcements::new(Duration::ZERO, 1);
        let now = start();
        for bits in 0..2000u32 {
            schedule.start(now, IpAddr::from(bits.to_be_bytes()));
        }
        let seen = offsets(&mut schedule, now, Duration::from_secs(10));
        assert_eq!(seen.len(), 2000 * BURST.len());
        let at_once = seen.iter().filter(|(at, _)| *at == 0).count();
        assert_eq!(at_once, BATCH);
        let last_first = seen.iter().take(2000).map(|(at, _)| *at).max().unwrap();
        assert!(
            last_first < 50,
            "{last_first} ms until everybody was announced once"
        );
    }
}
