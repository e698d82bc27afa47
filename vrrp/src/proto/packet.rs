//! VRRP advertisements, version 2 (RFC 3768 §5.1) and 3 (RFC 9568 §5.1).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-------+-------+---------------+---------------+---------------+
//! |Version| Type  | Virtual Rtr ID|   Priority    |IPvX Addr Count|
//! +-------+-------+---------------+---------------+---------------+
//! |Reserve| Max Advertise Interval|          Checksum             |   version 3
//! |   Auth Type   |   Adver Int   |          Checksum             |   version 2
//! +-------+-----------------------+-------------------------------+
//! |                     IPvX Address(es) …                        |
//! |        Authentication Data, 8 bytes (version 2 only)          |
//! +---------------------------------------------------------------+
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use l2::wire::checksum::Sum;
use serde::{Deserialize, Serialize};

use super::{AdvertInterval, Family, Vrid};

/// IP protocol of VRRP.
pub const PROTOCOL: u8 = 112;
/// TTL and hop limit of every advert: it cannot have crossed a router.
pub const TTL: u8 = 255;
/// Group of IPv4 routers.
pub const GROUP_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);
/// Group of IPv6 routers.
pub const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12);
/// Most bytes of an advert that fit into an Ethernet frame with either IP header.
pub const MAX_LEN: usize = 1460;

const HEADER_LEN: usize = 8;
const AUTH_LEN: usize = 8;
const ADVERTISEMENT: u8 = 1;

/// Protocol version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Version {
    /// RFC 3768.
    V2,
    /// RFC 9568.
    V3,
}

/// Which of the two IPv4 checksums of VRRPv3 a message carries (RFC 5798 was read both ways).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChecksumSeen {
    /// Over the message alone (RFC 9568 §5.2.8), or the only form there is (VRRPv2, IPv6).
    Rfc,
    /// Over message and pseudo-header: keepalived's default.
    Keepalived,
}

impl ChecksumSeen {
    /// How the form deals with the pseudo-header, for a sentence.
    pub(super) const fn preposition(self) -> &'static str {
        match self {
            Self::Rfc => "without",
            Self::Keepalived => "with",
        }
    }
}

/// Why an advert was not used, in the order of RFC 9568 §7.1.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, thiserror::Error,
)]
#[serde(rename_all = "snake_case")]
pub enum PacketError {
    /// TTL or hop limit below the minimum.
    #[error("ttl or hop limit too low")]
    Ttl,
    /// Another version than configured.
    #[error("other protocol version")]
    Version,
    /// Not an advertisement.
    #[error("unknown packet type")]
    Type,
    /// Shorter than it says it is.
    #[error("incomplete packet")]
    Length,
    /// Address count of zero.
    #[error("no address")]
    NoAddress,
    /// Checksum wrong in every form.
    #[error("wrong checksum")]
    Checksum,
    /// VRID 0, or one that is not ours on this interface.
    #[error("unknown virtual router ID")]
    Vrid,
    /// Interval of zero, or (VRRPv2) another one than ours.
    #[error("advertisement interval differs or is zero")]
    Interval,
    /// VRRPv2 authentication type or password differs.
    #[error("authentication differs")]
    Authentication,
    /// The first IPv6 address is not link-local.
    #[error("first address is not link-local")]
    NotLinkLocal,
    /// Sender is not a configured peer.
    #[error("sender is not a configured peer")]
    Source,
    /// Another address list: another cluster with our VRID.
    #[error("foreign address list")]
    ForeignAddresses,
}

impl PacketError {
    /// Every reason.
    pub const ALL: [Self; 12] = [
        Self::Ttl,
        Self::Version,
        Self::Type,
        Self::Length,
        Self::NoAddress,
        Self::Checksum,
        Self::Vrid,
        Self::Interval,
        Self::Authentication,
        Self::NotLinkLocal,
        Self::Source,
        Self::ForeignAddresses,
    ];

    /// Label for metrics.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Ttl => "ttl",
            Self::Version => "version",
            Self::Type => "type",
            Self::Length => "length",
            Self::NoAddress => "no_address",
            Self::Checksum => "checksum",
            Self::Vrid => "vrid",
            Self::Interval => "interval",
            Self::Authentication => "authentication",
            Self::NotLinkLocal => "not_link_local",
            Self::Source => "source",
            Self::ForeignAddresses => "foreign_addresses",
        }
    }
}

/// The addresses of an advert, as they lie in the packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressList<'a> {
    family: Family,
    bytes: &'a [u8],
}

