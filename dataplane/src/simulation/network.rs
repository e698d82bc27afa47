//! A virtual network: who hears what, and when. It knows nothing of what it carries.

use std::{collections::BTreeMap, time::Duration};

use crate::core::random::Random;

/// What is on its way, by time of arrival.
#[derive(Debug, Clone)]
pub struct Network<P> {
    random: Random,
    members: usize,
    /// `cut[from][to]`.
    cut: Vec<Vec<bool>>,
    quality: Quality,
    queue: BTreeMap<(Duration, u64), Arrival<P>>,
    sent: u64,
}

/// No message is longer on its way than this.
pub const LONGEST_WAY: Duration = Duration::from_millis(350);

/// How well a network carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quality {
    /// Shortest delay.
    pub delay: Duration,
    /// Added at most; more than the spacing of messages reorders them.
    pub jitter: Duration,
    /// Percent lost.
    pub loss: u64,
    /// Percent that arrive twice.
    pub duplication: u64,
}

/// A message at its receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival<P> {
    /// Who sent it.
    pub from: usize,
    /// Who gets it.
    pub to: usize,
    /// What it is.
    pub payload: P,
}

impl<P: Clone> Network<P> {
    /// A network of `members` in which everybody hears everybody.
    pub fn new(members: usize, quality: Quality, random: Random) -> Self {
        let cut = vec![vec![false; members]; members];
        Self {
            random,
            members,
            cut,
            quality,
            queue: BTreeMap::new(),
            sent: 0,
        }
    }

    /// Changes how well it carries.
    pub const fn set_quality(&mut self, quality: Quality) {
        self.quality = quality;
    }

    /// Cuts or heals one direction.
    pub fn set_cut(&mut self, from: usize, to: usize, cut: bool) {
        if let Some(one) = self.cut.get_mut(from).and_then(|row| row.get_mut(to)) {
            *one = cut;
        }
    }

    /// Heals everything.
    pub fn heal(&mut self) {
        self.cut = vec![vec![false; self.members]; self.members];
    }

    /// Whether `from` reaches `to`.
    pub fn reaches(&self, from: usize, to: usize) -> bool {
        !self
            .cut
            .get(from)
            .and_then(|row| row.get(to))
            .copied()
            .unwrap_or(true)
    }

    /// Sends `payload`, which may get lost.
    pub fn send(&mut self, now: Duration, from: usize, to: usize, payload: P) {
        if !self.random.chance(self.quality.loss) {
            self.send_surely(now, from, to, payload);
        }
    }

    /// Sends `payload`; only what is cut at the time of sending is lost.
    pub fn send_surely(&mut self, now: Duration, from: usize, to: usize, payload: P) {
        if !self.reaches(from, to) {
            return;
        }
        let copies = 1 + u64::from(self.random.chance(self.quality.duplication));
        for _ in 0..copies {
            let jitter = u64::try_from(self.quality.jitter.as_micros()).unwrap_or(u64::MAX);
            let late = Duration::from_micros(self.random.below(jitter));
            self.sent += 1;
            let key = (now + self.quality.delay + late, self.sent);
            self.queue.insert(
                key,
                Arrival {
                    from,
                    to,
                    payload: payload.clone(),
                },
            );
        }
    }

    /// Lets a message that has arrived wait until `at`.
    pub fn requeue(&mut self, at: Duration, from: usize, to: usize, payload: P) {
        self.sent += 1;
        self.queue
            .insert((at, self.sent), Arrival { from, to, payload });
    }

    /// When the next message arrives.
    pub fn next_arrival(&self) -> Option<Duration> {
        self.queue.keys().next().map(|(at, _)| *at)
    }

    /// The next message that has arrived by `now`.
    pub fn receive(&mut self, now: Duration) -> Option<Arrival<P>> {
        let entry = self.queue.first_entry()?;
        (entry.key().0 <= now).then(|| entry.remove())
    }

    /// Messages carried so far, copies included.
    pub const fn carried(&self) -> u64 {
        self.sent
    }
}
