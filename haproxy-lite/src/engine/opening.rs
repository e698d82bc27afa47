//! From an accepted client to a server that answers.
//!
//! ```text
//!  begin ──► dial ──connected──► relay ──first bytes are a TLS hello──► wait for the first byte of the answer
//!             │ refused: next server at once          │ server breaks: next server at once, same hello
//!             │ silent for the hedge delay:           │ silent for the hedge delay:
//!             │ another one as well                   │ another one as well, same hello
//!             └ first to connect wins                 └ first to answer wins
//! ```
//!
//! Whoever was silent or refused is suspect: clients to come ask the others first until a check has cleared it.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::accept::is_exhaustion;
use super::flow::Flow;
use super::header::introduce;
use super::lock;
use super::repeating::{Asked, ask};
use super::session::{Attempt, Endpoint, Opening, Session, Token};
use super::slab::Key;
use super::sys::{Interest, Readiness};
use super::table::{Frontend, Seat, Server};
use super::timers::Millis;
use super::waiting::Unavailable;
use super::worker::Worker;
use crate::core::termination::Termination;

impl Worker {
    /// Takes a client in.
    pub(super) fn begin(&mut self, client: OwnedFd, source: SocketAddr, frontend: Arc<Frontend>) {
        frontend.counters.accepted.fetch_add(1, Relaxed);
        frontend.counters.current.fetch_add(1, Relaxed);
        self.shared.totals.sessions.fetch_add(1, Relaxed);
        let trusted = frontend.trusts(source.ip());
        let mut session = Session::new(client, frontend, source, self.now);
        session.opening = Some(self.spare_opening());
        session.marks.unproven = !trusted && session.frontend.takes_proxy_headers();
        let key = self.sessions.insert(session);
        if trusted {
            self.await_header(key);
        } else {
            self.admit(key);
        }
    }

    /// Goes on with a session whose client is known.
    pub(super) fn admit(&mut self, key: Key) {
        let now = self.now;
        let deadline = now + millis(self.table.settings.connect);
        let limits = self.table.settings.limits;
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        if !session.frontend.allows(session.source.ip()) {
            return self.end(key, Termination::SourceNotAllowed);
        }
        if !limits.are_none() {
            if !lock(&self.shared.sources).admit(session.source.ip(), now, limits) {
                return self.end(key, Termination::SourceLimited);
            }
            session.marks.source_counted = true;
        }
        if let Some(opening) = &mut session.opening {
            opening.deadline = deadline;
        }
        self.hedges.session_began();
        // Those who have given up have left their places behind, and may have been the only ones.
        self.serve_waiting();
        if !self.waiting.is_empty() {
            return self.wait_for_room(key);
        }
        match self.try_another(key) {
            Ok(()) => self.set_opening_timer(key),
            Err(Unavailable::Full) => self.wait_for_room(key),
            Err(unavailable) => self.end(key, unavailable.into()),
        }
    }

    /// Dials the best server that has not been tried, or says why not.
    pub(super) fn try_another(&mut self, key: Key) -> Result<(), Unavailable> {
        let table = Arc::clone(&self.table);
        loop {
            let Some(session) = self.sessions.get_mut(key) else {
                return Err(Unavailable::NoServer);
            };
            let Some(opening) = &mut session.opening else {
                return Err(Unavailable::NoServer);
            };
            let source = session.source.ip();
            let untried = |server: &Server| !opening.tried.contains(&server.identity);
            let choice = self.balancer.choose(table.servers.len(), source, |index| {
                let server = &table.servers[index];
                let mut candidate = server.candidate();
                candidate.usable &= untried(server);
                candidate
            });
            let Some(server) = choice.and_then(|index| table.servers.get(index)) else {
                let full = table.servers.iter().any(|s| untried(s) && s.is_full());
                return Err(if full {
                    Unavailable::Full
                } else {
                    Unavailable::NoServer
                });
            };
            opening.tried.push(server.identity);
            session.dialled = session.dialled.saturating_add(1);
            let endpoint = Endpoint::server(session.dialled);
            let seat = Seat::take(server);
            let warm = self.warm.take(server.identity, self.now);
            let is_warm = warm.is_some();
            let dialled = warm
                .map_or_else(|| dial(server.facts.address), Ok)
                .and_then(|fd| {
                    let token = Token::Session(key, endpoint).to_bits();
                    self.epoll
                        .add(fd.as_fd(), Interest::ReadWrite, token)
                        .map(|()| fd)
                });
            match dialled {
                Ok(fd) => {
                    let began = self.now;
                    let attempt = Attempt {
                        fd,
                        seat,
                        endpoint,
                        began,
                        asked: false,
                        warm: is_warm,
                    };
                    opening.attempts.push(attempt);
                    return Ok(());
                }
                Err(e) if is_exhaustion(&e) => return Err(Unavailable::Resources),
                // Every local port towards this server is in use; it is not to blame.
                Err(e) if e.kind() == io::ErrorKind::AddrNotAvailable => {}
                Err(_) => self.refused(server),
            }
        }
    }