impl AddressList<'_> {
    /// In the order of the packet.
    pub fn iter(&self) -> impl Iterator<Item = IpAddr> + '_ {
        let size = address_len(self.family);
        self.bytes
            .chunks_exact(size)
            .map(move |chunk| match self.family {
                Family::V4 => IpAddr::from(*chunk.first_chunk::<4>().unwrap_or(&[0; 4])),
                Family::V6 => IpAddr::from(*chunk.first_chunk::<16>().unwrap_or(&[0; 16])),
            })
    }

    /// Whether it holds the same addresses, in whatever order.
    pub fn is_same_set(&self, ours: &[IpAddr]) -> bool {
        self.iter().all(|theirs| ours.contains(&theirs))
            && ours
                .iter()
                .all(|our| self.iter().any(|theirs| theirs == *our))
    }
}

/// A received advert that passed the checks of form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advert<'a> {
    /// Version.
    pub version: Version,
    /// Virtual router.
    pub vrid: Vrid,
    /// Priority of the sender; zero: it is leaving.
    pub priority: u8,
    /// It leaves as planned and keeps the addresses silently for its connections (VRRPv3, `LINGERS`).
    pub lingers: bool,
    /// Interval of the sender.
    pub interval: AdvertInterval,
    /// Its addresses.
    pub addresses: AddressList<'a>,
    /// VRRPv2 authentication: type, data.
    pub authentication: (u8, [u8; AUTH_LEN]),
    /// Form of the checksum.
    pub checksum: ChecksumSeen,
}

impl<'a> Advert<'a> {
    /// Reads a message: version, type, length, count, checksum, in the standard's order. Trailing bytes
    /// are ignored (Ethernet padding, keepalived's authentication trailer).
    ///
    /// # Errors
    /// The first check that fails.
    pub fn parse(
        message: &'a [u8],
        source: IpAddr,
        destination: IpAddr,
    ) -> Result<Self, PacketError> {
        let family = Family::of(source);
        let header: &[u8; HEADER_LEN] = message.first_chunk().ok_or(PacketError::Length)?;
        let version = match header[0] >> 4 {
            2 if family == Family::V4 => Version::V2,
            3 => Version::V3,
            _ => return Err(PacketError::Version),
        };
        if header[0] & 0x0f != ADVERTISEMENT {
            return Err(PacketError::Type);
        }
        let count = usize::from(header[3]);
        let addresses_end = HEADER_LEN + count * address_len(family);
        let end = addresses_end + if version == Version::V2 { AUTH_LEN } else { 0 };
        let message = message.get(..end).ok_or(PacketError::Length)?;
        if count == 0 {
            return Err(PacketError::NoAddress);
        }
        let checksum = checksum_form(version, message, source, destination)?;
        let vrid = Vrid::try_from(header[1]).map_err(|_| PacketError::Vrid)?;
        let centis = match version {
            Version::V3 => u16::from_be_bytes([header[4] & 0x0f, header[5]]),
            // RFC 9568 §8.4.2: seconds × 100; more than 40 s do not exist in VRRPv3.
            Version::V2 => (u16::from(header[5]) * 100).min(4095),
        };
        let interval = AdvertInterval::try_from(centis).map_err(|_| PacketError::Interval)?;
        let addresses = AddressList {
            family,
            bytes: &message[HEADER_LEN..addresses_end],
        };
        let authentication = match version {
            Version::V3 => (0, [0; AUTH_LEN]),
            Version::V2 => {
                let data = message[addresses_end..]
                    .first_chunk()
                    .ok_or(PacketError::Length)?;
                (header[4], *data)
            }
        };
        if family == Family::V6 && !addresses.iter().next().is_some_and(is_link_local) {
            return Err(PacketError::NotLinkLocal);
        }
        Ok(Self {
            version,
            vrid,
            priority: header[2],
            lingers: version == Version::V3 && header[2] == 0 && header[4] & LINGERS != 0,
            interval,
            addresses,
            authentication,
            checksum,
        })
    }
}

