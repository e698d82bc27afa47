//! All servers together: who is checked when, who may have sessions, whose sessions are closed.
//!
//! Feeds the [`Health`] of each server and adds what an operator decided (drain). It never touches a socket; the
//! driver is `control::driver`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::health::{CheckId, Failure, Health, Rules, State};
use super::ramp::Ramp;
use super::termination::Termination;

/// What the driver has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// Give sessions to this server, or no more.
    Use { server: u64, usable: bool },
    /// Its share, in thousandths of a plain server's.
    Weigh { server: u64, thousandths: u32 },
    /// Forget suspicions from before `began`.
    Clear { server: u64, began: Instant },
    /// Tell people that its state changed.
    Tell { server: u64, state: State },
    /// End its sessions.
    CloseSessions { server: u64, why: Termination },
}

impl Action {
    /// Whom it is about.
    pub(crate) fn server(&self) -> u64 {
        match self {
            Self::Use { server, .. }
            | Self::Weigh { server, .. }
            | Self::Clear { server, .. }
            | Self::Tell { server, .. }
            | Self::CloseSessions { server, .. } => *server,
        }
    }
}

/// What an operator wants of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Wish {
    /// Use it while it is healthy.
    #[default]
    Ready,
    /// No sessions to come; those it has may finish.
    Drain,
}

/// What the configuration says of all servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Conduct {
    pub(crate) rules: Rules,
    /// End the sessions of a server that goes down.
    pub(crate) close_on_down: bool,
    /// End the sessions of backup servers when another one comes up.
    pub(crate) close_backup_on_up: bool,
    /// Over which the share of a server that came up grows.
    pub(crate) slow_start: Duration,
    /// With no server up, use them all.
    pub(crate) panic: bool,
}

/// What the configuration says of one server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) server: u64,
    /// Share in relation to others.
    pub(crate) weight: u32,
    /// Only used while no other server is up.
    pub(crate) backup: bool,
}

/// One server.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) server: u64,
    pub(crate) health: Health,
    pub(crate) wish: Wish,
    /// Checks that failed, by kind.
    pub(crate) failures: BTreeMap<&'static str, u64>,
    /// Times it went down.
    pub(crate) downs: u64,
    terms: Terms,
    ramp: Option<Ramp>,
    /// What the driver was told last.
    usable: bool,
    thousandths: u32,
}

/// All servers.
#[derive(Debug)]
pub(crate) struct Fleet {
    members: Vec<Member>,
    conduct: Conduct,
    seed: u64,
}

impl Fleet {
    pub(crate) fn new(conduct: Conduct, seed: u64) -> Self {
        Self {
            members: Vec::new(),
            conduct,
            seed,
        }
    }

    /// Other servers and rules: who stays keeps state and wish.
    pub(crate) fn adopt(
        &mut self,
        terms: &[Terms],
        conduct: &Conduct,
        now: Instant,
    ) -> Vec<Action> {
        self.conduct = conduct.clone();
        let mut before = std::mem::take(&mut self.members);
        for terms in terms {
            let known = before
                .iter()
                .position(|member| member.server == terms.server);
            let mut member = match known {
                Some(position) => before.swap_remove(position),
                None => {
                    let seed = self.seed ^ terms.server;
                    Member::new(*terms, Health::new(conduct.rules.clone(), seed, now))
                }
            };
            member.health.set_rules(conduct.rules.clone());
            member.terms = *terms;
            self.members.push(member);
        }
        self.update(now)
    }

    pub(crate) fn members(&self) -> &[Member] {
        &self.members
    }

    pub(crate) fn member(&self, server: u64) -> Option<&Member> {
        self.members.iter().find(|member| member.server == server)
    }

    /// Servers that are up and wanted.
    pub(crate) fn in_service(&self) -> usize {
        self.members
            .iter()
            .filter(|member| member.is_in_service())
            .count()
    }