    /// A server that is being tried has reported something.
    pub(super) fn handle_attempt(&mut self, key: Key, endpoint: Endpoint, readiness: Readiness) {
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        let Some(opening) = &mut session.opening else {
            return;
        };
        let Some(index) = opening.attempts.iter().position(|a| a.endpoint == endpoint) else {
            return;
        };
        let warm_and_over = opening.attempts[index].warm && readiness.peer_finished();
        if readiness.failed() || readiness.hung_up() || warm_and_over {
            self.drop_attempt(key, index);
        } else if opening.hello.is_empty() {
            if readiness.writable() {
                self.settle_on(key, index, readiness);
            }
        } else {
            match ask(&mut opening.attempts[index], &opening.hello, readiness) {
                Asked::Waiting => {}
                Asked::Answered => self.settle_on(key, index, readiness),
                Asked::Broken => self.drop_attempt(key, index),
            }
        }
    }

    /// A server refused: the next one, or the end.
    fn drop_attempt(&mut self, key: Key, index: usize) {
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        let Some(opening) = &mut session.opening else {
            return;
        };
        let attempt = opening.attempts.swap_remove(index);
        let nothing_else = opening.attempts.is_empty() && session.server.is_none();
        let why = if opening.hello.is_empty() {
            Termination::ConnectFailed
        } else {
            Termination::ServerAborted
        };
        if attempt.warm {
            // The connection was old, not the server ill.
            opening
                .tried
                .retain(|tried| *tried != attempt.seat.server().identity);
        } else {
            self.refused(attempt.seat.server());
        }
        drop(attempt);
        if self.try_another(key).is_err() && nothing_else {
            self.end(key, why);
        }
    }

    /// An attempt has won: the session is its, the others are history.
    fn settle_on(&mut self, key: Key, index: usize, readiness: Readiness) {
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        let Some(mut opening) = session.opening.take() else {
            return;
        };
        let winner = opening.attempts.swap_remove(index);
        let counters = &winner.seat.server().counters;
        counters.sessions.fetch_add(1, Relaxed);
        session.endpoint = winner.endpoint;
        session.marks.server_prompt = false;
        session.marks.server_kept_alive = false;
        session.marks.server_broken = false;
        // A hello that was answered is over; before the first byte everything is still open.
        session.marks.repeatable = opening.hello.is_empty()
            && self.table.settings.hedge.is_some()
            && self.table.settings.send_proxy.is_none()
            && self.table.servers.len() > 1;
        if let Some(version) = self
            .table
            .settings
            .send_proxy
            .filter(|_| session.up.moved() == 0)
        {
            introduce(session, version);
        }
        if let Some(loser) = session.server.replace(winner.fd) {
            reset(loser.as_fd());
        }
        if let Some(loser) = session.seat.replace(winner.seat) {
            loser.server().counters.hedged.fetch_add(1, Relaxed);
        }
        for loser in &opening.attempts {
            loser.seat.server().counters.hedged.fetch_add(1, Relaxed);
            reset(loser.fd.as_fd());
        }
        session.down = Flow::default();
        session.up.source_ready(false);
        let answered = readiness.readable();
        if answered {
            session.down.source_ready(readiness.peer_finished());
        }
        self.keep_spare(opening);
        if self.watch_client(key) {
            self.relay(key, true, answered);
        }
        if self.table.settings.preconnect > 0 {
            self.warm.refresh(&self.table, self.now);
        }
    }

