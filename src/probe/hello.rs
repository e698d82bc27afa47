//! What stations say to each other while they look at the segment.
//!
//! ```text
//!  0               4               8
//! +---------------+---------------+
//! | 3f 00 00 00   | 00 00 00 00   |   read as VRRP: type 15 and virtual router 0, which nobody obeys
//! | "LBPF"        | version, run …|
//! |      … (8)    | sender (2)    |   all numbers in network order
//! | count (2)     | heard (2 each)|
//! +-------------------------------+
//! ```
//!
//! The same bytes go out as IP protocol 112 and as a UDP datagram: routers count them as an unknown virtual router
//! (RFC 9568 §7.1), speakers as no heartbeat.

use std::collections::BTreeSet;

/// Version 3, a type that does not exist, virtual router 0.
const HEADER: [u8; 8] = [0x3f, 0, 0, 0, 0, 0, 0, 0];
/// Our mark, and the version of this message.
const MAGIC: [u8; 5] = *b"LBPF\x01";

/// A greeting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hello {
    /// Which look it belongs to.
    pub(super) run: u64,
    /// Place of the sender.
    pub(super) sender: u16,
    /// Places whose greetings the sender has heard the same way.
    pub(super) heard: BTreeSet<u16>,
}

impl Hello {
    /// Its bytes.
    pub(super) fn emit(&self) -> Vec<u8> {
        let mut bytes = [&HEADER[..], &MAGIC].concat();
        bytes.extend_from_slice(&self.run.to_be_bytes());
        bytes.extend_from_slice(&self.sender.to_be_bytes());
        let count = u16::try_from(self.heard.len()).unwrap_or(u16::MAX);
        bytes.extend_from_slice(&count.to_be_bytes());
        for place in self.heard.iter().take(usize::from(count)) {
            bytes.extend_from_slice(&place.to_be_bytes());
        }
        bytes
    }

    /// Reads what arrived; anything else than a whole greeting is nothing.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(&HEADER)?.strip_prefix(&MAGIC)?;
        let (run, rest) = rest.split_first_chunk::<8>()?;
        let (sender, rest) = rest.split_first_chunk::<2>()?;
        let (count, rest) = rest.split_first_chunk::<2>()?;
        let length = usize::from(u16::from_be_bytes(*count)) * 2;
        let (places, _) = rest.get(..length)?.as_chunks::<2>();
        Some(Self {
            run: u64::from_be_bytes(*run),
            sender: u16::from_be_bytes(*sender),
            heard: places
                .iter()
                .map(|place| u16::from_be_bytes(*place))
                .collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use vrrp::proto::{Advert, PacketError};

    use super::*;

    fn hello() -> Hello {
        Hello {
            run: 0x0102_0304_0506_0708,
            sender: 2,
            heard: BTreeSet::from([0, 1, 239]),
        }
    }

    #[test]
    fn it_round_trips_and_padding_is_cut_off() {
        let mut bytes = hello().emit();
        assert_eq!(Hello::parse(&bytes), Some(hello()));
        bytes.extend_from_slice(&[0; 20]);
        assert_eq!(Hello::parse(&bytes), Some(hello()));
    }

    #[test]
    fn whatever_is_cut_off_or_changed_is_no_greeting_and_no_panic() {
        let bytes = hello().emit();
        for length in 0..bytes.len() {
            assert_eq!(Hello::parse(&bytes[..length]), None, "{length}");
        }
        for at in 0..HEADER.len() + MAGIC.len() {
            let mut other = bytes.clone();
            other[at] ^= 0x80;
            assert_eq!(Hello::parse(&other), None, "byte {at}");
        }
    }

    #[test]
    fn no_router_takes_it_for_an_advert() {
        let (source, group) = (Ipv4Addr::new(10, 0, 0, 1), vrrp::proto::packet::GROUP_V4);
        let bytes = hello().emit();
        let outcome = Advert::parse(&bytes, source.into(), group.into());
        assert_eq!(outcome, Err(PacketError::Type));
    }
}
