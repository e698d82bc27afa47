//! The way to the supervisor.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::clock::now;
use crate::proto::{Group, Moment};

/// The router thread's end of it.
#[derive(Debug)]
pub(super) struct Lifeline {
    stream: UnixStream,
    beaten_at: Moment,
    owning: bool,
}

const BEAT: Duration = Duration::from_millis(20);

impl Lifeline {
    /// On a stream that does not block.
    pub(super) fn new(stream: UnixStream) -> Self {
        Self {
            stream,
            beaten_at: Moment::ZERO,
            owning: false,
        }
    }

    /// Tells the supervisor that this thread runs, and how long it may be silent.
    pub(super) fn beat(&mut self, groups: &BTreeMap<usize, Group>) {
        let patience = groups
            .values()
            .filter_map(Group::patience_while_active)
            .min();
        let owning = patience.is_some();
        let at = now();
        if owning == self.owning && (!owning || at.since(self.beaten_at) < BEAT) {
            return;
        }
        let millis = patience.map_or(0, |patience| patience.as_millis());
        let millis = u32::try_from(millis).unwrap_or(u32::MAX);
        (self.beaten_at, self.owning) = (at, owning);
        // A supervisor that does not read has worse problems than a lost beat.
        let _ = self.stream.write(&millis.to_be_bytes());
    }
}
