//! What the machine wants done.

use std::net::IpAddr;

use l2::wire::MacAddr;

use super::{ChecksumSeen, PacketError, State, Version, Why};

/// Whom an advert is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    /// The multicast group.
    Group,
    /// One peer.
    Peer(IpAddr),
}

/// Something to do, in the order given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Send an advert; [`super::Group::encode`] makes its bytes.
    Send {
        /// Index of the member.
        member: usize,
        /// Receiver.
        destination: Destination,
        /// Version.
        version: Version,
        /// Priority on the wire; zero: leaving.
        priority: u8,
    },
    /// Have exactly the group's addresses on the interfaces, with a fresh lifetime; answer with `Owned`
    /// or `OwnRefused` when `confirm` is set.
    Own {
        /// Whether an answer is waited for.
        confirm: bool,
    },
    /// Have none of them.
    Release,
    /// Keep them for the grace without a word about it, for the connections that live here: the successor
    /// passes on what belongs to them.
    Linger,
    /// Before the next `Own`: pass what belongs to older connections on to the predecessor, for the grace.
    PassOn {
        /// Index of the member.
        member: usize,
        /// The predecessor, which lingers.
        to: IpAddr,
    },
    /// Send one gratuitous ARP or unsolicited NA.
    Announce {
        /// Index of the member.
        member: usize,
        /// The address.
        address: IpAddr,
        /// ARP reply form instead of request form (IPv4).
        reply: bool,
    },
    /// Ask a unicast peer on the link for its hardware address: both sides learn from it.
    Solicit {
        /// Index of the member.
        member: usize,
        /// The peer.
        peer: IpAddr,
    },
    /// The state changed.
    Transition {
        /// Before.
        from: State,
        /// After.
        to: State,
        /// Why.
        why: Why,
    },
    /// Something an operator should look at.
    Alarm(Alarm),
    /// The group has left; nothing more will come.
    Stopped,
}

/// Something an operator should look at. At most one of a kind and peer is raised per minute.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Alarm {
    /// Somebody uses our VRID with other addresses.
    #[error(
        "virtual router ID clash: {from} announces other addresses with our VRID; give one of the clusters another `virtualRouterID`"
    )]
    VridClash {
        /// Who.
        from: IpAddr,
    },
    /// Somebody else says it is the owner of the addresses.
    #[error("{from} claims to own the addresses (priority 255)")]
    OwnerExists {
        /// Who.
        from: IpAddr,
    },
    /// A peer's adverts cannot be used.
    #[error("adverts from {from} are dropped: {error}")]
    Unusable {
        /// Who.
        from: IpAddr,
        /// Why.
        error: PacketError,
    },
    /// A peer multicasts to unicast routers or the reverse.
    #[error("{from} speaks {theirs} while this router is configured otherwise: it may not hear us")]
    OtherMode {
        /// Who.
        from: IpAddr,
        /// `multicast` or `unicast`.
        theirs: &'static str,
    },
    /// A peer's IPv4 checksum has another form than the one that is configured to be sent.
    #[error(
        "{from} makes its IPv4 checksum {} pseudo-header, this router {} one by its configuration: it may not take our adverts",
        theirs.preposition(), ours.preposition()
    )]
    ChecksumForm {
        /// Who.
        from: IpAddr,
        /// What it sends.
        theirs: ChecksumSeen,
        /// What we send.
        ours: ChecksumSeen,
    },
    /// A peer goes on although it should have heard us.
    #[error("{from} stays Active although we answer with a higher priority: it does not hear us")]
    Asymmetric {
        /// Who.
        from: IpAddr,
    },
    /// Took over without having heard any configured peer since the start.
    #[error(
        "took over without ever hearing a peer: they are down, or IP protocol 112 is blocked between the nodes"
    )]
    HeardNobody,
    /// Another station uses an address of ours.
    #[error("{mac} claims {address}, which this node owns")]
    Conflict {
        /// The address.
        address: IpAddr,
        /// The station.
        mac: MacAddr,
    },
    /// More addresses than an advert can carry.
    #[error("only the first {sent} of {all} addresses fit into an advert")]
    TooManyAddresses {
        /// Advertised.
        sent: usize,
        /// Configured.
        all: usize,
    },
}

impl Alarm {
    /// Label for metrics.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::VridClash { .. } => "vrid_clash",
            Self::OwnerExists { .. } => "owner_exists",
            Self::Unusable { .. } => "unusable_adverts",
            Self::OtherMode { .. } => "other_mode",
            Self::ChecksumForm { .. } => "checksum_form",
            Self::Asymmetric { .. } => "asymmetric",
            Self::HeardNobody => "heard_nobody",
            Self::Conflict { .. } => "address_conflict",
            Self::TooManyAddresses { .. } => "too_many_addresses",
        }
    }

    /// Who is to blame, if it is somebody.
    pub const fn source(&self) -> Option<IpAddr> {
        match self {
            Self::VridClash { from }
            | Self::OwnerExists { from }
            | Self::Unusable { from, .. }
            | Self::OtherMode { from, .. }
            | Self::ChecksumForm { from, .. }
            | Self::Asymmetric { from } => Some(*from),
            Self::Conflict { address, .. } => Some(*address),
            Self::HeardNobody | Self::TooManyAddresses { .. } => None,
        }
    }
}
