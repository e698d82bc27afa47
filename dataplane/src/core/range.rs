//! Address ranges as pools write them: `10.0.0.0/24`, `10.0.0.10-10.0.0.20`, `fd00::/64` or one address.

use std::{fmt, net::IpAddr, str::FromStr};

use crate::core::family::{Family, number};

/// A range of addresses of one family, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AddressRange {
    family: Family,
    first: u128,
    last: u128,
}

/// Why a text is no address range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RangeError {
    /// Nothing between the quotes.
    #[error("an empty text is no address range; write a CIDR, `first-last` or one address")]
    Empty,
    /// An address does not parse.
    #[error("`{0}` is no IP address")]
    Address(String),
    /// The number behind the slash.
    #[error("`{0}` is no prefix length of 0 to {1}")]
    PrefixLength(String, u8),
    /// `first-last` of two families.
    #[error("`{0}` and `{1}` are not of one address family")]
    Families(IpAddr, IpAddr),
    /// `first` above `last`.
    #[error("`{0}` is above `{1}`; write the lower address first")]
    Inverted(IpAddr, IpAddr),
}

impl AddressRange {
    /// The range from `first` to `last`.
    ///
    /// # Errors
    /// The two are of different families, or `first` is the higher one.
    pub fn new(first: IpAddr, last: IpAddr) -> Result<Self, RangeError> {
        let (first, last) = (first.to_canonical(), last.to_canonical());
        if Family::of(first) != Family::of(last) {
            return Err(RangeError::Families(first, last));
        }
        if first > last {
            return Err(RangeError::Inverted(first, last));
        }
        Ok(Self {
            family: Family::of(first),
            first: number(first),
            last: number(last),
        })
    }

    /// All addresses of `network/prefix`; bits behind the prefix are ignored.
    ///
    /// # Errors
    /// `prefix` is longer than an address of that family.
    pub fn network(network: IpAddr, prefix: u8) -> Result<Self, RangeError> {
        // Of `::ffff:10.0.0.0/104` the IPv4 network has the last 8 bits.
        const MAPPED: u8 = 96;
        let canonical = network.to_canonical();
        let prefix = match prefix.checked_sub(MAPPED) {
            Some(rest) if canonical != network => rest,
            _ => prefix,
        };
        let (network, family) = (canonical, Family::of(canonical));
        if prefix > family.bits() {
            return Err(RangeError::PrefixLength(prefix.to_string(), family.bits()));
        }
        let host = match family.bits() - prefix {
            128 => u128::MAX,
            free => (1 << free) - 1,
        };
        let first = number(network) & !host;
        Ok(Self {
            family,
            first,
            last: first | host,
        })
    }

    /// Exactly one address.
    pub fn single(address: IpAddr) -> Self {
        let address = address.to_canonical();
        Self {
            family: Family::of(address),
            first: number(address),
            last: number(address),
        }
    }

    /// IPv4 or IPv6.
    pub const fn family(&self) -> Family {
        self.family
    }

    /// The lowest address.
    pub const fn first(&self) -> IpAddr {
        self.family.address(self.first)
    }

    /// The highest address.
    pub const fn last(&self) -> IpAddr {
        self.family.address(self.last)
    }

    /// Both ends as numbers within the family.
    pub const fn bounds(&self) -> (u128, u128) {
        (self.first, self.last)
    }

    /// Whether `address` lies inside.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let bits = number(address);
        Family::of(address) == self.family && self.first <= bits && bits <= self.last
    }
}

impl FromStr for AddressRange {
    type Err = RangeError;

    fn from_str(text: &str) -> Result<Self, RangeError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(RangeError::Empty);
        }
        if let Some((first, last)) = text.split_once('-') {
            return Self::new(parse_address(first)?, parse_address(last)?);
        }
        let Some((network, prefix)) = text.split_once('/') else {
            return Ok(Self::single(parse_address(text)?));
        };
        let network = read_address(network)?;
        let bits = Family::of(network).bits();
        let length = prefix
            .trim()
            .parse()
            .map_err(|_| RangeError::PrefixLength(prefix.trim().to_owned(), bits))?;
        Self::network(network, length)
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = (self.last - self.first).wrapping_add(1);
        if self.first == self.last {
            write!(f, "{}", self.first())
        } else if size == 0 {
            write!(f, "{}/0", self.first())
        } else if size.is_power_of_two() && self.first.is_multiple_of(size) {
            let free = size.trailing_zeros();
            write!(
                f,
                "{}/{}",
                self.first(),
                u32::from(self.family.bits()) - free
            )
        } else {
            write!(f, "{}-{}", self.first(), self.last())
        }
    }
}

