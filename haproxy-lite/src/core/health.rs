//! The health of one server, as a machine: when to check, and what results mean.
//!
//! ```text
//!            first success                     `fall` failures in a row
//!  Unknown ───────────────────────────► Up ──────────────────────────────► Down
//!                                        ▲                                   │
//!                                        └───────────────────────────────────┘
//!                                `rise` successes in a row; one, when no server is up
//! ```
//!
//! An Unknown server gets no sessions. Checks run each interval, and at the fast pace while results disagree with the
//! state, while the state is unknown, and while no server is up. A check that has not answered within the fast pace
//! does not hold up the next: a machine without power is found after the interval, one timeout and `fall` − 1 fast
//! paces, not after `fall` timeouts. The driver is `control::driver`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::balance::mix;

/// How a server is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rules {
    /// Between the starts of two checks.
    pub(crate) interval: Duration,
    /// The same while something is changing.
    pub(crate) fast: Duration,
    /// Failures in a row until Down.
    pub(crate) fall: u32,
    /// Successes in a row until Up.
    pub(crate) rise: u32,
}

/// Whether a server may have sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// No check has succeeded yet.
    Unknown,
    /// Serves.
    Up,
    /// Does not.
    Down,
}

impl State {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

/// Why a check failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// One of a few words, for metrics.
    pub(crate) kind: &'static str,
    /// In words, for people.
    pub(crate) why: String,
}

/// A check that was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct CheckId(u64);

/// The health of one server.
#[derive(Debug, Clone)]
pub(crate) struct Health {
    rules: Rules,
    seed: u64,
    state: State,
    since: Instant,
    why: String,
    /// Results in a row that disagree with `state`.
    streak: u32,
    started: u64,
    newest_start: Option<Instant>,
    newest_success: Option<Instant>,
    /// Since when every result was bad.
    failing_since: Option<Instant>,
    in_flight: BTreeMap<CheckId, Instant>,
    hurried: bool,
}

impl Health {
    /// A server nobody has checked. `seed` spreads the checks of many servers and nodes.
    pub(crate) fn new(rules: Rules, seed: u64, now: Instant) -> Self {
        Self {
            rules,
            seed,
            state: State::Unknown,
            since: now,
            why: "not checked yet".to_owned(),
            streak: 0,
            started: 0,
            newest_start: None,
            newest_success: None,
            failing_since: None,
            in_flight: BTreeMap::new(),
            hurried: false,
        }
    }

    /// Other rules from the next check on; the state stays.
    pub(crate) fn set_rules(&mut self, rules: Rules) {
        self.rules = rules;
    }

    pub(crate) fn state(&self) -> State {
        self.state
    }

    /// Since when the state is what it is.
    pub(crate) fn since(&self) -> Instant {
        self.since
    }

    /// The last result in words.
    pub(crate) fn why(&self) -> &str {
        &self.why
    }

    /// Since when every check has failed; `None`: the last one passed.
    pub(crate) fn failing_since(&self) -> Option<Instant> {
        self.failing_since
    }

    /// Up, and found so by a check that began at `at` or later.
    pub(crate) fn is_well_since(&self, at: Instant) -> bool {
        self.state == State::Up
            && self.failing_since.is_none()
            && self.newest_success.is_some_and(|success| success >= at)
    }

    /// A client met silence or refusal: the next check starts at once.
    pub(crate) fn hurry(&mut self) {
        self.hurried = true;
    }

    /// When [`Self::poll_check`] is worth calling again; `None`: at once.
    pub(crate) fn poll_timeout(&self, any_up: bool) -> Option<Instant> {
        let newest = self.newest_start?;
        let settled = self.state == State::Up || any_up && self.state == State::Down;
        let pace = if !settled || self.streak > 0 || self.hurried || !self.in_flight.is_empty() {
            self.rules.fast
        } else {
            self.jittered(self.rules.interval)
        };
        Some(newest + pace)
    }

    /// Starts a check if one is due. Several may be under way.
    pub(crate) fn poll_check(&mut self, now: Instant, any_up: bool) -> Option<CheckId> {
        if self.poll_timeout(any_up).is_some_and(|due| now < due) {
            return None;
        }
        // So many can change the state; more would only load a slow server.
        let enough = usize::try_from(self.rules.fall.max(2)).unwrap_or(2);
        self.newest_start = Some(now);
        if self.in_flight.len() >= enough {
            return None;
        }
        self.hurried = false;
        self.started += 1;
        let id = CheckId(self.started);
        self.in_flight.insert(id, now);
        Some(id)
    }

    /// When a check under way was started.
    pub(crate) fn started_at(&self, id: CheckId) -> Option<Instant> {
        self.in_flight.get(&id).copied()
    }

    /// Takes a result; the new state if it changes. `any_up`: some server is up (this one included).
    pub(crate) fn handle_result(
        &mut self,
        now: Instant,
        id: CheckId,
        result: Result<(), Failure>,
        any_up: bool,
    ) -> Option<State> {
        let started = self.in_flight.remove(&id)?;
        let good = result.is_ok();
        if good {
            self.newest_success = self.newest_success.max(Some(started));
            self.failing_since = None;
        } else if self.newest_success.is_some_and(|success| started < success) {
            // A later check has been answered: what this one says is history.
            return None;
        } else {
            self.failing_since.get_or_insert(now);
        }
        self.why = match result {
            Ok(()) => "check passed".to_owned(),
            Err(failure) => failure.why,
        };
        let (next, needed) = match (self.state, good) {
            (State::Up, false) => (State::Down, self.rules.fall),
            (State::Unknown, true) => (State::Up, 1),
            (State::Down, true) => (State::Up, if any_up { self.rules.rise } else { 1 }),
            (State::Up, true) | (State::Unknown | State::Down, false) => {
                self.streak = 0;
                return None;
            }
        };
        self.streak += 1;
        if self.streak < needed {
            return None;
        }
        self.streak = 0;
        self.state = next;
        self.since = now;
        Some(next)
    }

