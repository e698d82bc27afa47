//! The clock that layer-2 roles judge silence by.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// Time since boot, time asleep included: a machine that was suspended notices, and nobody can set it.
pub fn boottime() -> Duration {
    read(ClockId::CLOCK_BOOTTIME)
}

/// Time since 1970, as the kernel stamps packets. Only for differences to such a stamp.
pub fn wall() -> Duration {
    read(ClockId::CLOCK_REALTIME)
}

fn read(clock: ClockId) -> Duration {
    // Fails only for clocks that the kernel lacks; both exist since Linux 2.6.39.
    clock_gettime(clock).map(Duration::from).unwrap_or_default()
}
