//! Sets of addresses as sorted, disjoint, non-adjacent ranges per family.

use std::fmt;
use std::net::IpAddr;

use super::range::{IpRange, address, number};

/// A set of IPv4 and IPv6 addresses.
///
/// Costs are in the number of ranges, never in the number of addresses.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IpSet {
    v4: Vec<(u128, u128)>,
    v6: Vec<(u128, u128)>,
}

impl IpSet {
    /// The empty set.
    pub const fn new() -> Self {
        Self {
            v4: Vec::new(),
            v6: Vec::new(),
        }
    }

    /// Whether no address is in the set.
    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    /// Number of addresses of both families; saturates at `u128::MAX`.
    pub fn size(&self) -> u128 {
        self.ranges()
            .fold(0, |sum: u128, range| sum.saturating_add(range.size()))
    }

    /// The ranges in order, IPv4 first.
    pub fn ranges(&self) -> impl Iterator<Item = IpRange> + '_ {
        let of = |ipv4: bool| {
            move |&(first, last): &(u128, u128)| IpRange::from_numbers(ipv4, first, last)
        };
        self.v4
            .iter()
            .map(of(true))
            .chain(self.v6.iter().map(of(false)))
    }

    /// Whether the address is in the set: O(log n).
    pub fn contains(&self, address: IpAddr) -> bool {
        let wanted = number(address);
        let ranges = self.family(address.is_ipv4());
        let at = ranges.partition_point(|(_, last)| *last < wanted);
        ranges.get(at).is_some_and(|(first, _)| *first <= wanted)
    }

    /// Adds a range.
    pub fn insert(&mut self, range: IpRange) {
        let (first, last) = range.numbers();
        let ranges = self.family_mut(range.is_ipv4());
        // All ranges that touch or adjoin the new one melt into it.
        let from = ranges.partition_point(|(_, end)| end.saturating_add(1) < first);
        let to = ranges.partition_point(|(start, _)| *start <= last.saturating_add(1));
        let merged = match ranges.get(from..to) {
            Some([only]) => (only.0.min(first), only.1.max(last)),
            Some([low, .., high]) => (low.0.min(first), high.1.max(last)),
            _ => (first, last),
        };
        ranges.splice(from..to.max(from), [merged]);
    }

    /// Removes a range.
    pub fn remove(&mut self, range: IpRange) {
        let (first, last) = range.numbers();
        let ranges = self.family_mut(range.is_ipv4());
        let from = ranges.partition_point(|(_, end)| *end < first);
        let to = ranges
            .partition_point(|(start, _)| *start <= last)
            .max(from);
        let low = ranges.get(from).map(|range| range.0).filter(|_| from < to);
        let high = to
            .checked_sub(1)
            .and_then(|at| ranges.get(at))
            .map(|range| range.1);
        let mut left = Vec::with_capacity(2);
        if let Some(low) = low.filter(|low| *low < first) {
            left.push((low, first - 1));
        }
        if let Some(high) = high.filter(|high| from < to && *high > last) {
            left.push((last + 1, high));
        }
        ranges.splice(from..to, left);
    }

    /// Everything in either set: O(n log n).
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        self.ranges().chain(other.ranges()).collect()
    }

    /// What is in this set and not in the other: O(n + m).
    #[must_use]
    pub fn subtract(&self, other: &Self) -> Self {
        Self {
            v4: subtract(&self.v4, &other.v4),
            v6: subtract(&self.v6, &other.v6),
        }
    }

    /// What is in both sets: O(n + m).
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        Self {
            v4: intersect(&self.v4, &other.v4),
            v6: intersect(&self.v6, &other.v6),
        }
    }

    /// Whether some address is in both sets.
    pub fn overlaps(&self, other: &Self) -> bool {
        !self.intersection(other).is_empty()
    }

    /// The address with this index, counted from 0 in the order of [`Self::ranges`].
    pub fn nth(&self, index: u128) -> Option<IpAddr> {
        let mut left = index;
        for range in self.ranges() {
            let size = range.size();
            if left < size {
                return Some(address(range.is_ipv4(), range.numbers().0 + left));
            }
            left -= size;
        }
        None
    }

    fn family(&self, ipv4: bool) -> &[(u128, u128)] {
        if ipv4 { &self.v4 } else { &self.v6 }
    }

    fn family_mut(&mut self, ipv4: bool) -> &mut Vec<(u128, u128)> {
        if ipv4 { &mut self.v4 } else { &mut self.v6 }
    }
}

