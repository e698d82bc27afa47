//! What sets of the packet filter hold.

use std::time::Duration;

use netlink_packet_core::{DefaultNla, Emitable as _};
use netlink_packet_netfilter::nftables::{DataAttribute, SetElementAttribute};

/// Keys of a set, and how many of them there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Keys {
    /// How `nft list` reads a key: six bits for each part.
    pub(super) kind: u32,
    pub(super) len: u32,
    /// Zero: as many as come.
    pub(super) size: u32,
    /// Rules add keys.
    pub(super) dynamic: bool,
    /// A key is a number as this machine writes it, not as packets have it.
    pub(super) is_number: bool,
    /// Bytes of each part of a key, when the set holds ranges of such keys; empty: single keys (Linux 5.6).
    pub(super) ranges_of: &'static [u8],
}

impl Keys {
    /// Single keys as packets have them, as many as come.
    pub(super) const fn plain(kind: u32, len: u32) -> Self {
        Self {
            kind,
            len,
            size: 0,
            dynamic: false,
            is_number: false,
            ranges_of: &[],
        }
    }
}

/// Keys stay until the table goes.
pub(super) const FOR_EVER: Duration = Duration::ZERO;

/// A key of a set, or everything from one to another, in each of their parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    first: Vec<u8>,
    last: Option<Vec<u8>>,
}

impl Key {
    /// Both ends included.
    pub(super) const fn range(first: Vec<u8>, last: Vec<u8>) -> Self {
        Self {
            first,
            last: Some(last),
        }
    }

    /// With what is round it.
    pub(super) fn len_in_a_message(&self) -> usize {
        const HEADERS: usize = 12;
        HEADERS + self.first.len() + self.last.as_ref().map_or(0, |last| HEADERS + last.len())
    }

    pub(super) fn into_attributes(self) -> Vec<SetElementAttribute> {
        const VALUE: u16 = 1;
        let first = SetElementAttribute::Key(DataAttribute::Value(self.first));
        let last = self
            .last
            .map(|last| SetElementAttribute::KeyEnd(vec![DefaultNla::new(VALUE, last)]));
        [first].into_iter().chain(last).collect()
    }
}

impl From<Vec<u8>> for Key {
    fn from(first: Vec<u8>) -> Self {
        Self { first, last: None }
    }
}

/// How many bytes a part of a key has, as an item of the list of parts.
pub(super) fn part_of_a_key(bytes: u8) -> DefaultNla {
    const ITEM: u16 = 1;
    const LEN: u16 = 1;
    let mut length = vec![0; 8];
    DefaultNla::new(LEN, u32::from(bytes).to_be_bytes().to_vec()).emit(&mut length);
    DefaultNla::new(ITEM, length)
}
