//! Ethernet addresses.

use std::fmt;
use std::str::FromStr;

/// A 48-bit Ethernet address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MacAddr([u8; 6]);

impl MacAddr {
    /// ff:ff:ff:ff:ff:ff.
    pub const BROADCAST: Self = Self([0xff; 6]);
    /// 00:00:00:00:00:00, the "not known" of ARP requests.
    pub const ZERO: Self = Self([0; 6]);

    /// From its six bytes in transmission order.
    pub const fn new(octets: [u8; 6]) -> Self {
        Self(octets)
    }

    /// Its six bytes in transmission order.
    pub const fn octets(self) -> [u8; 6] {
        self.0
    }

    /// Virtual router MAC of an IPv4 virtual router (RFC 9568 §7.3).
    pub const fn virtual_router_v4(vrid: u8) -> Self {
        Self([0x00, 0x00, 0x5e, 0x00, 0x01, vrid])
    }

    /// Virtual router MAC of an IPv6 virtual router (RFC 9568 §7.3).
    pub const fn virtual_router_v6(vrid: u8) -> Self {
        Self([0x00, 0x00, 0x5e, 0x00, 0x02, vrid])
    }

    /// Ethernet address of an IPv6 multicast group (RFC 2464 §7).
    pub const fn ipv6_multicast(group: std::net::Ipv6Addr) -> Self {
        let octets = group.octets();
        Self([0x33, 0x33, octets[12], octets[13], octets[14], octets[15]])
    }

    /// Whether the group bit is set (broadcast included).
    pub const fn is_multicast(self) -> bool {
        self.0[0] & 1 == 1
    }

    /// Whether one host can have it: neither all zeros nor a group.
    pub fn is_unicast(self) -> bool {
        self != Self::ZERO && !self.is_multicast()
    }
}

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for MacAddr {
    type Err = MacAddrInvalid;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut octets = [0; 6];
        let mut parts = text.split(':');
        for octet in &mut octets {
            let part = parts
                .next()
                .filter(|part| part.len() == 2)
                .ok_or(MacAddrInvalid)?;
            *octet = u8::from_str_radix(part, 16).map_err(|_| MacAddrInvalid)?;
        }
        if parts.next().is_some() {
            return Err(MacAddrInvalid);
        }
        Ok(Self(octets))
    }
}

impl serde::Serialize for MacAddr {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for MacAddr {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Text that is not six two-digit hexadecimal numbers with colons between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "not an Ethernet address: expected six two-digit hexadecimal numbers like `02:00:5e:10:00:01`"
)]
pub struct MacAddrInvalid;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trips_and_junk_is_refused() {
        let mac: MacAddr = "02:00:5e:10:00:0f".parse().unwrap();
        assert_eq!(mac.to_string(), "02:00:5e:10:00:0f");
        for junk in [
            "",
            "02:00:5e:10:00",
            "02:00:5e:10:00:0f:11",
            "2:0:5e:10:0:f",
            "zz:00:5e:10:00:0f",
        ] {
            assert_eq!(junk.parse::<MacAddr>(), Err(MacAddrInvalid), "{junk}");
        }
    }

    #[test]
    fn virtual_router_addresses_carry_the_vrid() {
        assert_eq!(
            MacAddr::virtual_router_v4(51).to_string(),
            "00:00:5e:00:01:33"
        );
        assert_eq!(
            MacAddr::virtual_router_v6(51).to_string(),
            "00:00:5e:00:02:33"
        );
    }
}
