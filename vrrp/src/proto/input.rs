//! What the machine is told.

use std::net::IpAddr;

use l2::wire::MacAddr;
use serde::{Deserialize, Serialize};

use super::{GroupSettings, Moment};

/// A received IP datagram of protocol 112.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// When the kernel received it: not later than the call.
    pub at: Moment,
    /// Sender.
    pub source: IpAddr,
    /// Receiver: this node or a group.
    pub destination: IpAddr,
    /// TTL or hop limit.
    pub ttl: u8,
    /// What follows the IP header.
    pub message: &'a [u8],
}

/// Whether the node may own the addresses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "health")]
pub enum Health {
    /// Not known yet: never Active on a guess.
    Unknown,
    /// Yes.
    Good,
    /// Not for long: what serves the addresses is about to stop and lets its connections finish.
    Draining {
        /// What it said.
        detail: String,
    },
    /// No.
    Bad {
        /// What is wrong.
        detail: String,
    },
}

/// The interface of a member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "link")]
pub enum Link {
    /// It does not exist, is down, or lacks the source address.
    Lost {
        /// What is missing.
        detail: String,
    },
    /// Usable.
    Up {
        /// Source of adverts.
        source: IpAddr,
    },
}

/// Everything that can happen to a group, besides the arrival of a [`Datagram`] and time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "input")]
pub enum Input {
    /// Begin to take part.
    Start,
    /// Hand over and leave.
    Stop,
    /// The health changed.
    Health(Health),
    /// A link changed.
    Link {
        /// Index of the member.
        member: usize,
        /// Its link.
        link: Link,
    },
    /// A link that stayed usable may have lost its neighbours' memory (bond fail-over, port flap).
    LinkRestored {
        /// Index of the member.
        member: usize,
    },
    /// Unicast peers on the member's link of whom the kernel does not know where they are, all of them.
    Unresolved {
        /// Index of the member.
        member: usize,
        /// The peers.
        peers: Vec<IpAddr>,
    },
    /// The addresses asked for by `Own` are on the interface.
    Owned,
    /// The kernel refused them.
    OwnRefused {
        /// What it said.
        detail: String,
    },
    /// Somebody else took an address off the interface.
    AddressLost,
    /// Another station claims an address (gratuitous ARP, unsolicited NA).
    Claimed {
        /// The address.
        address: IpAddr,
        /// The station.
        mac: MacAddr,
    },
    /// Other settings.
    Reconfigure(Box<GroupSettings>),
}
