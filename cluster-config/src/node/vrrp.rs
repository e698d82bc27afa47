//! `/etc/lbnode/vrrp.yaml`.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// `/etc/lbnode/vrrp.yaml`: the virtual routers of one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VrrpConfig {
    /// `lbnode.bundledlb.io/v1`.
    pub api_version: String,
    /// `VrrpConfig`.
    pub kind: String,
    /// Virtual routers that move together: one for IPv4, one for IPv6 when there is an IPv6 VIP.
    pub routers: Vec<VirtualRouter>,
    /// What decides whether this node may own the VIPs; without it only the link decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub track: Option<Track>,
    /// Milliseconds for which connections through the old owner go on there after a planned move, up to 60000;
    /// 0: they are reset, as after a failure. Only VRRPv3 between routers of ours can do it.
    #[serde(
        default = "default_hand_over_grace",
        skip_serializing_if = "is_default_hand_over_grace"
    )]
    pub hand_over_grace_millis: u32,
    /// Until nobody answers for the addresses the routers wait: somebody else has them, and is about to stop. Needs `track`.
    #[serde(default, skip_serializing_if = "is_false")]
    pub stand_back: bool,
    /// `ip:port` of `/livez`, `/readyz`, `/metrics`, `/status`.
    pub admin: String,
}

/// Default of `handOverGraceMillis`; it is not written, so that an older release can read the file.
pub const HAND_OVER_GRACE_MILLIS: u32 = 5000;

const fn default_hand_over_grace() -> u32 {
    HAND_OVER_GRACE_MILLIS
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "called by serde")]
const fn is_default_hand_over_grace(millis: &u32) -> bool {
    *millis == HAND_OVER_GRACE_MILLIS
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "called by serde")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

/// One virtual router (RFC 9568): one VRID, one address family.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VirtualRouter {
    /// Name in status, metrics and logs.
    pub name: String,
    /// 1–255.
    #[serde(rename = "virtualRouterID")]
    pub virtual_router_id: u8,
    /// 1–254; 255 only for the owner of the address.
    pub priority: u8,
    /// Interface by name; absent: the one that holds `sourceAddress`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    /// This node's own address, the source of its adverts. `::`: the link-local address of the interface of the
    /// group's IPv4 router, because RFC 9568 §5.1.2.1 wants a link-local source and the cluster file knows none.
    pub source_address: IpAddr,
    /// Unicast peers; empty: multicast (224.0.0.18, ff02::12).
    #[serde(default)]
    pub peers: Vec<IpAddr>,
    /// The virtual addresses, all of one family.
    pub addresses: Vec<IpAddr>,
    /// Milliseconds, 10–40950, multiples of 10.
    pub advertisement_interval_millis: u32,
    /// Whether a node of higher priority takes the VIPs back.
    #[serde(default)]
    pub preempt: bool,
    /// Gratuitous ARP / unsolicited NA in the burst on take-over.
    pub garp_repeat: u8,
    /// Seconds between refreshes while Active; 0 = off.
    pub garp_refresh_seconds: u32,
    /// IPv4 checksum on transmit; both forms are accepted on receive.
    #[serde(default)]
    pub checksum: ChecksumForm,
    /// What few need: the defaults are right for a cluster of our own nodes.
    #[serde(default, skip_serializing_if = "Tuning::is_default")]
    pub tuning: Tuning,
}

/// Rarely needed settings of a virtual router, mostly for life beside foreign routers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Tuning {
    /// Routers with the same group move together; all routers of the file are one group by default.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// Protocol version on the wire.
    pub version: ProtocolVersion,
    /// Password of VRRPv2's simple authentication, up to 8 bytes. It keeps clusters apart; it is no secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// Adverts missed before a Backup takes over (RFC 9568: 3), 2–100; the same on all peers.
    pub down_factor: u8,
    /// Seconds after start or recovery during which a lower-priority Active is left alone (with `preempt`), 0–1000.
    pub preempt_delay_seconds: u32,
    /// Milliseconds after start in which the router only listens.
    pub startup_quiet_millis: u32,
    /// Lowest TTL or hop limit accepted from a unicast peer; below 255 an advert can come from beyond a router.
    pub minimum_ttl: u8,
    /// Never obey an advert for our VRID with another address list: it is another cluster's.
    pub refuse_foreign_addresses: bool,
    /// Milliseconds a link must be down before it counts.
    pub link_debounce_millis: u32,
    /// Form of gratuitous ARP.
    pub garp_form: GarpForm,
    /// Seconds after the take-over at which the burst is repeated.
    pub garp_follow_up_seconds: Vec<u32>,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            group: String::new(),
            version: ProtocolVersion::V3,
            password: None,
            down_factor: 3,
            preempt_delay_seconds: 0,
            startup_quiet_millis: 0,
            minimum_ttl: 255,
            refuse_foreign_addresses: true,
            link_debounce_millis: 0,
            garp_form: GarpForm::Both,
            garp_follow_up_seconds: vec![1, 5],
        }
    }
}

impl Tuning {
    /// Whether nothing was changed, so that the file need not mention it.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Protocol version on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProtocolVersion {
    /// VRRPv3 (RFC 9568).
    #[default]
    V3,
    /// VRRPv2 (RFC 3768): IPv4 only, whole seconds.
    V2,
    /// Sends both, understands both (RFC 9568 §8.4): for the time of a migration.
    Both,
}

/// Form of gratuitous ARP: some switches and hosts ignore one of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GarpForm {
    /// In turn.
    #[default]
    Both,
    /// ARP requests.
    Request,
    /// ARP replies.
    Reply,
}

/// IPv4 checksum on transmit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChecksumForm {
    /// As the peers send it; RFC 9568 until one was heard.
    #[default]
    Auto,
    /// RFC 9568 §5.2.8: without pseudo-header.
    Rfc,
    /// keepalived's default: with pseudo-header.
    Keepalived,
}

/// Health of the local proxy, on two levels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Track {
    /// Fast level, "the proxy answers": `http://127.0.0.1:11000/livez`.
    pub proxy_live_url: String,
    /// Slow level, "some API server is ready through it": `https://127.0.0.1:11443/readyz`.
    pub api_ready_url: String,
    /// PEM file with the CA of the API servers.
    pub ca_file: String,
    /// Name or address that the API servers' certificate must carry: the VIP.
    pub server_name: String,
    /// Peers' proxies (`http://<peer>:11000/readyz`): asked before this node gives up for a failed slow level,
    /// because when no node would be better off the VIP stays where it is.
    #[serde(default)]
    pub peer_ready_urls: Vec<String>,
    /// Milliseconds between checks.
    pub interval_millis: u32,
    /// Failures in a row until the slow level counts as failed.
    pub fall: u32,
    /// Successes in a row until it counts as good again.
    pub rise: u32,
}
