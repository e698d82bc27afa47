//! Sessions that wait because every server is full.

use std::sync::atomic::Ordering::Relaxed;

use super::opening::millis;
use super::slab::Key;
use super::worker::Worker;
use crate::core::termination::Termination;

impl Worker {
    /// Lets a session wait for a server with room.
    pub(super) fn wait_for_room(&mut self, key: Key) {
        self.waiting
            .retain(|key| self.sessions.get_mut(*key).is_some());
        if self.waiting.len() >= self.table.settings.queue_length {
            self.end(key, Termination::QueueFull);
            return;
        }
        let until = self.now + millis(self.table.settings.queue_wait);
        let Some(opening) = self.sessions.get_mut(key).and_then(|s| s.opening.as_mut()) else {
            return;
        };
        opening.waits = true;
        opening.deadline = until;
        opening.next_look = until;
        self.shared.totals.waiting.fetch_add(1, Relaxed);
        self.timers.set(until, key);
        self.waiting.push_back(key);
        // A client that gives up must not keep its place.
        self.watch_client(key);
        // Room that became free before it counted as waiting was not announced to it.
        self.serve_waiting();
    }

    /// Gives rooms that have become free to those who waited longest.
    pub(super) fn serve_waiting(&mut self) {
        while let Some(&key) = self.waiting.front() {
            let waits = self
                .sessions
                .get_mut(key)
                .and_then(|session| session.opening.as_ref())
                .is_some_and(|opening| opening.waits);
            if !waits {
                self.waiting.pop_front();
                continue;
            }
            match self.try_another(key) {
                Err(Unavailable::Full) => return,
                Ok(()) => {
                    self.waiting.pop_front();
                    self.stop_waiting(key);
                    self.set_opening_timer(key);
                }
                Err(unavailable) => {
                    self.waiting.pop_front();
                    self.end(key, unavailable.into());
                }
            }
        }
    }

    fn stop_waiting(&mut self, key: Key) {
        let deadline = self.now + millis(self.table.settings.connect);
        if let Some(opening) = self.sessions.get_mut(key).and_then(|s| s.opening.as_mut()) {
            opening.waits = false;
            opening.deadline = deadline;
            self.shared.totals.waiting.fetch_sub(1, Relaxed);
        }
    }

    /// A session left a server: whoever waits, on any thread, may have its place.
    pub(super) fn announce_room(&self) {
        if self.shared.totals.waiting.load(Relaxed) > 0 {
            for mailbox in self.mailboxes.iter() {
                mailbox.post(super::worker::Command::ServeWaiting);
            }
        }
    }
}

/// Why no server can be tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unavailable {
    /// None is healthy and untried.
    NoServer,
    /// Some are, and have no room.
    Full,
    /// The system has no descriptor or memory left.
    Resources,
}

impl From<Unavailable> for Termination {
    fn from(unavailable: Unavailable) -> Self {
        match unavailable {
            Unavailable::NoServer => Self::NoServer,
            Unavailable::Full => Self::QueueFull,
            Unavailable::Resources => Self::OutOfResources,
        }
    }
}
