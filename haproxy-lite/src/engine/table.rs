//! What the engine's threads share with each other and with the control thread: servers and front ends with their live
//! counters, and the settings that apply to all.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ipnet::IpNet;

use super::timers::Millis;
use crate::core::balance::{Candidate, Policy};
use crate::core::idle::Patience;
use crate::core::limits::{Limits, Sources};
use crate::core::proxy_protocol::Version;
use crate::core::termination::Termination;

/// Everything that a configuration says, and the objects that live on from one to the next.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) servers: Vec<Arc<Server>>,
    pub(crate) frontends: Vec<Arc<Frontend>>,
    pub(crate) settings: Settings,
}

/// What applies to every session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) policy: Policy,
    /// Until a server has answered, over all attempts.
    pub(crate) connect: Duration,
    /// Silence until another server is tried as well.
    pub(crate) hedge: Option<Duration>,
    pub(crate) patience: Patience,
    /// Sessions at the same time.
    pub(crate) max_sessions: u32,
    /// Sessions that wait for a server with room, per thread.
    pub(crate) queue_length: usize,
    /// How long they wait.
    pub(crate) queue_wait: Duration,
    /// Header in front of every session.
    pub(crate) send_proxy: Option<Version>,
    /// Connections per server and thread that are opened ahead.
    pub(crate) preconnect: usize,
    pub(crate) limits: Limits,
    /// Whether bulk may go through pipes.
    pub(crate) splice: bool,
    /// Whether ended sessions are told of one by one.
    pub(crate) log_sessions: bool,
}

/// Fixed facts of a server; another value is another server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServerFacts {
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
}

/// What may change about a server while it stays the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServerTerms {
    pub(crate) weight: u32,
    pub(crate) backup: bool,
    pub(crate) preferred: bool,
    pub(crate) max_sessions: Option<u32>,
}

/// A server.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) facts: ServerFacts,
    pub(crate) identity: u64,
    /// Set by the control thread: healthy and not draining.
    usable: AtomicBool,
    /// When a client last met silence or refusal, plus one; 0: it answered since.
    suspect_at: AtomicU64,
    /// Share in thousandths.
    weight: AtomicU32,
    backup: AtomicBool,
    preferred: AtomicBool,
    /// Sessions at the same time.
    max_sessions: AtomicU32,
    sessions: AtomicU32,
    pub(crate) counters: ServerCounters,
}

/// What a server did since the process started.
#[derive(Debug, Default)]
pub(crate) struct ServerCounters {
    /// Sessions it was given.
    pub(crate) sessions: AtomicU64,
    /// Bytes from clients to it.
    pub(crate) bytes_in: AtomicU64,
    /// Bytes from it to clients.
    pub(crate) bytes_out: AtomicU64,
    /// Connects that it refused or that broke.
    pub(crate) refused: AtomicU64,
    /// Races lost: it was silent and another server answered.
    pub(crate) hedged: AtomicU64,
}

impl Server {
    pub(crate) fn new(facts: ServerFacts) -> Self {
        let identity =
            crate::core::balance::identity(format!("{}/{}", facts.name, facts.address).as_bytes());
        Self {
            facts,
            identity,
            usable: AtomicBool::new(false),
            suspect_at: AtomicU64::new(0),
            weight: AtomicU32::new(1000),
            backup: AtomicBool::new(false),
            preferred: AtomicBool::new(false),
            max_sessions: AtomicU32::new(u32::MAX),
            sessions: AtomicU32::new(0),
            counters: ServerCounters::default(),
        }
    }

    /// Opens or closes it for sessions to come.
    pub(crate) fn set_usable(&self, usable: bool) {
        self.usable.store(usable, Relaxed);
    }

    pub(crate) fn set_weight(&self, thousandths: u32) {
        self.weight.store(thousandths, Relaxed);
    }

    /// What the configuration says of it beyond its name and address.
    pub(crate) fn set_terms(&self, terms: &ServerTerms) {
        self.backup.store(terms.backup, Relaxed);
        self.preferred.store(terms.preferred, Relaxed);
        self.max_sessions
            .store(terms.max_sessions.unwrap_or(u32::MAX), Relaxed);
    }

    /// In thousandths of a plain server's.
    pub(crate) fn weight(&self) -> u32 {
        self.weight.load(Relaxed)
    }

    pub(crate) fn is_backup(&self) -> bool {
        self.backup.load(Relaxed)
    }

    fn has_room(&self) -> bool {
        self.sessions() < self.max_sessions.load(Relaxed)
    }

    /// It would be used if it had room.
    pub(crate) fn is_full(&self) -> bool {
        self.usable.load(Relaxed) && !self.has_room()
    }

    /// Sessions and attempts at the moment.
    pub(crate) fn sessions(&self) -> u32 {
        self.sessions.load(Relaxed)
    }

    pub(crate) fn is_suspect(&self) -> bool {
        self.suspect_at.load(Relaxed) != 0
    }

    /// A client met silence or refusal. True if nobody knew.
    pub(crate) fn suspect(&self, now: Millis) -> bool {
        self.suspect_at.swap(now + 1, Relaxed) == 0
    }

