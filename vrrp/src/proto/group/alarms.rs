//! Keeps alarms few: one of a kind and culprit a minute, one of any kind a second. One that comes too soon after another
//! waits, as its cause may never come back.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use crate::proto::{Alarm, Moment};

/// Remembers when which alarm was raised, and which ones wait.
#[derive(Debug, Default)]
pub(super) struct AlarmLimiter {
    raised: BTreeMap<Key, Moment>,
    last: Option<Moment>,
    waiting: VecDeque<Alarm>,
}

type Key = (&'static str, Option<IpAddr>);

const SAME: Duration = Duration::from_secs(60);
const ANY: Duration = Duration::from_secs(1);
/// Culprits remembered: an attacker with many addresses may not fill the memory.
const LIMIT: usize = 64;
/// Alarms that wait: what more there is in a flood is told by the counters.
const WAITING: usize = 8;

impl AlarmLimiter {
    /// Takes an alarm, to be raised now, later, or, as one of many, not at all.
    pub(super) fn offer(&mut self, now: Moment, alarm: Alarm) {
        let culprit = key(&alarm);
        let told = self
            .raised
            .get(&culprit)
            .is_some_and(|at| now.since(*at) < SAME);
        let waits = || self.waiting.iter().any(|other| key(other) == culprit);
        if !told && self.waiting.len() < WAITING && !waits() {
            self.waiting.push_back(alarm);
        }
    }

    /// The alarm that may be raised now.
    pub(super) fn due(&mut self, now: Moment) -> Option<Alarm> {
        if self.poll_timeout()? > now {
            return None;
        }
        let alarm = self.waiting.pop_front()?;
        if self.raised.len() >= LIMIT {
            self.raised.retain(|_, at| now.since(*at) < SAME);
            if self.raised.len() >= LIMIT {
                self.raised.pop_first();
            }
        }
        self.raised.insert(key(&alarm), now);
        self.last = Some(now);
        Some(alarm)
    }

    /// When an alarm that waits may be raised.
    pub(super) fn poll_timeout(&self) -> Option<Moment> {
        let free = self.last.map_or(Moment::ZERO, |last| last.after(ANY));
        (!self.waiting.is_empty()).then_some(free)
    }
}

fn key(alarm: &Alarm) -> Key {
    (alarm.kind(), alarm.source())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(last: u8) -> Alarm {
        let from = IpAddr::from([10, 0, 0, last]);
        Alarm::VridClash { from }
    }

    #[test]
    fn an_alarm_right_after_another_is_told_a_second_later() {
        let mut limiter = AlarmLimiter::default();
        let start = Moment::from(Duration::from_secs(100));
        let soon = start.after(Duration::from_millis(1));
        limiter.offer(start, from(1));
        assert_eq!(limiter.due(start), Some(from(1)));
        limiter.offer(soon, from(2));
        limiter.offer(soon, from(2));
        assert_eq!(limiter.due(soon), None);
        let later = limiter.poll_timeout().unwrap();
        assert_eq!(later, start.after(ANY));
        assert_eq!(limiter.due(later), Some(from(2)));
        assert_eq!(limiter.poll_timeout(), None);
    }

    #[test]
    fn many_culprits_are_one_alarm_a_second_and_eight_are_kept() {
        let mut limiter = AlarmLimiter::default();
        let start = Moment::from(Duration::from_secs(100));
        for last in 0..50 {
            limiter.offer(start, from(last));
        }
        let told = (0..200)
            .filter_map(|tenth| limiter.due(start.after(ANY * tenth / 10)))
            .count();
        assert_eq!(told, WAITING);
        assert!(limiter.due(start.after(SAME)).is_none());
    }

    #[test]
    fn one_of_a_kind_and_station_a_minute() {
        let mut limiter = AlarmLimiter::default();
        let start = Moment::from(Duration::from_secs(100));
        limiter.offer(start, from(1));
        assert!(limiter.due(start).is_some());
        limiter.offer(start.after(SAME - ANY), from(1));
        assert_eq!(limiter.poll_timeout(), None);
        limiter.offer(start.after(SAME), from(1));
        assert!(limiter.due(start.after(SAME)).is_some());
    }
}
