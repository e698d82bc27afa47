//! From probe results to a verdict on this node.
//!
//! Two levels. *Live*: the local proxy answers at all; when it does not, nothing else matters.
//! *Ready*: some API server is ready through it; when that fails, the VIP only moves if another node
//! would be better off, because a VIP that wanders among nodes that all fail helps nobody.
//!
//! Until the first good answer the verdict is *unknown*, so that a VIP appears with the first API server
//! and not before. The machine takes results and the answers of peers; `probes.rs` asks the questions.

use std::path::PathBuf;
use std::time::Duration;

use cluster_config::node::vrrp::Track;
use daemon::probe::ProbeUrl;
use daemon::tls::ServerName;

use crate::config::{GroupPlan, Reader, RouterPlan};
use crate::proto::Health;
use crate::standing::{Round, StandBack};

/// What to ask, and how often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthPlan {
    /// "The proxy answers".
    pub live: ProbeUrl,
    /// "Some API server is ready through it".
    pub ready: ProbeUrl,
    /// Trust of the second.
    pub ca_file: PathBuf,
    /// Name in its certificate.
    pub server_name: ServerName<'static>,
    /// Peers' proxies.
    pub peers: Vec<ProbeUrl>,
    /// Time between checks of the second kind.
    pub interval: Duration,
    /// Failures in a row until the second kind counts as failed.
    pub fall: u32,
    /// Successes in a row until it is good again.
    pub rise: u32,
    /// Routers that stand back first for whoever has their addresses; empty: none does.
    pub stand_back: Vec<RouterPlan>,
}

impl HealthPlan {
    /// Time between checks of the first kind: five for each of the second.
    pub(crate) fn live_interval(&self) -> Duration {
        (self.interval / 5).clamp(Duration::from_millis(50), Duration::from_millis(200))
    }
}

impl Reader {
    pub(crate) fn health(&mut self, track: &Track) -> Option<HealthPlan> {
        let url = "a URL like `http://127.0.0.1:11000/livez`";
        let live = self.parse("track.proxyLiveUrl", &track.proxy_live_url, url);
        let ready = self.parse("track.apiReadyUrl", &track.api_ready_url, url);
        let server_name = ServerName::try_from(track.server_name.clone()).ok();
        if server_name.is_none() {
            let text = format!("`{}` is neither an address nor a name", track.server_name);
            self.problem("track.serverName", text);
        }
        let peers: Vec<_> = track
            .peer_ready_urls
            .iter()
            .filter_map(|peer| self.parse("track.peerReadyUrls", peer, url))
            .collect();
        for (field, value) in [
            ("intervalMillis", track.interval_millis),
            ("fall", track.fall),
            ("rise", track.rise),
        ] {
            if value == 0 {
                self.problem(format!("track.{field}"), "must be at least 1");
            }
        }
        Some(HealthPlan {
            live: live?,
            ready: ready?,
            ca_file: PathBuf::from(&track.ca_file),
            server_name: server_name?,
            peers,
            interval: Duration::from_millis(track.interval_millis.into()),
            fall: track.fall,
            rise: track.rise,
            stand_back: Vec::new(),
        })
    }

    /// All routers wait until nobody answers for their addresses.
    pub(crate) fn stand_back(&mut self, groups: &[GroupPlan], health: Option<&mut HealthPlan>) {
        match health {
            Some(health) => {
                let routers = groups.iter().flat_map(|group| group.routers.clone());
                health.stand_back = routers.collect();
            }
            None => self.problem(
                "standBack",
                "needs `track`: the checks decide what comes next",
            ),
        }
    }
}

/// A failed probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// In words.
    pub(crate) detail: String,
    /// Nobody listens: no need to wait for a second failure.
    pub(crate) certain: bool,
    /// It answers that it is about to stop.
    pub(crate) draining: bool,
}

/// Level of a check with its history.
#[derive(Debug, Clone, Default)]
struct Level {
    good: Option<bool>,
    failures: u32,
    successes: u32,
    detail: String,
    draining: bool,
}

/// Turns results into a verdict.
#[derive(Debug, Clone)]
pub(crate) struct HealthPolicy {
    live: Level,
    ready: Level,
    fall: u32,
    rise: u32,
    /// What the peers said since the second level failed.
    peers: PeersSay,
    /// Somebody else has the addresses, for all that is known.
    standing: Option<StandBack>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PeersSay {
    NotAsked,
    NobodyReady,
    SomebodyReady,
}

/// A busy machine may miss one check of the first kind.
const LIVE_FALL: u32 = 2;

impl HealthPolicy {
    /// Nothing is known yet.
    pub(crate) fn new(fall: u32, rise: u32) -> Self {
        Self {
            live: Level::default(),
            ready: Level::default(),
            fall,
            rise,
            peers: PeersSay::NotAsked,
            standing: None,
        }
    }

