//! Moves between the states when something outside the protocol changes: start, health, links, settings.

use std::net::IpAddr;
use std::time::Duration;

use crate::proto::solicitor::{Part, RETURN_QUIET};
use crate::proto::{Action, GroupSettings, Health, Link, Moment, Priority, State, Why};

use super::backup::Backup;
use super::leaving::Then;
use super::member::Member;
use super::{Group, Phase, addresses};

/// After the kernel refused the addresses they are tried again after this.
const REFUSAL_PAUSE: Duration = Duration::from_secs(5);

impl Group {
    pub(super) fn start(&mut self, now: Moment) {
        if self.started.is_none() && !self.is_leaving() {
            self.started = Some(now);
            self.settle(now);
        }
    }

    pub(super) fn handle_link(&mut self, now: Moment, index: usize, link: Link) {
        let Some(member) = self.members.get_mut(index) else {
            return;
        };
        let bounced = member.lost.is_some() && member.source.is_some();
        let moved =
            matches!(&link, Link::Up { source } if member.source.is_some_and(|old| old != *source));
        let fresh = member.source.is_none();
        member.set_link(now, link);
        let up = member.lost.is_none();
        if !up {
            self.solicitor.link_lost(index);
        } else if fresh || bounced || moved {
            self.solicitor.link_up(now, index);
        }
        self.settle(now);
        if up && (bounced || moved) {
            self.announce_again(now);
        }
    }

    pub(super) fn handle_link_restored(&mut self, now: Moment, index: usize) {
        if self
            .members
            .get(index)
            .is_some_and(|member| member.lost.is_none())
        {
            self.announce_again(now);
        }
    }

    pub(super) fn handle_refused(&mut self, now: Moment, detail: String) {
        if matches!(self.phase, Phase::Active(_)) {
            self.refused = Some((now.after(REFUSAL_PAUSE), detail));
            self.settle(now);
        }
    }

    /// Goes to where the group belongs by what is known outside the protocol.
    pub(super) fn settle(&mut self, now: Moment) {
        let trouble = self.trouble(now);
        match (self.phase, trouble) {
            (Phase::Leaving(_), Some(Why::Draining { .. }) | None) => {}
            (Phase::Leaving(_), Some(why)) => self.leave(now, why),
            (Phase::Active(active), Some(Why::Draining { .. })) => {
                self.begin_leaving(now, active, Then::Rest);
            }
            (_, Some(why)) if self.started.is_some() => self.rest(now, why),
            (Phase::Initialize | Phase::Fault, None) if self.started.is_some() => {
                if self.settings.priority == Priority::OWNER {
                    self.become_active(now, Why::AddressOwner);
                } else {
                    self.enter_backup(now, Why::Ready, true);
                }
            }
            _ => {}
        }
    }

    /// What keeps the group from taking part.
    fn trouble(&mut self, now: Moment) -> Option<Why> {
        if self.members.iter().any(Member::link_is_unknown) {
            return Some(Why::LinkUnknown);
        }
        let mut lost = None;
        for (index, member) in self.members.iter_mut().enumerate() {
            if let Some(detail) = member.lost_for_good(now, self.settings.link_debounce) {
                let name = &self.settings.members[index].name;
                lost.get_or_insert_with(|| format!("{name}: {detail}"));
                // Each of them: what is not given up stays due.
                member.give_up_link();
            }
        }
        if let Some(detail) = lost {
            return Some(Why::LinkLost { detail });
        }
        if let Some((_, detail)) = &self.refused {
            return Some(Why::AddressesRefused {
                detail: detail.clone(),
            });
        }
        match &self.health {
            Health::Good => None,
            Health::Unknown => Some(Why::HealthUnknown),
            Health::Draining { detail } => Some(Why::Draining {
                detail: detail.clone(),
            }),
            Health::Bad { detail } => Some(Why::Unhealthy {
                detail: detail.clone(),
            }),
        }
    }

    /// Leaves the protocol: with priority zero when something was owned, silently otherwise.
    fn rest(&mut self, now: Moment, why: Why) {
        if matches!(self.phase, Phase::Active(_)) {
            self.send_adverts(0);
            self.release();
        }
        if matches!(why, Why::Unhealthy { .. }) {
            self.stop_lingering(now);
        }
        let waits = matches!(why, Why::HealthUnknown | Why::LinkUnknown);
        self.phase = if waits {
            Phase::Initialize
        } else {
            Phase::Fault
        };
        self.transition(now, why);
    }

