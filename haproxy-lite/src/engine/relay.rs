//! Moving the bytes of a session whose server is chosen, and ending it.

use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use socket2::SockRef;

use super::flow::Turn;
use super::listen::keep_alive;
use super::lock;
use super::opening::reset;
use super::session::{Endpoint, Session, Token, seconds};
use super::slab::Key;
use super::sys::{Interest, Readiness};
use super::table::Ended;
use super::worker::Worker;
use crate::core::idle::Patience;
use crate::core::termination::Termination;

impl Worker {
    /// A socket of a session has reported something.
    pub(super) fn handle_readiness(&mut self, key: Key, endpoint: Endpoint, ready: Readiness) {
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        if endpoint == Endpoint::CLIENT {
            if ready.readable() {
                session.up.source_ready(ready.peer_finished());
            }
            if ready.writable() {
                session.down.sink_ready();
            }
            if session.server.is_none() {
                if ready.failed() || ready.hung_up() {
                    self.end(key, Termination::ClientLeftEarly);
                } else if session.opening.as_ref().is_some_and(|o| o.awaits_header) {
                    self.read_header(key);
                }
            } else if ready.failed() && session.up.is_finished() {
                self.end(key, Termination::ClientAborted);
            } else {
                self.take_turn(key);
            }
        } else if endpoint == session.endpoint && session.server.is_some() {
            if ready.readable() {
                session.down.source_ready(ready.peer_finished());
            }
            if ready.writable() {
                session.up.sink_ready();
            }
            if ready.failed() && session.down.is_finished() {
                self.end(key, Termination::ServerAborted);
            } else {
                self.take_turn(key);
            }
        } else {
            self.handle_attempt(key, endpoint, ready);
        }
    }

    /// A turn now, or in line with the others when the last ones were long: whoever has little to move comes first.
    fn take_turn(&mut self, key: Key) {
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        if session.up.is_bulk() || session.down.is_bulk() {
            self.stand_in_line(key);
        } else if !session.marks.queued {
            self.relay_wanted(key);
        }
    }

    /// The turn of a session that stood in line.
    pub(super) fn relay_rest(&mut self, key: Key) {
        if let Some(session) = self.sessions.get_mut(key) {
            session.marks.queued = false;
            self.relay_wanted(key);
        }
    }

    fn relay_wanted(&mut self, key: Key) {
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        let (up, down) = (session.up.wants_turn(), session.down.wants_turn());
        if up || down {
            self.relay(key, up, down);
        }
    }

    fn stand_in_line(&mut self, key: Key) {
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        let wanted = session.up.wants_turn() || session.down.wants_turn();
        if wanted && !session.marks.queued {
            session.marks.queued = true;
            self.ready.push_back(key);
        }
    }

    /// Gives the wanted directions a turn each.
    pub(super) fn relay(&mut self, key: Key, up: bool, down: bool) {
        if up && !self.relay_up(key) || down && !self.relay_down(key) {
            return;
        }
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        session.last_byte = seconds(self.now);
        if session.up.is_finished() && session.down.is_finished() {
            let why = if session.marks.server_broken {
                Termination::ServerAborted
            } else {
                Termination::Completed
            };
            self.end(key, why);
        } else {
            self.stand_in_line(key);
        }
    }

    /// Client to server; false if the session is gone or has to wait for another server.
    fn relay_up(&mut self, key: Key) -> bool {
        let Some(session) = self.sessions.get_mut(key) else {
            return false;
        };
        if session.marks.unproven && self.is_spoofed(key) {
            self.end(key, Termination::BadProxyHeader);
            return false;
        }
        let Some(session) = self.sessions.get_mut(key) else {
            return false;
        };
        let Some(server) = &session.server else {
            return false;
        };
        let before = session.up.moved();
        // What another server did not take goes first, and is not in the buffer that all flows share.
        let held = session.marks.repeatable.then(|| session.up.held());
        let prompt = &mut session.marks.server_prompt;
        let hurry = |moved| {
            if moved > 0 && !*prompt {
                *prompt = true;
                let _ = SockRef::from(server).set_tcp_nodelay(true);
            }
        };
        let (client, gear) = (session.client.as_fd(), &mut self.gear);
        let turn = session.up.turn(client, server.as_fd(), gear, hurry);
        let moved = session.up.moved() - before;
        // The first bytes find nothing under way and leave at once by themselves, unless they are several segments.
        if moved > SEGMENT && !session.marks.server_prompt {
            session.marks.server_prompt = true;
            let _ = SockRef::from(server).set_tcp_nodelay(true);
        }
        match turn {
            Turn::SourceBroken => {
                self.end(key, Termination::ClientAborted);
                return false;
            }
            Turn::SinkBroken => {
                return !self.ask_another(key) && self.deliver_last_words(key);
            }
            Turn::Ended => {
                let other_is_over = session.down.is_finished();
                session.up.pass_end_on(server.as_fd(), other_is_over);
                self.stop_repeating(key);
            }
            Turn::Blocked => self.stop_repeating(key),
            Turn::Waiting | Turn::More if moved > 0 && session.marks.repeatable => {
                let held = held.unwrap_or_default();
                self.remember_hello(key, &held, usize::try_from(moved).unwrap_or(0));
            }
            Turn::Waiting | Turn::More => {}
        }
        true
    }

