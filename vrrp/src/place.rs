//! Where a virtual router lives: its interface, and the addresses it speaks from.

use std::net::IpAddr;

use l2::linux::link::{Interface, Links};
use l2::wire::MacAddr;

/// Where a router lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouterPlan {
    /// Interface by name; `None`: the one that holds `anchor`.
    pub interface: Option<String>,
    /// An address that the node has there: its own, or where that is `::` the one of the group's IPv4 router.
    pub anchor: IpAddr,
    /// The node's own address; `::`: the link-local one of the interface.
    pub source: IpAddr,
    /// Whether adverts are multicast (an IPv6 one then comes from the link-local address).
    pub multicast: bool,
    /// The addresses.
    pub addresses: Vec<IpAddr>,
    /// Identifier.
    pub vrid: u8,
}

impl RouterPlan {
    /// The address that its packets come from.
    pub(crate) fn speaks_from(&self, interface: &Interface) -> Option<IpAddr> {
        if self.source.is_ipv6() && (self.multicast || self.source.is_unspecified()) {
            interface.link_local()
        } else {
            Some(self.source)
        }
    }
}

/// Where a router's packets come from and go to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) interface: String,
    pub(crate) index: u32,
    pub(crate) mac: MacAddr,
    pub(crate) source: IpAddr,
    /// Bits of the source's network.
    pub(crate) prefix_len: u8,
}

impl Place {
    /// Whether a peer is reached without a gateway.
    pub(crate) fn is_on_link(&self, peer: IpAddr) -> bool {
        let bits = |address: IpAddr| match address {
            IpAddr::V4(v4) => u128::from(v4.to_bits()) << 96,
            IpAddr::V6(v6) => v6.to_bits(),
        };
        let same = (bits(self.source) ^ bits(peer)).leading_zeros();
        self.source.is_ipv4() == peer.is_ipv4() && same >= u32::from(self.prefix_len)
    }
}

/// The interface of a router, whatever its state.
pub(crate) fn home<'a>(router: &RouterPlan, links: &'a Links) -> Option<&'a Interface> {
    match &router.interface {
        Some(name) => links.by_name(name),
        None => links.holding(router.anchor),
    }
}

/// Where a router lives, or what is missing.
pub(crate) fn place(router: &RouterPlan, links: &Links) -> Result<Place, String> {
    let Some(interface) = home(router, links) else {
        return Err(match &router.interface {
            Some(name) => format!("interface `{name}` does not exist"),
            None => format!("no interface holds {}", router.anchor),
        });
    };
    let name = &interface.name;
    if !interface.up {
        return Err(format!("interface `{name}` is down or has no carrier"));
    }
    let link_local = || format!("interface `{name}` has no link-local address");
    let own = if router.source.is_unspecified() {
        router.speaks_from(interface).ok_or_else(link_local)?
    } else {
        router.source
    };
    let mut addresses = interface.addresses.iter();
    let Some(held) = addresses.find(|found| found.held.address == own) else {
        return Err(format!("{own} is not on interface `{name}`"));
    };
    if held.tentative {
        return Err(format!("{own} is still being checked for duplicates"));
    }
    let source = router.speaks_from(interface).ok_or_else(link_local)?;
    let prefix_len = held.prefix_len;
    Ok(Place {
        interface: name.clone(),
        index: interface.index,
        mac: interface
            .mac
            .ok_or_else(|| format!("interface `{name}` is not Ethernet"))?,
        source,
        prefix_len,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(source: &str, prefix_len: u8) -> Place {
        Place {
            interface: "eth0".to_owned(),
            index: 2,
            mac: MacAddr::ZERO,
            source: source.parse().unwrap(),
            prefix_len,
        }
    }

    #[test]
    fn peers_of_the_network_are_on_the_link() {
        for (source, prefix_len, peer, expected) in [
            ("10.0.0.1", 24, "10.0.0.200", true),
            ("10.0.0.1", 24, "10.0.1.1", false),
            ("10.0.0.1", 32, "10.0.0.2", false),
            ("10.0.0.1", 0, "192.0.2.1", true),
            ("fd00::1", 64, "fd00::2", true),
            ("fd00::1", 64, "fd00:0:0:1::2", false),
            ("fd00::1", 0, "10.0.0.1", false),
        ] {
            let place = at(source, prefix_len);
            assert_eq!(
                place.is_on_link(peer.parse().unwrap()),
                expected,
                "{peer} from {source}/{prefix_len}"
            );
        }
    }
}
