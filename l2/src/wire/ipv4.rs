//! IPv4 header (RFC 791), as a raw socket delivers it.

use std::net::Ipv4Addr;

use super::{WireError, checksum::Sum, head};

/// The parts of an IPv4 header that layer-2 roles look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ipv4Header {
    /// Type of service byte.
    pub tos: u8,
    /// Length of header and payload in bytes.
    pub total_len: u16,
    /// Time to live.
    pub ttl: u8,
    /// Protocol of the payload.
    pub protocol: u8,
    /// Sender.
    pub source: Ipv4Addr,
    /// Receiver.
    pub destination: Ipv4Addr,
}

impl Ipv4Header {
    /// Length without options.
    pub const MIN_LEN: usize = 20;

    /// Header and payload. The payload starts after the options and ends where the header says, so
    /// that Ethernet padding is cut off.
    ///
    /// # Errors
    /// Truncated, another version, or lengths that contradict each other. The header checksum is the
    /// kernel's business: raw sockets never deliver a wrong one.
    pub fn parse(packet: &[u8]) -> Result<(Self, &[u8]), WireError> {
        const WHAT: &str = "ipv4 packet";
        let bytes: &[u8; Self::MIN_LEN] = head(packet, WHAT)?;
        let unsupported = |field, value| WireError::Unsupported {
            what: WHAT,
            field,
            value,
        };
        if bytes[0] >> 4 != 4 {
            return Err(unsupported("version", u32::from(bytes[0] >> 4)));
        }
        let header_len = usize::from(bytes[0] & 0x0f) * 4;
        if header_len < Self::MIN_LEN {
            return Err(unsupported("header length", u32::from(bytes[0] & 0x0f)));
        }
        let total_len = u16::from_be_bytes([bytes[2], bytes[3]]);
        let end = usize::from(total_len);
        if end < header_len {
            return Err(unsupported("total length", total_len.into()));
        }
        let payload = packet.get(header_len..end).ok_or(WireError::Truncated {
            what: WHAT,
            needed: end,
            got: packet.len(),
        })?;
        let header = Self {
            tos: bytes[1],
            total_len,
            ttl: bytes[8],
            protocol: bytes[9],
            source: Ipv4Addr::new(bytes[12], bytes[13], bytes[14], bytes[15]),
            destination: Ipv4Addr::new(bytes[16], bytes[17], bytes[18], bytes[19]),
        };
        Ok((header, payload))
    }

    /// Its bytes without options, checksum included; identification 0, don't fragment.
    pub fn emit(&self) -> [u8; Self::MIN_LEN] {
        let mut bytes = [0; Self::MIN_LEN];
        bytes[0] = 0x45;
        bytes[1] = self.tos;
        bytes[2..4].copy_from_slice(&self.total_len.to_be_bytes());
        bytes[6] = 0x40;
        bytes[8] = self.ttl;
        bytes[9] = self.protocol;
        bytes[12..16].copy_from_slice(&self.source.octets());
        bytes[16..20].copy_from_slice(&self.destination.octets());
        let checksum = Sum::new().bytes(&bytes).finish();
        bytes[10..12].copy_from_slice(&checksum.to_be_bytes());
        bytes
    }
}
