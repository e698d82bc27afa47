//! What a group of virtual routers is told once: the checked form of the node's file.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{AdvertInterval, ChecksumSeen, Family, Priority, Version, Vrid};

/// Virtual routers that move together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupSettings {
    /// Name in logs and metrics.
    pub name: String,
    /// Priority of this node.
    pub priority: Priority,
    /// Interval of own adverts.
    pub interval: AdvertInterval,
    /// Whether a lower-priority Active is replaced.
    pub preempt: bool,
    /// How long after start or recovery it is left alone nevertheless.
    pub preempt_delay: Duration,
    /// How long after start the group only listens.
    pub startup_quiet: Duration,
    /// Adverts missed until the Active counts as gone.
    pub down_factor: u8,
    /// Versions on the wire.
    pub versions: Versions,
    /// Drop adverts with another address list instead of obeying them.
    pub refuse_foreign_addresses: bool,
    /// How long a link must be down before it counts.
    pub link_debounce: Duration,
    /// How long the connections of a predecessor are helped on after a planned move; zero: not at all.
    #[serde(default)]
    pub hand_over_grace: Duration,
    /// Announcements of the addresses.
    pub announce: AnnounceSettings,
    /// The virtual routers, at least one; the first one decides between equal priorities.
    #[serde(deserialize_with = "at_least_one")]
    pub members: Vec<MemberSettings>,
    /// Seed of the refresh's jitter.
    pub seed: u64,
}

/// One virtual router.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberSettings {
    /// Name in status, logs and metrics.
    pub name: String,
    /// Identifier.
    pub vrid: Vrid,
    /// Family of its addresses and adverts.
    pub family: Family,
    /// Unicast peers; empty: multicast.
    pub peers: Vec<IpAddr>,
    /// Virtual addresses; for IPv6 the first one is link-local.
    pub addresses: Vec<IpAddr>,
    /// Lowest TTL accepted from a unicast peer.
    pub minimum_ttl: u8,
    /// Form of the IPv4 checksum on transmit; `None`: the receiver's own.
    pub checksum: Option<ChecksumSeen>,
    /// VRRPv2 simple password, padded with zeros.
    pub password: Option<[u8; 8]>,
}

/// Versions on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Versions {
    /// VRRPv3.
    V3,
    /// VRRPv2.
    V2,
    /// Both are sent and understood; IPv6 knows VRRPv3 only.
    Both,
}

impl Versions {
    /// Whether a version is understood.
    pub const fn accepts(self, version: Version) -> bool {
        matches!(
            (self, version),
            (Self::Both, _) | (Self::V3, Version::V3) | (Self::V2, Version::V2)
        )
    }

    /// Versions sent, per family.
    pub const fn sent(self, family: Family) -> &'static [Version] {
        match (self, family) {
            (_, Family::V6) | (Self::V3, Family::V4) => &[Version::V3],
            (Self::V2, Family::V4) => &[Version::V2],
            (Self::Both, Family::V4) => &[Version::V3, Version::V2],
        }
    }

    /// The version whose formulas count.
    pub const fn leading(self, family: Family) -> Version {
        match (self, family) {
            (Self::V2, Family::V4) => Version::V2,
            _ => Version::V3,
        }
    }
}

/// Announcements: gratuitous ARP and unsolicited neighbour advertisements.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnnounceSettings {
    /// Frames of a burst.
    pub repeat: u8,
    /// When the burst is repeated, after the first one.
    pub follow_ups: Vec<Duration>,
    /// Time between single frames for as long as the router is Active.
    pub refresh: Option<Duration>,
    /// Whether ARP requests are among the frames.
    pub request_form: bool,
    /// Whether ARP replies are among the frames.
    pub reply_form: bool,
}

fn at_least_one<'de, D>(deserializer: D) -> Result<Vec<MemberSettings>, D::Error>
where
    D: serde::Deserializer<'de>,
{
    let members = Vec::deserialize(deserializer)?;
    if members.is_empty() {
        return Err(serde::de::Error::custom(
            "a group needs at least one virtual router",
        ));
    }
    Ok(members)
}
