//! Ranges and sets of addresses.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use cluster_config::net::{AddressSet, IpRange, IpSet};
use proptest::collection::vec;
use proptest::prelude::*;

use super::cases;

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn sets_agree_with_lists_of_addresses(
        first in vec(small_range(), 0..8),
        second in vec(small_range(), 0..8),
        steps in vec((any::<bool>(), small_range()), 0..8),
    ) {
        let (a, b): (IpSet, IpSet) = (first.iter().copied().collect(), second.iter().copied().collect());
        let (naive_a, naive_b) = (listed(&first), listed(&second));
        prop_assert!(all(&a) == naive_a);
        prop_assert_eq!(all(&a.union(&b)), &naive_a | &naive_b);
        prop_assert_eq!(all(&a.subtract(&b)), &naive_a - &naive_b);
        prop_assert_eq!(all(&a.intersection(&b)), &naive_a & &naive_b);
        prop_assert_eq!(a.overlaps(&b), !naive_a.is_disjoint(&naive_b));
        let (mut set, mut naive) = (a, naive_a);
        for (insert, range) in steps {
            if insert {
                set.insert(range);
                naive.extend(listed(&[range]));
            } else {
                set.remove(range);
                for address in listed(&[range]) {
                    naive.remove(&address);
                }
            }
            prop_assert_eq!(all(&set), naive.clone());
            let ranges: Vec<IpRange> = set.ranges().collect();
            // Normal form: however a set came about, equal sets are equal.
            prop_assert_eq!(&set, &ranges.into_iter().collect::<IpSet>());
        }
        for address in universe() {
            prop_assert_eq!(set.contains(address), naive.contains(&address));
        }
        let usable = AddressSet::new(set, true);
        let kept: Vec<IpAddr> = naive.into_iter().filter(|address| match address {
            IpAddr::V4(v4) => !matches!(v4.octets()[3], 0 | 255),
            IpAddr::V6(_) => true,
        }).collect();
        prop_assert_eq!(usable.size(), kept.len() as u128);
        for (index, address) in kept.iter().enumerate() {
            prop_assert_eq!(usable.nth(index as u128), Some(*address));
            prop_assert!(usable.contains(*address));
        }
        prop_assert_eq!(usable.nth(kept.len() as u128), None);
    }

    #[test]
    fn a_printed_range_reads_back((a, b) in prop_oneof![
        (any::<Ipv4Addr>(), any::<Ipv4Addr>()).prop_map(|(a, b)| (IpAddr::from(a), IpAddr::from(b))),
        (any::<Ipv6Addr>(), any::<Ipv6Addr>()).prop_map(|(a, b)| (IpAddr::from(a), IpAddr::from(b))),
    ]) {
        let range = IpRange::new(a.min(b), a.max(b)).expect("in order");
        prop_assert_eq!(range.to_string().parse::<IpRange>(), Ok(range));
    }

    #[test]
    fn any_text_is_read_or_refused_as_a_range(text in "[-0-9a-f.:/ ]{0,40}") {
        if let Ok(range) = text.parse::<IpRange>() {
            prop_assert!(range.first() <= range.last());
        }
    }
}

/// Around a block border, so that .0 and .255 are inside; and the same for IPv6.
fn universe() -> impl Iterator<Item = IpAddr> {
    let v4 = (0..80_u32).map(|n| IpAddr::from(Ipv4Addr::from(0x0a00_00d8 + n)));
    let v6 = (0..20_u128).map(|n| IpAddr::from(Ipv6Addr::from((0xfd_u128 << 120) + n)));
    v4.chain(v6)
}

fn small_range() -> impl Strategy<Value = IpRange> {
    let addresses: Vec<IpAddr> = universe().collect();
    let count = addresses.len();
    (0..count, 0..30_usize).prop_map(move |(start, length)| {
        let first = addresses[start];
        let last = (start..=(start + length).min(count - 1))
            .rev()
            .map(|index| addresses[index])
            .find(|last| last.is_ipv4() == first.is_ipv4())
            .expect("itself");
        IpRange::new(first, last).expect("in order")
    })
}

fn listed(ranges: &[IpRange]) -> BTreeSet<IpAddr> {
    universe()
        .filter(|address| {
            ranges.iter().any(|range| {
                range.first() <= *address
                    && *address <= range.last()
                    && address.is_ipv4() == range.is_ipv4()
            })
        })
        .collect()
}

fn all(set: &IpSet) -> BTreeSet<IpAddr> {
    (0..set.size()).filter_map(|index| set.nth(index)).collect()
}
