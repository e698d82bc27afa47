//! Backup: listens, and takes over when every member has been silent.

use std::net::IpAddr;
use std::time::Duration;

use crate::proto::{Advert, Moment, Why, timers};

use super::{Group, Phase};

/// What only matters in Backup.
#[derive(Debug, Clone, Copy)]
pub(super) struct Backup {
    /// When it began: nothing received before counts from earlier.
    pub(super) entered: Moment,
    /// No take-over before this (quiet time after the start).
    pub(super) quiet_until: Moment,
    /// No take-over before this unless somebody was heard (quiet time after a lost link).
    pub(super) deaf_until: Moment,
    /// Lower-priority Actives are left alone until this.
    pub(super) preempt_from: Moment,
    /// Woke too late once and is listening for that reason.
    pub(super) second_look: bool,
}

/// Lateness that every busy machine has now and then.
const TOLERABLE_LATENESS: Duration = Duration::from_millis(20);

impl Group {
    /// RFC 9568 §6.4.2 (receive part). `at` is when the advert arrived.
    pub(super) fn backup_hears(
        &mut self,
        at: Moment,
        index: usize,
        source: IpAddr,
        advert: &Advert<'_>,
        mut backup: Backup,
    ) {
        let heard = at;
        let at = at.max(backup.entered);
        let own = u8::from(self.settings.priority);
        // The others reach this router again: the timers of the protocol are enough.
        backup.deaf_until = backup.entered;
        self.phase = Phase::Backup(backup);
        if advert.priority == 0 {
            let member = &self.members[index];
            // A third router that leaves says nothing about the Active.
            if member.active_peer.is_some_and(|active| active != source) {
                return;
            }
            let skew = self.skew(index);
            let member = &mut self.members[index];
            member.down_at = member.down_at.min(at.after(skew));
            member.active_peer = Some(source);
            member.active_left = true;
            // It is said again until somebody answers; the first one counts, also if this router was frozen meanwhile.
            let first = member.planned_farewell.unwrap_or(heard);
            member.planned_farewell = advert.lingers.then_some(first);
            return;
        }
        let may_preempt = self.settings.preempt && at >= backup.preempt_from || own == 255;
        if advert.priority < own && may_preempt {
            // §6.4.2 (460): ignored; the timer runs out, and that is the preemption.
            return;
        }
        let member = &mut self.members[index];
        member.active_interval = advert.interval;
        member.active_peer = Some(source);
        member.heard_active_at = Some(at);
        member.active_left = false;
        member.planned_farewell = None;
        let patience = self.down_interval(index);
        self.members[index].down_at = at.after(patience);
        if backup.second_look {
            backup.second_look = false;
            self.phase = Phase::Backup(backup);
        }
    }

    /// The last member's timer decides.
    pub(super) fn takeover_at(&self, backup: Backup) -> Moment {
        let last = self.members.iter().map(|member| member.down_at).max();
        last.unwrap_or(Moment::from_nanos(u64::MAX))
            .max(backup.quiet_until)
            .max(backup.deaf_until)
    }

    pub(super) fn backup_timeout(&mut self, now: Moment, heard_until: Moment, mut backup: Backup) {
        let due = self.takeover_at(backup);
        if heard_until < due {
            return;
        }
        let interval = self.longest_interval();
        if now.since(due) > TOLERABLE_LATENESS.max(interval / 2) && !backup.second_look {
            // Whoever slept through its own timer may have slept through adverts as well (a paused
            // machine receives none): one more interval shows whether somebody is there.
            backup.second_look = true;
            for index in 0..self.members.len() {
                let wait = self.members[index].active_interval.duration() + self.skew(index);
                let member = &mut self.members[index];
                member.down_at = now.after(wait);
                member.counters.late_wakes += 1;
            }
            self.phase = Phase::Backup(backup);
            return;
        }
        let lead = &self.members[0];
        let last = lead.active_peer;
        let why = if lead.active_left {
            Why::ActiveLeft { last }
        } else {
            let since = lead.heard_active_at.unwrap_or(backup.entered);
            Why::ActiveSilent {
                last,
                silent: now.since(since),
            }
        };
        self.become_active(now, why);
    }

    /// `Skew_Time` of a member.
    pub(super) fn skew(&self, index: usize) -> Duration {
        let version = self
            .settings
            .versions
            .leading(self.settings.members[index].family);
        timers::skew(
            version,
            self.settings.priority,
            self.members[index].active_interval,
        )
    }

    /// `Active_Down_Interval` of a member.
    pub(super) fn down_interval(&self, index: usize) -> Duration {
        let version = self
            .settings
            .versions
            .leading(self.settings.members[index].family);
        let interval = self.members[index].active_interval;
        timers::down_interval(
            version,
            self.settings.priority,
            interval,
            self.settings.down_factor,
        )
    }

    fn longest_interval(&self) -> Duration {
        self.members
            .iter()
            .map(|member| member.active_interval.duration())
            .max()
            .unwrap_or_default()
    }
}
