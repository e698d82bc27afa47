//! Codecs. Every `parse` takes what a socket delivered and returns a value or a [`WireError`]; every
//! `emit`/`frame` returns complete messages. No I/O, no allocation.

pub mod arp;
pub mod checksum;
pub mod ether;
pub mod ipv4;
pub mod ipv6;
pub mod mac;
pub mod ndp;

pub use arp::{ArpOperation, ArpPacket};
pub use ether::{EtherHeader, EtherType};
pub use ipv4::Ipv4Header;
pub use ipv6::Ipv6Header;
pub use mac::{MacAddr, MacAddrInvalid};
pub use ndp::{NeighborAdvert, NeighborSolicit};

/// Why received bytes are not the message that was looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// Fewer bytes than the message needs.
    #[error("{what} needs {needed} bytes, got {got}")]
    Truncated {
        /// Name of the message.
        what: &'static str,
        /// Bytes needed.
        needed: usize,
        /// Bytes there.
        got: usize,
    },
    /// A field with a value that this codec does not speak.
    #[error("{what}: value {value} in field `{field}`")]
    Unsupported {
        /// Name of the message.
        what: &'static str,
        /// Name of the field.
        field: &'static str,
        /// What it held.
        value: u32,
    },
    /// Checksum does not match.
    #[error("{what}: wrong checksum")]
    Checksum {
        /// Name of the message.
        what: &'static str,
    },
}

impl WireError {
    /// Label for metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Truncated { .. } => "truncated",
            Self::Unsupported { .. } => "unsupported",
            Self::Checksum { .. } => "checksum",
        }
    }
}

/// The first `N` bytes of a message, or [`WireError::Truncated`].
pub(crate) fn head<'a, const N: usize>(
    bytes: &'a [u8],
    what: &'static str,
) -> Result<&'a [u8; N], WireError> {
    bytes.first_chunk().ok_or(WireError::Truncated {
        what,
        needed: N,
        got: bytes.len(),
    })
}
