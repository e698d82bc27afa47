//! Who may connect to which port: the source ranges of all Services, as the packet filter takes them.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use l2::linux::source_ranges::Endpoint;

use crate::core::{
    atlas::{Atlas, Exposed},
    family::Family,
    intervals::IntervalSet,
    range::AddressRange,
};

/// Ports that are not for everyone, each with the first and the last address of ranges that do not touch.
pub(super) type Admitted = BTreeMap<Endpoint, Vec<(IpAddr, IpAddr)>>;

/// What the Services say. Of a list without a range of the address's family it is said that nobody may connect: it is a list.
pub(super) fn admitted(atlas: &Atlas) -> Admitted {
    let limited = atlas
        .services()
        .filter(|service| !service.source_ranges.is_empty());
    limited.flat_map(endpoints).collect()
}

fn endpoints(service: &Exposed) -> impl Iterator<Item = (Endpoint, Vec<(IpAddr, IpAddr)>)> {
    let addresses: BTreeSet<IpAddr> = service.addresses.iter().copied().collect();
    addresses.into_iter().flat_map(|address| {
        let ranges = merged(&service.source_ranges, Family::of(address));
        service.ports.iter().map(move |port| {
            let endpoint = Endpoint {
                address,
                protocol: port.protocol.number(),
                port: port.number,
            };
            (endpoint, ranges.clone())
        })
    })
}

/// The packet filter refuses ranges that meet.
fn merged(ranges: &[AddressRange], family: Family) -> Vec<(IpAddr, IpAddr)> {
    let mut intervals = IntervalSet::default();
    for range in ranges.iter().filter(|range| range.family() == family) {
        let (first, last) = range.bounds();
        intervals.insert(first, last);
    }
    let intervals = intervals.iter();
    intervals
        .map(|(first, last)| (family.address(first), family.address(last)))
        .collect()
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
            source_ranges: ranges.iter().map(|range| range.parse().unwrap()).collect(),
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
            format!("192.0.2.100 6 8443: {v4}"),
            // Ranges of IPv4 alone admit nobody by IPv6.
            "2001:db8::100 6 443: ".to_owned(),
            "2001:db8::100 6 8443: ".to_owned(),
        ];
        assert_eq!(seen, expected);
    }
}
