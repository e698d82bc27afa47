//! One heartbeat on the wire.
//!
//! ```text
//!  0               4               8              12
//! +---------------+---------------+---------------+
//! | "BLH", version|    key id     | newest key id |
//! +---------------+-------+-------+---------------+   all numbers in network order
//! | incarnation (8)       | sequence (8)          |
//! | state version (8)     | echo (8)              |
//! | known (8)             | acknowledged (8)      |
//! | name length, name                             |
//! | part: index (2), count (2), length (2), bytes |   count 0: no part
//! | authentication code (16)                      |
//! +-----------------------------------------------+
//! ```
//!
//! Unknown versions are refused: a node that is upgraded speaks the old version until all do.

use std::time::Instant;

use super::{
    bytes::{Reader, put_text},
    keys::{KeyId, KeyRing, MAC_LEN},
};

/// The longest datagram that is sent or accepted; fits into every path's smallest packet (RFC 8200 §5).
pub const MAX_LEN: usize = 1232;
/// State bytes in one datagram: what is left beside the longest name of a node.
pub const PART_LEN: usize = MAX_LEN - FIXED_LEN - LONGEST_NAME;

/// A datagram without name and part: magic and two keys, six numbers, a length, three sizes, the code.
const FIXED_LEN: usize = 4 + 2 * 4 + 6 * 8 + 1 + 3 * 2 + MAC_LEN;
/// Names of nodes are DNS subdomains (RFC 1123).
const LONGEST_NAME: usize = 253;

const MAGIC: [u8; 4] = *b"BLH\x01";

/// A heartbeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Datagram {
    /// Node that sends.
    pub sender: String,
    /// The newest key the sender has.
    pub newest_key: KeyId,
    /// Grows with every start of the sender.
    pub incarnation: u64,
    /// Grows with every datagram of one incarnation.
    pub sequence: u64,
    /// Version of the sender's state.
    pub version: u64,
    /// The receiver's incarnation, if the sender hears it at present; else 0.
    pub echo: u64,
    /// The latest incarnation of the receiver that the sender ever heard; 0: none.
    pub known: u64,
    /// Version of the receiver's state that the sender has.
    pub acknowledged: u64,
    /// A part of the sender's state.
    pub part: Option<Part>,
}

/// A part of a state in its version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Which one, from 0.
    pub index: u16,
    /// Of how many.
    pub count: u16,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// Why a datagram is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rejection {
    /// No heartbeat, or cut off.
    #[error("not a heartbeat, or cut off")]
    Malformed,
    /// A version this speaker does not speak.
    #[error("a heartbeat of another version")]
    Version,
    /// The signature is wrong, or its key is not one of ours.
    #[error("wrong key or signature")]
    Unauthentic,
    /// Seen before, or from an earlier life of the sender.
    #[error("seen before, or too old")]
    Replayed,
    /// Not proven to be of this time: the sender has not heard this speaker yet.
    #[error("the sender has not heard this speaker yet")]
    Unproven,
    /// Sent in our own name.
    #[error("sent in this node's own name")]
    OwnName,
}

impl Rejection {
    /// Label for metrics.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Version => "version",
            Self::Unauthentic => "unauthentic",
            Self::Replayed => "replayed",
            Self::Unproven => "unproven",
            Self::OwnName => "own_name",
        }
    }
}

impl Datagram {
    /// Its bytes for `receiver`, signed with `key`; `None` when the ring does not have that key.
    pub fn seal(&self, keys: &KeyRing, key: KeyId, receiver: &str) -> Option<Vec<u8>> {
        let mut bytes = Vec::with_capacity(128);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&key.0.to_be_bytes());
        bytes.extend_from_slice(&self.newest_key.0.to_be_bytes());
        for number in [
            self.incarnation,
            self.sequence,
            self.version,
            self.echo,
            self.known,
            self.acknowledged,
        ] {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        put_text(&mut bytes, &self.sender);
        let (index, count, part) = match &self.part {
            Some(part) => (part.index, part.count, part.bytes.as_slice()),
            None => (0, 0, &[][..]),
        };
        bytes.extend_from_slice(&index.to_be_bytes());
        bytes.extend_from_slice(&count.to_be_bytes());
        bytes.extend_from_slice(&u16::try_from(part.len()).ok()?.to_be_bytes());
        bytes.extend_from_slice(part);
        let mac = keys.sign(key, &bytes, receiver)?;
        bytes.extend_from_slice(&mac);
        Some(bytes)
    }

