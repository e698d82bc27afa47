//! Active: owns the addresses, says so, and yields to a better one.

use std::net::IpAddr;
use std::time::Duration;

use l2::wire::MacAddr;

use crate::proto::{Action, Advert, Alarm, Moment, Priority, Why, timers};

use super::{Group, Phase};

/// What only matters while Active.
#[derive(Debug, Clone, Copy)]
pub(super) struct Active {
    /// Next regular advert.
    adver_at: Moment,
    /// Last advert.
    sent_at: Moment,
    /// Next renewal of the addresses' lifetime.
    renew_at: Moment,
    /// Last answer to another Active.
    answered_at: Option<Moment>,
    /// Answer owed, put off by the rate limit.
    answer_owed: Option<Moment>,
    /// Last burst in answer to another Active.
    burst_at: Option<Moment>,
    /// Burst owed, put off by the rate limit: never dropped, it is what points neighbours here.
    burst_owed: Option<Moment>,
    /// The kernel has not confirmed the addresses yet.
    unconfirmed: bool,
}

/// Bursts in answer to other Actives and claims are at least this far apart.
const BURST_SPACING: Duration = Duration::from_secs(1);
/// The kernel forgets an address after two seconds without renewal: three are tried in that time.
pub(super) const RENEWAL: Duration = Duration::from_millis(600);
/// So many lower-priority adverts in a row mean that the peer does not hear the answers.
const UNIMPRESSED: u32 = 5;

impl Active {
    /// When something is due.
    pub(super) fn due(&self) -> Moment {
        // Before the addresses are there a burst would announce nothing; their confirmation pays it.
        let burst = self.burst_owed.filter(|_| !self.unconfirmed);
        [
            Some(self.adver_at),
            Some(self.renew_at),
            self.answer_owed,
            burst,
        ]
        .into_iter()
        .flatten()
        .min()
        .unwrap_or(self.adver_at)
    }

    /// When the last advert was sent.
    pub(super) fn last_sent(&self) -> Moment {
        self.sent_at
    }

    /// Next renewal of the addresses' lifetime.
    pub(super) fn renew_at(&self) -> Moment {
        self.renew_at
    }
}

impl Group {
    /// Takes over: advert first (so that the others stop), then the addresses, then the announcements.
    pub(super) fn become_active(&mut self, now: Moment, why: Why) {
        let alone = self.members.iter().all(|member| member.peers.is_empty());
        let expected = self
            .settings
            .members
            .iter()
            .any(|member| !member.peers.is_empty());
        for member in &mut self.members {
            member.counters.became_active += 1;
            member.active_interval = self.settings.interval;
            member.peers.impress();
        }
        self.phase = Phase::Active(Active {
            adver_at: now.after(self.settings.interval.duration()),
            sent_at: now,
            renew_at: now.after(RENEWAL),
            answered_at: None,
            answer_owed: None,
            burst_at: None,
            burst_owed: None,
            unconfirmed: true,
        });
        self.send_adverts(self.settings.priority.into());
        self.help_predecessors(now);
        self.actions.push_back(Action::Own { confirm: true });
        self.transition(now, why);
        if alone && expected {
            self.alarm(now, Alarm::HeardNobody);
        }
    }

    /// RFC 9568 §6.4.3 (receive part).
    pub(super) fn active_hears(
        &mut self,
        now: Moment,
        index: usize,
        source: IpAddr,
        advert: &Advert<'_>,
        mut active: Active,
    ) {
        let own = u8::from(self.settings.priority);
        if advert.priority == 0 {
            // Whoever leaves was Active until now: neighbours may still point there.
            self.answer(now, &mut active);
            self.owe_burst(now, &mut active);
            self.phase = Phase::Active(active);
            return;
        }
        if self.is_outbid(index, source, advert.priority) {
            // The last word: the winner answers it with an advert and announcements, so that
            // neighbours that still point here are put right after a healed partition.
            self.send_adverts(own);
            let why = Why::Outbid {
                by: source,
                priority: advert.priority,
            };
            self.step_down(now, why);
            let member = &mut self.members[index];
            member.active_interval = advert.interval;
            member.active_peer = Some(source);
            member.heard_active_at = Some(now);
            let patience = self.down_interval(index);
            self.members[index].down_at = now.after(patience);
            return;
        }
        let member = &mut self.members[index];
        member.counters.lower_priority_received += 1;
        self.answer(now, &mut active);
        self.owe_burst(now, &mut active);
        self.phase = Phase::Active(active);
        let deaf = self.members[index].peers.unimpressed(source) >= UNIMPRESSED;
        if deaf {
            self.alarm(now, Alarm::Asymmetric { from: source });
        }
    }

    /// Whether an advert makes this Active yield. Only the first member compares addresses: the
    /// families could disagree, and both routers would yield to each other for ever.
    fn is_outbid(&self, index: usize, source: IpAddr, priority: u8) -> bool {
        let own = u8::from(self.settings.priority);
        let greater = self.members[index].source.is_some_and(|mine| source > mine);
        priority > own || (priority == own && index == 0 && greater)
    }

    /// An advert at once, at most two per interval.
    pub(super) fn answer(&mut self, now: Moment, active: &mut Active) {
        let spacing = self.settings.interval.duration() / 2;
        match active
            .answered_at
            .map(|at| at.after(spacing))
            .filter(|at| *at > now)
        {
            Some(later) => active.answer_owed = Some(later),
            None => {
                active.answered_at = Some(now);
                active.answer_owed = None;
                active.adver_at = now.after(self.settings.interval.duration());
                active.sent_at = now;
                self.send_adverts(self.settings.priority.into());
            }
        }
    }