impl FromIterator<IpRange> for IpSet {
    fn from_iter<T: IntoIterator<Item = IpRange>>(ranges: T) -> Self {
        let mut set = Self::new();
        for range in ranges {
            set.family_mut(range.is_ipv4()).push(range.numbers());
        }
        normalise(&mut set.v4);
        normalise(&mut set.v6);
        set
    }
}

impl fmt::Display for IpSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, range) in self.ranges().enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            write!(f, "{comma}{range}")?;
        }
        Ok(())
    }
}

/// A pool's addresses: a set, from which `avoidBuggyIPs` may leave out the IPv4 addresses that end in .0 and .255.
///
/// The left-out addresses are counted, not listed: a /8 has 131 072 of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AddressSet {
    set: IpSet,
    avoid_buggy: bool,
}

impl AddressSet {
    /// The addresses of a set, without .0 and .255 when `avoid_buggy` is set.
    pub const fn new(set: IpSet, avoid_buggy: bool) -> Self {
        Self { set, avoid_buggy }
    }

    /// Number of usable addresses; saturates at `u128::MAX`.
    pub fn size(&self) -> u128 {
        self.set
            .ranges()
            .fold(0, |sum: u128, range| sum.saturating_add(self.usable(range)))
    }

    /// Whether the address may be given out.
    pub fn contains(&self, address: IpAddr) -> bool {
        !(self.avoid_buggy && is_buggy(address)) && self.set.contains(address)
    }

    /// The usable address with this index, counted from 0, IPv4 first.
    pub fn nth(&self, index: u128) -> Option<IpAddr> {
        let mut left = index;
        for range in self.set.ranges() {
            let usable = self.usable(range);
            if left >= usable {
                left -= usable;
                continue;
            }
            let (first, _) = range.numbers();
            if !(self.avoid_buggy && range.is_ipv4()) {
                return Some(address(range.is_ipv4(), first + left));
            }
            // Among all IPv4 addresses the usable ones come in blocks of 254.
            let nth = usable_below(first) + left;
            return Some(address(true, (nth / 254) * 256 + nth % 254 + 1));
        }
        None
    }

    fn usable(&self, range: IpRange) -> u128 {
        if !(self.avoid_buggy && range.is_ipv4()) {
            return range.size();
        }
        let (first, last) = range.numbers();
        usable_below(last + 1) - usable_below(first)
    }
}

/// Whether `avoidBuggyIPs` leaves the address out: IPv4, last octet 0 or 255.
pub(crate) fn is_buggy(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => matches!(v4.octets()[3], 0 | 255),
        IpAddr::V6(_) => false,
    }
}

/// IPv4 addresses below this number that end neither in .0 nor in .255.
fn usable_below(number: u128) -> u128 {
    (number / 256) * 254 + (number % 256).saturating_sub(1).min(254)
}

fn normalise(ranges: &mut Vec<(u128, u128)>) {
    ranges.sort_unstable();
    ranges.dedup_by(|next, kept| {
        let joins = next.0 <= kept.1.saturating_add(1);
        if joins {
            kept.1 = kept.1.max(next.1);
        }
        joins
    });
}

