//! One client's connection and the server's that belongs to it.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use super::flow::Flow;
use super::slab::Key;
use super::table::{Frontend, Seat};
use super::timers::Millis;
use crate::core::idle::Patience;
use crate::core::termination::Termination;

/// A session. Small on purpose: idle watches cost this and two sockets.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) client: OwnedFd,
    /// The chosen server's connection; none while servers are being tried.
    pub(crate) server: Option<OwnedFd>,
    pub(crate) seat: Option<Seat>,
    pub(crate) frontend: Arc<Frontend>,
    pub(crate) source: SocketAddr,
    /// From client to server.
    pub(crate) up: Flow,
    /// From server to client.
    pub(crate) down: Flow,
    /// Until a server has answered.
    pub(crate) opening: Option<Box<Opening>>,
    pub(crate) began: Millis,
    /// Second (since the engine started) of the last byte.
    pub(crate) last_byte: u32,
    /// Bytes (up, down) that the counters know of.
    pub(crate) counted: (u64, u64),
    /// Which endpoint `server` is.
    pub(crate) endpoint: Endpoint,
    /// Connections to servers that were opened.
    pub(crate) dialled: u8,
    pub(crate) marks: Marks,
}

/// What is known or has been done once.
#[derive(Debug, Clone, Copy, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts, one byte each"
)]
pub(crate) struct Marks {
    /// The client's socket is registered.
    pub(crate) client_watched: bool,
    /// It is registered for room to write too.
    pub(crate) client_room_watched: bool,
    /// No server has answered yet and the client's bytes may go to another one.
    pub(crate) repeatable: bool,
    /// The server's socket sends small segments at once.
    pub(crate) server_prompt: bool,
    /// Keep-alive is on at the server's socket.
    pub(crate) server_kept_alive: bool,
    /// The server broke; what it said before is being delivered.
    pub(crate) server_broken: bool,
    /// Others send PROXY headers to this front end; this peer must not.
    pub(crate) unproven: bool,
    /// It is counted against the limits of its source.
    pub(crate) source_counted: bool,
    /// It stands in the list of those with more to move.
    pub(crate) queued: bool,
}

impl Session {
    pub(crate) fn new(
        client: OwnedFd,
        frontend: Arc<Frontend>,
        source: SocketAddr,
        now: Millis,
    ) -> Self {
        Self {
            client,
            server: None,
            seat: None,
            frontend,
            source,
            up: Flow::default(),
            down: Flow::default(),
            opening: None,
            began: now,
            last_byte: seconds(now),
            counted: (0, 0),
            endpoint: Endpoint::CLIENT,
            dialled: 0,
            marks: Marks::default(),
        }
    }

    /// Why it ends at second `now` for its silence, if it does.
    pub(crate) fn verdict(&self, patience: Patience, now: u32) -> Option<Termination> {
        let silence = Duration::from_secs(now.saturating_sub(self.last_byte).into());
        patience.verdict(silence, self.up.is_finished() || self.down.is_finished())
    }

    pub(crate) fn has_uncounted_bytes(&self) -> bool {
        self.counted != (self.up.moved(), self.down.moved())
    }
}

/// Whole seconds, for fields that need no more.
pub(crate) fn seconds(now: Millis) -> u32 {
    u32::try_from(now / 1000).unwrap_or(u32::MAX)
}

/// A side of a session: the client, or one of the servers that were tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Endpoint(u8);

impl Endpoint {
    pub(crate) const CLIENT: Self = Self(0);

    /// The number of the `n`th server tried; the last number repeats, attempts are fewer.
    pub(crate) fn server(n: u8) -> Self {
        Self(n.saturating_add(1).min(Token::LAST_ENDPOINT))
    }
}

/// What an epoll registration belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token {
    /// The mailbox.
    Mailbox,
    /// The listener with this number.
    Listener(u32),
    /// A side of a session.
    Session(Key, Endpoint),
}

impl Token {
    const LAST_ENDPOINT: u8 = 253;
    const LISTENER: u64 = 254;
    const MAILBOX: u64 = 255;

    pub(crate) fn to_bits(self) -> u64 {
        match self {
            Self::Mailbox => Self::MAILBOX << 56,
            Self::Listener(number) => Self::LISTENER << 56 | u64::from(number),
            Self::Session(key, Endpoint(n)) => u64::from(n) << 56 | key.to_bits(),
        }
    }

    pub(crate) fn from_bits(bits: u64) -> Self {
        match bits >> 56 {
            Self::MAILBOX => Self::Mailbox,
            Self::LISTENER => {
                Self::Listener(u32::try_from(bits & u64::from(u32::MAX)).unwrap_or(u32::MAX))
            }
            n => Self::Session(
                Key::from_bits(bits),
                Endpoint(u8::try_from(n).unwrap_or(u8::MAX)),
            ),
        }
    }
}

/// A session whose server has not answered yet.
#[derive(Debug)]
pub(crate) struct Opening {
    /// Servers being tried, besides the session's own.
    pub(crate) attempts: Vec<Attempt>,
    /// Identities of servers that were tried.
    pub(crate) tried: Vec<u64>,
    /// What the client has sent so far, when it may be repeated.
    pub(crate) hello: Vec<u8>,
    /// Whether `hello` is whole.
    pub(crate) hello_whole: bool,
    /// When nobody is tried any more.
    pub(crate) deadline: Millis,
    /// It waits for a server with room.
    pub(crate) waits: bool,
    /// The client's PROXY header has not arrived yet.
    pub(crate) awaits_header: bool,
    /// When to look again; earlier timers are left-overs.
    pub(crate) next_look: Millis,
}

impl Opening {
    pub(crate) fn new() -> Self {
        Self {
            attempts: Vec::with_capacity(1),
            tried: Vec::with_capacity(2),
            hello: Vec::new(),
            hello_whole: false,
            deadline: 0,
            waits: false,
            awaits_header: false,
            next_look: 0,
        }
    }

    /// As new, with its memory kept.
    pub(crate) fn clear(&mut self) {
        self.attempts.clear();
        self.tried.clear();
        self.hello.clear();
        self.hello_whole = false;
        self.waits = false;
        self.awaits_header = false;
    }
}

/// A server being tried.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) fd: OwnedFd,
    pub(crate) seat: Seat,
    pub(crate) endpoint: Endpoint,
    pub(crate) began: Millis,
    /// The hello was sent.
    pub(crate) asked: bool,
    /// It was opened ahead: its end says nothing about the server.
    pub(crate) warm: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::slab::Slab;

    #[test]
    fn tokens_survive_the_kernel() {
        let key = Slab::new().insert(());
        for token in [
            Token::Mailbox,
            Token::Listener(7),
            Token::Session(key, Endpoint::CLIENT),
            Token::Session(key, Endpoint::server(3)),
            Token::Session(key, Endpoint::server(255)),
        ] {
            assert_eq!(Token::from_bits(token.to_bits()), token);
        }
    }

    #[test]
    fn an_idle_session_is_small() {
        assert!(
            size_of::<Session>() <= 192,
            "{} bytes",
            size_of::<Session>()
        );
    }
}
