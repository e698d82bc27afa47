//! Flight recorder: the last inputs of a state machine as JSON lines, in a fixed amount of memory.
//!
//! A dump can be fed to the same machine again, which turns an incident into a test case. In the steady
//! state recording allocates nothing: lines are cut off at the front of a ring of bytes.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;

/// A bounded ring of JSON lines `{"at":<microseconds since start>,"input":…}`. Clones share it.
#[derive(Debug, Clone)]
pub struct Recorder {
    ring: Arc<Mutex<Ring>>,
}

impl Recorder {
    /// A ring of `capacity` bytes.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        let ring = Ring {
            bytes: VecDeque::with_capacity(capacity),
            capacity,
            line: Vec::with_capacity(256),
            dropped: 0,
        };
        Self {
            ring: Arc::new(Mutex::new(ring)),
        }
    }

    /// Appends `input`, which happened `at` after the start of the process. The oldest lines make room;
    /// an input that cannot be serialised or is larger than the ring is counted as dropped.
    pub fn record(&self, at: Duration, input: &impl Serialize) {
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        ring.push(at, input);
    }

    /// All lines, oldest first. The first line `{"dropped":N}` says how many older ones are gone.
    #[must_use]
    pub fn dump(&self) -> String {
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = format!("{{\"dropped\":{}}}\n", ring.dropped);
        let (front, back) = ring.bytes.as_slices();
        let lines = [front, back].concat();
        text.push_str(&String::from_utf8_lossy(&lines));
        text
    }
}

#[derive(Debug)]
struct Ring {
    bytes: VecDeque<u8>,
    capacity: usize,
    line: Vec<u8>,
    dropped: u64,
}

impl Ring {
    fn push(&mut self, at: Duration, input: &impl Serialize) {
        let entry = Entry {
            at: u64::try_from(at.as_micros()).unwrap_or(u64::MAX),
            input,
        };
        self.line.clear();
        if serde_json::to_writer(&mut self.line, &entry).is_err() {
            self.dropped += 1;
            return;
        }
        self.line.push(b'\n');
        if self.line.len() > self.capacity {
            self.dropped += 1;
            return;
        }
        while self.bytes.len() + self.line.len() > self.capacity {
            self.drop_oldest();
        }
        self.bytes.extend(&self.line);
    }

    fn drop_oldest(&mut self) {
        let end = self.bytes.iter().position(|byte| *byte == b'\n');
        self.bytes
            .drain(..end.map_or(self.bytes.len(), |newline| newline + 1));
        self.dropped += 1;
    }
}

#[derive(Serialize)]
struct Entry<'a, T> {
    at: u64,
    input: &'a T,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_back_in_order_with_their_time() {
        let recorder = Recorder::new(1024);
        recorder.record(Duration::from_micros(5), &"link up");
        recorder.record(
            Duration::from_millis(1),
            &serde_json::json!({"advert": 240}),
        );
        assert_eq!(
            recorder.dump(),
            "{\"dropped\":0}\n{\"at\":5,\"input\":\"link up\"}\n{\"at\":1000,\"input\":{\"advert\":240}}\n"
        );
    }

    #[test]
    fn the_ring_stays_bounded_and_keeps_whole_lines() {
        let recorder = Recorder::new(100);
        for number in 0..10_000_u32 {
            recorder.record(Duration::ZERO, &number);
        }
        let dump = recorder.dump();
        let mut lines = dump.lines();
        let head: serde_json::Value = serde_json::from_str(lines.next().unwrap()).unwrap();
        let rest: Vec<serde_json::Value> = lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(rest.last().unwrap()["input"], 9_999);
        assert_eq!(
            head["dropped"].as_u64().unwrap() + rest.len() as u64,
            10_000
        );
        assert!(dump.len() < 100 + 32, "{}", dump.len());
    }

    #[test]
    fn an_input_larger_than_the_ring_is_dropped_alone() {
        let recorder = Recorder::new(64);
        recorder.record(Duration::ZERO, &"kept");
        recorder.record(Duration::ZERO, &"x".repeat(100));
        assert_eq!(
            recorder.dump(),
            "{\"dropped\":1}\n{\"at\":0,\"input\":\"kept\"}\n"
        );
    }
}
