//! What the speaker knows of an interface, from what the kernel says of it.

use std::collections::BTreeSet;

use l2::linux::{address::Found, link};

use crate::core::{
    family::Family,
    segment::{Interface, network_of},
};

/// An interface with a hardware address, and the networks that are on its link.
pub(super) fn interface(link: &link::Interface) -> Option<Interface> {
    let lasting = |found: &&Found| !found.is_finite() || found.prefix_len < bits(found);
    let networks = link.addresses.iter().filter(lasting);
    let networks = networks.filter_map(|found| network_of(found.held.address, found.prefix_len));
    let networks: BTreeSet<_> = networks.collect();
    Some(Interface {
        index: link.index,
        name: link.name.clone(),
        mac: link.mac?.octets(),
        up: link.up,
        networks: networks.into_iter().collect(),
    })
}

/// Of an address of its family: a network of so many has one address, such as a router's that comes and goes.
fn bits(found: &Found) -> u8 {
    Family::of(found.held.address).bits()
}

#[cfg(test)]
mod tests {
    use std::{net::IpAddr, time::Duration};

    use l2::linux::address::Held;
    use l2::wire::MacAddr;

    use super::*;

    fn networks(addresses: &[(&str, u8, bool)]) -> Vec<(IpAddr, u8)> {
        let addresses = addresses.iter().map(|(address, prefix_len, finite)| Found {
            held: Held {
                index: 2,
                address: address.parse().unwrap(),
            },
            prefix_len: *prefix_len,
            mark: None,
            label: None,
            tentative: false,
            valid: finite.then_some(Duration::from_secs(60)),
        });
        let link = link::Interface {
            index: 2,
            name: "eth0".to_owned(),
            mac: Some(MacAddr::new([2; 6])),
            up: true,
            master: None,
            addresses: addresses.collect(),
        };
        interface(&link).unwrap().networks
    }

    #[test]
    fn a_network_with_a_lifetime_is_on_the_link_and_a_lone_address_is_not() {
        let network = |text: &str, prefix_len| (text.parse::<IpAddr>().unwrap(), prefix_len);
        // DHCP and SLAAC.
        assert_eq!(
            networks(&[
                ("10.0.0.7", 24, true),
                ("2001:db8::7", 64, true),
                ("2001:db8::8", 64, false)
            ]),
            [network("10.0.0.0", 24), network("2001:db8::", 64)]
        );
        // A VIP that its router renews.
        assert_eq!(
            networks(&[("10.0.0.100", 32, true), ("2001:db8::100", 128, true)]),
            []
        );
        // Of somebody who means it.
        assert_eq!(
            networks(&[("10.0.0.7", 32, false)]),
            [network("10.0.0.7", 32)]
        );
    }

    #[test]
    fn what_has_no_hardware_address_is_no_interface() {
        let tunnel = link::Interface {
            index: 3,
            name: "tun0".to_owned(),
            mac: None,
            up: true,
            master: None,
            addresses: Vec::new(),
        };
        assert_eq!(interface(&tunnel), None);
    }
}