/// An advert to send.
#[derive(Debug, Clone, Copy)]
pub struct Outgoing<'a> {
    /// Version.
    pub version: Version,
    /// Virtual router.
    pub vrid: Vrid,
    /// Priority; zero: leaving.
    pub priority: u8,
    /// With priority zero: the addresses stay silently for the connections (VRRPv3 only).
    pub lingers: bool,
    /// Interval.
    pub interval: AdvertInterval,
    /// Addresses, all of one family; what does not fit into a frame is left out.
    pub addresses: &'a [IpAddr],
    /// VRRPv2 simple password, padded with zeros.
    pub password: Option<[u8; AUTH_LEN]>,
    /// Form of the IPv4 checksum.
    pub checksum: ChecksumSeen,
    /// Sender.
    pub source: IpAddr,
    /// Receiver: part of the pseudo-header, so every peer has its own message.
    pub destination: IpAddr,
}

impl Outgoing<'_> {
    /// Addresses that fit into one frame.
    pub fn capacity(family: Family) -> usize {
        ((MAX_LEN - HEADER_LEN - AUTH_LEN) / address_len(family)).min(255)
    }

    /// Writes the message to the front of `buffer` and returns it.
    pub fn emit<'b>(&self, buffer: &'b mut [u8; MAX_LEN]) -> &'b [u8] {
        let family = Family::of(self.source);
        let addresses = &self.addresses[..self.addresses.len().min(Self::capacity(family))];
        let version = match self.version {
            Version::V2 => 2,
            Version::V3 => 3,
        };
        buffer[0] = version << 4 | ADVERTISEMENT;
        buffer[1] = self.vrid.into();
        buffer[2] = self.priority;
        buffer[3] = u8::try_from(addresses.len()).unwrap_or(u8::MAX);
        let interval = match self.version {
            Version::V3 => self.interval.centis().to_be_bytes(),
            Version::V2 => [u8::from(self.password.is_some()), self.interval.seconds()],
        };
        buffer[4..6].copy_from_slice(&interval);
        if self.lingers && self.priority == 0 && self.version == Version::V3 {
            buffer[4] |= LINGERS;
        }
        buffer[6..8].fill(0);
        let mut end = HEADER_LEN;
        for address in addresses {
            match address {
                IpAddr::V4(address) => buffer[end..end + 4].copy_from_slice(&address.octets()),
                IpAddr::V6(address) => buffer[end..end + 16].copy_from_slice(&address.octets()),
            }
            end += address_len(Family::of(*address));
        }
        if self.version == Version::V2 {
            buffer[end..end + AUTH_LEN].copy_from_slice(&self.password.unwrap_or_default());
            end += AUTH_LEN;
        }
        let message = &buffer[..end];
        let plain = Sum::new().bytes(message);
        let sum = match (self.version, self.checksum, family) {
            (Version::V2, ..) | (Version::V3, ChecksumSeen::Rfc, Family::V4) => plain,
            _ => with_pseudo_header(plain, self.source, self.destination, end),
        };
        buffer[6..8].copy_from_slice(&sum.finish().to_be_bytes());
        &buffer[..end]
    }
}

/// The lowest of the four bits before the interval, which RFC 9568 §5.2.6 reserves: senders leave them zero,
/// receivers ignore them. Only a planned farewell (priority zero) has it set.
const LINGERS: u8 = 0x10;

/// The multicast group of a family.
pub const fn group(family: Family) -> IpAddr {
    match family {
        Family::V4 => IpAddr::V4(GROUP_V4),
        Family::V6 => IpAddr::V6(GROUP_V6),
    }
}

/// Whether an address is an IPv6 link-local one.
pub fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}

fn address_len(family: Family) -> usize {
    match family {
        Family::V4 => 4,
        Family::V6 => 16,
    }
}

fn checksum_form(
    version: Version,
    message: &[u8],
    source: IpAddr,
    destination: IpAddr,
) -> Result<ChecksumSeen, PacketError> {
    let plain = Sum::new().bytes(message);
    let pseudo = || with_pseudo_header(plain, source, destination, message.len()).is_valid();
    match (version, Family::of(source)) {
        (_, Family::V4) if plain.is_valid() => Ok(ChecksumSeen::Rfc),
        (Version::V3, Family::V4) if pseudo() => Ok(ChecksumSeen::Keepalived),
        (Version::V3, Family::V6) if pseudo() => Ok(ChecksumSeen::Rfc),
        _ => Err(PacketError::Checksum),
    }
}

fn with_pseudo_header(sum: Sum, source: IpAddr, destination: IpAddr, length: usize) -> Sum {
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            sum.pseudo_v4(source, destination, PROTOCOL, length)
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            sum.pseudo_v6(source, destination, PROTOCOL, length)
        }
        // Two families never meet in one datagram; the sum without addresses matches nothing.
        _ => sum,
    }
}
