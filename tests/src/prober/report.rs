//! What a prober has seen, and what follows from it about a fault.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// One attempt; times are since the prober's start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// When it began; this decides about order and about before and after a fault.
    pub start: Duration,
    /// When it was over.
    pub end: Duration,
    /// Why it failed; `None` when it got through.
    pub failure: Option<String>,
}

/// How often which reason was seen.
pub(super) fn count<'a>(attempts: impl Iterator<Item = &'a Attempt>) -> BTreeMap<&'a str, usize> {
    let mut reasons = BTreeMap::new();
    for why in attempts.filter_map(|attempt| attempt.failure.as_deref()) {
        *reasons.entry(why).or_default() += 1;
    }
    reasons
}

/// All attempts of a prober.
#[derive(Debug, Clone)]
pub struct Report {
    origin: Instant,
    attempts: Vec<Attempt>,
    lateness: Duration,
}

impl Report {
    pub(super) fn new(origin: Instant, mut attempts: Vec<Attempt>, lateness: Duration) -> Self {
        attempts.sort_by_key(|attempt| attempt.start);
        Self {
            origin,
            attempts,
            lateness,
        }
    }

    /// The attempts by their start.
    pub fn attempts(&self) -> &[Attempt] {
        &self.attempts
    }

    /// How many attempts failed.
    pub fn failed(&self) -> usize {
        self.failures().count()
    }

    /// How many attempts got through, but took longer than this.
    pub fn slower_than(&self, limit: Duration) -> usize {
        self.times().filter(|time| *time > limit).count()
    }

    /// The longest time that an attempt took to get through.
    pub fn longest(&self) -> Duration {
        self.times().max().unwrap_or_default()
    }

    fn times(&self) -> impl Iterator<Item = Duration> {
        self.successes()
            .map(|attempt| attempt.end.saturating_sub(attempt.start))
    }

    /// How often which reason was seen.
    pub fn reasons(&self) -> BTreeMap<&str, usize> {
        count(self.attempts.iter())
    }

    /// The attempts that were not over before the fault.
    pub fn after(&self, fault: Instant) -> impl Iterator<Item = &Attempt> {
        let fault = fault.saturating_duration_since(self.origin);
        self.attempts
            .iter()
            .filter(move |attempt| attempt.end >= fault)
    }

    /// From the fault to the start of the first failed attempt that was not over before it; zero when nothing failed.
    pub fn first_failure(&self, fault: Instant) -> Duration {
        let mut failures = self
            .after(fault)
            .filter(|attempt| attempt.failure.is_some());
        let fault = fault.saturating_duration_since(self.origin);
        failures.next().map_or(Duration::ZERO, |attempt| {
            attempt.start.saturating_sub(fault)
        })
    }

    /// From the fault to the start of the last failed attempt; zero when nothing failed after it.
    pub fn last_failure(&self, fault: Instant) -> Duration {
        let fault = fault.saturating_duration_since(self.origin);
        self.failures().last().map_or(Duration::ZERO, |attempt| {
            attempt.start.saturating_sub(fault)
        })
    }

    /// From an instant to the end of the first attempt that got through after it.
    pub fn first_success(&self, since: Instant) -> Option<Duration> {
        let since = since.saturating_duration_since(self.origin);
        let ends = self
            .successes()
            .map(|attempt| attempt.end)
            .filter(|end| *end >= since);
        ends.min().map(|end| end.saturating_sub(since))
    }

    /// From an instant to the start of the last attempt that got through; zero when none did after it.
    pub fn last_success(&self, since: Instant) -> Duration {
        let since = since.saturating_duration_since(self.origin);
        self.successes().last().map_or(Duration::ZERO, |attempt| {
            attempt.start.saturating_sub(since)
        })
    }

    /// How many attempts failed at the end, one after the other.
    pub fn failed_at_the_end(&self) -> usize {
        let backwards = self.attempts.iter().rev();
        backwards
            .take_while(|attempt| attempt.failure.is_some())
            .count()
    }

    /// The longest time between the starts of two successes that follow each other; a run of
    /// failures at either end counts up to the first or last attempt.
    pub fn longest_gap(&self) -> Duration {
        let (Some(first), Some(last)) = (self.attempts.first(), self.attempts.last()) else {
            return Duration::ZERO;
        };
        let mut since = first.start;
        let mut longest = Duration::ZERO;
        for start in self
            .successes()
            .map(|attempt| attempt.start)
            .chain([last.start])
        {
            longest = longest.max(start.saturating_sub(since));
            since = start;
        }
        longest
    }

    /// Whether there was no failure in the last `calm` of the attempts, and a success.
    pub fn is_calm_for(&self, calm: Duration) -> bool {
        let Some(last) = self.attempts.iter().map(|attempt| attempt.end).max() else {
            return false;
        };
        let from = last.saturating_sub(calm);
        let mut recent = self
            .attempts
            .iter()
            .filter(|attempt| attempt.end >= from)
            .peekable();
        recent.peek().is_some() && recent.all(|attempt| attempt.failure.is_none())
    }

    /// How late the prober itself was at worst; figures are good to this.
    pub fn lateness(&self) -> Duration {
        self.lateness
    }

    fn successes(&self) -> impl Iterator<Item = &Attempt> {
        self.attempts
            .iter()
            .filter(|attempt| attempt.failure.is_none())
    }

    fn failures(&self) -> impl Iterator<Item = &Attempt> {
        self.attempts
            .iter()
            .filter(|attempt| attempt.failure.is_some())
    }
}