    /// The server is gone for writing; what it said before is still delivered.
    fn deliver_last_words(&mut self, key: Key) -> bool {
        self.stop_repeating(key);
        let Some(session) = self.sessions.get_mut(key) else {
            return false;
        };
        session.marks.server_broken = true;
        session.up.abandon(&mut self.gear.pipes);
        session.down.source_ready(true);
        true
    }

    /// Server to client; false if the session is gone or has to wait for another server.
    fn relay_down(&mut self, key: Key) -> bool {
        let Some(session) = self.sessions.get_mut(key) else {
            return false;
        };
        let Some(server) = &session.server else {
            return false;
        };
        let (client, gear) = (session.client.as_fd(), &mut self.gear);
        let turn = session.down.turn(server.as_fd(), client, gear, |_| {});
        match turn {
            Turn::SourceBroken => {
                if !self.ask_another(key) {
                    self.end(key, Termination::ServerAborted);
                }
                return false;
            }
            Turn::SinkBroken => {
                self.end(key, Termination::ClientAborted);
                return false;
            }
            Turn::Ended => {
                if self.ask_another(key) {
                    return false;
                }
                let Some(session) = self.sessions.get_mut(key) else {
                    return false;
                };
                if session.marks.server_broken {
                    // Writing has met the reset already, so that reading sees a mere end: not what the server sent.
                    self.end(key, Termination::ServerAborted);
                    return false;
                }
                let other_is_over = session.up.is_finished();
                session
                    .down
                    .pass_end_on(session.client.as_fd(), other_is_over);
                self.stop_repeating(key);
                return true;
            }
            Turn::Blocked if !session.marks.client_room_watched => {
                session.marks.client_room_watched = true;
                let token = Token::Session(key, Endpoint::CLIENT).to_bits();
                let client = session.client.as_fd();
                if self
                    .epoll
                    .modify(client, Interest::ReadWrite, token)
                    .is_err()
                {
                    self.end(key, Termination::OutOfResources);
                    return false;
                }
            }
            Turn::Waiting | Turn::More | Turn::Blocked => {}
        }
        let Some(session) = self.sessions.get_mut(key) else {
            return false;
        };
        if session.marks.repeatable && (session.down.moved() > 0 || session.down.is_blocked()) {
            self.stop_repeating(key);
        }
        true
    }

    /// Ends a session: plainly when it has completed, with RST to both sides otherwise.
    pub(super) fn end(&mut self, key: Key, why: Termination) {
        let Some(mut session) = self.sessions.remove(key) else {
            return;
        };
        if why != Termination::Completed {
            reset(session.client.as_fd());
            if let Some(fd) = &session.server {
                reset(fd.as_fd());
            }
            for attempt in session.opening.iter().flat_map(|opening| &opening.attempts) {
                reset(attempt.fd.as_fd());
            }
        }
        count_bytes(&mut session);
        session.up.abandon(&mut self.gear.pipes);
        session.down.abandon(&mut self.gear.pipes);
        session.frontend.counters.current.fetch_sub(1, Relaxed);
        let totals = &self.shared.totals;
        totals.sessions.fetch_sub(1, Relaxed);
        totals.count_end(why);
        if session
            .opening
            .as_ref()
            .is_some_and(|opening| opening.waits)
        {
            totals.waiting.fetch_sub(1, Relaxed);
        }
        let settings = &self.table.settings;
        if session.marks.source_counted {
            lock(&self.shared.sources).release(session.source.ip(), settings.limits);
        }
        if settings.log_sessions && !(self.shared.on_end)(self.account(&session, why)) {
            totals.log_lost.fetch_add(1, Relaxed);
        }
        drop(session);
        self.announce_room();
    }

    fn account(&self, session: &Session, why: Termination) -> Ended {
        Ended {
            frontend: Arc::clone(&session.frontend),
            server: session.seat.as_ref().map(|seat| Arc::clone(seat.server())),
            source: session.source,
            why,
            lasted: Duration::from_millis(self.now.saturating_sub(session.began)),
            up: session.up.moved(),
            down: session.down.moved(),
        }
    }

    /// Looks after a session that has lived for a while.
    pub(super) fn look_after(&mut self, key: Key, patience: Patience) {
        let now = seconds(self.now);
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        if let Some(why) = session.verdict(patience, now) {
            self.end(key, why);
            return;
        }
        count_bytes(session);
        if let Some(server) = session
            .server
            .as_ref()
            .filter(|_| !session.marks.server_kept_alive)
        {
            session.marks.server_kept_alive = true;
            let _ = keep_alive(SockRef::from(server));
            // It has the listener's, as all others.
            let _ = keep_alive(SockRef::from(&session.client));
        }
    }
}

/// Adds what has moved since the last time to the counters.
fn count_bytes(session: &mut Session) {
    let moved = (session.up.moved(), session.down.moved());
    let up = moved.0.saturating_sub(session.counted.0);
    let down = moved.1.saturating_sub(session.counted.1);
    session.counted = (
        moved.0.max(session.counted.0),
        moved.1.max(session.counted.1),
    );
    if up > 0 || down > 0 {
        let frontend = &session.frontend.counters;
        frontend.bytes_in.fetch_add(up, Relaxed);
        frontend.bytes_out.fetch_add(down, Relaxed);
        if let Some(seat) = &session.seat {
            let server = &seat.server().counters;
            server.bytes_in.fetch_add(up, Relaxed);
            server.bytes_out.fetch_add(down, Relaxed);
        }
    }
}

/// Bytes that surely fit into one segment.
const SEGMENT: u64 = 512;
