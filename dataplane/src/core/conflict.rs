//! Other machines that answer for an address of ours.
//!
//! An alarm, a condition and a bounded defence (RFC 5227 §2.4 c): the address is announced once more, but not more
//! often than every ten seconds, so that two machines never fight without end. As rare is the alarm: who claims the
//! address under ever new hardware addresses gets one line every ten seconds, not one for each frame.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    time::{Duration, Instant},
};

use l2::wire::MacAddr;

/// Between two defences of one address.
const DEFENCE: Duration = Duration::from_secs(10);
/// Between two alarms about one address.
const ALARM: Duration = Duration::from_secs(10);
/// A conflict is over when nothing was heard of it for so long; longer than the refresh that asks for it.
const MEMORY: Duration = Duration::from_secs(180);

/// The conflicts of all addresses.
#[derive(Debug, Clone, Default)]
pub struct Conflicts {
    known: BTreeMap<IpAddr, Conflict>,
}

/// A machine that answers for an address of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conflict {
    /// Its hardware address; of several machines, of that which the alarm was about.
    pub mac: MacAddr,
    /// When it was heard last.
    pub heard: Instant,
    alarmed: Instant,
    defended: Option<Instant>,
}

/// What to do about a frame of another machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reaction {
    /// It is news: raise the alarm.
    pub alarm: bool,
    /// Announce the address once more.
    pub defend: bool,
}

impl Conflicts {
    /// Another machine said that it has `address`.
    pub fn handle_foreign(&mut self, now: Instant, address: IpAddr, mac: MacAddr) -> Reaction {
        let before = self.known.get(&address).copied();
        let told = before.filter(|told| told.mac == mac || now < told.alarmed + ALARM);
        let (mac, alarmed) = told.map_or((mac, now), |told| (told.mac, told.alarmed));
        let defended = before.and_then(|conflict| conflict.defended);
        let defend = defended.is_none_or(|at| now >= at + DEFENCE);
        let defended = if defend { Some(now) } else { defended };
        self.known.insert(
            address,
            Conflict {
                mac,
                heard: now,
                alarmed,
                defended,
            },
        );
        Reaction {
            alarm: told.is_none(),
            defend,
        }
    }

    /// Forgets conflicts nothing was heard of for a while; returns their addresses.
    pub fn handle_timeout(&mut self, now: Instant) -> Vec<IpAddr> {
        let over = |conflict: &Conflict| now >= conflict.heard + MEMORY;
        let gone: Vec<_> = self
            .known
            .iter()
            .filter(|(_, one)| over(one))
            .map(|(address, _)| *address)
            .collect();
        self.known.retain(|_, conflict| !over(conflict));
        gone
    }

    /// Forgets an address that this node no longer has.
    pub fn forget(&mut self, address: IpAddr) {
        self.known.remove(&address);
    }

    /// When the next conflict is over if nothing is heard of it.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.known
            .values()
            .map(|conflict| conflict.heard + MEMORY)
            .min()
    }

    /// The conflict about `address`.
    pub fn get(&self, address: IpAddr) -> Option<Conflict> {
        self.known.get(&address).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::samples::start;

    #[test]
    fn one_alarm_and_a_defence_every_ten_seconds() {
        let (mut conflicts, begin) = (Conflicts::default(), start());
        let (address, mac) = (
            IpAddr::from([10, 0, 0, 1]),
            MacAddr::new([2, 0, 0, 0, 0, 9]),
        );
        let mut alarms = 0;
        let mut defences = 0;
        for millis in (0..60_000).step_by(10) {
            let now = begin + Duration::from_millis(millis);
            let reaction = conflicts.handle_foreign(now, address, mac);
            alarms += u32::from(reaction.alarm);
            defences += u32::from(reaction.defend);
        }
        assert_eq!((alarms, defences), (1, 6));
        assert!(
            conflicts
                .handle_timeout(begin + Duration::from_secs(60))
                .is_empty()
        );
        assert_eq!(
            conflicts.handle_timeout(begin + Duration::from_secs(240)),
            [address]
        );
        assert_eq!(conflicts.get(address), None);
    }

    #[test]
    fn ever_new_hardware_addresses_raise_an_alarm_every_ten_seconds() {
        let (mut conflicts, begin) = (Conflicts::default(), start());
        let address = IpAddr::from([10, 0, 0, 1]);
        let mut alarms = Vec::new();
        for millis in 0..25_000u32 {
            let now = begin + Duration::from_millis(millis.into());
            let [.., a, b, c] = millis.to_be_bytes();
            let mac = MacAddr::new([2, 0, 0, a, b, c]);
            if conflicts.handle_foreign(now, address, mac).alarm {
                alarms.push((millis, mac));
            }
            // What is reported changes with an alarm only.
            let last = alarms.last().map(|(_, mac)| *mac);
            assert_eq!(conflicts.get(address).map(|one| one.mac), last);
        }
        let times: Vec<u32> = alarms.iter().map(|(millis, _)| *millis).collect();
        assert_eq!(times, [0, 10_000, 20_000]);
    }
}