    fn any_up(&self) -> bool {
        self.members
            .iter()
            .any(|member| member.health.state() == State::Up)
    }

    /// Checks to start at `now`.
    pub(crate) fn poll_checks(&mut self, now: Instant) -> Vec<(u64, CheckId)> {
        let any_up = self.any_up();
        let start = |member: &mut Member| {
            member
                .health
                .poll_check(now, any_up)
                .map(|check| (member.server, check))
        };
        self.members.iter_mut().filter_map(start).collect()
    }

    /// When [`Self::poll_checks`] or [`Self::handle_timeout`] has something to do; `None`: never (no servers).
    pub(crate) fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        let any_up = self.any_up();
        let due = |member: &Member| {
            let check = member.health.poll_timeout(any_up).unwrap_or(now);
            let step = member.ramp.map(|ramp| ramp.next_step(now));
            step.map_or(check, |step| step.min(check))
        };
        self.members.iter().map(due).min()
    }

    /// Shares grow with time.
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Vec<Action> {
        if self.members.iter().any(|member| member.ramp.is_some()) {
            self.update(now)
        } else {
            Vec::new()
        }
    }

    /// Clients met the silence or refusal of these servers.
    pub(crate) fn handle_suspicion(&mut self, suspects: &[u64]) {
        for member in &mut self.members {
            if suspects.contains(&member.server) {
                member.health.hurry();
            }
        }
    }

    /// A check has ended.
    pub(crate) fn handle_result(
        &mut self,
        now: Instant,
        server: u64,
        check: CheckId,
        result: Result<(), Failure>,
    ) -> Vec<Action> {
        let any_up = self.any_up();
        let Some(member) = self
            .members
            .iter_mut()
            .find(|member| member.server == server)
        else {
            return Vec::new();
        };
        let mut actions = Vec::new();
        match (&result, member.health.started_at(check)) {
            (Ok(()), Some(began)) => actions.push(Action::Clear { server, began }),
            (Err(failure), Some(_)) => *member.failures.entry(failure.kind).or_default() += 1,
            (_, None) => {}
        }
        let before = member.health.state();
        let Some(state) = member.health.handle_result(now, check, result, any_up) else {
            return actions;
        };
        member.ramp = match (before, state) {
            (State::Down, State::Up) => Ramp::new(now, self.conduct.slow_start),
            _ => None,
        };
        member.downs += u64::from(state == State::Down);
        let backup = member.terms.backup;
        actions.extend(self.update(now));
        actions.push(Action::Tell { server, state });
        if state == State::Down && self.conduct.close_on_down {
            actions.push(Action::CloseSessions {
                server,
                why: Termination::ServerDown,
            });
        }
        if state == State::Up && !backup && self.conduct.close_backup_on_up {
            actions.extend(
                self.members
                    .iter()
                    .filter(|member| member.terms.backup)
                    .map(|member| Action::CloseSessions {
                        server: member.server,
                        why: Termination::BackupRelieved,
                    }),
            );
        }
        actions
    }

    /// An operator has decided.
    pub(crate) fn handle_wish(&mut self, now: Instant, server: u64, wish: Wish) -> Vec<Action> {
        for member in self
            .members
            .iter_mut()
            .filter(|member| member.server == server)
        {
            member.wish = wish;
        }
        self.update(now)
    }

    /// What the driver does not know yet.
    fn update(&mut self, now: Instant) -> Vec<Action> {
        let desperate = self.conduct.panic && self.in_service() == 0;
        let mut actions = Vec::new();
        for member in &mut self.members {
            let server = member.server;
            let usable = member.is_in_service() || desperate && member.wish == Wish::Ready;
            let share = member.ramp.and_then(|ramp| ramp.share(now));
            if share.is_none() {
                member.ramp = None;
            }
            let thousandths = (member.terms.weight * share.unwrap_or(1000)).max(1);
            if std::mem::replace(&mut member.thousandths, thousandths) != thousandths {
                actions.push(Action::Weigh {
                    server,
                    thousandths,
                });
            }
            if std::mem::replace(&mut member.usable, usable) != usable {
                actions.push(Action::Use { server, usable });
            }
        }
        actions
    }
}

