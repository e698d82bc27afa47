//! What `lbctl` asks of `lbnode probe`, and what comes back: JSON in both directions.
//!
//! Both ends are of one release, because `lbctl` brings the program along.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// A look at the segment that all stations take at the same time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SegmentPlan {
    /// Tells this look from others on the same segment.
    pub run: u64,
    /// This station's place in `stations`.
    pub me: u16,
    /// Interface by name; absent: the one that holds this station's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    /// Everybody who takes part, in an order that is the same for all.
    pub stations: Vec<Station>,
    /// A router that should answer ARP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
    /// Adverts go to the multicast groups, not to each peer.
    #[serde(default)]
    pub multicast: bool,
    /// There is an IPv6 virtual router as well; it always uses multicast.
    #[serde(default)]
    pub ipv6: bool,
    /// UDP port of the heartbeats.
    pub heartbeat_port: u16,
    /// Milliseconds to listen in any case, for virtual routers of others.
    pub least_millis: u32,
    /// Milliseconds after which it is over, whatever is missing.
    pub most_millis: u32,
}

/// One participant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Station {
    /// Its data address.
    pub address: IpAddr,
    /// It will run virtual routers.
    #[serde(default)]
    pub vrrp: bool,
    /// It will send heartbeats, and does not do so yet.
    #[serde(default)]
    pub heartbeat: bool,
}

/// What one station has found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SegmentReport {
    /// Interface it looked on.
    pub interface: String,
    /// Hardware address of that interface.
    pub mac: String,
    /// Its IPv6 link-local address, from which a virtual router's IPv6 adverts come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link_local: Option<IpAddr>,
    /// Who answered ARP for the other stations' addresses and the gateway's.
    pub neighbours: Vec<Neighbour>,
    /// IP protocol 112; absent: not its business.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vrrp: Option<Hearing>,
    /// IP protocol 112 over IPv6.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vrrp6: Option<Hearing>,
    /// Heartbeats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat: Option<Hearing>,
    /// Virtual routers that were heard.
    pub routers: Vec<RouterHeard>,
}

/// Who answered for an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Neighbour {
    /// The address.
    pub address: IpAddr,
    /// Hardware addresses, each once.
    pub macs: Vec<String>,
}

/// Whom a station heard one way.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hearing {
    /// Places of the stations that were heard.
    pub heard: Vec<u16>,
    /// Why it could neither speak nor listen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

/// A virtual router that announces itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouterHeard {
    /// Who sends.
    pub source: IpAddr,
    /// Its virtual router ID.
    pub vrid: u8,
    /// Its priority.
    pub priority: u8,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
}

/// Who has an address: the answer of `lbnode probe vip`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VipReport {
    /// The address.
    pub address: IpAddr,
    /// Whether somebody answered.
    pub answered: bool,
    /// Hardware address of whoever answered.
    pub mac: Option<String>,
    /// Interface it was asked on.
    pub interface: String,
}

/// Whether an address that another station claims can be reached: the answer of `lbnode probe reach`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReachReport {
    /// Hardware addresses that answered for it.
    pub macs: Vec<String>,
    /// An echo request to it was answered.
    pub reached: bool,
    /// Hardware address of the gateway; absent: not asked for, or it did not answer.
    pub gateway: Option<String>,
    /// An echo request that was left to the gateway was answered; absent: not tried.
    pub through_gateway: Option<bool>,
}

/// Who answers behind a load balancer: the answer of `lbnode probe front`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FrontReport {
    /// Stand-ins that answered, by their addresses.
    pub found: Vec<String>,
    /// The last connections were all answered.
    pub steady: bool,
    /// Answered connections since the last one that was not.
    pub in_a_row: u32,
    /// Why the last one that was not answered was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}