    /// Backup with the timers of RFC 9568 §6.4.1. `recovered`: after a start or a Fault.
    fn enter_backup(&mut self, now: Moment, why: Why, recovered: bool) {
        let started = self.started.unwrap_or(now);
        let preempt_delay = if recovered {
            self.settings.preempt_delay
        } else {
            Duration::ZERO
        };
        for member in &mut self.members {
            member.active_interval = self.settings.interval;
            member.active_peer = None;
            member.heard_active_at = None;
            member.active_left = false;
            member.planned_farewell = None;
        }
        for index in 0..self.members.len() {
            let patience = self.down_interval(index);
            self.members[index].down_at = now.after(patience);
        }
        self.phase = Phase::Backup(Backup {
            entered: now,
            quiet_until: started.after(self.settings.startup_quiet),
            deaf_until: self.deaf_until(now),
            preempt_from: now.after(preempt_delay),
            second_look: false,
        });
        self.transition(now, why);
    }

    /// How long a router whose link came back may be unreachable for its unicast peers. The skew keeps
    /// apart those that come back together.
    fn deaf_until(&self, now: Moment) -> Moment {
        let settings = self.settings.members.iter();
        let deaf = self.members.iter().zip(settings).enumerate();
        deaf.filter(|(_, (_, settings))| !settings.peers.is_empty())
            .filter_map(|(index, (member, _))| {
                let quiet = RETURN_QUIET + self.skew(index);
                Some(member.returned?.after(quiet))
            })
            .max()
            .unwrap_or(now)
    }

    pub(super) fn part(&self) -> Part {
        match self.phase {
            Phase::Initialize | Phase::Fault => Part::None,
            Phase::Backup(_) => Part::Listens,
            Phase::Active(_) | Phase::Leaving(_) => Part::Speaks,
        }
    }

    pub(super) fn solicit_due(&mut self, now: Moment) {
        let part = self.part();
        let (actions, members) = (&mut self.actions, &mut self.members);
        self.solicitor.handle_timeout(now, part, |member, peer| {
            members[member].counters.solicitations_sent += 1;
            actions.push_back(Action::Solicit { member, peer });
        });
    }

    /// What the kernel cannot reach. A peer that it reaches again hears at once who is Active.
    pub(super) fn handle_unresolved(&mut self, now: Moment, index: usize, peers: &[IpAddr]) {
        let found = self.solicitor.note_unresolved(index, peers);
        // The kernel has kept what was sent just now.
        let kept = self.settings.interval.duration() / 10;
        if let Phase::Active(mut active) = self.phase
            && found
            && now.since(active.last_sent()) > kept
        {
            self.answer(now, &mut active);
            self.phase = Phase::Active(active);
        }
    }

    /// Active to Backup.
    pub(super) fn step_down(&mut self, now: Moment, why: Why) {
        self.release();
        self.enter_backup(now, why, false);
    }

    pub(super) fn release(&mut self) {
        self.left_active(Action::Release);
    }

    /// Active no more, and what becomes of the addresses.
    pub(super) fn left_active(&mut self, addresses: Action) {
        self.announcer.stop();
        for member in &mut self.members {
            member.counters.left_active += 1;
        }
        self.actions.push_back(addresses);
    }

    /// Notes the phase that was just entered. A mere change of the reason is no transition.
    pub(super) fn transition(&mut self, now: Moment, why: Why) {
        let (from, to) = (self.noted, self.state());
        self.why = why.clone();
        if from != to {
            self.noted = to;
            self.since = now;
            self.actions.push_back(Action::Transition { from, to, why });
        }
    }

    /// Takes other settings without giving anything up that stays.
    pub(super) fn reconfigure(&mut self, now: Moment, settings: GroupSettings) {
        if settings == self.settings {
            return;
        }
        let old = std::mem::replace(&mut self.settings, settings);
        let mut members: Vec<Option<Member>> = self.members.drain(..).map(Some).collect();
        for new in &self.settings.members {
            let kept = old
                .members
                .iter()
                .position(|before| before.vrid == new.vrid && before.family == new.family)
                .and_then(|index| members[index].take());
            let fresh = || Member::new(new, self.settings.interval);
            self.members.push(kept.unwrap_or_else(fresh));
        }
        self.announcer
            .reconfigure(self.settings.announce.clone(), addresses(&self.settings));
        let members = &self.members;
        self.solicitor.reconfigure(&self.settings, |index| {
            members[index].source.is_some() && members[index].lost.is_none()
        });
        let same_addresses = addresses(&old).eq(addresses(&self.settings));
        if self.state() == State::Active && !self.is_leaving() {
            if !same_addresses {
                self.own_now(now);
            }
            self.advertise_now(now);
        }
        self.settle(now);
    }
}
