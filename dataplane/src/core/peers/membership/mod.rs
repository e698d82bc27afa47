//! Who is alive, and what they said of themselves.
//!
//! ```text
//!            first authentic datagram          it echoes our incarnation
//!  (unknown) ───────────────────────► unproven ─────────────────────────► alive ──┐
//!                                                                     ▲           │ silent for
//!                                              any fresh datagram     │           ▼ the patience
//!                                              ──────────────────────►└───────── dead
//! ```
//!
//! - A new life counts only once it echoes our incarnation: what was recorded of an earlier one cannot.
//! - Within an incarnation every sequence number counts once. What was held back and never heard counts when it comes.
//! - A node that stood still or was cut off goes on in the next incarnation, to see who hears it anew. Who knows the
//!   node needs no proof of that: it may be able to speak and not to hear, and is not two nodes because of it.
//! - A node whose clock went back learns from us that a later incarnation of it is known, and goes beyond it and
//!   beyond those that this life may have renewed to.
//! - Being heard and hearing are different things: `hears_us` says whether the peer hears this node.
//! - Who says something authentic gets an answer at the address it came from, also when this node's view of the API
//!   does not list it: views differ, and two nodes of which only one lists the other must not become two owners.
//! - Of two nodes neither may list the other: a greeting to everybody on the segment says where its sender is, and
//!   nothing else. Who does not hear the sender answers it, and then they meet like any others.
//!
//! It reads no clock and sends nothing: [`Membership::poll_transmit`] hands out datagrams.

mod peer;
mod sending;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, VecDeque},
    mem,
    net::IpAddr,
    time::{Duration, Instant},
};

pub use self::peer::Peer;
use self::peer::{Assembly, MAX_PARTS, RENEWALS};
use super::{
    datagram::{Datagram, PART_LEN, Rejection},
    keys::KeyRing,
    replay::ReplayWindow,
    state::NodeState,
};

/// Speakers remembered at most; nobody runs more, and a remembered one costs little.
const MAX_PEERS: usize = 4096;
/// Whom greetings are for; no node is called that.
const EVERYBODY: &str = "";

/// A datagram to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transmit {
    /// Node it is for.
    pub receiver: String,
    /// Where that node listens.
    pub address: IpAddr,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// What a datagram changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Heard {
    /// The sender was not alive before: it started, or the network between it and this node healed.
    pub appeared: bool,
    /// What it says of itself, or whether it hears us, has changed.
    pub changed: bool,
}

/// All other speakers.
#[derive(Debug, Clone)]
pub struct Membership {
    name: String,
    patience: Duration,
    incarnation: u64,
    keys: KeyRing,
    peers: BTreeMap<String, Peer>,
    version: u64,
    parts: Vec<Vec<u8>>,
    beats: u64,
    greetings: u64,
    transmits: VecDeque<Transmit>,
}

impl Membership {
    /// A node that has heard nobody. `incarnation` grows with every start: milliseconds since 1970 will do.
    /// A peer that is silent for `patience` is dead.
    pub fn new(name: impl Into<String>, incarnation: u64, patience: Duration) -> Self {
        Self {
            name: name.into(),
            patience,
            incarnation: incarnation.max(1),
            keys: KeyRing::default(),
            peers: BTreeMap::new(),
            version: 0,
            parts: Vec::new(),
            beats: 0,
            greetings: 0,
            transmits: VecDeque::new(),
        }
    }

    /// This node's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The keys heartbeats are signed with.
    pub fn keys_mut(&mut self) -> &mut KeyRing {
        &mut self.keys
    }

    /// Sets who the others are and where they listen. Who was heard is spoken to for a while longer: it may be a
    /// node that has not been told that it is no speaker any more.
    pub fn set_addresses(&mut self, addresses: &BTreeMap<String, IpAddr>) {
        for (name, peer) in &mut self.peers {
            peer.listed = addresses.get(name).copied();
        }
        for (name, address) in addresses.iter().filter(|(name, _)| **name != self.name) {
            self.peers.entry(name.clone()).or_default().listed = Some(*address);
        }
    }

    /// Sets what this node says of itself and tells everybody.
    pub fn set_state(&mut self, now: Instant, state: &NodeState) {
        self.version += 1;
        self.parts = state
            .encode()
            .chunks(PART_LEN)
            .map(<[u8]>::to_vec)
            .collect();
        let names: Vec<_> = self.peers.keys().cloned().collect();
        for name in names {
            self.tell(now, &name, true);
        }
    }

    /// Starts over in the eyes of the others: only who hears this node from now on counts as hearing it.
    pub fn renew(&mut self) {
        self.incarnation += 1;
        for peer in self.peers.values_mut() {
            peer.hears_us = false;
            peer.acknowledged = 0;
        }
    }

