//! The keys of the heartbeats, and how they change without a gap.
//!
//! Keys come from a Secret: every value is a key, and of two names the later one in the alphabet is the newer key.
//! Every key is accepted. A sender signs with the oldest key until it has heard which key is the newest its peer
//! has; if it has that one too, it uses it. So a key can be added, and later the old one removed, in any order
//! of arrival at the nodes. A key that was removed is accepted for a while longer, so that even replacing the
//! only key in one step separates nobody.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use ring::{digest, hmac};

/// Bytes of a message authentication code on the wire (HMAC-SHA-256, truncated: RFC 2104 §5).
pub const MAC_LEN: usize = 16;

/// The shortest secret that is accepted, in bytes.
pub const MINIMUM_SECRET: usize = 16;

/// How long a removed key is still accepted.
const GRACE: Duration = Duration::from_secs(300);

/// Public name of a key: 32 bits of a hash of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub u32);

/// All keys this speaker has.
#[derive(Debug, Clone, Default)]
pub struct KeyRing {
    /// From the oldest to the newest.
    keys: Vec<Key>,
}

#[derive(Debug, Clone)]
struct Key {
    id: KeyId,
    key: hmac::Key,
    /// When it goes, for one that was removed.
    until: Option<Instant>,
}

impl KeyRing {
    /// Replaces the keys by the values of a Secret; values shorter than [`MINIMUM_SECRET`] are left out, and a set
    /// of nothing else changes nothing: better old keys than none. Returns the names of the short ones.
    pub fn replace(&mut self, now: Instant, secrets: &BTreeMap<String, Vec<u8>>) -> Vec<String> {
        let (long, short): (Vec<_>, Vec<_>) = secrets
            .iter()
            .partition(|(_, secret)| secret.len() >= MINIMUM_SECRET);
        let short = short.into_iter().map(|(name, _)| name.clone()).collect();
        if long.is_empty() {
            return short;
        }
        let mut keys: Vec<Key> = long
            .into_iter()
            .map(|(_, secret)| Key::new(secret))
            .collect();
        let removed = self
            .keys
            .drain(..)
            .filter(|old| keys.iter().all(|key| key.id != old.id));
        let mut removed: Vec<Key> = removed
            .map(|old| Key {
                until: Some(old.until.unwrap_or(now + GRACE)),
                ..old
            })
            .filter(|old| old.until.is_some_and(|until| until > now))
            .collect();
        removed.append(&mut keys);
        self.keys = removed;
        short
    }

    /// Whether there is no key: then nobody can be heard.
    pub fn is_empty(&self) -> bool {
        self.keys.iter().all(|key| key.until.is_some())
    }

    /// The newest key.
    pub fn newest(&self) -> Option<KeyId> {
        self.keys
            .last()
            .filter(|key| key.until.is_none())
            .map(|key| key.id)
    }

    /// The key to sign with for a peer whose newest key is `theirs`.
    pub fn choose(&self, theirs: Option<KeyId>) -> Option<KeyId> {
        let known = |id: &KeyId| self.keys.iter().any(|key| key.id == *id);
        let oldest = || {
            self.keys
                .iter()
                .find(|key| key.until.is_none())
                .map(|key| key.id)
        };
        theirs.filter(known).or_else(oldest)
    }

    /// Signs `message` for `receiver`.
    pub fn sign(&self, id: KeyId, message: &[u8], receiver: &str) -> Option<[u8; MAC_LEN]> {
        let key = self.keys.iter().find(|key| key.id == id)?;
        let tag = key.tag(message, receiver);
        tag.as_ref().first_chunk().copied()
    }

    /// Whether `mac` is the signature of `message` for `receiver`.
    pub fn verify(
        &self,
        now: Instant,
        id: KeyId,
        message: &[u8],
        receiver: &str,
        mac: &[u8; MAC_LEN],
    ) -> bool {
        let alive = |key: &&Key| key.id == id && key.until.is_none_or(|until| until > now);
        let Some(key) = self.keys.iter().find(alive) else {
            return false;
        };
        let tag = key.tag(message, receiver);
        // All bytes are compared, wherever the first difference is.
        let difference = tag
            .as_ref()
            .iter()
            .zip(mac)
            .fold(0, |sum, (a, b)| sum | (a ^ b));
        difference == 0
    }
}