    /// Within a tenth around `pace`, so that checks of many nodes do not march in step.
    fn jittered(&self, pace: Duration) -> Duration {
        let thousandths = 900 + u32::try_from(mix(self.seed ^ self.started) % 201).unwrap_or(100);
        pace * thousandths / 1000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_success_is_enough_to_be_used() {
        let mut server = Server::new();
        server.check(fail());
        assert_eq!(server.health.state(), State::Unknown);
        assert_eq!(server.health.why(), "connection refused");
        assert_eq!(server.check(Ok(())), Some(State::Up));
    }

    #[test]
    fn rise_and_fall_hold_against_single_results() {
        let mut server = Server::up();
        let script = [false, false, true, false, false, true, false, false, false];
        let states: Vec<_> = script
            .map(|good| server.check(result(good)).is_some())
            .into();
        assert_eq!(
            states,
            [false, false, false, false, false, false, false, false, true]
        );
        assert_eq!(server.health.state(), State::Down);
        server.others_up = true;
        let states = [true, false, true, true].map(|good| server.check(result(good)));
        assert_eq!(states, [None, None, None, Some(State::Up)]);
    }

    #[test]
    fn when_nobody_is_up_one_success_is_enough() {
        let mut server = Server::up();
        for _ in 0..3 {
            server.check(fail());
        }
        assert_eq!(server.health.state(), State::Down);
        assert_eq!(server.check(Ok(())), Some(State::Up));
    }

    #[test]
    fn a_silent_machine_is_down_within_three_seconds() {
        let mut server = Server::up();
        server.others_up = true;
        let dead_since = server.now;
        let timeout = Duration::from_secs(1);
        let mut pending: Vec<(Instant, CheckId)> = Vec::new();
        while server.health.state() == State::Up {
            server.now += Duration::from_millis(10);
            if let Some(id) = server.health.poll_check(server.now, true) {
                pending.push((server.now + timeout, id));
            }
            while pending.first().is_some_and(|(due, _)| *due <= server.now) {
                let (_, id) = pending.remove(0);
                server.health.handle_result(server.now, id, fail(), true);
            }
        }
        let took = server.now - dead_since;
        assert!(took <= Duration::from_millis(2600), "took {took:?}");
    }

    #[test]
    fn a_late_failure_does_not_undo_a_later_success() {
        let mut server = Server::up();
        let old = server.start();
        let new = server.start();
        server.health.handle_result(server.now, new, Ok(()), true);
        for _ in 0..5 {
            server.health.handle_result(server.now, old, fail(), true);
        }
        assert_eq!(server.health.streak, 0);
        assert_eq!(server.health.why(), "check passed");
    }

    #[test]
    fn pace_is_fast_only_while_something_changes() {
        let mut server = Server::up();
        server.others_up = true;
        server.check(Ok(()));
        let calm = server.pause();
        assert!((900..=1100).contains(&calm), "{calm} ms");
        server.check(fail());
        assert_eq!(server.pause(), 200);
        server.check(fail());
        server.check(fail());
        assert_eq!(server.health.state(), State::Down);
        assert!(server.pause() >= 900);
        server.others_up = false;
        assert_eq!(server.pause(), 200);
    }

    #[test]
    fn a_hurried_check_starts_at_the_fast_pace() {
        let mut server = Server::up();
        server.check(Ok(()));
        server.health.hurry();
        assert_eq!(server.pause(), 200);
        server.check(Ok(()));
        assert!(server.pause() >= 900);
    }

    #[test]
    fn checks_that_hang_do_not_pile_up() {
        let mut server = Server::up();
        let mut under_way = 0;
        for _ in 0..50 {
            server.now += Duration::from_millis(200);
            under_way += usize::from(server.health.poll_check(server.now, true).is_some());
        }
        assert_eq!(under_way, 3);
    }

    struct Server {
        health: Health,
        now: Instant,
        others_up: bool,
    }

    impl Server {
        #[expect(
            clippy::disallowed_methods,
            reason = "test: any starting point will do"
        )]
        fn new() -> Self {
            let now = Instant::now();
            let rules = Rules {
                interval: Duration::from_secs(1),
                fast: Duration::from_millis(200),
                fall: 3,
                rise: 2,
            };
            Self {
                health: Health::new(rules, 7, now),
                now,
                others_up: false,
            }
        }

        fn up() -> Self {
            let mut server = Self::new();
            server.check(Ok(()));
            server
        }

        fn any_up(&self) -> bool {
            self.others_up || self.health.state() == State::Up
        }

        fn start(&mut self) -> CheckId {
            let any_up = self.any_up();
            if let Some(due) = self.health.poll_timeout(any_up) {
                self.now = self.now.max(due);
            }
            self.health.poll_check(self.now, any_up).unwrap()
        }

        fn check(&mut self, result: Result<(), Failure>) -> Option<State> {
            let id = self.start();
            let any_up = self.any_up();
            self.health.handle_result(self.now, id, result, any_up)
        }

        fn pause(&self) -> u128 {
            (self.health.poll_timeout(self.any_up()).unwrap() - self.now).as_millis()
        }
    }

    fn fail() -> Result<(), Failure> {
        Err(Failure {
            kind: "refused",
            why: "connection refused".to_owned(),
        })
    }

    fn result(good: bool) -> Result<(), Failure> {
        if good { Ok(()) } else { fail() }
    }
}
