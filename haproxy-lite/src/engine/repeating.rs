//! What a client has said before a server answered, kept so that another server can be asked the same.

use std::io;
use std::os::fd::AsFd as _;

use super::flow::Flow;
use super::opening::{millis, reset};
use super::session::Attempt;
use super::slab::Key;
use super::sys::{self, Readiness};
use super::worker::Worker;
use crate::core::client_hello::{FirstBytes, classify};
use crate::core::termination::Termination;

impl Worker {
    /// Remembers the first bytes of a client for as long as they may be repeated: `sent` of them have just left, first those that
    /// were held before, then what was read in the same turn.
    pub(super) fn remember_hello(&mut self, key: Key, held: &[u8], sent: usize) {
        let deadline = self.now + millis(self.table.settings.connect);
        let spare = match self.sessions.get_mut(key) {
            Some(session) if session.opening.is_none() => Some(self.spare_opening()),
            _ => None,
        };
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        if let Some(mut spare) = spare {
            spare
                .tried
                .extend(session.seat.iter().map(|seat| seat.server().identity));
            session.opening = Some(spare);
        }
        let Some(opening) = &mut session.opening else {
            return;
        };
        let read = sent.saturating_sub(held.len());
        opening.hello.extend_from_slice(held);
        opening.hello.extend_from_slice(&self.gear.scratch[..read]);
        match classify(&opening.hello) {
            FirstBytes::Partial => {}
            FirstBytes::LoneClientHello => {
                opening.hello_whole = true;
                opening.deadline = deadline;
                self.set_opening_timer(key);
            }
            FirstBytes::Other => self.stop_repeating(key),
        }
    }

    /// The chosen server broke before it answered. If nothing of the client's is lost with it, another one is asked
    /// instead: true.
    pub(super) fn ask_another(&mut self, key: Key) -> bool {
        let connect = millis(self.table.settings.connect);
        let now = self.now;
        let Some(session) = self.sessions.get_mut(key) else {
            return false;
        };
        if !session.marks.repeatable || session.down.moved() > 0 {
            return false;
        }
        let untouched = session.up.moved() == 0 && now < session.began + connect;
        let whole_hello = session
            .opening
            .as_ref()
            .is_some_and(|opening| opening.hello_whole);
        if !untouched && !whole_hello {
            return false;
        }
        session.server = None;
        session.down = Flow::default();
        if let Some(seat) = session.seat.take() {
            let spare = session.opening.is_none();
            if spare {
                let mut opening = self.spare_opening();
                opening.deadline = now + connect;
                opening.tried.push(seat.server().identity);
                if let Some(session) = self.sessions.get_mut(key) {
                    session.opening = Some(opening);
                }
            }
            self.refused(seat.server());
        }
        let others_asked = self
            .sessions
            .get_mut(key)
            .and_then(|session| session.opening.as_ref())
            .is_some_and(|opening| !opening.attempts.is_empty());
        if self.try_another(key).is_ok() || others_asked {
            self.set_opening_timer(key);
        } else {
            self.end(key, Termination::ServerAborted);
        }
        true
    }

    /// Whatever happens from here on happens with the server that the session has.
    pub(super) fn stop_repeating(&mut self, key: Key) {
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        session.marks.repeatable = false;
        if let Some(opening) = session.opening.take() {
            for attempt in &opening.attempts {
                reset(attempt.fd.as_fd());
            }
            self.keep_spare(opening);
        }
    }
}

/// What has become of a repeated hello.
pub(super) enum Asked {
    Waiting,
    Answered,
    Broken,
}

/// Repeats the hello to a server that has just connected, or looks whether it has answered.
pub(super) fn ask(attempt: &mut Attempt, hello: &[u8], readiness: Readiness) -> Asked {
    if !attempt.asked && readiness.writable() {
        attempt.asked = true;
        if sys::send(attempt.fd.as_fd(), hello).ok() != Some(hello.len()) {
            return Asked::Broken;
        }
    }
    if !readiness.readable() {
        return Asked::Waiting;
    }
    match sys::peek(attempt.fd.as_fd(), &mut [0]) {
        Ok(0) => Asked::Broken,
        Ok(_) => Asked::Answered,
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => Asked::Waiting,
        Err(_) => Asked::Broken,
    }
}
