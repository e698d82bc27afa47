//! How many echo requests are answered: enough for every monitor, too few to be of use against anybody.

use std::{collections::BTreeMap, net::IpAddr, time::Instant};

/// Answers in a second and in a burst, for each address.
const RATE: u32 = 200;
const BURST: u32 = 400;

/// A token bucket for each address.
#[derive(Debug, Clone, Default)]
pub struct EchoBudget {
    buckets: BTreeMap<IpAddr, Bucket>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    /// Tokens at `at`, in millionths.
    tokens: u64,
    at: Instant,
}

const TOKEN: u64 = 1_000_000;

impl EchoBudget {
    /// Whether one more echo to `address` is answered.
    pub fn admit(&mut self, now: Instant, address: IpAddr) -> bool {
        let full = u64::from(BURST) * TOKEN;
        let bucket = self.buckets.entry(address).or_insert(Bucket {
            tokens: full,
            at: now,
        });
        let passed = now.saturating_duration_since(bucket.at).as_micros();
        let gained = u64::try_from(passed)
            .unwrap_or(u64::MAX)
            .saturating_mul(u64::from(RATE));
        bucket.tokens = bucket.tokens.saturating_add(gained).min(full);
        bucket.at = now;
        if bucket.tokens < TOKEN {
            return false;
        }
        bucket.tokens -= TOKEN;
        true
    }

    /// Forgets an address.
    pub fn forget(&mut self, address: IpAddr) {
        self.buckets.remove(&address);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::core::samples::start;

    #[test]
    fn a_flood_gets_the_rate_and_others_are_not_held_up() {
        let (mut budget, begin) = (EchoBudget::default(), start());
        let one = IpAddr::from([10, 0, 0, 1]);
        let answered = (0..100_000u32)
            .filter(|number| budget.admit(begin + Duration::from_micros(100) * *number, one))
            .count();
        let expected = (BURST + 10 * RATE) as usize;
        assert!(
            (expected - 1..=expected + 1).contains(&answered),
            "{answered} in ten seconds"
        );
        assert!(budget.admit(begin, IpAddr::from([10, 0, 0, 2])));
    }
}
