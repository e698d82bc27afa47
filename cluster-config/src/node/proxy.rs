//! `/etc/lbnode/proxy.yaml`.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// `/etc/lbnode/proxy.yaml`: the TCP proxy of one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProxyConfig {
    /// `lbnode.bundledlb.io/v1`.
    pub api_version: String,
    /// `ProxyConfig`.
    pub kind: String,
    /// Where it listens; all front ends lead to the same servers.
    pub frontends: Vec<Frontend>,
    /// Where it leads to.
    pub backend: Backend,
    /// Timeouts of a session.
    #[serde(default)]
    pub timeouts: Timeouts,
    /// Sessions at the same time, over all front ends.
    pub max_connections: u32,
    /// Threads of the data path, 1–4; absent: one per core, at most two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threads: Option<u8>,
    /// Limits per client address.
    #[serde(default, skip_serializing_if = "SourceLimits::is_none")]
    pub source_limits: SourceLimits,
    /// Move bulk through pipes in the kernel; `false` copies it, for kernels where that goes wrong.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub splice: bool,
    /// One log line per session.
    #[serde(default, skip_serializing_if = "is_false")]
    pub session_log: bool,
    /// Path of a Unix socket for operators (`drain`, `ready`, `kill`, …) and for handing the listeners over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admin_socket: Option<String>,
    /// `ip:port` of `/livez`, `/readyz`, `/metrics`, `/status`.
    pub admin: String,
}

/// One listener.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Frontend {
    /// Name in status, metrics and logs.
    pub name: String,
    /// Address to bind with IP_FREEBIND: it need not be on the node (yet).
    pub address: IpAddr,
    /// Port to bind.
    pub port: u16,
    /// Client ranges (CIDR) that are served; empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed_sources: Vec<ipnet::IpNet>,
    /// Load balancers (CIDR) whose PROXY header (v1 or v2) is required and believed; others must not send one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub proxy_protocol_from: Vec<ipnet::IpNet>,
}

/// The API servers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Backend {
    /// Servers, in a stable order.
    pub servers: Vec<Server>,
    /// How a server is chosen.
    #[serde(default)]
    pub balance: Balance,
    /// How a server is checked.
    pub check: Check,
    /// Close the sessions of a server that goes down.
    #[serde(default = "yes")]
    pub close_sessions_on_down: bool,
    /// Close the sessions of backup servers when another server comes up.
    #[serde(default, skip_serializing_if = "is_false")]
    pub close_backup_sessions_on_up: bool,
    /// PROXY header in front of every session.
    #[serde(default, skip_serializing_if = "ProxyProtocol::is_none")]
    pub send_proxy_protocol: ProxyProtocol,
    /// Seconds over which the share of a server that came up grows to the whole; 0: at once.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub slow_start_seconds: u32,
    /// Connections per server and thread that are opened ahead, 0–4. API servers log each one that was not used.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub preconnect: u32,
    /// Where sessions wait while every server is full.
    #[serde(default, skip_serializing_if = "Queue::is_default")]
    pub queue: Queue,
    /// With no server up: use them all instead of refusing.
    #[serde(default, skip_serializing_if = "is_false")]
    pub panic_mode: bool,
}

/// One server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Server {
    /// Name in status, metrics and logs.
    pub name: String,
    /// Its address.
    pub address: IpAddr,
    /// Its port.
    pub port: u16,
    /// Its share, 1–256, in relation to the others.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub weight: u32,
    /// Only used while no other server is up.
    #[serde(default, skip_serializing_if = "is_false")]
    pub backup: bool,
    /// Used before others, such as the one on the same node.
    #[serde(default, skip_serializing_if = "is_false")]
    pub preferred: bool,
    /// Sessions at the same time; absent: unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_connections: Option<u32>,
}

impl Server {
    /// A plain server.
    pub fn new(name: impl Into<String>, address: IpAddr, port: u16) -> Self {
        Self {
            name: name.into(),
            address,
            port,
            weight: 1,
            backup: false,
            preferred: false,
            max_connections: None,
        }
    }
}

/// How a server is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Balance {
    /// Fewest sessions first.
    #[default]
    LeastConnections,
    /// In turn.
    RoundRobin,
    /// By a hash of the client's address.
    SourceHash,
}

/// PROXY header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProxyProtocol {
    /// No header.
    #[default]
    None,
    /// A line of text.
    V1,
    /// Binary.
    V2,
}

impl ProxyProtocol {
    fn is_none(&self) -> bool {
        *self == Self::None
    }
}

/// Where sessions wait while every server is full.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Queue {
    /// Sessions that wait at the same time, per thread.
    pub length: u32,
    /// Milliseconds that a session waits.
    pub wait_millis: u32,
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            length: 1_000,
            wait_millis: 5_000,
        }
    }
}

impl Queue {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Limits per client address (IPv6: per /64).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct SourceLimits {
    /// Sessions at the same time; absent: unlimited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connections: Option<u32>,
    /// New connections per second, with as many at once; absent: unlimited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_second: Option<u32>,
}

impl SourceLimits {
    fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// How a server is checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Check {
    /// Kind of check.
    pub kind: CheckKind,
    /// Path of HTTP checks.
    #[serde(default = "readyz")]
    pub path: String,
    /// PEM file with the CA of an HTTPS check; re-read when it changes. The certificate must carry the server's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<String>,
    /// Milliseconds between checks.
    pub interval_millis: u32,
    /// The same while something is changing; absent: a fifth of the interval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fast_interval_millis: Option<u32>,
    /// Milliseconds a check may take.
    pub timeout_millis: u32,
    /// Failures in a row until a server is down.
    pub fall: u32,
    /// Successes in a row until it is up again.
    pub rise: u32,
}

/// Kind of check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckKind {
    /// A connection is enough.
    Tcp,
    /// GET, 200 expected.
    Http,
    /// GET over TLS, 200 expected.
    Https,
}

/// Timeouts of a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Timeouts {
    /// Until a connect has answered, over all attempts.
    pub connect_millis: u32,
    /// Without an answer for so long, the next server is tried as well; the first to answer wins.
    pub hedge_millis: u32,
    /// Without a byte in either direction.
    pub tunnel_seconds: u32,
    /// Half-closed without a byte.
    pub fin_seconds: u32,
    /// After SIGTERM, until the remaining sessions are cut.
    pub drain_seconds: u32,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect_millis: 2_000,
            hedge_millis: 100,
            tunnel_seconds: 14_400,
            fin_seconds: 10,
            drain_seconds: 10,
        }
    }
}

fn yes() -> bool {
    true
}

fn one() -> u32 {
    1
}

fn is_one(value: &u32) -> bool {
    *value == 1
}

fn is_zero(value: &u32) -> bool {
    *value == 0
}

fn is_false(value: &bool) -> bool {
    !value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_true(value: &bool) -> bool {
    *value
}

fn readyz() -> String {
    "/readyz".to_owned()
}
