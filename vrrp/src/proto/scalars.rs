//! Numbers with a range, so that later code cannot be wrong about them.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A number outside its range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {value} is outside {range}")]
pub struct OutOfRange {
    what: &'static str,
    value: u64,
    range: &'static str,
}

/// Virtual router identifier, 1–255. IPv4 and IPv6 are separate spaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Vrid(u8);

impl TryFrom<u8> for Vrid {
    type Error = OutOfRange;

    fn try_from(value: u8) -> Result<Self, OutOfRange> {
        if value == 0 {
            return Err(OutOfRange {
                what: "virtual router ID",
                value: 0,
                range: "1–255",
            });
        }
        Ok(Self(value))
    }
}

impl From<Vrid> for u8 {
    fn from(vrid: Vrid) -> Self {
        vrid.0
    }
}

/// Priority of a router, 1–255. Zero exists on the wire only, as "I am leaving".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Priority(u8);

impl Priority {
    /// The owner of the addresses (RFC 9568 §5.2.4).
    pub const OWNER: Self = Self(255);
    /// The highest of those who do not own them.
    pub const HIGHEST: Self = Self(254);
}

impl TryFrom<u8> for Priority {
    type Error = OutOfRange;

    fn try_from(value: u8) -> Result<Self, OutOfRange> {
        if value == 0 {
            return Err(OutOfRange {
                what: "priority",
                value: 0,
                range: "1–255",
            });
        }
        Ok(Self(value))
    }
}

impl From<Priority> for u8 {
    fn from(priority: Priority) -> Self {
        priority.0
    }
}

/// Advertisement interval: whole centiseconds, 10 ms – 40.95 s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct AdvertInterval(u16);

impl AdvertInterval {
    /// From milliseconds.
    ///
    /// # Errors
    /// Not a multiple of ten, or outside 10–40950.
    pub fn from_millis(millis: u32) -> Result<Self, OutOfRange> {
        let error = OutOfRange {
            what: "advertisement interval in milliseconds",
            value: millis.into(),
            range: "10–40950 in steps of 10",
        };
        if !millis.is_multiple_of(10) {
            return Err(error);
        }
        u16::try_from(millis / 10)
            .ok()
            .and_then(|centis| Self::try_from(centis).ok())
            .ok_or(error)
    }

    /// As the field of a VRRPv3 advert.
    pub const fn centis(self) -> u16 {
        self.0
    }

    /// As the field of a VRRPv2 advert: whole seconds, at least one.
    pub fn seconds(self) -> u8 {
        u8::try_from(self.0.div_ceil(100).max(1)).unwrap_or(u8::MAX)
    }

    /// As a duration.
    pub const fn duration(self) -> Duration {
        Duration::from_millis(self.0 as u64 * 10)
    }
}

impl TryFrom<u16> for AdvertInterval {
    type Error = OutOfRange;

    fn try_from(centis: u16) -> Result<Self, OutOfRange> {
        if !(1..=4095).contains(&centis) {
            return Err(OutOfRange {
                what: "advertisement interval in centiseconds",
                value: centis.into(),
                range: "1–4095",
            });
        }
        Ok(Self(centis))
    }
}

impl From<AdvertInterval> for u16 {
    fn from(interval: AdvertInterval) -> Self {
        interval.0
    }
}

/// Address family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The family of an address.
    pub const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }
}
