//! Neighbor Solicitation and Advertisement (RFC 4861 §4.3, §4.4).
//!
//! Both are ICMPv6: type, code, checksum, four bytes (flags in an advertisement), the target address,
//! then options of `type, length in units of 8 bytes, …`. A hop limit of 255 proves that the message
//! comes from the link; anything else is refused (§7.1).

use std::net::Ipv6Addr;

use super::{EtherHeader, EtherType, Ipv6Header, MacAddr, WireError, checksum::Sum, head};

/// ff02::1.
pub const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// Next header of ICMPv6.
pub const ICMPV6: u8 = 58;

const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;
const SOURCE_LINK_LAYER: u8 = 1;
const TARGET_LINK_LAYER: u8 = 2;
const FIXED_LEN: usize = 24;
const WITH_OPTION_LEN: usize = FIXED_LEN + 8;

/// Length of a frame that carries a solicitation or advertisement with its link-layer option.
pub const FRAME_LEN: usize = EtherHeader::LEN + Ipv6Header::LEN + WITH_OPTION_LEN;

/// A Neighbor Solicitation: who has `target`?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NeighborSolicit {
    /// IPv6 source; unspecified in duplicate address detection.
    pub source: Ipv6Addr,
    /// IPv6 destination.
    pub destination: Ipv6Addr,
    /// The address asked for.
    pub target: Ipv6Addr,
    /// Source link-layer option.
    pub source_mac: Option<MacAddr>,
}

/// A Neighbor Advertisement: `target` is at `target_mac`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NeighborAdvert {
    /// IPv6 source.
    pub source: Ipv6Addr,
    /// IPv6 destination.
    pub destination: Ipv6Addr,
    /// The address spoken of.
    pub target: Ipv6Addr,
    /// Sender is a router.
    pub router: bool,
    /// Sent in answer to a solicitation.
    pub solicited: bool,
    /// Overrides what neighbours have cached.
    pub overriding: bool,
    /// Target link-layer option.
    pub target_mac: Option<MacAddr>,
}

/// Solicited-node multicast group of an address (RFC 4291 §2.7.1).
pub const fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let octets = address.octets();
    let low = u16::from_be_bytes([octets[14], octets[15]]);
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | octets[13] as u16, low)
}

impl NeighborSolicit {
    /// Duplicate-address probe (RFC 4862 §5.4.2): unspecified source, so that nobody learns anything.
    pub const fn probe(target: Ipv6Addr) -> Self {
        Self {
            source: Ipv6Addr::UNSPECIFIED,
            destination: solicited_node(target),
            target,
            source_mac: None,
        }
    }

    /// Question of `source` for `target` (RFC 4861 §7.2.2); whoever has the target learns where the source is.
    pub const fn question(target: Ipv6Addr, source: Ipv6Addr, mac: MacAddr) -> Self {
        Self {
            source,
            source_mac: Some(mac),
            ..Self::probe(target)
        }
    }

    /// From an IPv6 packet.
    ///
    /// # Errors
    /// Truncated, not a solicitation, wrong checksum, or not from this link.
    pub fn parse(packet: &[u8]) -> Result<Self, WireError> {
        let (header, _, target, source_mac) = open(packet, SOLICITATION, SOURCE_LINK_LAYER)?;
        Ok(Self {
            source: header.source,
            destination: header.destination,
            target,
            source_mac,
        })
    }

    /// A whole frame from `mac` to the group of the destination.
    pub fn frame(&self, mac: MacAddr) -> Frame {
        let option = self.source_mac.map(|mac| (SOURCE_LINK_LAYER, mac));
        Frame::build(
            mac,
            self.source,
            self.destination,
            SOLICITATION,
            0,
            self.target,
            option,
        )
    }
}

impl NeighborAdvert {
    /// Unsolicited advertisement to all nodes (RFC 4861 §7.2.6) with the flags of RFC 9568 §8.2.1:
    /// router as given, not solicited, overriding.
    pub const fn unsolicited(address: Ipv6Addr, mac: MacAddr, router: bool) -> Self {
        Self {
            source: address,
            destination: ALL_NODES,
            target: address,
            router,
            solicited: false,
            overriding: true,
            target_mac: Some(mac),
        }
    }

    /// Answer to a solicitation (RFC 4861 §7.2.4); to all nodes when the question had no source.
    pub const fn answer(question: &NeighborSolicit, mac: MacAddr, router: bool) -> Self {
        let anonymous = question.source.is_unspecified();
        Self {
            source: question.target,
            destination: if anonymous {
                ALL_NODES
            } else {
                question.source
            },
            target: question.target,
            router,
            solicited: !anonymous,
            overriding: true,
            target_mac: Some(mac),
        }
    }

    /// From an IPv6 packet.
    ///
    /// # Errors
    /// Truncated, not an advertisement, wrong checksum, or not from this link.
    pub fn parse(packet: &[u8]) -> Result<Self, WireError> {
        let (header, flags, target, target_mac) = open(packet, ADVERTISEMENT, TARGET_LINK_LAYER)?;
        Ok(Self {
            source: header.source,
            destination: header.destination,
            target,
            router: flags & 0x80 != 0,
            solicited: flags & 0x40 != 0,
            overriding: flags & 0x20 != 0,
            target_mac,
        })
    }

