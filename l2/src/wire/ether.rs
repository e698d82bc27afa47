//! Ethernet II header.

use super::{MacAddr, WireError, head};

/// What an Ethernet frame carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum EtherType {
    /// IPv4.
    Ipv4 = 0x0800,
    /// ARP.
    Arp = 0x0806,
    /// IPv6.
    Ipv6 = 0x86dd,
}

/// The 14 bytes in front of an untagged frame's payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EtherHeader {
    /// Receiver.
    pub destination: MacAddr,
    /// Sender.
    pub source: MacAddr,
    /// Kind of payload.
    pub ether_type: EtherType,
}

impl EtherHeader {
    /// Length on the wire.
    pub const LEN: usize = 14;

    /// Header and payload of a frame.
    ///
    /// # Errors
    /// Truncated, or a payload that is neither ARP nor IP (a VLAN tag, for example: the kernel takes
    /// the tag off before a packet socket of the VLAN's own interface sees the frame).
    pub fn parse(frame: &[u8]) -> Result<(Self, &[u8]), WireError> {
        let bytes: &[u8; Self::LEN] = head(frame, "ethernet frame")?;
        let [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, t0, t1] = *bytes;
        let ether_type = match u16::from_be_bytes([t0, t1]) {
            0x0800 => EtherType::Ipv4,
            0x0806 => EtherType::Arp,
            0x86dd => EtherType::Ipv6,
            other => {
                return Err(WireError::Unsupported {
                    what: "ethernet frame",
                    field: "type",
                    value: other.into(),
                });
            }
        };
        let header = Self {
            destination: MacAddr::new([d0, d1, d2, d3, d4, d5]),
            source: MacAddr::new([s0, s1, s2, s3, s4, s5]),
            ether_type,
        };
        Ok((header, &frame[Self::LEN..]))
    }

    /// Its bytes.
    pub fn emit(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[..6].copy_from_slice(&self.destination.octets());
        bytes[6..12].copy_from_slice(&self.source.octets());
        bytes[12..].copy_from_slice(&(self.ether_type as u16).to_be_bytes());
        bytes
    }
}