fn subtract(from: &[(u128, u128)], what: &[(u128, u128)]) -> Vec<(u128, u128)> {
    let mut left = Vec::with_capacity(from.len());
    let mut holes = what.iter().peekable();
    for &(first, last) in from {
        let mut start = Some(first);
        while let Some(&&(hole_first, hole_last)) = holes.peek() {
            let Some(at) = start else { break };
            if hole_first > last {
                break;
            }
            if hole_last >= at {
                if hole_first > at {
                    left.push((at, hole_first - 1));
                }
                start = hole_last.checked_add(1).filter(|next| *next <= last);
            }
            // A hole that reaches past this range may cut the next one too.
            if hole_last > last {
                break;
            }
            holes.next();
        }
        if let Some(at) = start {
            left.push((at, last));
        }
    }
    left
}

fn intersect(a: &[(u128, u128)], b: &[(u128, u128)]) -> Vec<(u128, u128)> {
    let (mut i, mut j) = (0, 0);
    let mut both = Vec::new();
    while let (Some(x), Some(y)) = (a.get(i), b.get(j)) {
        let (first, last) = (x.0.max(y.0), x.1.min(y.1));
        if first <= last {
            both.push((first, last));
        }
        if x.1 < y.1 {
            i += 1;
        } else {
            j += 1;
        }
    }
    both
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(text: &str) -> IpSet {
        text.split_whitespace()
            .map(|range| range.parse::<IpRange>().expect(range))
            .collect()
    }

    #[test]
    fn neighbours_melt_together() {
        assert_eq!(
            set("10.0.0.0-10.0.0.9 10.0.0.10-10.0.0.15").to_string(),
            "10.0.0.0/28"
        );
        let mut grown = set("10.0.0.0/30 10.0.0.8/30");
        grown.insert("10.0.0.4/30".parse().expect("range"));
        assert_eq!(grown.to_string(), "10.0.0.0-10.0.0.11");
        grown.insert("0.0.0.0/0".parse().expect("range"));
        assert_eq!(grown.to_string(), "0.0.0.0/0");
    }

    #[test]
    fn removing_cuts_and_ends_of_the_space_do_not_overflow() {
        let mut all = set("0.0.0.0/0 ::/0");
        all.remove("255.255.255.255".parse().expect("range"));
        all.remove(
            "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
                .parse()
                .expect("range"),
        );
        all.remove("::".parse().expect("range"));
        assert_eq!(
            all.to_string(),
            "0.0.0.0-255.255.255.254, ::1-ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe"
        );
        assert_eq!(set("::/0").subtract(&set("::/1")).to_string(), "8000::/1");
        assert!(set("::/0").subtract(&set("::/0")).is_empty());
        assert_eq!(
            set("::/0")
                .nth(u128::MAX - 1)
                .map(|ip| ip.to_string())
                .as_deref(),
            Some("ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe")
        );
    }

    #[test]
    fn buggy_addresses_are_left_out_by_arithmetic() {
        let pool = AddressSet::new(set("10.0.0.0/8"), true);
        assert_eq!(pool.size(), 65_536 * 254);
        assert_eq!(pool.nth(0), Some(IpAddr::from([10, 0, 0, 1])));
        assert_eq!(pool.nth(254), Some(IpAddr::from([10, 0, 1, 1])));
        assert_eq!(
            pool.nth(65_536 * 254 - 1),
            Some(IpAddr::from([10, 255, 255, 254]))
        );
        assert_eq!(pool.nth(65_536 * 254), None);
        assert!(!pool.contains(IpAddr::from([10, 3, 3, 255])));
        let odd = AddressSet::new(set("10.0.0.254-10.0.1.2"), true);
        let all: Vec<_> = (0..odd.size()).filter_map(|n| odd.nth(n)).collect();
        assert_eq!(
            all,
            [[10, 0, 0, 254], [10, 0, 1, 1], [10, 0, 1, 2]].map(IpAddr::from)
        );
        assert_eq!(AddressSet::new(set("10.0.0.255-10.0.1.0"), true).size(), 0);
    }
}
