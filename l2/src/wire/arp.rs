//! ARP for IPv4 over Ethernet (RFC 826), with the probes of RFC 5227.
//!
//! ```text
//!  0               1               2               3
//! +---------------+---------------+---------------+---------------+
//! |     hardware type = 1         |     protocol type = 0x0800    |
//! | hw length = 6 | proto len = 4 |           operation           |
//! |                    sender hardware address                    |
//! |       …                       |    sender protocol address    |
//! |       …                       |    target hardware address    |
//! |                               …                               |
//! |                    target protocol address                    |
//! +---------------+---------------+---------------+---------------+
//! ```

use std::net::Ipv4Addr;

use super::{EtherHeader, EtherType, MacAddr, WireError, head};

/// Operation of an ARP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArpOperation {
    /// Who has the target address?
    Request,
    /// The sender has the sender address.
    Reply,
}

/// An ARP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArpPacket {
    /// Question or answer.
    pub operation: ArpOperation,
    /// Hardware address of the sender.
    pub sender_mac: MacAddr,
    /// Protocol address of the sender; unspecified in a probe.
    pub sender: Ipv4Addr,
    /// Hardware address of the target; meaningless in a request.
    pub target_mac: MacAddr,
    /// Protocol address asked for.
    pub target: Ipv4Addr,
}

impl ArpPacket {
    /// Length on the wire, without padding.
    pub const LEN: usize = 28;
    /// Length of a frame with one.
    pub const FRAME_LEN: usize = EtherHeader::LEN + Self::LEN;

    /// Gratuitous ARP in request form (RFC 5227 §3): sender and target are `address`.
    pub const fn gratuitous_request(address: Ipv4Addr, mac: MacAddr) -> Self {
        Self {
            operation: ArpOperation::Request,
            sender_mac: mac,
            sender: address,
            target_mac: MacAddr::BROADCAST,
            target: address,
        }
    }

    /// Gratuitous ARP in reply form, for hosts and switches that learn from replies only.
    pub const fn gratuitous_reply(address: Ipv4Addr, mac: MacAddr) -> Self {
        Self {
            operation: ArpOperation::Reply,
            ..Self::gratuitous_request(address, mac)
        }
    }

    /// Probe (RFC 5227 §2.1.1): asks for `address` and teaches nobody anything.
    pub const fn probe(address: Ipv4Addr, mac: MacAddr) -> Self {
        Self {
            operation: ArpOperation::Request,
            sender_mac: mac,
            sender: Ipv4Addr::UNSPECIFIED,
            target_mac: MacAddr::ZERO,
            target: address,
        }
    }

    /// Question of `sender` for `target` (RFC 826); whoever has the target learns where the sender is.
    pub const fn request(target: Ipv4Addr, sender: Ipv4Addr, mac: MacAddr) -> Self {
        Self {
            sender,
            ..Self::probe(target, mac)
        }
    }

    /// Answer to a request for `address`, from `mac`.
    pub const fn answer(request: &Self, address: Ipv4Addr, mac: MacAddr) -> Self {
        Self {
            operation: ArpOperation::Reply,
            sender_mac: mac,
            sender: address,
            target_mac: request.sender_mac,
            target: request.sender,
        }
    }

    /// Whether it announces its own sender address (either form).
    pub fn is_gratuitous(&self) -> bool {
        self.sender == self.target && !self.sender.is_unspecified()
    }

    /// From the payload of an Ethernet frame; padding behind it is ignored.
    ///
    /// # Errors
    /// Truncated, not IPv4 over Ethernet, or an operation other than request and reply.
    pub fn parse(payload: &[u8]) -> Result<Self, WireError> {
        const WHAT: &str = "arp packet";
        let bytes: &[u8; Self::LEN] = head(payload, WHAT)?;
        let unsupported = |field, value| WireError::Unsupported {
            what: WHAT,
            field,
            value,
        };
        if bytes[..2] != [0, 1] {
            let value = u16::from_be_bytes([bytes[0], bytes[1]]);
            return Err(unsupported("hardware type", value.into()));
        }
        if bytes[2..6] != [8, 0, 6, 4] {
            let value = u32::from_be_bytes([bytes[2], bytes[3], bytes[4], bytes[5]]);
            return Err(unsupported("protocol type and lengths", value));
        }
        let operation = match [bytes[6], bytes[7]] {
            [0, 1] => ArpOperation::Request,
            [0, 2] => ArpOperation::Reply,
            other => return Err(unsupported("operation", u16::from_be_bytes(other).into())),
        };
        let mac = |at: usize| {
            let mut octets = [0; 6];
            octets.copy_from_slice(&bytes[at..at + 6]);
            MacAddr::new(octets)
        };
        let ip = |at: usize| Ipv4Addr::new(bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]);
        Ok(Self {
            operation,
            sender_mac: mac(8),
            sender: ip(14),
            target_mac: mac(18),
            target: ip(24),
        })
    }

    /// Its bytes.
    pub fn emit(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        let operation = match self.operation {
            ArpOperation::Request => 1,
            ArpOperation::Reply => 2,
        };
        bytes[..8].copy_from_slice(&[0, 1, 8, 0, 6, 4, 0, operation]);
        bytes[8..14].copy_from_slice(&self.sender_mac.octets());
        bytes[14..18].copy_from_slice(&self.sender.octets());
        bytes[18..24].copy_from_slice(&self.target_mac.octets());
        bytes[24..].copy_from_slice(&self.target.octets());
        bytes
    }

    /// A whole frame from the sender's hardware address to `destination`.
    pub fn frame(&self, destination: MacAddr) -> [u8; Self::FRAME_LEN] {
        let ether = EtherHeader {
            destination,
            source: self.sender_mac,
            ether_type: EtherType::Arp,
        };
        let mut frame = [0; Self::FRAME_LEN];
        frame[..EtherHeader::LEN].copy_from_slice(&ether.emit());
        frame[EtherHeader::LEN..].copy_from_slice(&self.emit());
        frame
    }
}
