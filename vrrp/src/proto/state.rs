//! States and the reasons for leaving them.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// State of a group (RFC 9568 §6.4, and Fault for "may not take part").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Not started, or it is not known yet whether the node is healthy.
    Initialize,
    /// Listening to the Active.
    Backup,
    /// Owner of the addresses.
    Active,
    /// Not able or not allowed to own them.
    Fault,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Initialize, Self::Backup, Self::Active, Self::Fault];

    /// Name in status, logs and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Initialize => "initialize",
            Self::Backup => "backup",
            Self::Active => "active",
            Self::Fault => "fault",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a group is in its state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "reason")]
pub enum Why {
    /// Not started yet.
    NotStarted,
    /// The node's health is not known yet.
    HealthUnknown,
    /// Nobody has said yet whether the interfaces are usable.
    LinkUnknown,
    /// Start, or the end of what was wrong.
    Ready,
    /// Priority 255: the addresses are this node's own.
    AddressOwner,
    /// The Active was silent for its whole patience.
    ActiveSilent {
        /// Who was Active, if anybody was heard.
        last: Option<IpAddr>,
        /// How long nothing came.
        silent: Duration,
    },
    /// The Active said that it leaves.
    ActiveLeft {
        /// Who it was.
        last: Option<IpAddr>,
    },
    /// Another Active has a higher priority, or the same and a higher address.
    Outbid {
        /// Who it is.
        by: IpAddr,
        /// Its priority.
        priority: u8,
    },
    /// This process did not run for longer than the peers wait.
    Frozen {
        /// For how long.
        silent: Duration,
    },
    /// The node's health check failed.
    Unhealthy {
        /// What failed.
        detail: String,
    },
    /// What serves the addresses on this node is about to stop.
    Draining {
        /// What it said.
        detail: String,
    },
    /// The interface does not exist, is down, or has lost the source address.
    LinkLost {
        /// Which member, and what.
        detail: String,
    },
    /// The kernel refused the addresses.
    AddressesRefused {
        /// What it said.
        detail: String,
    },
    /// Asked to stop; the successor has announced itself.
    HandedOver {
        /// The successor.
        to: IpAddr,
    },
    /// Asked to stop; nobody took over in time, or there was nothing to hand over.
    Stopped,
}

impl Why {
    /// Label for metrics.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::NotStarted => "not_started",
            Self::HealthUnknown => "health_unknown",
            Self::LinkUnknown => "link_unknown",
            Self::Ready => "ready",
            Self::AddressOwner => "address_owner",
            Self::ActiveSilent { .. } => "active_silent",
            Self::ActiveLeft { .. } => "active_left",
            Self::Outbid { .. } => "outbid",
            Self::Frozen { .. } => "frozen",
            Self::Unhealthy { .. } => "unhealthy",
            Self::Draining { .. } => "draining",
            Self::LinkLost { .. } => "link_lost",
            Self::AddressesRefused { .. } => "addresses_refused",
            Self::HandedOver { .. } => "handed_over",
            Self::Stopped => "stopped",
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotStarted => f.write_str("not started"),
            Self::HealthUnknown => f.write_str("health not known yet"),
            Self::LinkUnknown => f.write_str("interfaces not looked at yet"),
            Self::Ready => f.write_str("ready to take part"),
            Self::AddressOwner => f.write_str("priority 255: owner of the addresses"),
            Self::ActiveSilent { last: None, silent } => {
                write!(f, "no Active heard for {} ms", silent.as_millis())
            }
            Self::ActiveSilent {
                last: Some(last),
                silent,
            } => {
                write!(
                    f,
                    "nothing heard from Active {last} for {} ms",
                    silent.as_millis()
                )
            }
            Self::ActiveLeft { last: Some(last) } => write!(f, "Active {last} left"),
            Self::ActiveLeft { last: None } => f.write_str("the Active left"),
            Self::Outbid { by, priority } => write!(f, "{by} is Active with priority {priority}"),
            Self::Frozen { silent } => {
                write!(
                    f,
                    "did not run for {} ms: others may have taken over",
                    silent.as_millis()
                )
            }
            Self::Unhealthy { detail } => write!(f, "unhealthy: {detail}"),
            Self::Draining { detail } => write!(f, "draining: {detail}"),
            Self::LinkLost { detail } => write!(f, "link lost: {detail}"),
            Self::AddressesRefused { detail } => write!(f, "addresses refused: {detail}"),
            Self::HandedOver { to } => write!(f, "handed over to {to}"),
            Self::Stopped => f.write_str("stopped"),
        }
    }
}