    /// A whole frame from `mac`: to the group's Ethernet address, or to `receiver` for one host.
    pub fn frame(&self, mac: MacAddr, receiver: Option<MacAddr>) -> Frame {
        let bit = |set: bool, bit: u8| if set { bit } else { 0 };
        let flags = bit(self.router, 0x80) | bit(self.solicited, 0x40) | bit(self.overriding, 0x20);
        let option = self.target_mac.map(|mac| (TARGET_LINK_LAYER, mac));
        let mut frame = Frame::build(
            mac,
            self.source,
            self.destination,
            ADVERTISEMENT,
            flags,
            self.target,
            option,
        );
        if let Some(receiver) = receiver {
            frame.bytes[..6].copy_from_slice(&receiver.octets());
        }
        frame
    }
}

/// A frame on the stack.
#[derive(Debug, Clone, Copy)]
pub struct Frame {
    bytes: [u8; FRAME_LEN],
    len: usize,
}

impl AsRef<[u8]> for Frame {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl Frame {
    fn build(
        mac: MacAddr,
        source: Ipv6Addr,
        destination: Ipv6Addr,
        kind: u8,
        flags: u8,
        target: Ipv6Addr,
        option: Option<(u8, MacAddr)>,
    ) -> Self {
        const ICMP_AT: usize = EtherHeader::LEN + Ipv6Header::LEN;
        let icmp_len = if option.is_some() {
            WITH_OPTION_LEN
        } else {
            FIXED_LEN
        };
        let mut bytes = [0; FRAME_LEN];
        let ether = EtherHeader {
            destination: MacAddr::ipv6_multicast(destination),
            source: mac,
            ether_type: EtherType::Ipv6,
        };
        let ip = Ipv6Header {
            traffic_class: 0,
            payload_len: if option.is_some() { 32 } else { 24 },
            next_header: ICMPV6,
            hop_limit: 255,
            source,
            destination,
        };
        bytes[..EtherHeader::LEN].copy_from_slice(&ether.emit());
        bytes[EtherHeader::LEN..ICMP_AT].copy_from_slice(&ip.emit());
        let icmp = &mut bytes[ICMP_AT..ICMP_AT + icmp_len];
        icmp[0] = kind;
        icmp[4] = flags;
        icmp[8..24].copy_from_slice(&target.octets());
        if let Some((option, mac)) = option {
            icmp[24] = option;
            icmp[25] = 1;
            icmp[26..32].copy_from_slice(&mac.octets());
        }
        let checksum = Sum::new()
            .pseudo_v6(source, destination, ICMPV6, icmp_len)
            .bytes(icmp)
            .finish();
        icmp[2..4].copy_from_slice(&checksum.to_be_bytes());
        Self {
            bytes,
            len: ICMP_AT + icmp_len,
        }
    }
}

type Opened = (Ipv6Header, u8, Ipv6Addr, Option<MacAddr>);

fn open(packet: &[u8], kind: u8, wanted_option: u8) -> Result<Opened, WireError> {
    const WHAT: &str = "neighbor discovery message";
    let unsupported = |field, value: u8| WireError::Unsupported {
        what: WHAT,
        field,
        value: value.into(),
    };
    let (header, icmp) = Ipv6Header::parse(packet)?;
    if header.next_header != ICMPV6 {
        return Err(unsupported("next header", header.next_header));
    }
    let bytes: &[u8; FIXED_LEN] = head(icmp, WHAT)?;
    if bytes[0] != kind {
        return Err(unsupported("type", bytes[0]));
    }
    if bytes[1] != 0 {
        return Err(unsupported("code", bytes[1]));
    }
    if header.hop_limit != 255 {
        return Err(unsupported("hop limit", header.hop_limit));
    }
    let sum = Sum::new().pseudo_v6(header.source, header.destination, ICMPV6, icmp.len());
    if !sum.bytes(icmp).is_valid() {
        return Err(WireError::Checksum { what: WHAT });
    }
    let mut target = [0; 16];
    target.copy_from_slice(&bytes[8..24]);
    let mac = link_layer_option(&icmp[FIXED_LEN..], wanted_option)?;
    Ok((header, bytes[4], Ipv6Addr::from(target), mac))
}

fn link_layer_option(mut options: &[u8], wanted: u8) -> Result<Option<MacAddr>, WireError> {
    const WHAT: &str = "neighbor discovery option";
    while let [kind, units, rest @ ..] = options {
        // RFC 4861 §4.6: a length of zero makes the whole message invalid.
        if *units == 0 {
            return Err(WireError::Unsupported {
                what: WHAT,
                field: "length",
                value: 0,
            });
        }
        let len = usize::from(*units) * 8;
        if options.len() < len {
            return Err(WireError::Truncated {
                what: WHAT,
                needed: len,
                got: options.len(),
            });
        }
        if *kind == wanted
            && *units == 1
            && let Some(octets) = rest.first_chunk::<6>()
        {
            return Ok(Some(MacAddr::new(*octets)));
        }
        options = &options[len..];
    }
    Ok(None)
}
