//! One contiguous range of addresses of one family.

use std::cmp::Ordering;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::IpNet;

/// A range of addresses, first and last included.
///
/// Read from `a.b.c.d/n`, `first-last` or a single address; printed in the shortest of these forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct IpRange {
    first: IpAddr,
    last: IpAddr,
}

/// Why a text is no range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RangeError {
    /// A blank stands in the text.
    #[error("a range has no blanks")]
    Blank,
    /// A part is no address.
    #[error("`{0}` is not an IP address")]
    Address(String),
    /// A part has an octet with a leading zero, octal to some readers.
    #[error("`{0}` has an octet with a leading zero, which is octal to some readers")]
    LeadingZero(String),
    /// The prefix length is no number or too long.
    #[error("`/{0}` is not a prefix length for this address")]
    Prefix(String),
    /// The last address lies before the first.
    #[error("the range ends before it starts")]
    Reversed,
    /// Start and end are of different families.
    #[error("start and end are of different IP versions")]
    MixedFamilies,
}

impl IpRange {
    /// The range from `first` to `last`.
    ///
    /// # Errors
    /// The addresses must be of one family and in order.
    pub fn new(first: IpAddr, last: IpAddr) -> Result<Self, RangeError> {
        if first.is_ipv4() != last.is_ipv4() {
            return Err(RangeError::MixedFamilies);
        }
        if last < first {
            return Err(RangeError::Reversed);
        }
        Ok(Self { first, last })
    }

    /// Only one address.
    pub const fn single(address: IpAddr) -> Self {
        Self {
            first: address,
            last: address,
        }
    }

    /// First address.
    pub const fn first(&self) -> IpAddr {
        self.first
    }

    /// Last address.
    pub const fn last(&self) -> IpAddr {
        self.last
    }

    /// Whether this is a range of IPv4 addresses.
    pub const fn is_ipv4(&self) -> bool {
        self.first.is_ipv4()
    }

    /// Number of addresses; `u128::MAX` for all of IPv6, which has one more.
    pub fn size(&self) -> u128 {
        (number(self.last) - number(self.first)).saturating_add(1)
    }

    /// Whether the address lies inside.
    pub fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.is_ipv4() && self.first <= address && address <= self.last
    }

    /// Whether some address lies in both.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.is_ipv4() == other.is_ipv4() && self.first <= other.last && other.first <= self.last
    }

    /// The prefix that is exactly this range, if there is one.
    pub fn as_net(&self) -> Option<IpNet> {
        let bits: u32 = if self.is_ipv4() { 32 } else { 128 };
        let span = number(self.last) - number(self.first);
        let host = 128 - span.leading_zeros();
        let exact = span == mask(host) && number(self.first) & span == 0;
        let length = u8::try_from(bits.checked_sub(host)?).ok()?;
        exact.then(|| IpNet::new(self.first, length).ok()).flatten()
    }

    pub(crate) fn numbers(&self) -> (u128, u128) {
        (number(self.first), number(self.last))
    }

    pub(crate) fn from_numbers(ipv4: bool, first: u128, last: u128) -> Self {
        Self {
            first: address(ipv4, first),
            last: address(ipv4, last),
        }
    }
}

impl From<IpNet> for IpRange {
    fn from(net: IpNet) -> Self {
        Self {
            first: net.network(),
            last: net.broadcast(),
        }
    }
}

impl FromStr for IpRange {
    type Err = RangeError;

    fn from_str(text: &str) -> Result<Self, RangeError> {
        if text.contains(char::is_whitespace) {
            return Err(RangeError::Blank);
        }
        if let Some((base, length)) = text.split_once('/') {
            let base = parse_address(base)?;
            // `u8::from_str` takes a plus sign.
            let digits = length.bytes().all(|b| b.is_ascii_digit());
            return length
                .parse()
                .ok()
                .filter(|_| digits)
                .and_then(|length: u8| IpNet::new(base, length).ok())
                .map(Self::from)
                .ok_or_else(|| RangeError::Prefix(length.to_owned()));
        }
        match text.split_once('-') {
            Some((first, last)) => Self::new(parse_address(first)?, parse_address(last)?),
            None => parse_address(text).map(Self::single),
        }
    }
}

