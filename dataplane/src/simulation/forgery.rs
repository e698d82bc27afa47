//! Datagrams as broken nodes would send them, or read them.

use std::{collections::BTreeMap, time::Instant};

use crate::core::peers::{
    datagram::Datagram,
    keys::KeyRing,
    state::{Claim, Fitness, NodeState},
};

/// The key of every node.
pub(super) fn secrets() -> BTreeMap<String, Vec<u8>> {
    BTreeMap::from([("key".to_owned(), vec![7; 32])])
}

pub(super) fn keys(now: Instant) -> KeyRing {
    let mut keys = KeyRing::default();
    keys.replace(now, &secrets());
    keys
}

/// The same datagram with what was last acknowledged to `receiver`, in whatever life.
pub(super) fn with_old_acknowledgement(
    now: Instant,
    bytes: Vec<u8>,
    receiver: &str,
    last: &mut BTreeMap<String, u64>,
) -> Vec<u8> {
    let keys = keys(now);
    let mut changed = || {
        let mut datagram = Datagram::open(&keys, now, &bytes, receiver).ok()?;
        let last = last.entry(receiver.to_owned()).or_default();
        if datagram.acknowledged > 0 {
            *last = datagram.acknowledged;
        } else if datagram.echo > 0 {
            datagram.acknowledged = *last;
        }
        datagram.seal(&keys, keys.newest()?, receiver)
    };
    changed().unwrap_or(bytes)
}

/// The same datagram with all claims in their first term.
pub(super) fn without_terms(now: Instant, bytes: &[u8], receiver: &str) -> Vec<u8> {
    let keys = keys(now);
    let changed = || {
        let mut datagram = Datagram::open(&keys, now, bytes, receiver).ok()?;
        let part = datagram.part.as_mut()?;
        let mut state = NodeState::decode(&part.bytes)?;
        for claim in state.claims.values_mut() {
            *claim = Claim {
                term: 1,
                fitness: Fitness::Fit,
            };
        }
        part.bytes = state.encode();
        datagram.seal(&keys, keys.newest()?, receiver)
    };
    changed().unwrap_or_else(|| bytes.to_vec())
}
