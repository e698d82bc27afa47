//! Where things are in packets of a family, and how sets hold them.

use std::net::IpAddr;
use std::time::Duration;

use netlink_packet_netfilter::nftables::Register;

use super::expression::{Field, Set};
use super::nftables::{Batch, Family};
use super::set_keys::{FOR_EVER, Key, Keys};

/// `nft`'s numbers of what sets hold, for `nft list`.
mod kind {
    pub(super) const IPV4: u32 = 7;
    pub(super) const IPV6: u32 = 8;
    pub(super) const PROTOCOL: u32 = 12;
    pub(super) const PORT: u32 = 13;
    pub(super) const INTERFACE: u32 = 20;
}

/// Where things are in an IP header.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    pub(super) family: Family,
    kind: u32,
    len: u32,
    pub(super) source: Field,
    pub(super) destination: Field,
    /// The 32-bit registers behind an address that begins in the first one.
    pub(super) behind: [Register; 3],
}

const V4: Layout = Layout {
    family: Family::Ipv4,
    kind: kind::IPV4,
    len: 4,
    source: Field::of_network(12, 4),
    destination: Field::of_network(16, 4),
    behind: [Register::Reg32_01, Register::Reg32_02, Register::Reg32_03],
};

const V6: Layout = Layout {
    family: Family::Ipv6,
    kind: kind::IPV6,
    len: 16,
    source: Field::of_network(8, 16),
    destination: Field::of_network(24, 16),
    behind: [Register::Reg32_04, Register::Reg32_05, Register::Reg32_06],
};

impl Layout {
    /// Of IP packets; ARP has no header of IP, and is read as IPv4.
    pub(super) const fn of(family: Family) -> Self {
        match family {
            Family::Ipv4 | Family::Arp => V4,
            Family::Ipv6 => V6,
        }
    }

    /// Keys of an address and a port.
    pub(super) const fn with_port(self) -> (u32, u32) {
        // A port takes a whole register.
        (self.kind << 6 | kind::PORT, self.len + 4)
    }

    /// Keys of an address, a protocol and a port.
    pub(super) const fn with_protocol_and_port(self) -> (u32, u32) {
        let kinds = (self.kind << 6 | kind::PROTOCOL) << 6 | kind::PORT;
        (kinds, self.len + 4 + 4)
    }

    /// Keys of the same and another address, and how many bytes each part has.
    pub(super) const fn with_protocol_port_and_address(self) -> (u32, u32, &'static [u8]) {
        let (kinds, len) = self.with_protocol_and_port();
        let parts: &[u8] = match self.family {
            Family::Ipv4 | Family::Arp => &[4, 1, 2, 4],
            Family::Ipv6 => &[16, 1, 2, 16],
        };
        (kinds << 6 | self.kind, len + self.len, parts)
    }

    /// Adds a set of addresses, which leave it by themselves after `timeout`; zero: they stay. A `size` of zero: as many as come.
    pub(super) fn addresses(self, batch: &mut Batch, set: Set, size: usize, timeout: Duration) {
        let keys = Keys {
            size: u32::try_from(size).unwrap_or(u32::MAX),
            ..Keys::plain(self.kind, self.len)
        };
        batch.set(set.name, set.number, keys, timeout);
    }
}

/// Puts addresses into a set: a few, so that one message holds them.
pub(super) fn fill(batch: &mut Batch, set: Set, addresses: &[IpAddr]) {
    let keys = addresses.iter().copied().map(octets).map(Key::from);
    batch.elements(set.name, set.number, keys);
}

/// Adds a set of interfaces, by index, which stay in it.
pub(super) fn interfaces(batch: &mut Batch, set: Set) {
    let keys = Keys {
        is_number: true,
        ..Keys::plain(kind::INTERFACE, 4)
    };
    batch.set(set.name, set.number, keys, FOR_EVER);
}

/// An interface as a set holds it.
pub(super) fn number(interface: u32) -> Vec<u8> {
    interface.to_ne_bytes().to_vec()
}

/// An address as a set holds it.
pub(super) fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}