impl fmt::Display for IpRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.as_net() {
            Some(net) => net.fmt(f),
            None => write!(f, "{}-{}", self.first, self.last),
        }
    }
}

impl Ord for IpRange {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.first, self.last).cmp(&(other.first, other.last))
    }
}

impl PartialOrd for IpRange {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// An address from text, with the usual mistakes told apart.
///
/// # Errors
/// Anything but one address in the usual notation.
pub(crate) fn parse_address(text: &str) -> Result<IpAddr, RangeError> {
    text.parse().map_err(|_| {
        let decimal = text.contains('.') && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        if decimal
            && text
                .split('.')
                .any(|octet| octet.len() > 1 && octet.starts_with('0'))
        {
            RangeError::LeadingZero(text.to_owned())
        } else {
            RangeError::Address(text.to_owned())
        }
    })
}

/// A number with this many low bits set.
fn mask(bits: u32) -> u128 {
    1_u128.checked_shl(bits).map_or(u128::MAX, |top| top - 1)
}

pub(crate) fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "numbers of IPv4 addresses come from `number` and stay below 2^32"
)]
pub(crate) fn address(ipv4: bool, number: u128) -> IpAddr {
    if ipv4 {
        IpAddr::V4(Ipv4Addr::from_bits(number as u32))
    } else {
        IpAddr::V6(Ipv6Addr::from_bits(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(text: &str) -> IpRange {
        text.parse().expect(text)
    }

    #[test]
    fn all_notations_are_read_and_the_shortest_is_printed() {
        for (text, printed, size) in [
            ("10.0.0.0/24", "10.0.0.0/24", 256),
            ("10.0.0.7/24", "10.0.0.0/24", 256),
            ("10.0.0.0-10.0.0.255", "10.0.0.0/24", 256),
            ("10.0.0.1-10.0.0.9", "10.0.0.1-10.0.0.9", 9),
            ("10.0.0.1", "10.0.0.1/32", 1),
            ("10.0.0.1/32", "10.0.0.1/32", 1),
            ("0.0.0.0/0", "0.0.0.0/0", 1 << 32),
            ("fd00::10-fd00::1f", "fd00::10/124", 16),
            ("fd00::1", "fd00::1/128", 1),
            ("::/0", "::/0", u128::MAX),
            ("::1-::2", "::1-::2", 2),
        ] {
            let range = range(text);
            assert_eq!(range.to_string(), printed, "{text}");
            assert_eq!(range.size(), size, "{text}");
        }
    }

    #[test]
    fn each_mistake_has_its_own_words() {
        let error = |text: &str| text.parse::<IpRange>().expect_err(text);
        assert_eq!(error("10.0.0.1 - 10.0.0.2"), RangeError::Blank);
        assert_eq!(error("10.0.0.9-10.0.0.1"), RangeError::Reversed);
        assert_eq!(error("10.0.0.1-fd00::1"), RangeError::MixedFamilies);
        assert_eq!(error("10.0.0.0/33"), RangeError::Prefix("33".into()));
        assert_eq!(error("10.0.0.0/+8"), RangeError::Prefix("+8".into()));
        assert_eq!(
            error("10.0.0.010"),
            RangeError::LeadingZero("10.0.0.010".into())
        );
        assert_eq!(error("10.0.0"), RangeError::Address("10.0.0".into()));
        assert_eq!(error(""), RangeError::Address(String::new()));
        assert_eq!(error("10.0.0.1-20"), RangeError::Address("20".into()));
    }

    #[test]
    fn families_never_mix() {
        assert!(!range("0.0.0.0/0").overlaps(&range("::/0")));
        assert!(!range("::/0").contains("10.0.0.1".parse().expect("address")));
        assert!(range("10.0.0.0/8").overlaps(&range("10.255.255.255")));
    }
}