    /// The delay or the deadline of a session without an answer is over.
    pub(super) fn handle_opening_timeout(&mut self, key: Key) {
        let (now, hedge) = (
            self.now,
            self.table.settings.hedge.map_or(Millis::MAX, millis),
        );
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        let Some(opening) = &mut session.opening else {
            return;
        };
        if now < opening.next_look {
            return;
        }
        if opening.awaits_header {
            return self.end(key, Termination::BadProxyHeader);
        }
        if opening.waits {
            return self.end(key, Termination::QueueTimedOut);
        }
        let connecting = session.server.is_none() && opening.hello.is_empty();
        let silent: Vec<Arc<Server>> = session
            .seat
            .iter()
            .chain(
                opening
                    .attempts
                    .iter()
                    .filter(|attempt| attempt.began.saturating_add(hedge) <= now)
                    .map(|attempt| &attempt.seat),
            )
            .map(|seat| Arc::clone(seat.server()))
            .collect();
        let (over, crowded) = (opening.deadline <= now, opening.attempts.len() >= ATTEMPTS);
        let unserved = session.server.is_none();
        for server in silent {
            self.suspect(&server);
        }
        if over && unserved {
            self.end(key, Termination::ConnectTimedOut);
        } else if over {
            self.stop_repeating(key);
        } else {
            let granted = !crowded && (connecting || self.hedges.spend());
            if granted && self.watch_client(key) && self.try_another(key).is_ok() {
                let counter = if connecting {
                    &self.shared.totals.hedged_connects
                } else {
                    &self.shared.totals.hedged_hellos
                };
                counter.fetch_add(1, Relaxed);
            }
            self.set_opening_timer(key);
        }
    }

    /// Registers the client's socket, once; false if that ended the session.
    pub(super) fn watch_client(&mut self, key: Key) -> bool {
        let Some(session) = self.sessions.get_mut(key) else {
            return false;
        };
        if session.marks.client_watched {
            return true;
        }
        session.marks.client_watched = true;
        let token = Token::Session(key, Endpoint::CLIENT).to_bits();
        let watched = self
            .epoll
            .add(session.client.as_fd(), Interest::Read, token)
            .is_ok();
        if !watched {
            self.end(key, Termination::OutOfResources);
        }
        watched
    }

    pub(super) fn set_opening_timer(&mut self, key: Key) {
        let delay = self.table.settings.hedge.map_or(Millis::MAX, millis);
        let Some(opening) = self.sessions.get_mut(key).and_then(|s| s.opening.as_mut()) else {
            return;
        };
        let at = self.now.saturating_add(delay).min(opening.deadline);
        opening.next_look = at;
        self.timers.set(at, key);
    }

    pub(super) fn refused(&self, server: &Arc<Server>) {
        server.counters.refused.fetch_add(1, Relaxed);
        self.suspect(server);
    }

    fn suspect(&self, server: &Arc<Server>) {
        if server.suspect(self.now) {
            (self.shared.on_suspect)();
        }
    }

    pub(super) fn spare_opening(&mut self) -> Box<Opening> {
        self.spare_openings
            .pop()
            .unwrap_or_else(|| Box::new(Opening::new()))
    }

    pub(super) fn keep_spare(&mut self, mut opening: Box<Opening>) {
        if self.spare_openings.len() < SPARE_OPENINGS {
            opening.clear();
            self.spare_openings.push(opening);
        }
    }
}

/// Starts to connect.
pub(super) fn dial(address: SocketAddr) -> io::Result<OwnedFd> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM.nonblocking().cloexec(),
        Some(Protocol::TCP),
    )?;
    // The handshake's last acknowledgement then rides on the request: two packets less per connection.
    socket.set_tcp_quickack(false)?;
    match socket.connect(&address.into()) {
        Err(e) if e.raw_os_error() != Some(libc::EINPROGRESS) => Err(e),
        _ => Ok(socket.into()),
    }
}

/// Makes the close to come an RST.
pub(super) fn reset(fd: BorrowedFd<'_>) {
    let _ = SockRef::from(&fd).set_linger(Some(std::time::Duration::ZERO));
}

pub(super) fn millis(duration: std::time::Duration) -> Millis {
    Millis::try_from(duration.as_millis()).unwrap_or(Millis::MAX)
}

/// Servers that are tried for one session at the same time.
const ATTEMPTS: usize = 3;
const SPARE_OPENINGS: usize = 1024;
