//! How fast everything goes.

use std::time::Duration;

/// How fast everything goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// Between heartbeats.
    pub heartbeat: Duration,
    /// Silence after which a peer is dead.
    pub patience: Duration,
    /// Between refreshing announcements; zero: none.
    pub refresh: Duration,
}

impl Timing {
    /// How long a starting node waits for peers it does not hear.
    pub fn hold_off(&self) -> Duration {
        self.patience + self.heartbeat
    }

    /// How long a starting node waits for answers to its greetings.
    pub fn greeting(&self) -> Duration {
        self.heartbeat * 2
    }

    /// Not running for so long means that the others may have given this node up: its last heartbeat can be
    /// one interval older than the freeze.
    pub fn freeze(&self) -> Duration {
        self.patience.saturating_sub(self.heartbeat * 3 / 2)
    }

    /// How much later the next in line takes an address that nobody took.
    pub fn step(&self) -> Duration {
        self.heartbeat * 2
    }

    /// How long an unfit node goes on answering so that somebody can take over first.
    pub fn overlap(&self) -> Duration {
        self.heartbeat * 2
    }
}
