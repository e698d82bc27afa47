//! Leadership by a Lease, judged by one's own clock and never by the times others write.
//!
//! ```text
//!               free, or unchanged for its duration               written
//!   Following ──────────────────────────────────────► Claiming ──────────► Leading ──┐
//!       ▲  ▲                                             │                    │      │ renew
//!       │  └───────────── conflict, or too late ─────────┘                    │◄─────┘
//!       └──────────────── not renewed in time, taken, released ◄──────────────┘
//! ```
//!
//! A follower holds a Lease for expired when it has seen no change of it for its whole duration. A leader counts its
//! time from the moment it *sent* the renewal that succeeded, so it always ends before a follower can begin.
//! [`LeaseClaim::may_write`] ends a margin earlier still: a request that was sent then is over before anybody
//! else leads.

use std::time::{Duration, Instant};

/// How fast leadership changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseTiming {
    /// How long a Lease is good for without a renewal.
    pub duration: Duration,
    /// Between renewals.
    pub renewal: Duration,
    /// After a failed request.
    pub retry: Duration,
    /// A leader stops writing so long before its time is up; no request may take longer.
    pub margin: Duration,
}

impl Default for LeaseTiming {
    fn default() -> Self {
        Self {
            duration: Duration::from_secs(9),
            renewal: Duration::from_secs(3),
            retry: Duration::from_millis(500),
            margin: Duration::from_secs(3),
        }
    }
}

/// What a Lease object says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Who holds it; empty: nobody.
    pub holder: String,
    /// Its duration.
    pub duration: Duration,
    /// How often it changed hands.
    pub term: u64,
    /// Version of the object: changes with every write.
    pub version: String,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeaseAction {
    /// Write the Lease with this node as its holder; on top of `version`, or create it.
    Claim {
        /// The version that must still be there; `None`: there must be no Lease.
        version: Option<String>,
        /// The term to write.
        term: u64,
    },
    /// Write the Lease without a holder, on top of `version`.
    Release {
        /// The version that must still be there.
        version: String,
        /// The term to keep.
        term: u64,
    },
    /// This process leads from now on.
    Started {
        /// Grows with every change of hands.
        term: u64,
    },
    /// This process no longer leads.
    Stopped(Stopped),
}

/// Why a leader stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// It could not renew in time.
    Expired,
    /// Somebody else holds the Lease.
    Taken,
    /// It was asked to.
    Released,
}

/// How a write ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// The object has this version now.
    Done(String),
    /// Somebody else wrote in between.
    Conflict,
    /// It is unknown whether it was written.
    Failed,
}

/// One process' claim to a Lease.
#[derive(Debug, Clone)]
pub struct LeaseClaim {
    me: String,
    timing: LeaseTiming,
    seen: Option<Seen>,
    /// Term and when the renewal that succeeded last was sent.
    leading: Option<(u64, Instant)>,
    /// The write that is under way.
    pending: Option<Pending>,
    next_try: Instant,
    leaving: bool,
    actions: std::collections::VecDeque<LeaseAction>,
}

/// A write that is under way.
#[derive(Debug, Clone)]
struct Pending {
    sent: Instant,
    term: u64,
    /// The version it is on top of.
    version: Option<String>,
}

/// What was seen of the Lease, and since when it has been so.
#[derive(Debug, Clone)]
struct Seen {
    record: Option<Record>,
    since: Instant,
}

impl LeaseClaim {
    /// A claim that has not seen the Lease yet. `me` is unique to this process.
    pub fn new(now: Instant, me: impl Into<String>, timing: LeaseTiming) -> Self {
        Self {
            me: me.into(),
            timing,
            seen: None,
            leading: None,
            pending: None,
            next_try: now,
            leaving: false,
            actions: std::collections::VecDeque::new(),
        }
    }

    /// The Lease as it is; `None`: there is none.
    pub fn handle_seen(&mut self, now: Instant, record: Option<Record>) {
        if self.seen.as_ref().is_some_and(|seen| seen.record == record) {
            return;
        }
        let taken = record
            .as_ref()
            .is_none_or(|record| record.holder != self.me);
        // What was seen before an own write was answered may be older than that write.
        if taken && self.leading.is_some() && self.pending.is_none() {
            self.stop(Stopped::Taken);
        }
        self.seen = Some(Seen { record, since: now });
        self.handle_timeout(now);
    }

