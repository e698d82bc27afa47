//! Who may connect to which port: the source ranges of all Services, as the packet filter takes them.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    net::IpAddr,
};

use l2::linux::source_ranges::{Admitted, Endpoint};

use crate::core::{
    atlas::{Atlas, Exposed},
    family::Family,
    intervals::IntervalSet,
};

/// What the Services say. Of a list without a range of the address's family it is said that nobody may connect: it is a list. Who may
/// connect to one of two Services with the same port at an address may connect, as with ping.
pub(super) fn admitted(atlas: &Atlas) -> Admitted {
    let mut lists: BTreeMap<Endpoint, IntervalSet> = BTreeMap::new();
    for service in atlas.services() {
        let ranges = service.source_ranges.iter().flatten();
        for endpoint in endpoints(service).filter(|_| service.source_ranges.is_some()) {
            let family = Family::of(endpoint.address);
            let list = lists.entry(endpoint).or_default();
            for range in ranges.clone().filter(|range| range.family() == family) {
                let (first, last) = range.bounds();
                list.insert(first, last);
            }
        }
    }
    if !lists.is_empty() {
        let open = atlas.services().filter(|one| one.source_ranges.is_none());
        for endpoint in open.flat_map(endpoints) {
            if let Entry::Occupied(list) = lists.entry(endpoint) {
                list.remove();
            }
        }
    }
    let read = |(endpoint, list): (Endpoint, IntervalSet)| {
        let family = Family::of(endpoint.address);
        let ranges = list.iter();
        let ranges = ranges.map(|(first, last)| (family.address(first), family.address(last)));
        (endpoint, ranges.collect())
    };
    lists.into_iter().map(read).collect()
}

fn endpoints(service: &Exposed) -> impl Iterator<Item = Endpoint> {
    let addresses = service.addresses.iter();
    addresses.flat_map(|&address: &IpAddr| {
        service.ports.iter().map(move |port| Endpoint {
            address,
            protocol: port.protocol.number(),
            port: port.number,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{
        labels::Labels,
        service::{Port, Protocol, ServiceKey, TrafficPolicy},
    };

    #[test]
    fn a_list_is_of_its_own_ports_and_its_ranges_do_not_meet() {
        let service = |ports: &[u16], ranges: &[&str]| Exposed {
            labels: Labels::new(),
            traffic_policy: TrafficPolicy::Cluster,
            ports: ports
                .iter()
                .map(|&number| Port {
                    protocol: Protocol::Tcp,
                    number,
                })
                .collect(),
            source_ranges: (!ranges.is_empty())
                .then(|| ranges.iter().map(|range| range.parse().unwrap()).collect()),
            addresses: ["192.0.2.100", "2001:db8::100"]
                .map(|address| address.parse().unwrap())
                .into(),
        };
        let mut atlas = Atlas::default();
        let open = service(&[80], &[]);
        let closed = service(
            &[443, 8443],
            &["10.1.0.0/16", "10.0.0.0/16", "10.0.3.0/24", "192.0.2.7/32"],
        );
        atlas.set_service(&ServiceKey::new("a", "open"), Some(open));
        atlas.set_service(&ServiceKey::new("a", "closed"), Some(closed));
        // The same port again, by mistake or somebody else's: who may connect to one of them may connect.
        atlas.set_service(
            &ServiceKey::new("b", "more"),
            Some(service(&[8443], &["192.0.2.8/32"])),
        );
        atlas.set_service(
            &ServiceKey::new("b", "secret"),
            Some(service(&[22], &["10.0.0.0/8"])),
        );
        atlas.set_service(&ServiceKey::new("b", "public"), Some(service(&[22], &[])));
        let seen: Vec<String> = admitted(&atlas)
            .into_iter()
            .map(|(endpoint, ranges)| {
                let Endpoint {
                    address,
                    protocol,
                    port,
                } = endpoint;
                let ranges: Vec<_> = ranges
                    .iter()
                    .map(|(first, last)| format!("{first}-{last}"))
                    .collect();
                format!("{address} {protocol} {port}: {}", ranges.join(" "))
            })
            .collect();
        let v4 = "10.0.0.0-10.1.255.255 192.0.2.7-192.0.2.7";
        let expected = [
            format!("192.0.2.100 6 443: {v4}"),
            "192.0.2.100 6 8443: 10.0.0.0-10.1.255.255 192.0.2.7-192.0.2.8".to_owned(),
            // Ranges of IPv4 alone admit nobody by IPv6.
            "2001:db8::100 6 443: ".to_owned(),
            "2001:db8::100 6 8443: ".to_owned(),
        ];
        assert_eq!(seen, expected);
    }
}
