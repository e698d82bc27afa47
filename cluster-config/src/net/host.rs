//! Which addresses can belong to a host.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{IpRange, IpSet};

/// Addresses that no host on a network has: unspecified, loopback, link-local, multicast, reserved
/// (RFC 6890), and IPv4 mapped into IPv6.
pub(crate) fn never_hosts() -> IpSet {
    let v4 = |first: [u8; 4], last: [u8; 4]| (IpAddr::from(first), IpAddr::from(last));
    let v6 = |first: [u16; 8], last: [u16; 8]| (IpAddr::from(first), IpAddr::from(last));
    const MAX: u16 = u16::MAX;
    [
        v4([0, 0, 0, 0], [0, 255, 255, 255]),
        v4([127, 0, 0, 0], [127, 255, 255, 255]),
        v4([169, 254, 0, 0], [169, 254, 255, 255]),
        v4([224, 0, 0, 0], [255, 255, 255, 255]),
        v6([0; 8], [0, 0, 0, 0, 0, 0, 0, 1]),
        v6([0, 0, 0, 0, 0, MAX, 0, 0], [0, 0, 0, 0, 0, MAX, MAX, MAX]),
        v6(
            [0xfe80, 0, 0, 0, 0, 0, 0, 0],
            [0xfebf, MAX, MAX, MAX, MAX, MAX, MAX, MAX],
        ),
        v6([0xff00, 0, 0, 0, 0, 0, 0, 0], [MAX; 8]),
    ]
    .into_iter()
    .filter_map(|(first, last)| IpRange::new(first, last).ok())
    .collect()
}

/// Whether the address can belong to a host.
pub(crate) fn is_host(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_host_v4(v4),
        IpAddr::V6(v6) => is_host_v6(v6),
    }
}

fn is_host_v4(v4: Ipv4Addr) -> bool {
    let [first, ..] = v4.octets();
    first != 0 && first < 224 && !v4.is_loopback() && !v4.is_link_local()
}

fn is_host_v6(v6: Ipv6Addr) -> bool {
    !(v6.is_unspecified()
        || v6.is_loopback()
        || v6.is_multicast()
        || v6.is_unicast_link_local()
        || v6.to_ipv4_mapped().is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn set_and_predicate_agree() {
        let never = never_hosts();
        for range in never.ranges() {
            for edge in [range.first(), range.last()] {
                assert!(!is_host(edge), "{edge}");
            }
        }
        for text in [
            "10.0.0.1",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "169.255.0.0",
            "223.255.255.255",
            "1.0.0.0",
            "::2",
            "fe7f::1",
            "fec0::1",
            "fd00::1",
            "2001:db8::1",
        ] {
            let address: IpAddr = text.parse().expect(text);
            assert!(is_host(address), "{text}");
            assert!(!never.contains(address), "{text}");
        }
    }
}
