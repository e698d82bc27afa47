//! How many connections one client address may have, and how quickly it may open them.
//!
//! Counts live in a bounded table. An address with neither sessions nor a recent connection costs nothing; when the table
//! is full of addresses that have, newcomers are admitted uncounted: protection must not become an outage.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

/// Limits per client address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Limits {
    /// Sessions at the same time.
    pub(crate) connections: Option<u32>,
    /// New connections per second, with as many at once.
    pub(crate) per_second: Option<u32>,
}

impl Limits {
    pub(crate) fn are_none(self) -> bool {
        self == Self::default()
    }
}

/// What is known of client addresses.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    known: HashMap<IpAddr, Source>,
    /// When idle addresses were looked for last.
    tidied: Option<u64>,
}

#[derive(Debug, Clone, Copy)]
struct Source {
    sessions: u32,
    /// Thousandths of connections that may be opened at `at`.
    tokens: u64,
    /// Milliseconds.
    at: u64,
}

impl Sources {
    /// Counts a connection from `source` at `now` (milliseconds); false: one too many.
    pub(crate) fn admit(&mut self, source: IpAddr, now: u64, limits: Limits) -> bool {
        let key = network(source);
        if self.known.len() >= MOST && !self.known.contains_key(&key) {
            if self.tidied.is_none_or(|at| now >= at + TIDY_PAUSE) {
                self.tidied = Some(now);
                self.forget_idle(now, limits);
            }
            if self.known.len() >= MOST {
                return true;
            }
        }
        let rate = limits.per_second.map(u64::from);
        let full = rate.unwrap_or(0) * 1000;
        let entry = self.known.entry(key).or_insert(Source {
            sessions: 0,
            tokens: full,
            at: now,
        });
        if let Some(rate) = rate {
            entry.refill(now, rate);
            if entry.tokens < 1000 {
                return false;
            }
        }
        if limits
            .connections
            .is_some_and(|most| entry.sessions >= most)
        {
            return false;
        }
        entry.tokens = entry.tokens.saturating_sub(1000);
        entry.sessions += 1;
        true
    }

    /// A connection from `source` is over.
    pub(crate) fn release(&mut self, source: IpAddr, limits: Limits) {
        let key = network(source);
        let Some(entry) = self.known.get_mut(&key) else {
            return;
        };
        entry.sessions = entry.sessions.saturating_sub(1);
        if entry.sessions == 0 && limits.per_second.is_none() {
            self.known.remove(&key);
        }
    }

    fn forget_idle(&mut self, now: u64, limits: Limits) {
        let rate = u64::from(limits.per_second.unwrap_or(0));
        self.known.retain(|_, entry| {
            entry.refill(now, rate);
            entry.sessions > 0 || entry.tokens < rate * 1000
        });
    }
}

impl Source {
    fn refill(&mut self, now: u64, rate: u64) {
        let gained = now.saturating_sub(self.at).saturating_mul(rate);
        self.tokens = self.tokens.saturating_add(gained).min(rate * 1000);
        self.at = now;
    }
}

/// An IPv6 client owns its whole /64.
fn network(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V4(v4) => v4.into(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

/// Milliseconds between two walks through a full table.
const TIDY_PAUSE: u64 = 1000;
/// Some 4 MiB.
const MOST: usize = 65_536;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn concurrent_sessions_are_limited_per_address() {
        let limits = Limits {
            connections: Some(2),
            per_second: None,
        };
        let mut sources = Sources::default();
        let admitted = [A, A, A, B].map(|source| sources.admit(source, 0, limits));
        assert_eq!(admitted, [true, true, false, true]);
        sources.release(A, limits);
        assert!(sources.admit(A, 0, limits));
        for source in [A, A, B] {
            sources.release(source, limits);
        }
        assert!(sources.known.is_empty());
    }

    #[test]
    fn the_rate_allows_a_burst_and_then_the_rate() {
        let limits = Limits {
            connections: None,
            per_second: Some(10),
        };
        let mut sources = Sources::default();
        let mut admitted = |now| (0..20).filter(|_| sources.admit(A, now, limits)).count();
        assert_eq!(
            [0, 0, 100, 350, 10_000].map(&mut admitted),
            [10, 0, 1, 2, 10]
        );
        assert!(sources.admit(B, 0, limits));
    }

    #[test]
    fn a_whole_ipv6_network_is_one_client() {
        let limits = Limits {
            connections: Some(1),
            per_second: None,
        };
        let mut sources = Sources::default();
        let admitted = ["2001:db8::1", "2001:db8::ffff:2", "2001:db8:0:1::1"]
            .map(|text| sources.admit(text.parse().unwrap(), 0, limits));
        assert_eq!(admitted, [true, false, true]);
    }

    #[test]
    fn memory_is_bounded_and_a_full_table_refuses_nobody() {
        let limits = Limits {
            connections: Some(1),
            per_second: Some(1),
        };
        let mut sources = Sources::default();
        let address = |i: u32| IpAddr::V4(std::net::Ipv4Addr::from_bits(i));
        for i in 0..100_000 {
            assert!(sources.admit(address(i), 0, limits));
        }
        assert!(sources.known.len() <= MOST);
        for i in 0..100_000 {
            sources.release(address(i), limits);
        }
        assert!(sources.admit(address(200_000), 5000, limits));
        assert_eq!(
            sources.known.len(),
            1,
            "idle addresses are forgotten when room is needed"
        );
    }

    const A: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const B: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));
}
