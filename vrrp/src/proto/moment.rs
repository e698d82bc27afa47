//! Points in time.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A point in time: nanoseconds since a start that only the driver knows (CLOCK_BOOTTIME in production,
/// zero in a simulation). Unlike `std::time::Instant` it can be written down and read back by a replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Moment(u64);

impl Moment {
    /// The start.
    pub const ZERO: Self = Self(0);

    /// So many nanoseconds after the start.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds after the start.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// `duration` later; the far future instead of an overflow.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(nanos(duration)))
    }

    /// `duration` earlier; the start instead of an underflow.
    #[must_use]
    pub fn before(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(duration)))
    }

    /// How long after `earlier` this is; zero when it is not.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl From<Duration> for Moment {
    fn from(since_start: Duration) -> Self {
        Self(nanos(since_start))
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
