//! Keeps alarms few: one of a kind and culprit a minute, one of any kind a second.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::proto::{Alarm, Moment};

/// Remembers when which alarm was raised.
#[derive(Debug, Default)]
pub(super) struct AlarmLimiter {
    raised: BTreeMap<(&'static str, Option<IpAddr>), Moment>,
    last: Option<Moment>,
}

const SAME: Duration = Duration::from_secs(60);
const ANY: Duration = Duration::from_secs(1);
/// Culprits remembered: an attacker with many addresses may not fill the memory.
const LIMIT: usize = 64;

impl AlarmLimiter {
    /// Whether this one may be raised.
    pub(super) fn admit(&mut self, now: Moment, alarm: &Alarm) -> bool {
        if self.last.is_some_and(|last| now.since(last) < ANY) {
            return false;
        }
        let key = (alarm.kind(), alarm.source());
        if self
            .raised
            .get(&key)
            .is_some_and(|at| now.since(*at) < SAME)
        {
            return false;
        }
        if self.raised.len() >= LIMIT {
            self.raised.retain(|_, at| now.since(*at) < SAME);
            if self.raised.len() >= LIMIT {
                self.raised.pop_first();
            }
        }
        self.raised.insert(key, now);
        self.last = Some(now);
        true
    }
}
