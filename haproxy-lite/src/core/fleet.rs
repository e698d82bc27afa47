//! All servers together: who is checked when, who may have sessions, whose sessions are closed.
//!
//! Feeds the [`Health`] of each server and adds what an operator decided (drain). It never touches a socket; the
//! driver is `control::driver`.
//!
//! Servers that fail all at once have a common cause (their data store elects a leader, the proxy's own machine is
//! overloaded), and one that goes down then is as good as the others: its sessions are ended only if it stays down
//! after another one has recovered.

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
    /// It went down when no other server was known to be well, and keeps its sessions for now.
    spared: bool,
    /// What the driver was told last.
    usable: bool,
    thousandths: u32,
}

/// Servers that failed together recover together, within so long.
const RECOVERY: Duration = Duration::from_secs(5);

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
        let (before, well) = (
            member.health.state(),
            member.health.failing_since().is_none(),
        );
        let changed = member.health.handle_result(now, check, result, any_up);
        if well && member.health.failing_since().is_some() {
            self.look_at_others(server);
        }
        actions.extend(self.end_of_patience(now));
        let Some(member) = self.members.iter_mut().find(|one| one.server == server) else {
            return actions;
        };
        let Some(state) = changed else {
            return actions;
        };
        member.spared = false;
        member.ramp = match (before, state) {
            (State::Down, State::Up) => Ramp::new(now, self.conduct.slow_start),
            _ => None,
        };
        member.downs += u64::from(state == State::Down);
        let backup = member.terms.backup;
        actions.extend(self.update(now));
        actions.push(Action::Tell { server, state });
        if state == State::Down && self.conduct.close_on_down {
            actions.extend(self.close_or_spare(server));
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

    /// Whether the others fail, too, is known before this one is down.
    fn look_at_others(&mut self, server: u64) {
        let others = self.members.iter_mut();
        others
            .filter(|member| member.server != server && member.health.state() == State::Up)
            .for_each(|member| member.health.hurry());
    }

    /// Ends the sessions of a server that went down, if another one is well, or there is none to compare it with.
    fn close_or_spare(&mut self, server: u64) -> Option<Action> {
        let down = self.member(server)?.health.failing_since()?;
        let mut others = self.members.iter().filter(|one| one.server != server);
        let alone = self.members.len() == 1;
        if alone || others.any(|other| other.health.is_well_since(down)) {
            return Some(Action::CloseSessions {
                server,
                why: Termination::ServerDown,
            });
        }
        let spared = self.members.iter_mut().find(|one| one.server == server)?;
        spared.spared = true;
        None
    }

    /// Ends the sessions of those that go on failing when another one has been well for long enough.
    fn end_of_patience(&mut self, now: Instant) -> Vec<Action> {
        let settled = |health: &Health| now - health.since() >= RECOVERY;
        let well =
            |one: &Member| settled(&one.health) && one.health.is_well_since(one.health.since());
        if !self.conduct.close_on_down || !self.members.iter().any(well) {
            return Vec::new();
        }
        let failing = |one: &&mut Member| {
            one.spared && settled(&one.health) && one.health.failing_since().is_some()
        };
        let late = self.members.iter_mut().filter(failing);
        late.map(|member| {
            member.spared = false;
            Action::CloseSessions {
                server: member.server,
                why: Termination::ServerDown,
            }
        })
        .collect()
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
            spared: false,
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
mod tests;