    /// Checks and reads what arrived at `receiver`.
    ///
    /// # Errors
    /// Everything that is not a whole authentic heartbeat of this version for `receiver`.
    pub fn open(
        keys: &KeyRing,
        now: Instant,
        bytes: &[u8],
        receiver: &str,
    ) -> Result<Self, Rejection> {
        if bytes.len() > MAX_LEN {
            return Err(Rejection::Malformed);
        }
        let (message, mac) = bytes
            .split_last_chunk::<MAC_LEN>()
            .ok_or(Rejection::Malformed)?;
        match message.first_chunk::<4>() {
            Some(&MAGIC) => {}
            Some([b'B', b'L', b'H', _]) => return Err(Rejection::Version),
            _ => return Err(Rejection::Malformed),
        }
        let mut reader = Reader(&message[MAGIC.len()..]);
        let key = KeyId(reader.u32().ok_or(Rejection::Malformed)?);
        if !keys.verify(now, key, message, receiver, mac) {
            return Err(Rejection::Unauthentic);
        }
        Self::read(reader).ok_or(Rejection::Malformed)
    }

    fn read(mut reader: Reader<'_>) -> Option<Self> {
        let newest_key = KeyId(reader.u32()?);
        let [incarnation, sequence, version, echo, known, acknowledged] = [
            reader.u64()?,
            reader.u64()?,
            reader.u64()?,
            reader.u64()?,
            reader.u64()?,
            reader.u64()?,
        ];
        let sender = reader.text()?.to_owned();
        let (index, count, length) = (reader.u16()?, reader.u16()?, reader.u16()?);
        let bytes = reader.take(length.into())?.to_vec();
        let part = (count > 0).then_some(Part {
            index,
            count,
            bytes,
        });
        let whole = reader.0.is_empty() && !sender.is_empty() && incarnation > 0;
        let sound = part.as_ref().is_none_or(|part| part.index < part.count);
        (whole && sound).then_some(Self {
            sender,
            newest_key,
            incarnation,
            sequence,
            version,
            echo,
            known,
            acknowledged,
            part,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::core::samples::start;

    fn ring() -> KeyRing {
        let mut ring = KeyRing::default();
        ring.replace(start(), &BTreeMap::from([("a".to_owned(), vec![7; 32])]));
        ring
    }

    fn sample(part: Option<Part>) -> Datagram {
        Datagram {
            sender: "cp1".to_owned(),
            newest_key: KeyId(9),
            incarnation: 1,
            sequence: 2,
            version: 3,
            echo: 4,
            known: 4,
            acknowledged: 5,
            part,
        }
    }

    #[test]
    fn what_is_sealed_opens_for_its_receiver_only() {
        let (ring, now) = (ring(), start());
        let part = Part {
            index: 1,
            count: 2,
            bytes: vec![1; PART_LEN],
        };
        for datagram in [sample(None), sample(Some(part))] {
            let bytes = datagram.seal(&ring, ring.newest().unwrap(), "cp2").unwrap();
            assert!(
                bytes.len() <= MAX_LEN - 253 + 3,
                "room for the longest name"
            );
            assert_eq!(Datagram::open(&ring, now, &bytes, "cp2"), Ok(datagram));
            assert_eq!(
                Datagram::open(&ring, now, &bytes, "cp3"),
                Err(Rejection::Unauthentic)
            );
        }
    }

    #[test]
    fn every_flipped_bit_and_every_truncation_is_refused() {
        let (ring, now) = (ring(), start());
        let bytes = sample(None)
            .seal(&ring, ring.newest().unwrap(), "cp2")
            .unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut forged = bytes.clone();
            forged[bit / 8] ^= 1 << (bit % 8);
            assert!(
                Datagram::open(&ring, now, &forged, "cp2").is_err(),
                "bit {bit}"
            );
        }
        for length in 0..bytes.len() {
            assert!(Datagram::open(&ring, now, &bytes[..length], "cp2").is_err());
        }
    }

    #[test]
    fn a_newer_version_is_told_from_garbage() {
        let (ring, now) = (ring(), start());
        let mut bytes = sample(None)
            .seal(&ring, ring.newest().unwrap(), "cp2")
            .unwrap();
        bytes[3] = 2;
        assert_eq!(
            Datagram::open(&ring, now, &bytes, "cp2"),
            Err(Rejection::Version)
        );
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Datagram::read(Reader(&bytes));
        }
    }
}
