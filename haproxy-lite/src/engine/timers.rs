//! Deadlines of sessions that are being opened. Long silences are found by a sweep instead: they need no precision,
//! and a deadline hours away for each of thousands of short sessions would only fill memory.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::slab::Key;

/// Milliseconds since the engine started.
pub(crate) type Millis = u64;

/// Deadlines, soonest first. A session that has moved on leaves its entry behind; whoever pops it looks.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    heap: BinaryHeap<Reverse<(Millis, u64)>>,
}

impl Timers {
    pub(crate) fn set(&mut self, at: Millis, key: Key) {
        self.heap.push(Reverse((at, key.to_bits())));
    }

    /// The next deadline that is due.
    pub(crate) fn pop_due(&mut self, now: Millis) -> Option<Key> {
        let Reverse((at, bits)) = self.heap.peek()?;
        let (due, key) = (*at <= now, Key::from_bits(*bits));
        due.then(|| {
            self.heap.pop();
            key
        })
    }

    /// When the next deadline of a session that still cares is; entries of others are dropped.
    pub(crate) fn next(&mut self, mut cares: impl FnMut(Key) -> bool) -> Option<Millis> {
        loop {
            let Reverse((at, bits)) = self.heap.peek()?;
            if cares(Key::from_bits(*bits)) {
                return Some(*at);
            }
            self.heap.pop();
        }
    }
}
