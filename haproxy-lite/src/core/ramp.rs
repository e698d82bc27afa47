//! The share of a server that has just come up: it grows, so that a restarted API server with cold caches is not given
//! everything at once.

use std::time::{Duration, Instant};

/// A share that grows from nothing to the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ramp {
    began: Instant,
    length: Duration,
}

impl Ramp {
    pub(crate) fn new(began: Instant, length: Duration) -> Option<Self> {
        (!length.is_zero()).then_some(Self { began, length })
    }

    /// The share at `now` in thousandths; `None`: the whole, and the ramp is over.
    pub(crate) fn share(&self, now: Instant) -> Option<u32> {
        let elapsed = now.saturating_duration_since(self.began);
        if elapsed >= self.length {
            return None;
        }
        let thousandths = elapsed.as_micros() * 1000 / self.length.as_micros().max(1);
        Some(u32::try_from(thousandths).unwrap_or(1000).max(10))
    }

    /// When the share is worth looking at again.
    pub(crate) fn next_step(&self, now: Instant) -> Instant {
        now + (self.length / 100).max(Duration::from_millis(20))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(
        clippy::disallowed_methods,
        reason = "test: any starting point will do"
    )]
    fn h04_the_share_grows_in_a_straight_line() {
        let began = Instant::now();
        let ramp = Ramp::new(began, Duration::from_secs(60)).unwrap();
        for second in 1..60 {
            let share = ramp.share(began + Duration::from_secs(second)).unwrap();
            let straight = u32::try_from(second * 1000 / 60).unwrap();
            assert!(share.abs_diff(straight) <= 1, "{share} after {second} s");
        }
        assert_eq!(ramp.share(began), Some(10));
        assert_eq!(ramp.share(began + Duration::from_secs(60)), None);
        assert_eq!(Ramp::new(began, Duration::ZERO), None);
    }
}
