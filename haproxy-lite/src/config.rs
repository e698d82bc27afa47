//! From the configuration file to what the engine and the checks need. Whether its values make sense has been checked by
//! `cluster_config`, which can point at the line.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cluster_config::node::ProxyConfig;
use cluster_config::node::proxy::{Backend, Check, CheckKind, Frontend, ProxyProtocol, Server};
use ipnet::IpNet;

use crate::core::fleet::Conduct;
use crate::core::health::Rules;
use crate::core::idle::Patience;
use crate::core::limits::Limits;
use crate::core::proxy_protocol::Version;
use crate::engine::table::{ServerFacts, ServerTerms, Settings};

/// A checked configuration.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Plan {
    pub(crate) frontends: Vec<FrontendPlan>,
    pub(crate) servers: Vec<ServerPlan>,
    pub(crate) settings: Settings,
    pub(crate) conduct: Conduct,
    pub(crate) check: CheckPlan,
    /// After the signal to stop, and for sessions of servers that were removed.
    pub(crate) drain: Duration,
    /// Threads of the data path.
    pub(crate) threads: usize,
    pub(crate) admin: SocketAddr,
    /// Where operators and successors ask.
    pub(crate) admin_socket: Option<PathBuf>,
}

/// A front end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FrontendPlan {
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
    pub(crate) allowed: Vec<IpNet>,
    pub(crate) proxy_from: Vec<IpNet>,
}

/// A server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServerPlan {
    pub(crate) facts: ServerFacts,
    pub(crate) terms: ServerTerms,
}

/// How servers are checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CheckPlan {
    pub(crate) probe: Probe,
    pub(crate) timeout: Duration,
    /// Header in front of each check.
    pub(crate) send_proxy: Option<Version>,
}

/// What a check does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Probe {
    /// Connects.
    Tcp,
    /// Asks for the path.
    Http { path: String },
    /// Asks over TLS; the certificate must be signed by the CA in the file and carry the server's address.
    Https { path: String, ca_file: PathBuf },
}