    /// Takes what arrived from `source`.
    ///
    /// # Errors
    /// What is not from a speaker of this cluster, or not of this time. State does not change then.
    pub fn handle_datagram(
        &mut self,
        now: Instant,
        source: IpAddr,
        bytes: &[u8],
    ) -> Result<Heard, Rejection> {
        let datagram = match Datagram::open(&self.keys, now, bytes, &self.name) {
            Err(Rejection::Unauthentic) => {
                let greeting = Datagram::open(&self.keys, now, bytes, EVERYBODY)?;
                return self.handle_greeting(now, source, &greeting);
            }
            opened => opened?,
        };
        if datagram.sender == self.name {
            return Err(Rejection::OwnName);
        }
        if !self.peers.contains_key(&datagram.sender) && self.peers.len() >= MAX_PEERS {
            return Err(Rejection::Unproven);
        }
        let sender = datagram.sender.clone();
        let peer = self.peers.entry(sender.clone()).or_default();
        if datagram.known > self.incarnation {
            // The earlier life may have gone on in later ones than the peer has heard of: they are not this one's.
            self.incarnation = datagram.known.saturating_add(RENEWALS + 1);
        }
        let hears_us = datagram.echo == self.incarnation;
        if datagram.incarnation < peer.incarnation {
            return Err(Rejection::Replayed);
        }
        let renewed = datagram.incarnation > peer.incarnation;
        if renewed {
            peer.newest_key = Some(datagram.newest_key);
            if !hears_us && !peer.is_renewal(datagram.incarnation) {
                let latest = (peer.unproven, peer.unproven_sequence);
                if (datagram.incarnation, datagram.sequence) > latest {
                    (peer.unproven, peer.unproven_sequence) =
                        (datagram.incarnation, datagram.sequence);
                    peer.source = Some((source, now));
                    peer.unproven_heard = Some(now);
                }
                self.answer(now, &sender);
                return Err(Rejection::Unproven);
            }
            // What it said before stands until it says something else.
            *peer = Peer {
                incarnation: datagram.incarnation,
                unproven: 0,
                unproven_sequence: 0,
                unproven_heard: None,
                // What came before the proof was not counted and may come again.
                window: ReplayWindow::before(datagram.sequence),
                version: 0,
                assembly: Assembly::default(),
                acknowledged: 0,
                ..mem::take(peer)
            };
        }
        if !peer.window.admit(datagram.sequence) {
            return Err(Rejection::Replayed);
        }
        let appeared = !peer.alive || (hears_us && !peer.hears_us);
        let mut changed = appeared || renewed || peer.hears_us != hears_us;
        peer.alive = true;
        peer.heard = Some(now);
        peer.source = Some((source, now));
        peer.hears_us = hears_us;
        peer.deaf_since = if hears_us {
            None
        } else {
            peer.deaf_since.or(Some(now))
        };
        peer.newest_key = Some(datagram.newest_key);
        if hears_us {
            peer.acknowledged = datagram.acknowledged;
        }
        if let Some(part) = datagram.part
            && datagram.version > peer.version
        {
            changed |= peer.assemble(datagram.version, part);
        }
        if appeared || renewed {
            self.tell(now, &sender, true);
        } else if !hears_us {
            self.answer(now, &sender);
        }
        Ok(Heard { appeared, changed })
    }

    /// A greeting proves nothing, and may be played again: it only says where to answer somebody who is not heard.
    fn handle_greeting(
        &mut self,
        now: Instant,
        source: IpAddr,
        greeting: &Datagram,
    ) -> Result<Heard, Rejection> {
        let sender = &greeting.sender;
        if *sender == self.name {
            // A segment that gives back what was sent to everybody is none that has a twin of this node.
            let own = greeting.incarnation <= self.incarnation;
            return own.then(Heard::default).ok_or(Rejection::OwnName);
        }
        if !self.peers.contains_key(sender) && self.peers.len() >= MAX_PEERS {
            return Err(Rejection::Unproven);
        }
        let peer = self.peers.entry(sender.clone()).or_default();
        let number = (greeting.incarnation, greeting.sequence);
        if number == peer.greeted {
            // Both nodes are on more than one segment.
            return Ok(Heard::default());
        }
        let is_old = greeting.incarnation < peer.incarnation || number < peer.greeted;
        // Whom nobody speaks to cannot learn that its clock went back.
        if is_old && peer.address().is_some() {
            return Err(Rejection::Replayed);
        }
        peer.greeted = peer.greeted.max(number);
        if peer.alive && greeting.incarnation <= peer.incarnation {
            return Ok(Heard::default());
        }
        peer.source = Some((source, now));
        if greeting.incarnation > peer.incarnation {
            if greeting.incarnation > peer.unproven {
                (peer.unproven, peer.unproven_sequence) = (greeting.incarnation, 0);
            }
            peer.unproven_heard = Some(now);
        }
        self.answer(now, sender);
        Ok(Heard::default())
    }

    /// Buries who has been silent for too long, also who never proved itself; returns their names.
    pub fn handle_timeout(&mut self, now: Instant) -> Vec<String> {
        let mut buried = Vec::new();
        for (name, peer) in &mut self.peers {
            let died = peer.alive && peer.heard.is_none_or(|heard| now >= heard + self.patience);
            if died {
                peer.alive = false;
                peer.hears_us = false;
                peer.deaf_since = None;
            }
            let faded = peer
                .unproven_heard
                .take_if(|heard| now >= *heard + self.patience);
            if died || faded.is_some() {
                buried.push(name.clone());
            }
        }
        buried
    }

    /// When the next one is buried if it stays silent.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let heard = self.peers.values().flat_map(|peer| {
            let alive = peer.heard.filter(|_| peer.alive);
            alive.into_iter().chain(peer.unproven_heard)
        });
        heard.min().map(|heard| heard + self.patience)
    }

    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// All others that were ever named or heard.
    pub fn peers(&self) -> impl Iterator<Item = (&str, &Peer)> {
        self.peers.iter().map(|(name, peer)| (name.as_str(), peer))
    }

    /// One of the others.
    pub fn peer(&self, name: &str) -> Option<&Peer> {
        self.peers.get(name)
    }

    /// Whether every peer that has an address is alive, hears this node and has said who it is.
    pub fn is_complete(&self) -> bool {
        let mut expected = self.peers.values().filter(|peer| peer.address().is_some());
        expected.all(|peer| peer.alive && peer.hears_us && peer.version > 0)
    }
}
