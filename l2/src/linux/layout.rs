//! Where things are in packets of a family, and how sets hold them.

use std::net::IpAddr;

use netlink_packet_netfilter::nftables::Register;

use super::expression::Field;
use super::nftables::Family;

/// `nft`'s numbers of what sets hold, for `nft list`.
pub(super) mod kind {
    pub(in crate::linux) const IPV4: u32 = 7;
    pub(in crate::linux) const IPV6: u32 = 8;
    const PORT: u32 = 13;

    /// An address and a port.
    pub(in crate::linux) const fn with_port(address: u32) -> u32 {
        address << 6 | PORT
    }
}

/// Where things are in an IP header.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    pub(super) family: Family,
    pub(super) kind: u32,
    pub(super) len: u32,
    pub(super) source: Field,
    pub(super) destination: Field,
    /// The 32-bit register behind an address that begins in the first one.
    pub(super) behind: Register,
}

const V4: Layout = Layout {
    family: Family::Ipv4,
    kind: kind::IPV4,
    len: 4,
    source: Field::of_network(12, 4),
    destination: Field::of_network(16, 4),
    behind: Register::Reg32_01,
};

const V6: Layout = Layout {
    family: Family::Ipv6,
    kind: kind::IPV6,
    len: 16,
    source: Field::of_network(8, 16),
    destination: Field::of_network(24, 16),
    behind: Register::Reg32_04,
};

impl Layout {
    /// Of IP packets; ARP has no header of IP, and is read as IPv4.
    pub(super) const fn of(family: Family) -> Self {
        match family {
            Family::Ipv4 | Family::Arp => V4,
            Family::Ipv6 => V6,
        }
    }
}

/// An address as a set holds it.
pub(super) fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}