/// How many numbers of `first..=last` are congruent to `remainder` modulo 256.
const fn with_last_octet(first: u128, last: u128, remainder: u128) -> u128 {
    const fn up_to(end: u128, remainder: u128) -> u128 {
        if end < remainder {
            0
        } else {
            (end - remainder) / 256 + 1
        }
    }
    up_to(last, remainder)
        - if first == 0 {
            0
        } else {
            up_to(first - 1, remainder)
        }
}

/// How many addresses `first..=last` of `family` holds; without those ending in .0 and .255 when `avoid_buggy`.
/// The whole IPv6 space counts as `u128::MAX`.
pub fn count(family: Family, first: u128, last: u128, avoid_buggy: bool) -> u128 {
    let all = (last - first).saturating_add(1);
    if avoid_buggy && family == Family::V4 {
        all - with_last_octet(first, last, 0) - with_last_octet(first, last, 255)
    } else {
        all
    }
}

/// Whether some old devices drop `bits` because it ends in .0 or .255.
pub const fn is_buggy(family: Family, bits: u128) -> bool {
    matches!(family, Family::V4) && (bits & 0xff == 0 || bits & 0xff == 0xff)
}

fn parse_address(text: &str) -> Result<IpAddr, RangeError> {
    Ok(read_address(text)?.to_canonical())
}

/// As it is written: an IPv4 address may be written as one of IPv6.
fn read_address(text: &str) -> Result<IpAddr, RangeError> {
    let text = text.trim();
    text.parse()
        .map_err(|_| RangeError::Address(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(text: &str) -> AddressRange {
        text.parse().unwrap()
    }

    #[test]
    fn all_spellings_of_a_range_parse() {
        for (text, first, last) in [
            ("10.10.12.40/29", "10.10.12.40", "10.10.12.47"),
            ("10.10.12.43/29", "10.10.12.40", "10.10.12.47"),
            (
                "192.168.219.190-192.168.219.199",
                "192.168.219.190",
                "192.168.219.199",
            ),
            (" 10.0.0.1 - 10.0.0.9 ", "10.0.0.1", "10.0.0.9"),
            ("10.0.0.7", "10.0.0.7", "10.0.0.7"),
            ("10.0.0.7/32", "10.0.0.7", "10.0.0.7"),
            ("0.0.0.0/0", "0.0.0.0", "255.255.255.255"),
            ("fd00::10-fd00::1f", "fd00::10", "fd00::1f"),
            ("fd00::/120", "fd00::", "fd00::ff"),
            ("::ffff:10.0.0.1", "10.0.0.1", "10.0.0.1"),
        ] {
            let range = range(text);
            assert_eq!(range.first().to_string(), first, "{text}");
            assert_eq!(range.last().to_string(), last, "{text}");
        }
    }

    #[test]
    fn wrong_ranges_say_what_is_wrong() {
        for (text, part) in [
            ("", "empty"),
            ("10.0.0.0/33", "prefix length of 0 to 32"),
            ("10.0.0.0/x", "`x` is no prefix length"),
            ("fd00::/129", "0 to 128"),
            ("10.0.0.9-10.0.0.1", "lower address first"),
            ("10.0.0.1-fd00::1", "one address family"),
            ("10.0.0.300", "`10.0.0.300` is no IP address"),
            ("a-b", "`a` is no IP address"),
        ] {
            let message = text.parse::<AddressRange>().unwrap_err().to_string();
            assert!(message.contains(part), "{text}: {message}");
        }
    }

    #[test]
    fn a_range_prints_in_its_shortest_form() {
        for (text, printed) in [
            ("10.10.12.40-10.10.12.47", "10.10.12.40/29"),
            ("10.10.12.41-10.10.12.48", "10.10.12.41-10.10.12.48"),
            ("10.0.0.1-10.0.0.1", "10.0.0.1"),
            ("::/0", "::/0"),
            ("fd00::/64", "fd00::/64"),
        ] {
            assert_eq!(range(text).to_string(), printed);
        }
    }

    #[test]
    fn addresses_that_end_in_0_or_255_are_counted_out() {
        for (text, usable) in [
            ("10.0.0.0/24", 254),
            ("10.0.0.0/16", 256 * 254),
            ("10.0.0.1-10.0.0.254", 254),
            ("10.0.0.255-10.0.1.0", 0),
            ("10.0.0.255", 0),
            ("0.0.0.0", 0),
            ("0.0.0.1", 1),
            ("fd00::/120", 256),
        ] {
            let range = range(text);
            let (first, last) = range.bounds();
            assert_eq!(count(range.family(), first, last, true), usable, "{text}");
        }
        assert_eq!(count(Family::V6, 0, u128::MAX, false), u128::MAX);
    }
}
