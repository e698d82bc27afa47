//! What is sent to whom: heartbeats, answers, greetings, and the state to those who miss it.

use std::time::{Duration, Instant};

use super::{EVERYBODY, MAX_PARTS, Membership, Transmit};
use crate::core::peers::datagram::{Datagram, Part};

/// A silent peer gets the state with every so many heartbeats.
const DEAF_BEATS: u64 = 5;
/// Answers to a peer that has not heard us are this far apart at least.
const ANSWER_PAUSE: Duration = Duration::from_millis(5);

/// A node that is listed no longer, or not yet, is spoken to for so long after its last word.
pub(super) const ACQUAINTANCE: Duration = Duration::from_secs(600);
impl Membership {
    /// Sends a heartbeat to everybody, with what they miss. A peer that is silent may be hearing all the same:
    /// it is told as well, but less often.
    pub fn beat(&mut self, now: Instant) {
        self.beats += 1;
        let names: Vec<_> = self.peers.keys().cloned().collect();
        for peer in self.peers.values_mut() {
            peer.source = peer.source.filter(|(_, at)| now < *at + ACQUAINTANCE);
        }
        for name in names {
            let behind = self.peers.get(&name).is_some_and(|peer| {
                peer.acknowledged < self.version
                    && (peer.alive || self.beats.is_multiple_of(DEAF_BEATS))
            });
            self.tell(now, &name, behind);
        }
    }

    /// A greeting for everybody on a segment; `None` without a key.
    pub fn greet(&mut self) -> Option<Vec<u8>> {
        let newest_key = self.keys.newest()?;
        let key = self.keys.choose(None)?;
        self.greetings += 1;
        let greeting = Datagram {
            sender: self.name.clone(),
            newest_key,
            incarnation: self.incarnation,
            sequence: self.greetings,
            version: self.version,
            echo: 0,
            known: 0,
            acknowledged: 0,
            part: None,
        };
        greeting.seal(&self.keys, key, EVERYBODY)
    }

    pub(super) fn answer(&mut self, now: Instant, name: &str) {
        let Some(peer) = self.peers.get_mut(name) else {
            return;
        };
        if peer.answered.is_some_and(|at| now < at + ANSWER_PAUSE) {
            return;
        }
        peer.answered = Some(now);
        let behind = peer.acknowledged < self.version;
        self.tell(now, name, behind);
    }

    /// Queues a heartbeat for `name`, with the whole state if `with_state`.
    pub(super) fn tell(&mut self, now: Instant, name: &str, with_state: bool) {
        let Some(peer) = self.peers.get_mut(name) else {
            return;
        };
        let (Some(address), Some(newest_key)) = (peer.address(), self.keys.newest()) else {
            return;
        };
        let Some(key) = self.keys.choose(peer.newest_key) else {
            return;
        };
        let heard = peer.heard.is_some_and(|heard| now < heard + self.patience);
        let heard_unproven = peer
            .unproven_heard
            .is_some_and(|heard| now < heard + self.patience);
        let echo = if peer.unproven > peer.incarnation && heard_unproven {
            peer.unproven
        } else if peer.unproven <= peer.incarnation && heard {
            peer.incarnation
        } else {
            0
        };
        let known = peer.incarnation;
        // What is known of an earlier life says nothing about this one.
        let acknowledged = if echo == peer.incarnation {
            peer.version
        } else {
            0
        };
        let count = u16::try_from(self.parts.len()).unwrap_or(u16::MAX);
        let parts: Vec<_> = if with_state && count <= MAX_PARTS {
            (0..count)
                .zip(&self.parts)
                .map(|(index, bytes)| {
                    Some(Part {
                        index,
                        count,
                        bytes: bytes.clone(),
                    })
                })
                .collect()
        } else {
            vec![None]
        };
        for part in parts {
            peer.sent += 1;
            let datagram = Datagram {
                sender: self.name.clone(),
                newest_key,
                incarnation: self.incarnation,
                sequence: peer.sent,
                version: self.version,
                echo,
                known,
                acknowledged,
                part,
            };
            if let Some(bytes) = datagram.seal(&self.keys, key, name) {
                self.transmits.push_back(Transmit {
                    receiver: name.to_owned(),
                    address,
                    bytes,
                });
            }
        }
    }
}