    /// Of a node that serves unchecked until now: it is well until a check fails.
    pub(crate) fn well() -> Self {
        let good = Level {
            good: Some(true),
            ..Level::default()
        };
        Self {
            live: good.clone(),
            ready: good,
            ..Self::new(1, 1)
        }
    }

    /// Somebody else may have the addresses: whatever the checks say, the node waits until they are silent.
    pub(crate) fn stand_back(&mut self) {
        self.standing = Some(StandBack::default());
    }

    /// There is nobody to stand back for any more.
    pub(crate) fn stand_forth(&mut self) {
        self.standing = None;
    }

    /// Nothing but somebody else's claim keeps the node from taking part; why.
    pub(crate) fn stands_back(&self) -> Option<&str> {
        let standing = self.standing.as_ref()?;
        (self.checked() == Health::Good).then(|| standing.why())
    }

    /// Whether somebody has the addresses.
    pub(crate) fn handle_round(&mut self, round: Round) {
        if let Some(standing) = &mut self.standing {
            standing.handle_round(round);
            if standing.is_over() {
                self.standing = None;
            }
        }
    }

    /// Other limits; what was learned stays.
    pub(crate) fn reconfigure(&mut self, fall: u32, rise: u32) {
        (self.fall, self.rise) = (fall, rise);
    }

    /// Result of "the proxy answers".
    pub(crate) fn handle_live(&mut self, result: Result<(), Failure>) {
        self.live.note(result, LIVE_FALL, 1);
    }

    /// Result of "some API server is ready".
    pub(crate) fn handle_ready(&mut self, result: Result<(), Failure>) {
        let result = result.map_err(|failure| Failure {
            certain: false,
            draining: false,
            ..failure
        });
        let known = self.ready.good.is_some();
        self.ready
            .note(result, self.fall, if known { self.rise } else { 1 });
        if self.ready.good != Some(false) {
            self.peers = PeersSay::NotAsked;
        }
    }

    /// Whether the peers have to be asked: the second level failed after it had been good.
    pub(crate) fn wants_peers(&self) -> bool {
        self.ready.good == Some(false) && self.peers != PeersSay::SomebodyReady
    }

    /// What the peers said.
    pub(crate) fn handle_peers(&mut self, somebody_ready: bool) {
        if self.ready.good == Some(false) {
            self.peers = if somebody_ready {
                PeersSay::SomebodyReady
            } else {
                PeersSay::NobodyReady
            };
        }
    }

    /// The verdict.
    pub(crate) fn verdict(&self) -> Health {
        match self.checked() {
            Health::Good if self.standing.is_some() => Health::Unknown,
            verdict => verdict,
        }
    }

    /// What the checks alone say.
    fn checked(&self) -> Health {
        match (self.live.good, self.ready.good) {
            (Some(false), _) if self.live.draining => Health::Draining {
                detail: self.live.detail.clone(),
            },
            (Some(false), _) => Health::Bad {
                detail: self.live.detail.clone(),
            },
            (None, _) | (_, None) => Health::Unknown,
            (Some(true), Some(true)) => Health::Good,
            (Some(true), Some(false)) => match self.peers {
                PeersSay::SomebodyReady => Health::Bad {
                    detail: self.ready.detail.clone(),
                },
                PeersSay::NotAsked | PeersSay::NobodyReady => Health::Good,
            },
        }
    }

    /// Both levels and the last failure, for status.
    pub(crate) fn levels(&self) -> (Option<bool>, Option<bool>, &str) {
        let detail = match (self.live.good, self.ready.good) {
            (Some(true), Some(true)) => "",
            (Some(true), _) => &self.ready.detail,
            _ => &self.live.detail,
        };
        (self.live.good, self.ready.good, detail)
    }
}

impl Level {
    fn note(&mut self, result: Result<(), Failure>, fall: u32, rise: u32) {
        match result {
            Ok(()) => {
                self.failures = 0;
                self.successes = self.successes.saturating_add(1);
                if self.successes >= rise {
                    self.good = Some(true);
                }
            }
            Err(failure) => {
                self.successes = 0;
                self.failures = self.failures.saturating_add(1);
                self.detail = failure.detail;
                self.draining = failure.draining;
                // What never was good stays unknown: the node is still being set up.
                if self.good.is_some() && (failure.certain || self.failures >= fall) {
                    self.good = Some(false);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
