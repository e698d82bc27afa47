//! IPv6 header (RFC 8200).

use std::net::Ipv6Addr;

use super::{WireError, head};

/// The fixed IPv6 header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ipv6Header {
    /// Traffic class.
    pub traffic_class: u8,
    /// Length of what follows the header, in bytes.
    pub payload_len: u16,
    /// Protocol of what follows.
    pub next_header: u8,
    /// Hop limit.
    pub hop_limit: u8,
    /// Sender.
    pub source: Ipv6Addr,
    /// Receiver.
    pub destination: Ipv6Addr,
}

impl Ipv6Header {
    /// Length on the wire.
    pub const LEN: usize = 40;

    /// Header and payload; the payload ends where the header says.
    ///
    /// # Errors
    /// Truncated or another version.
    pub fn parse(packet: &[u8]) -> Result<(Self, &[u8]), WireError> {
        const WHAT: &str = "ipv6 packet";
        let bytes: &[u8; Self::LEN] = head(packet, WHAT)?;
        if bytes[0] >> 4 != 6 {
            return Err(WireError::Unsupported {
                what: WHAT,
                field: "version",
                value: u32::from(bytes[0] >> 4),
            });
        }
        let payload_len = u16::from_be_bytes([bytes[4], bytes[5]]);
        let end = Self::LEN + usize::from(payload_len);
        let payload = packet.get(Self::LEN..end).ok_or(WireError::Truncated {
            what: WHAT,
            needed: end,
            got: packet.len(),
        })?;
        let address = |at: usize| {
            let mut octets = [0; 16];
            octets.copy_from_slice(&bytes[at..at + 16]);
            Ipv6Addr::from(octets)
        };
        let header = Self {
            traffic_class: (bytes[0] << 4) | (bytes[1] >> 4),
            payload_len,
            next_header: bytes[6],
            hop_limit: bytes[7],
            source: address(8),
            destination: address(24),
        };
        Ok((header, payload))
    }

    /// Its bytes; flow label 0.
    pub fn emit(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[0] = 0x60 | (self.traffic_class >> 4);
        bytes[1] = self.traffic_class << 4;
        bytes[4..6].copy_from_slice(&self.payload_len.to_be_bytes());
        bytes[6] = self.next_header;
        bytes[7] = self.hop_limit;
        bytes[8..24].copy_from_slice(&self.source.octets());
        bytes[24..].copy_from_slice(&self.destination.octets());
        bytes
    }
}