    /// The write that was asked for has ended.
    pub fn handle_written(&mut self, now: Instant, written: Written) {
        let Some(Pending {
            sent,
            term,
            version,
        }) = self.pending.take()
        else {
            return;
        };
        let base = version;
        match written {
            Written::Done(version) => {
                let record = Record {
                    holder: self.me.clone(),
                    duration: self.timing.duration,
                    term,
                    version,
                };
                self.seen = Some(Seen {
                    record: Some(record),
                    since: now,
                });
                self.next_try = sent + self.timing.renewal;
                if self.leading.replace((term, sent)).is_none() {
                    self.actions.push_back(LeaseAction::Started { term });
                }
            }
            Written::Conflict => {
                // Whoever wrote is seen soon, or has been seen already; until then nothing is known.
                let version = |record: &Record| record.version.clone();
                self.seen = self
                    .seen
                    .take()
                    .filter(|seen| seen.record.as_ref().map(version) != base);
                self.next_try = now + self.timing.retry;
                if self.leading.is_some() {
                    self.stop(Stopped::Taken);
                }
            }
            Written::Failed => self.next_try = now + self.timing.retry,
        }
        self.handle_timeout(now);
    }

    /// Give the Lease up.
    pub fn handle_leave(&mut self, now: Instant) {
        self.leaving = true;
        self.handle_timeout(now);
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        if let Some((_, renewed)) = self.leading
            && now >= renewed + self.timing.duration
        {
            self.stop(Stopped::Expired);
        }
        if self.leaving {
            self.leave();
            return;
        }
        let Some(seen) = &self.seen else { return };
        if self.pending.is_some() || now < self.next_try {
            return;
        }
        let mine = seen
            .record
            .as_ref()
            .filter(|record| record.holder == self.me);
        let (version, term) = match (&seen.record, mine) {
            (None, _) => (None, 1),
            // A lease of an earlier life of this name counts as free.
            (_, Some(record)) if self.leading.is_some() => (Some(&record.version), record.term),
            (Some(record), _) => {
                if now < self.free_at(seen, record) {
                    return;
                }
                (Some(&record.version), record.term + 1)
            }
        };
        let version = version.cloned();
        self.pending = Some(Pending {
            sent: now,
            term,
            version: version.clone(),
        });
        self.actions.push_back(LeaseAction::Claim { version, term });
    }