impl Key {
    fn new(secret: &[u8]) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(b"heartbeat key id\0");
        context.update(secret);
        let hash = context.finish();
        let id = hash
            .as_ref()
            .first_chunk()
            .copied()
            .map_or(0, u32::from_be_bytes);
        Self {
            id: KeyId(id),
            key: hmac::Key::new(hmac::HMAC_SHA256, secret),
            until: None,
        }
    }

    /// The receiver is part of what is signed: a datagram for one node means nothing to another.
    fn tag(&self, message: &[u8], receiver: &str) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(message);
        context.update(receiver.as_bytes());
        context.sign()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::samples::start;

    fn secrets(names: &[&str]) -> BTreeMap<String, Vec<u8>> {
        names
            .iter()
            .map(|name| ((*name).to_owned(), name.repeat(20).into_bytes()))
            .collect()
    }

    fn ring(names: &[&str]) -> KeyRing {
        let mut ring = KeyRing::default();
        assert!(ring.replace(start(), &secrets(names)).is_empty());
        ring
    }

    /// Whether a datagram of `from` is understood by `to`, given what each knows of the other.
    fn heard(from: &KeyRing, to: &KeyRing, theirs: Option<KeyId>) -> bool {
        let now = start();
        let id = from.choose(theirs).unwrap();
        let mac = from.sign(id, b"hello", "b").unwrap();
        to.verify(now, id, b"hello", "b", &mac)
    }

    #[test]
    fn a_signature_is_bound_to_message_and_receiver() {
        let (ring, now) = (ring(&["a"]), start());
        let id = ring.newest().unwrap();
        let mac = ring.sign(id, b"hello", "b").unwrap();
        assert!(ring.verify(now, id, b"hello", "b", &mac));
        assert!(!ring.verify(now, id, b"hellO", "b", &mac));
        assert!(!ring.verify(now, id, b"hello", "c", &mac));
        assert!(!ring.verify(now, KeyId(id.0 ^ 1), b"hello", "b", &mac));
        let mut last = mac;
        last[MAC_LEN - 1] ^= 1;
        assert!(!ring.verify(now, id, b"hello", "b", &last));
    }

    #[test]
    fn short_secrets_are_left_out_and_named() {
        let mut ring = KeyRing::default();
        let secrets = BTreeMap::from([("short".to_owned(), vec![1; 15])]);
        assert_eq!(ring.replace(start(), &secrets), ["short"]);
        assert!(ring.is_empty());
    }

    #[test]
    fn a_set_without_a_usable_secret_leaves_the_keys_as_they_are() {
        let mut ring = ring(&["a"]);
        let newest = ring.newest();
        let secrets = BTreeMap::from([("key".to_owned(), b"hunter2".to_vec())]);
        assert_eq!(ring.replace(start(), &secrets), ["key"]);
        assert_eq!(ring.replace(start(), &BTreeMap::new()), [""; 0]);
        assert_eq!((ring.newest(), ring.is_empty()), (newest, false));
    }

    /// Nodes learn of each step one after the other; at no time may two of them be deaf to each other.
    #[test]
    fn rotation_has_no_gap_in_any_order_of_arrival() {
        let steps: [&[&[&str]]; 2] = [&[&["a"], &["a", "b"], &["b"]], &[&["a"], &["b"]]];
        for steps in steps {
            for pair in steps.windows(2) {
                let now = start();
                let behind = ring(pair[0]);
                let mut ahead = ring(pair[0]);
                ahead.replace(now, &secrets(pair[1]));
                for (from, to) in [(&behind, &ahead), (&ahead, &behind)] {
                    assert!(
                        heard(from, to, to.newest()),
                        "{pair:?}: after they have met"
                    );
                }
                if pair[0].iter().any(|key| pair[1].contains(key)) {
                    let restarted = ring(pair[1]);
                    let met = heard(&restarted, &behind, None) || heard(&behind, &restarted, None);
                    assert!(met, "{pair:?}: at first contact one must hear the other");
                }
            }
        }
    }

    #[test]
    fn a_removed_key_is_refused_in_the_end() {
        let now = start();
        let (old, mut new) = (ring(&["a"]), ring(&["a"]));
        let id = old.newest().unwrap();
        let mac = old.sign(id, b"hello", "b").unwrap();
        new.replace(now, &secrets(&["b"]));
        assert!(new.verify(now + GRACE / 2, id, b"hello", "b", &mac));
        assert!(!new.verify(now + GRACE, id, b"hello", "b", &mac));
    }
}