impl Member {
    fn new(terms: Terms, health: Health) -> Self {
        Self {
            server: terms.server,
            health,
            wish: Wish::Ready,
            failures: BTreeMap::new(),
            downs: 0,
            terms,
            ramp: None,
            usable: false,
            thousandths: 1000,
        }
    }

    /// Up and wanted.
    pub(crate) fn is_in_service(&self) -> bool {
        self.health.state() == State::Up && self.wish == Wish::Ready
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: u64 = 1;
    const B: u64 = 2;

    #[test]
    fn going_down_takes_use_and_sessions_away() {
        let mut run = Run::new();
        let up = run.check(A, true);
        assert!(
            up.contains(&Action::Use {
                server: A,
                usable: true
            }),
            "{up:?}"
        );
        run.check(B, true);
        let mut last = Vec::new();
        for _ in 0..3 {
            last = run.check(A, false);
        }
        assert_eq!(
            last,
            [
                Action::Use {
                    server: A,
                    usable: false
                },
                Action::Tell {
                    server: A,
                    state: State::Down
                },
                Action::CloseSessions {
                    server: A,
                    why: Termination::ServerDown
                },
            ]
        );
        assert_eq!(run.fleet.in_service(), 1);
        assert_eq!(run.fleet.members()[0].failures["refused"], 3);
    }

    #[test]
    fn sessions_stay_when_closing_is_off() {
        let mut run = Run::new();
        run.fleet.conduct.close_on_down = false;
        run.check(A, true);
        let actions: Vec<_> = (0..3).flat_map(|_| run.check(A, false)).collect();
        assert!(actions.contains(&Action::Tell {
            server: A,
            state: State::Down
        }));
        assert!(
            !actions
                .iter()
                .any(|action| matches!(action, Action::CloseSessions { .. }))
        );
    }

    #[test]
    fn a_drained_server_comes_back_only_when_asked() {
        let mut run = Run::new();
        run.check(A, true);
        let drained = run.fleet.handle_wish(run.now, A, Wish::Drain);
        assert_eq!(
            drained,
            [Action::Use {
                server: A,
                usable: false
            }]
        );
        for _ in 0..5 {
            let actions = run.check(A, true);
            assert!(
                !actions.contains(&Action::Use {
                    server: A,
                    usable: true
                }),
                "{actions:?}"
            );
        }
        let ready = run.fleet.handle_wish(run.now, A, Wish::Ready);
        assert_eq!(
            ready,
            [Action::Use {
                server: A,
                usable: true
            }]
        );
    }

    #[test]
    fn a_server_that_stays_keeps_its_state_over_a_reload() {
        let mut run = Run::new();
        run.check(A, true);
        let conduct = run.fleet.conduct.clone();
        run.fleet.adopt(&[B, A, 3].map(terms), &conduct, run.now);
        let states: Vec<_> = run
            .fleet
            .members()
            .iter()
            .map(|m| (m.server, m.health.state()))
            .collect();
        assert_eq!(
            states,
            [(B, State::Unknown), (A, State::Up), (3, State::Unknown)]
        );
    }

    #[test]
    fn a_result_of_a_server_that_left_is_ignored() {
        let mut run = Run::new();
        let check = run.start(A);
        let conduct = run.fleet.conduct.clone();
        run.fleet.adopt(&[B].map(terms), &conduct, run.now);
        assert_eq!(run.fleet.handle_result(run.now, A, check, Ok(())), []);
    }

    #[test]
    fn a_server_that_came_back_is_weighed_up_and_a_first_one_is_not() {
        let mut run = Run::new();
        run.fleet.conduct.slow_start = Duration::from_secs(100);
        run.check(B, true);
        let first = run.check(A, true);
        assert!(
            !first
                .iter()
                .any(|action| matches!(action, Action::Weigh { .. })),
            "{first:?}"
        );
        for good in [false, false, false, true] {
            run.check(A, good);
        }
        let back = run.check(A, true);
        assert!(
            back.contains(&Action::Weigh {
                server: A,
                thousandths: 10
            }),
            "{back:?}"
        );
        let half = run.fleet.handle_timeout(run.now + Duration::from_secs(50));
        assert_eq!(
            half,
            [Action::Weigh {
                server: A,
                thousandths: 500
            }]
        );
        let whole = run.fleet.handle_timeout(run.now + Duration::from_secs(100));
        assert_eq!(
            whole,
            [Action::Weigh {
                server: A,
                thousandths: 1000
            }]
        );
    }

    #[test]
    fn in_panic_mode_all_are_used_when_none_is_up() {
        let mut run = Run::new();
        run.check(A, true);
        run.fleet.conduct.panic = true;
        let actions: Vec<_> = (0..3).flat_map(|_| run.check(A, false)).collect();
        assert!(
            actions.contains(&Action::Use {
                server: B,
                usable: true
            }),
            "{actions:?}"
        );
        assert!(
            !actions.contains(&Action::Use {
                server: A,
                usable: false
            }),
            "{actions:?}"
        );
        assert_eq!(run.fleet.in_service(), 0);
        let back = run.check(A, true);
        assert!(
            back.contains(&Action::Use {
                server: B,
                usable: false
            }),
            "{back:?}"
        );
    }

    #[test]
    fn sessions_of_backups_end_when_a_primary_comes_up() {
        let mut run = Run::new();
        run.fleet.conduct.close_backup_on_up = true;
        run.fleet.members[1].terms.backup = true;
        run.check(B, true);
        let actions = run.check(A, true);
        let relieved = Action::CloseSessions {
            server: B,
            why: Termination::BackupRelieved,
        };
        assert!(actions.contains(&relieved), "{actions:?}");
    }

    fn terms(server: u64) -> Terms {
        Terms {
            server,
            weight: 1,
            backup: false,
        }
    }

    struct Run {
        fleet: Fleet,
        now: Instant,
    }

    impl Run {
        #[expect(
            clippy::disallowed_methods,
            reason = "test: any starting point will do"
        )]
        fn new() -> Self {
            let rules = Rules {
                interval: Duration::from_secs(1),
                fast: Duration::from_millis(200),
                fall: 3,
                rise: 2,
            };
            let conduct = Conduct {
                rules,
                close_on_down: true,
                close_backup_on_up: false,
                slow_start: Duration::ZERO,
                panic: false,
            };
            let now = Instant::now();
            let mut fleet = Fleet::new(conduct.clone(), 0);
            fleet.adopt(&[A, B].map(terms), &conduct, now);
            Self { fleet, now }
        }

        fn start(&mut self, server: u64) -> CheckId {
            self.now += Duration::from_secs(2);
            let started = self.fleet.poll_checks(self.now);
            for (other, check) in started.iter().filter(|(s, _)| *s != server) {
                // The other server says nothing new.
                let up = self
                    .fleet
                    .members()
                    .iter()
                    .any(|m| m.server == *other && m.health.state() == State::Up);
                self.fleet
                    .handle_result(self.now, *other, *check, result(up));
            }
            started.iter().find(|(s, _)| *s == server).unwrap().1
        }

        fn check(&mut self, server: u64, good: bool) -> Vec<Action> {
            let check = self.start(server);
            self.fleet
                .handle_result(self.now, server, check, result(good))
        }
    }

    fn result(good: bool) -> Result<(), Failure> {
        if good {
            Ok(())
        } else {
            Err(Failure {
                kind: "refused",
                why: "connection refused".to_owned(),
            })
        }
    }
}