    /// A check that began at `began` found it well: suspicions from before are over.
    pub(crate) fn cleared(&self, began: Millis) {
        let _ = self
            .suspect_at
            .fetch_update(Relaxed, Relaxed, |at| (at <= began + 1).then_some(0));
    }

    /// How it looks to the balancer.
    pub(crate) fn candidate(&self) -> Candidate {
        Candidate {
            usable: self.usable.load(Relaxed) && self.has_room(),
            suspect: self.is_suspect(),
            backup: self.is_backup(),
            preferred: self.preferred.load(Relaxed),
            sessions: self.sessions(),
            weight: self.weight.load(Relaxed),
            identity: self.identity,
        }
    }
}

/// A session's (or an attempt's) place at a server; counted until dropped.
#[derive(Debug)]
pub(crate) struct Seat(Arc<Server>);

impl Seat {
    pub(crate) fn take(server: &Arc<Server>) -> Self {
        server.sessions.fetch_add(1, Relaxed);
        Self(Arc::clone(server))
    }

    pub(crate) fn server(&self) -> &Arc<Server> {
        &self.0
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.sessions.fetch_sub(1, Relaxed);
    }
}

/// A front end.
#[derive(Debug)]
pub(crate) struct Frontend {
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
    allowed: Vec<IpNet>,
    /// Whose PROXY header is required and believed.
    proxy_from: Vec<IpNet>,
    /// Shared with the front ends of the same name and address before and after it.
    pub(crate) counters: Arc<FrontendCounters>,
}

/// What a front end did since the process started.
#[derive(Debug, Default)]
pub(crate) struct FrontendCounters {
    /// Sessions at the moment.
    pub(crate) current: AtomicU32,
    /// Connections accepted.
    pub(crate) accepted: AtomicU64,
    /// Bytes from clients.
    pub(crate) bytes_in: AtomicU64,
    /// Bytes to clients.
    pub(crate) bytes_out: AtomicU64,
}

impl Frontend {
    pub(crate) fn new(
        name: String,
        address: SocketAddr,
        allowed: Vec<IpNet>,
        proxy_from: Vec<IpNet>,
        counters: Arc<FrontendCounters>,
    ) -> Self {
        Self {
            name,
            address,
            allowed,
            proxy_from,
            counters,
        }
    }

    /// Whether the sockets of the one serve the other.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.name == other.name && self.address == other.address
    }

    /// Whether clients at `source` are served.
    pub(crate) fn allows(&self, source: IpAddr) -> bool {
        self.allowed.is_empty() || self.allowed.iter().any(|range| range.contains(&source))
    }

    /// Whether some peers send PROXY headers here.
    pub(crate) fn takes_proxy_headers(&self) -> bool {
        !self.proxy_from.is_empty()
    }

    /// Whether this peer does.
    pub(crate) fn trusts(&self, peer: IpAddr) -> bool {
        self.proxy_from.iter().any(|range| range.contains(&peer))
    }
}

/// Totals of the process.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    /// Sessions at the moment.
    pub(crate) sessions: AtomicU32,
    /// Ended sessions by reason, in the order of [`Termination::ALL`].
    ended: [AtomicU64; Termination::ALL.len()],
    /// Times a thread stopped accepting because the maximum was reached.
    pub(crate) accept_paused_full: AtomicU64,
    /// Times it did because the system had no descriptor or memory left.
    pub(crate) accept_paused_resources: AtomicU64,
    /// Sessions that wait for a server with room.
    pub(crate) waiting: AtomicU32,
    /// Lines of the session log that were lost because nobody kept up.
    pub(crate) log_lost: AtomicU64,
    /// Second servers tried because the first was silent at connect.
    pub(crate) hedged_connects: AtomicU64,
    /// Second servers tried because the first did not answer a TLS hello.
    pub(crate) hedged_hellos: AtomicU64,
}

/// What is shared by all threads and lives as long as the process.
pub(crate) struct Shared {
    pub(crate) totals: Totals,
    pub(crate) sources: Mutex<Sources>,
    /// A client met a server's silence or refusal.
    pub(crate) on_suspect: Box<dyn Fn() + Send + Sync>,
    /// A session has ended; false: nobody keeps up with the telling.
    pub(crate) on_end: Box<dyn Fn(Ended) -> bool + Send + Sync>,
}

/// A session that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) frontend: Arc<Frontend>,
    pub(crate) server: Option<Arc<Server>>,
    pub(crate) source: SocketAddr,
    pub(crate) why: Termination,
    /// From accept to end.
    pub(crate) lasted: Duration,
    /// Bytes from the client.
    pub(crate) up: u64,
    /// Bytes to the client.
    pub(crate) down: u64,
}

impl Totals {
    pub(crate) fn count_end(&self, why: Termination) {
        self.ended[why.index()].fetch_add(1, Relaxed);
    }

    pub(crate) fn ended(&self, why: Termination) -> u64 {
        self.ended[why.index()].load(Relaxed)
    }
}