/// Whether `text` is a configuration that the proxy takes; `file` is its name in messages.
///
/// # Errors
/// Why it is not, with every finding of the file.
pub fn check(text: &str, file: &str) -> Result<(), LoadError> {
    Plan::from_text(text, file).map(drop)
}

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// It cannot be read.
    #[error("cannot read {file}")]
    Unreadable {
        /// Its name.
        file: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It is not a valid file of its kind.
    #[error(transparent)]
    Syntax(#[from] cluster_config::node::NodeFileError),
    /// A value is missing or cannot be used.
    #[error("{file}: `{key}` is missing or not usable")]
    Unusable {
        /// Its name.
        file: String,
        /// The key of the value.
        key: &'static str,
    },
}

impl Plan {
    /// Reads and checks a file; its text is returned too, for watching it.
    ///
    /// # Errors
    /// Why it cannot be used, with every flaw.
    pub(crate) fn load(path: &Path) -> Result<(Self, String), LoadError> {
        let file = path.display().to_string();
        match std::fs::read_to_string(path) {
            Ok(text) => Ok((Self::from_text(&text, &file)?, text)),
            Err(source) => Err(LoadError::Unreadable { file, source }),
        }
    }

    /// Whether a process that was started with the one need not be restarted for the other.
    pub(crate) fn starts_like(&self, other: &Self) -> bool {
        self.threads == other.threads
            && self.admin == other.admin
            && self.admin_socket == other.admin_socket
    }

    /// Checks the text of a file.
    ///
    /// # Errors
    /// Why it cannot be used, with every flaw.
    pub(crate) fn from_text(text: &str, file: &str) -> Result<Self, LoadError> {
        let config = ProxyConfig::from_yaml(text, file)?;
        let unusable = |key| LoadError::Unusable {
            file: file.to_owned(),
            key,
        };
        Ok(Self {
            frontends: config.frontends.iter().map(frontend).collect(),
            servers: config.backend.servers.iter().map(server).collect(),
            settings: settings(&config),
            check: CheckPlan {
                probe: probe(&config.backend.check).ok_or_else(|| unusable("caFile"))?,
                timeout: Duration::from_millis(config.backend.check.timeout_millis.into()),
                send_proxy: version(config.backend.send_proxy_protocol),
            },
            conduct: conduct(&config.backend),
            drain: Duration::from_secs(config.timeouts.drain_seconds.into()),
            threads: threads(&config),
            admin: config.admin.parse().map_err(|_| unusable("admin"))?,
            admin_socket: config.admin_socket.clone().map(PathBuf::from),
        })
    }
}

fn frontend(frontend: &Frontend) -> FrontendPlan {
    FrontendPlan {
        name: frontend.name.clone(),
        address: SocketAddr::new(frontend.address, frontend.port),
        allowed: frontend.allowed_sources.clone(),
        proxy_from: frontend.proxy_protocol_from.clone(),
    }
}

fn server(server: &Server) -> ServerPlan {
    ServerPlan {
        facts: ServerFacts {
            name: server.name.clone(),
            address: SocketAddr::new(server.address, server.port),
        },
        terms: ServerTerms {
            weight: server.weight,
            backup: server.backup,
            preferred: server.preferred,
            max_sessions: server.max_connections,
        },
    }
}

fn conduct(backend: &Backend) -> Conduct {
    Conduct {
        rules: rules(&backend.check),
        close_on_down: backend.close_sessions_on_down,
        close_backup_on_up: backend.close_backup_sessions_on_up,
        slow_start: Duration::from_secs(backend.slow_start_seconds.into()),
        panic: backend.panic_mode,
    }
}

fn version(form: ProxyProtocol) -> Option<Version> {
    match form {
        ProxyProtocol::None => None,
        ProxyProtocol::V1 => Some(Version::V1),
        ProxyProtocol::V2 => Some(Version::V2),
    }
}

fn rules(check: &Check) -> Rules {
    let interval = Duration::from_millis(check.interval_millis.into());
    let fast = check
        .fast_interval_millis
        .map(|millis| Duration::from_millis(millis.into()));
    Rules {
        interval,
        fast: fast.unwrap_or(interval / 5).max(Duration::from_millis(1)),
        fall: check.fall,
        rise: check.rise,
    }
}

fn probe(check: &Check) -> Option<Probe> {
    let path = check.path.clone();
    Some(match check.kind {
        CheckKind::Tcp => Probe::Tcp,
        CheckKind::Http => Probe::Http { path },
        CheckKind::Https => Probe::Https {
            path,
            ca_file: check.ca_file.as_ref()?.into(),
        },
    })
}

fn settings(config: &ProxyConfig) -> Settings {
    let timeouts = &config.timeouts;
    let hedge = Duration::from_millis(timeouts.hedge_millis.into());
    Settings {
        policy: config.backend.balance,
        connect: Duration::from_millis(timeouts.connect_millis.into()),
        hedge: (!hedge.is_zero()).then_some(hedge),
        patience: Patience {
            tunnel: Duration::from_secs(timeouts.tunnel_seconds.into()),
            half_closed: Duration::from_secs(timeouts.fin_seconds.into()),
        },
        max_sessions: config.max_connections,
        queue_length: usize::try_from(config.backend.queue.length).unwrap_or(usize::MAX),
        queue_wait: Duration::from_millis(config.backend.queue.wait_millis.into()),
        send_proxy: version(config.backend.send_proxy_protocol),
        preconnect: usize::try_from(config.backend.preconnect).unwrap_or(0),
        limits: Limits {
            connections: config.source_limits.connections,
            per_second: config.source_limits.per_second,
        },
        splice: config.splice,
        log_sessions: config.session_log,
    }
}

/// Two by default: a control-plane node has other work for its cores.
fn threads(config: &ProxyConfig) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    config.threads.map_or_else(|| cores.min(2), usize::from)
}
