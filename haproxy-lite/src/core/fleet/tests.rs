//! What the fleet decides, with a clock of its own.

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
fn servers_that_fail_together_keep_their_sessions() {
    let mut run = Run::new();
    let mut actions = run.fail_together();
    // B is the first to recover, and A follows.
    for results in [[(A, false), (B, true)], [(A, true), (B, true)]] {
        for _ in 0..10 {
            actions.extend(run.together(&results));
        }
    }
    assert_eq!(run.fleet.in_service(), 2);
    assert!(closed(&actions).is_empty(), "{actions:?}");
}

#[test]
fn who_stays_down_when_another_has_recovered_loses_its_sessions() {
    let mut run = Run::new();
    let actions = run.fail_together();
    assert!(closed(&actions).is_empty(), "{actions:?}");
    let mut ends = Vec::new();
    for _ in 0..40 {
        let actions = run.together(&[(A, false), (B, true)]);
        let recovered = run.fleet.members()[1].health.since();
        let closed = closed(&actions).into_iter();
        ends.extend(closed.map(|server| (server, run.now - recovered)));
    }
    let [(A, at)] = ends[..] else {
        panic!("{ends:?}")
    };
    // At the next check of whom ever.
    assert!((5000..=6200).contains(&at.as_millis()), "{at:?}");
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

fn closed(actions: &[Action]) -> Vec<u64> {
    let closes = |action: &&Action| matches!(action, Action::CloseSessions { .. });
    actions.iter().filter(closes).map(Action::server).collect()
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

    /// Both are up, and then both go down.
    fn fail_together(&mut self) -> Vec<Action> {
        self.together(&[(A, true), (B, true)]);
        assert_eq!(self.fleet.in_service(), 2);
        let mut actions = Vec::new();
        for _ in 0..20 {
            actions.extend(self.together(&[]));
        }
        assert_eq!(self.fleet.in_service(), 0);
        actions
    }

    /// 200 ms later each of these has an answer to its check.
    fn together(&mut self, results: &[(u64, bool)]) -> Vec<Action> {
        self.now += Duration::from_millis(200);
        let mut actions = Vec::new();
        for (server, check) in self.fleet.poll_checks(self.now) {
            let good = results.iter().any(|(one, good)| *one == server && *good);
            actions.extend(
                self.fleet
                    .handle_result(self.now, server, check, result(good)),
            );
        }
        actions
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
