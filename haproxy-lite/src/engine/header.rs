//! PROXY headers: read from load balancers in front, written for servers behind.

use std::io;
use std::os::fd::AsFd as _;

use super::session::Session;
use super::slab::Key;
use super::sys;
use super::timers::Millis;
use super::worker::Worker;
use crate::core::proxy_protocol::{self, LONGEST, emit, parse};
use crate::core::termination::Termination;

impl Worker {
    /// The session goes on when its header has arrived.
    pub(super) fn await_header(&mut self, key: Key) {
        let until = self.now + PATIENCE;
        if let Some(opening) = self.sessions.get_mut(key).and_then(|s| s.opening.as_mut()) {
            opening.awaits_header = true;
            opening.deadline = until;
            opening.next_look = until;
            self.timers.set(until, key);
            self.watch_client(key);
        }
    }

    /// Bytes have come in for a session that awaits its header.
    pub(super) fn read_header(&mut self, key: Key) {
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        let scratch = &mut self.gear.scratch;
        let window = scratch.len().min(LONGEST);
        let header = match sys::peek(session.client.as_fd(), &mut scratch[..window]) {
            Ok(0) => return self.end(key, Termination::ClientLeftEarly),
            Ok(seen) => parse(&scratch[..seen]),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
            Err(_) => return self.end(key, Termination::ClientLeftEarly),
        };
        let header = match header {
            Ok(Some(header)) => header,
            Ok(None) => return,
            Err(malformed) => {
                tracing::debug!(peer = %session.source, %malformed, "PROXY header refused");
                return self.end(key, Termination::BadProxyHeader);
            }
        };
        let taken = sys::receive(session.client.as_fd(), &mut scratch[..header.length]);
        if taken.ok() != Some(header.length) {
            return self.end(key, Termination::ClientLeftEarly);
        }
        session.source = header.source.unwrap_or(session.source);
        if let Some(opening) = &mut session.opening {
            opening.awaits_header = false;
        }
        self.admit(key);
    }

    /// Whether a peer that is no load balancer of ours pretends to be one.
    pub(super) fn is_spoofed(&mut self, key: Key) -> bool {
        let Some(session) = self.sessions.get_mut(key) else {
            return false;
        };
        let scratch = &mut self.gear.scratch;
        let window = scratch.len().min(LONGEST);
        session.up.moved() == 0
            && sys::peek(session.client.as_fd(), &mut scratch[..window])
                .is_ok_and(|seen| matches!(parse(&scratch[..seen]), Ok(Some(_))))
    }
}

/// Puts the header in front of what the client sends.
pub(super) fn introduce(session: &mut Session, version: proxy_protocol::Version) {
    let header = emit(version, session.source, session.frontend.address);
    // The server counts it, the client did not send it.
    session.counted.0 = header.len() as u64;
    session.up.put_first(header);
}

/// Milliseconds until a header must have arrived.
const PATIENCE: Millis = 3000;