    /// When to call [`Self::handle_timeout`] at the latest.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let expiry = self
            .leading
            .map(|(_, renewed)| renewed + self.timing.duration);
        let attempt = self
            .seen
            .as_ref()
            .filter(|_| self.pending.is_none() && !self.leaving);
        let attempt = attempt.map(|seen| match &seen.record {
            Some(record) if self.leading.is_none() => self.free_at(seen, record).max(self.next_try),
            _ => self.next_try,
        });
        [expiry, attempt].into_iter().flatten().min()
    }

    /// The next thing to do.
    pub fn poll_action(&mut self) -> Option<LeaseAction> {
        self.actions.pop_front()
    }

    /// The term, while this process leads.
    pub fn term(&self) -> Option<u64> {
        self.leading.map(|(term, _)| term)
    }

    /// Until when a leader may send writes.
    pub fn may_write_until(&self) -> Option<Instant> {
        let (_, renewed) = self.leading?;
        Some(renewed + self.timing.duration.saturating_sub(self.timing.margin))
    }

    /// Whether a write that is sent now is over before anybody else can lead.
    pub fn may_write(&self, now: Instant) -> bool {
        self.may_write_until().is_some_and(|until| now < until)
    }

    /// Who holds the Lease, as far as this process has seen.
    pub fn holder(&self) -> Option<&str> {
        let record = self.seen.as_ref()?.record.as_ref()?;
        Some(&record.holder)
            .filter(|holder| !holder.is_empty())
            .map(String::as_str)
    }

    fn free_at(&self, seen: &Seen, record: &Record) -> Instant {
        if record.holder.is_empty() || record.holder == self.me {
            return seen.since;
        }
        seen.since + record.duration.max(self.timing.duration)
    }

    fn leave(&mut self) {
        if self.pending.is_some() || self.leading.is_none() {
            return;
        }
        let mine = self.seen.as_ref().and_then(|seen| seen.record.clone());
        self.stop(Stopped::Released);
        if let Some(record) = mine {
            let (version, term) = (record.version, record.term);
            self.actions
                .push_back(LeaseAction::Release { version, term });
        }
    }

    fn stop(&mut self, why: Stopped) {
        self.leading = None;
        self.actions.push_back(LeaseAction::Stopped(why));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{random::Random, samples::start};

    const SECOND: Duration = Duration::from_secs(1);

    fn record(holder: &str, version: &str) -> Record {
        Record {
            holder: holder.to_owned(),
            duration: Duration::from_secs(9),
            term: 4,
            version: version.to_owned(),
        }
    }

    fn leader(now: Instant) -> LeaseClaim {
        let mut claim = LeaseClaim::new(now, "me", LeaseTiming::default());
        claim.handle_seen(now, None);
        assert_eq!(
            claim.poll_action(),
            Some(LeaseAction::Claim {
                version: None,
                term: 1
            })
        );
        claim.handle_written(now, Written::Done("1".to_owned()));
        assert_eq!(claim.poll_action(), Some(LeaseAction::Started { term: 1 }));
        claim
    }

    #[test]
    fn a_free_lease_is_taken_at_once_and_a_held_one_after_silence() {
        let now = start();
        let mut claim = LeaseClaim::new(now, "me", LeaseTiming::default());
        claim.handle_seen(now, Some(record("other", "7")));
        assert_eq!(claim.poll_action(), None);
        claim.handle_seen(now + SECOND * 8, Some(record("other", "8")));
        assert_eq!(
            claim.poll_timeout(),
            Some(now + SECOND * 17),
            "a change starts the wait anew"
        );
        claim.handle_timeout(now + SECOND * 16);
        assert_eq!(claim.poll_action(), None);
        claim.handle_timeout(now + SECOND * 17);
        let version = Some("8".to_owned());
        assert_eq!(
            claim.poll_action(),
            Some(LeaseAction::Claim { version, term: 5 })
        );

        let mut claim = LeaseClaim::new(now, "me", LeaseTiming::default());
        claim.handle_seen(now, Some(record("", "9")));
        assert!(matches!(
            claim.poll_action(),
            Some(LeaseAction::Claim { .. })
        ));
    }

    #[test]
    fn a_leader_renews_and_stops_writing_before_its_time_is_up() {
        let now = start();
        let mut claim = leader(now);
        assert!(claim.may_write(now + SECOND * 5));
        assert!(!claim.may_write(now + SECOND * 6));
        claim.handle_timeout(now + SECOND * 3);
        let version = Some("1".to_owned());
        assert_eq!(
            claim.poll_action(),
            Some(LeaseAction::Claim { version, term: 1 })
        );
        claim.handle_written(now + SECOND * 4, Written::Failed);
        claim.handle_timeout(now + SECOND * 5);
        assert!(matches!(
            claim.poll_action(),
            Some(LeaseAction::Claim { .. })
        ));
        claim.handle_timeout(now + SECOND * 9);
        assert_eq!(
            claim.poll_action(),
            Some(LeaseAction::Stopped(Stopped::Expired))
        );
        assert_eq!(claim.term(), None);
    }

    #[test]
    fn time_counts_from_when_the_renewal_was_sent() {
        let now = start();
        let mut claim = leader(now);
        claim.handle_timeout(now + SECOND * 3);
        let _ = claim.poll_action();
        claim.handle_written(now + SECOND * 6, Written::Done("2".to_owned()));
        assert_eq!(claim.may_write_until(), Some(now + SECOND * 9));
    }

    #[test]
    fn a_leader_that_sees_another_holder_stops() {
        let now = start();
        let mut claim = leader(now);
        claim.handle_seen(now + SECOND, Some(record("other", "2")));
        assert_eq!(
            claim.poll_action(),
            Some(LeaseAction::Stopped(Stopped::Taken))
        );
        let mut claim = leader(now);
        claim.handle_timeout(now + SECOND * 3);
        let _ = claim.poll_action();
        claim.handle_written(now + SECOND * 3, Written::Conflict);
        assert_eq!(
            claim.poll_action(),
            Some(LeaseAction::Stopped(Stopped::Taken))
        );
    }

    #[test]
    fn who_was_seen_before_the_conflict_is_not_forgotten() {
        let now = start();
        let mut claim = LeaseClaim::new(now, "me", LeaseTiming::default());
        claim.handle_seen(now, None);
        let _ = claim.poll_action();
        claim.handle_seen(now, Some(record("other", "1")));
        claim.handle_written(now, Written::Conflict);
        claim.handle_timeout(now + SECOND * 9);
        let version = Some("1".to_owned());
        assert_eq!(
            claim.poll_action(),
            Some(LeaseAction::Claim { version, term: 5 }),
            "the other one never wrote again"
        );
    }

    #[test]
    fn a_leader_that_leaves_frees_the_lease() {
        let now = start();
        let mut claim = leader(now);
        claim.handle_leave(now);
        assert_eq!(
            claim.poll_action(),
            Some(LeaseAction::Stopped(Stopped::Released))
        );
        let version = "1".to_owned();
        assert_eq!(
            claim.poll_action(),
            Some(LeaseAction::Release { version, term: 1 })
        );
        claim.handle_timeout(now + SECOND * 60);
        assert_eq!(claim.poll_action(), None);
    }

    /// Three claims and one Lease with optimistic locking, clocks that differ, requests that are slow or lost: at no
    /// moment may two of them write.
    #[test]
    fn never_two_writers_whatever_the_delays() {
        for seed in 0..2000 {
            let mut random = Random::new(seed);
            let begin = start();
            let mut claims: Vec<LeaseClaim> = (0..3)
                .map(|index| LeaseClaim::new(begin, format!("c{index}"), LeaseTiming::default()))
                .collect();
            let mut lease: Option<Record> = None;
            let mut versions = 0;
            // Requests under way: arrival at the server, arrival of the answer, who, what.
            let mut requests: Vec<(Instant, Instant, usize, LeaseAction)> = Vec::new();
            let mut answers: Vec<(Instant, usize, Written)> = Vec::new();
            let mut now = begin;
            for _ in 0..600 {
                now += Duration::from_millis(random.below(200));
                let (due, later): (Vec<_>, Vec<_>) =
                    requests.into_iter().partition(|one| one.0 <= now);
                requests = later;
                for (_, answer, who, action) in due {
                    let current = lease.as_ref().map(|record| record.version.clone());
                    let (expected, holder, term) = match action {
                        LeaseAction::Claim { version, term } => (version, format!("c{who}"), term),
                        LeaseAction::Release { version, term } => {
                            (Some(version), String::new(), term)
                        }
                        LeaseAction::Started { .. } | LeaseAction::Stopped(_) => continue,
                    };
                    let written = if expected == current {
                        versions += 1;
                        let version = format!("{versions}");
                        let duration = LeaseTiming::default().duration;
                        lease = Some(Record {
                            holder,
                            duration,
                            term,
                            version: version.clone(),
                        });
                        Written::Done(version)
                    } else {
                        Written::Conflict
                    };
                    answers.push((answer, who, written));
                }
                let (due, later): (Vec<_>, Vec<_>) =
                    answers.into_iter().partition(|one| one.0 <= now);
                answers = later;
                for (_, who, written) in due {
                    let lost = random.chance(20);
                    claims[who].handle_written(now, if lost { Written::Failed } else { written });
                }
                for (who, claim) in claims.iter_mut().enumerate() {
                    if random.chance(60) {
                        claim.handle_seen(now, lease.clone());
                    }
                    if random.chance(70) {
                        claim.handle_timeout(now);
                    }
                    while let Some(action) = claim.poll_action() {
                        let there = now + Duration::from_millis(random.below(4000));
                        let back = there + Duration::from_millis(random.below(4000));
                        requests.push((there, back, who, action));
                    }
                }
                let writers = claims.iter().filter(|claim| claim.may_write(now)).count();
                assert!(writers <= 1, "seed {seed}: {writers} may write");
            }
        }
    }
}
