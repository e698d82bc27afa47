//! Leaving: the graceful stop.
//!
//! The addresses stay until the successor has announced itself, so that no client meets a node
//! without them; RFC 9568 §6.4.3 would let go at once and leave a gap of one skew time. Priority zero
//! is said again until somebody answers. Everything is bounded: without a successor the addresses go
//! after one interval and a little.
//!
//! With a grace the addresses stay for as long again, but silently ([`Action::Linger`]): priority zero says so, and
//! the successor passes on what belongs to connections that live here ([`Action::PassOn`]).

use std::net::IpAddr;
use std::time::Duration;

use crate::proto::{Action, Advert, Moment, Why};

use super::active::{Active, RENEWAL};
use super::{Group, Phase};

/// What only matters while leaving.
#[derive(Debug, Clone, Copy)]
pub(super) struct Leaving {
    /// Without a successor it ends here.
    until: Moment,
    /// When priority zero is said again.
    repeat_at: Moment,
    /// Who has taken over, and when the wait for its announcement ends.
    successor: Option<(IpAddr, Moment)>,
    /// Next renewal of the addresses' lifetime.
    renew_at: Moment,
    then: Then,
}

/// What comes after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// The end.
    Stop,
    /// Whatever the node's health says.
    Rest,
}

/// Skew is at most one interval; this is for the way and for a late start of the successor's thread.
const MARGIN: Duration = Duration::from_millis(300);
/// A pod has 30 s to stop; whoever advertises every 40 s shall not use them up.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// From the successor's advert to its announcement: it still has to add the addresses.
const ANNOUNCEMENT_WAIT: Duration = Duration::from_millis(100);
/// From the announcement to the end: what is on its way here is still served.
const SETTLE: Duration = Duration::from_millis(20);

impl Leaving {
    /// When something is due.
    pub(super) fn due(&self) -> Moment {
        match self.successor {
            Some((_, end)) => end.min(self.renew_at),
            None => self.until.min(self.repeat_at).min(self.renew_at),
        }
    }
}

impl Group {
    /// Asked to stop.
    pub(super) fn stop(&mut self, now: Moment) {
        self.started = None;
        match self.phase {
            Phase::Active(active) => self.begin_leaving(now, active, Then::Stop),
            Phase::Leaving(mut leaving) => {
                leaving.then = Then::Stop;
                self.phase = Phase::Leaving(leaving);
            }
            Phase::Initialize | Phase::Fault | Phase::Backup(_) => {
                self.phase = Phase::Initialize;
                self.transition(now, Why::Stopped);
                self.actions.push_back(Action::Stopped);
            }
        }
    }

    pub(super) fn begin_leaving(&mut self, now: Moment, active: Active, then: Then) {
        self.announcer.stop();
        self.send_adverts(0);
        let interval = self.settings.interval.duration();
        self.phase = Phase::Leaving(Leaving {
            until: now.after(longest_wait(interval)),
            repeat_at: now.after(self.repeat_interval()),
            successor: None,
            renew_at: active.renew_at(),
            then,
        });
    }

    fn repeat_interval(&self) -> Duration {
        (self.settings.interval.duration() / 2).max(Duration::from_millis(10))
    }

    pub(super) fn leaving_hears(
        &mut self,
        now: Moment,
        source: IpAddr,
        advert: &Advert<'_>,
        mut leaving: Leaving,
    ) {
        if advert.priority > 0 && leaving.successor.is_none() {
            leaving.successor = Some((source, now.after(ANNOUNCEMENT_WAIT)));
            self.phase = Phase::Leaving(leaving);
        }
    }

    pub(super) fn successor_announced(&mut self, now: Moment, mut leaving: Leaving) {
        if let Some((source, end)) = leaving.successor {
            leaving.successor = Some((source, end.min(now.after(SETTLE))));
            self.phase = Phase::Leaving(leaving);
        }
    }

    pub(super) fn leaving_timeout(&mut self, now: Moment, mut leaving: Leaving) {
        match leaving.successor {
            Some((to, end)) if end <= now => return self.leave(now, Why::HandedOver { to }),
            None if leaving.until <= now => return self.leave(now, Why::Stopped),
            _ => {}
        }
        if leaving.successor.is_none() && leaving.repeat_at <= now {
            self.send_adverts(0);
            leaving.repeat_at = now.after(self.repeat_interval());
        }
        if leaving.renew_at <= now {
            self.actions.push_back(Action::Own { confirm: false });
            leaving.renew_at = now.after(RENEWAL);
        }
        self.phase = Phase::Leaving(leaving);
    }

    /// The end of a stop while Active.
    pub(super) fn leave(&mut self, now: Moment, why: Why) {
        let Phase::Leaving(leaving) = self.phase else {
            return;
        };
        let grace = self.settings.hand_over_grace;
        // A proxy that is gone has no connections; without a successor nothing is passed on.
        let helped = !grace.is_zero() && matches!(why, Why::HandedOver { .. });
        if helped {
            self.lingers_until = Some(now.after(grace));
            self.left_active(Action::Linger);
        } else {
            self.release();
        }
        self.phase = Phase::Initialize;
        if !helped && !grace.is_zero() {
            // Takes the promise back: who takes over from now on has nobody to pass on to.
            self.send_adverts(0);
        }
        match leaving.then {
            Then::Stop => {
                self.transition(now, why);
                self.actions.push_back(Action::Stopped);
            }
            Then::Rest => self.settle(now),
        }
    }

    /// There is nothing left here that could answer.
    pub(super) fn stop_lingering(&mut self, now: Moment) {
        if self.lingers_until.take().is_some_and(|until| now < until) {
            self.actions.push_back(Action::Release);
        }
    }

    /// Becoming Active after a planned farewell, in time: who hears of no successor lets go after all.
    pub(super) fn help_predecessors(&mut self, now: Moment) {
        self.lingers_until = None;
        let grace = self.settings.hand_over_grace;
        for (index, member) in self.members.iter_mut().enumerate() {
            let predecessor = member.active_peer.take();
            let wait = longest_wait(member.active_interval.duration()).saturating_sub(MARGIN / 3);
            let farewell = member.planned_farewell.take();
            let in_time = farewell.is_some_and(|at| now.since(at) < wait);
            if let Some(to) = predecessor.filter(|_| in_time && !grace.is_zero()) {
                self.actions.push_back(Action::PassOn { member: index, to });
            }
        }
    }
}

/// How long somebody who leaves waits for a successor.
fn longest_wait(interval: Duration) -> Duration {
    (interval + MARGIN).min(LONGEST_WAIT)
}