    fn owe_burst(&mut self, now: Moment, active: &mut Active) {
        let earliest = active
            .burst_at
            .map_or(now, |at| at.after(BURST_SPACING))
            .max(now);
        active.burst_owed = Some(active.burst_owed.map_or(earliest, |at| at.min(earliest)));
        self.pay_burst(now, active);
    }

    fn pay_burst(&mut self, now: Moment, active: &mut Active) {
        if !active.unconfirmed && active.burst_owed.is_some_and(|at| at <= now) {
            active.burst_owed = None;
            active.burst_at = Some(now);
            self.announcer.start(now);
            self.announce_due(now);
        }
    }

    pub(super) fn active_timeout(&mut self, now: Moment, mut active: Active) {
        if active.answer_owed.is_some_and(|at| at <= now) {
            self.answer(now, &mut active);
        }
        if active.adver_at <= now {
            self.send_adverts(self.settings.priority.into());
            active.sent_at = now;
            // From the due time, so that the period does not drift; from now after a stall.
            let interval = self.settings.interval.duration();
            let next = active.adver_at.after(interval);
            active.adver_at = if next <= now {
                now.after(interval)
            } else {
                next
            };
        }
        if active.renew_at <= now {
            self.actions.push_back(Action::Own {
                confirm: active.unconfirmed,
            });
            active.renew_at = now.after(RENEWAL);
        }
        self.pay_burst(now, &mut active);
        self.phase = Phase::Active(active);
        self.announce_due(now);
    }

    pub(super) fn announce_due(&mut self, now: Moment) {
        let (actions, members) = (&mut self.actions, &mut self.members);
        self.announcer.handle_timeout(now, |frame| {
            members[frame.member].counters.announcements_sent += 1;
            actions.push_back(Action::Announce {
                member: frame.member,
                address: frame.address,
                reply: frame.reply,
            });
        });
    }

    /// The addresses are on the interface: announce those that are not announced yet.
    pub(super) fn handle_owned(&mut self, now: Moment) {
        let Phase::Active(mut active) = self.phase else {
            return;
        };
        if active.unconfirmed {
            active.unconfirmed = false;
            self.announcer.start_fresh(now);
            self.pay_burst(now, &mut active);
            self.phase = Phase::Active(active);
            self.announce_due(now);
        }
    }

    /// Somebody took an address away: put it back and tell the neighbours again.
    pub(super) fn handle_address_lost(&mut self, now: Moment) {
        let Phase::Active(mut active) = self.phase else {
            return;
        };
        active.unconfirmed = true;
        active.renew_at = now.after(RENEWAL);
        self.phase = Phase::Active(active);
        for member in &mut self.members {
            member.counters.addresses_restored += 1;
        }
        self.announcer.stop();
        self.actions.push_back(Action::Own { confirm: true });
    }

    /// Another station claims an address: while Active it is contradicted, while leaving it is the
    /// sign that was waited for.
    pub(super) fn handle_claim(&mut self, now: Moment, address: IpAddr, mac: MacAddr) {
        let owner = self
            .settings
            .members
            .iter()
            .position(|member| member.addresses.contains(&address));
        let Some(owner) = owner else { return };
        match self.phase {
            Phase::Active(mut active) => {
                self.members[owner].counters.conflicts += 1;
                self.alarm(now, Alarm::Conflict { address, mac });
                self.owe_burst(now, &mut active);
                self.phase = Phase::Active(active);
            }
            Phase::Leaving(leaving) => self.successor_announced(now, leaving),
            Phase::Initialize | Phase::Fault | Phase::Backup(_) => {}
        }
    }

    /// How long the most impatient peer waits for this Active.
    pub(super) fn peers_patience(&self) -> Duration {
        let version = self
            .settings
            .versions
            .leading(self.settings.members[0].family);
        timers::down_interval(
            version,
            Priority::HIGHEST,
            self.settings.interval,
            self.settings.down_factor,
        )
    }

    /// The others must have taken over meanwhile: let go, listen, and go on only if nobody is there.
    pub(super) fn yield_after_freeze(&mut self, now: Moment, silent: Duration) {
        for member in &mut self.members {
            member.counters.late_wakes += 1;
        }
        self.step_down(now, Why::Frozen { silent });
        for index in 0..self.members.len() {
            let wait = self.settings.interval.duration() + self.skew(index);
            self.members[index].down_at = now.after(wait);
        }
    }

    pub(super) fn advertise_now(&mut self, now: Moment) {
        if let Phase::Active(mut active) = self.phase {
            active.sent_at = now;
            active.adver_at = now.after(self.settings.interval.duration());
            self.phase = Phase::Active(active);
            self.send_adverts(self.settings.priority.into());
        }
    }

    pub(super) fn own_now(&mut self, now: Moment) {
        if let Phase::Active(mut active) = self.phase {
            active.unconfirmed = true;
            active.renew_at = now.after(RENEWAL);
            self.phase = Phase::Active(active);
            self.actions.push_back(Action::Own { confirm: true });
        }
    }

    pub(super) fn announce_again(&mut self, now: Moment) {
        if let Phase::Active(mut active) = self.phase {
            self.owe_burst(now, &mut active);
            self.phase = Phase::Active(active);
        }
    }
}
