//! The Internet checksum (RFC 1071) with the pseudo-headers of IPv4 and IPv6.

use std::net::{Ipv4Addr, Ipv6Addr};

/// A ones-complement sum under way. Parts may be added in any order, but every part except the last
/// has an even number of bytes, because the sum is over 16-bit words.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sum(u64);

impl Sum {
    /// An empty sum.
    pub const fn new() -> Self {
        Self(0)
    }

    /// Adds bytes as big-endian words; an odd last byte is padded with zero.
    #[must_use]
    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        let (words, rest) = bytes.as_chunks::<2>();
        for word in words {
            self.0 += u64::from(u16::from_be_bytes(*word));
        }
        if let [last] = rest {
            self.0 += u64::from(*last) << 8;
        }
        self
    }

    /// Adds the pseudo-header that TCP, UDP and VRRP over IPv4 share.
    #[must_use]
    pub fn pseudo_v4(
        self,
        source: Ipv4Addr,
        destination: Ipv4Addr,
        protocol: u8,
        length: usize,
    ) -> Self {
        self.bytes(&source.octets())
            .bytes(&destination.octets())
            .tail(protocol, length)
    }

    /// Adds the pseudo-header of RFC 8200 §8.1.
    #[must_use]
    pub fn pseudo_v6(
        self,
        source: Ipv6Addr,
        destination: Ipv6Addr,
        protocol: u8,
        length: usize,
    ) -> Self {
        self.bytes(&source.octets())
            .bytes(&destination.octets())
            .tail(protocol, length)
    }

    /// The checksum: the complement of the folded sum.
    pub fn finish(self) -> u16 {
        let mut sum = self.0;
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !u16::try_from(sum).unwrap_or(u16::MAX)
    }

    /// Whether a message that holds its own checksum adds up.
    pub fn is_valid(self) -> bool {
        self.finish() == 0
    }

    fn tail(mut self, protocol: u8, length: usize) -> Self {
        self.0 += u64::from(protocol) + length as u64;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn example_of_rfc_1071_adds_up() {
        let sum = Sum::new().bytes(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]);
        assert_eq!(sum.finish(), !0xddf2);
    }

    #[test]
    fn odd_last_byte_counts_as_the_high_half_of_a_word() {
        assert_eq!(Sum::new().bytes(&[0x12]).finish(), !0x1200);
    }
}
