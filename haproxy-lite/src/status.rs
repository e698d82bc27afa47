//! What the control thread knows, for whoever asks: `/status`, `/metrics`, the status page, the admin socket.
//!
//! The control thread replaces the board's rows; counters are read live from the objects in them.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use serde::Serialize;

use crate::core::fleet::Wish;
use crate::core::health::State;
use crate::core::termination::Termination;
use crate::engine::table::{Frontend, Server, Shared};

/// The board, shared.
#[derive(Clone)]
pub(crate) struct Board(Arc<Mutex<Rows>>);

/// Everything on the board.
pub(crate) struct Rows {
    pub(crate) frontends: Vec<FrontendRow>,
    pub(crate) servers: Vec<ServerRow>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) max_sessions: u32,
    pub(crate) config: ConfigRow,
    pub(crate) stopping: bool,
}

/// A front end.
#[derive(Debug, Clone)]
pub(crate) struct FrontendRow {
    pub(crate) frontend: Arc<Frontend>,
    pub(crate) listening: bool,
    /// Why it is not listened on.
    pub(crate) trouble: Option<String>,
}

/// A server.
#[derive(Debug, Clone)]
pub(crate) struct ServerRow {
    pub(crate) server: Arc<Server>,
    pub(crate) state: State,
    pub(crate) since: SystemTime,
    pub(crate) why: String,
    pub(crate) wish: Wish,
    pub(crate) downs: u64,
    pub(crate) failures: Vec<(&'static str, u64)>,
}

/// The configuration in force.
#[derive(Debug, Clone)]
pub(crate) struct ConfigRow {
    pub(crate) file: String,
    pub(crate) loaded: SystemTime,
    /// Changes taken over.
    pub(crate) reloads: u64,
    /// Changes refused.
    pub(crate) refusals: u64,
    /// What is wrong with the file as it is.
    pub(crate) error: Option<String>,
}

impl Board {
    pub(crate) fn new(rows: Rows) -> Self {
        Self(Arc::new(Mutex::new(rows)))
    }

    pub(crate) fn rows(&self) -> MutexGuard<'_, Rows> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The JSON of `/status`.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        // The structures below hold nothing that JSON cannot.
        serde_json::to_value(Report::new(&self.rows())).unwrap_or_default()
    }
}

/// A server as one word.
pub(crate) fn state_word(row: &ServerRow) -> &'static str {
    match (row.wish, row.state) {
        (Wish::Drain, _) => "drain",
        (Wish::Ready, state) => state.name(),
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    ready: bool,
    stopping: bool,
    frontends: Vec<FrontendReport>,
    servers: Vec<ServerReport>,
    totals: TotalsReport,
    config: ConfigReport,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct FrontendReport {
    name: String,
    address: String,
    listening: bool,
    why: Option<String>,
    sessions: u32,
    total: u64,
    bytes_in: u64,
    bytes_out: u64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ServerReport {
    name: String,
    address: String,
    state: &'static str,
    since: String,
    why: String,
    suspect: bool,
    sessions: u32,
    total: u64,
    bytes_in: u64,
    bytes_out: u64,
    refused: u64,
    hedged: u64,
    downs: u64,
    /// Share, in plain servers.
    weight: f64,
    backup: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct TotalsReport {
    sessions: u32,
    max_sessions: u32,
    waiting: u32,
    ended: std::collections::BTreeMap<&'static str, u64>,
    accept_paused_full: u64,
    accept_paused_resources: u64,
    hedged_connects: u64,
    hedged_hellos: u64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ConfigReport {
    file: String,
    loaded: String,
    reloads: u64,
    refusals: u64,
    error: Option<String>,
}

impl Report {
    fn new(rows: &Rows) -> Self {
        let up = |row: &ServerRow| row.state == State::Up && row.wish == Wish::Ready;
        Self {
            ready: rows.servers.iter().any(up) && !rows.stopping,
            stopping: rows.stopping,
            frontends: rows.frontends.iter().map(frontend).collect(),
            servers: rows.servers.iter().map(server).collect(),
            totals: totals(rows),
            config: ConfigReport {
                file: rows.config.file.clone(),
                loaded: timestamp(rows.config.loaded),
                reloads: rows.config.reloads,
                refusals: rows.config.refusals,
                error: rows.config.error.clone(),
            },
        }
    }
}

fn frontend(row: &FrontendRow) -> FrontendReport {
    let frontend = &row.frontend;
    let counters = &frontend.counters;
    FrontendReport {
        name: frontend.name.clone(),
        address: frontend.address.to_string(),
        listening: row.listening,
        why: row.trouble.clone(),
        sessions: now(&counters.current),
        total: count(&counters.accepted),
        bytes_in: count(&counters.bytes_in),
        bytes_out: count(&counters.bytes_out),
    }
}

fn server(row: &ServerRow) -> ServerReport {
    let counters = &row.server.counters;
    ServerReport {
        name: row.server.facts.name.clone(),
        address: row.server.facts.address.to_string(),
        state: state_word(row),
        since: timestamp(row.since),
        why: row.why.clone(),
        suspect: row.server.is_suspect(),
        sessions: row.server.sessions(),
        total: count(&counters.sessions),
        bytes_in: count(&counters.bytes_in),
        bytes_out: count(&counters.bytes_out),
        refused: count(&counters.refused),
        hedged: count(&counters.hedged),
        downs: row.downs,
        weight: f64::from(row.server.weight()) / 1000.0,
        backup: row.server.is_backup(),
    }
}

fn totals(rows: &Rows) -> TotalsReport {
    let totals = &rows.shared.totals;
    let ended = Termination::ALL
        .iter()
        .map(|why| (why.name(), totals.ended(*why)));
    TotalsReport {
        sessions: now(&totals.sessions),
        max_sessions: rows.max_sessions,
        waiting: now(&totals.waiting),
        ended: ended.filter(|(_, count)| *count > 0).collect(),
        accept_paused_full: count(&totals.accept_paused_full),
        accept_paused_resources: count(&totals.accept_paused_resources),
        hedged_connects: count(&totals.hedged_connects),
        hedged_hellos: count(&totals.hedged_hellos),
    }
}

/// RFC 3339, whole seconds.
fn timestamp(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time)
        .and_then(|time| time.round(jiff::Unit::Second))
        .map_or_else(|_| String::new(), |time| time.to_string())
}

fn count(counter: &AtomicU64) -> u64 {
    counter.load(Relaxed)
}

fn now(gauge: &AtomicU32) -> u32 {
    gauge.load(Relaxed)
}
