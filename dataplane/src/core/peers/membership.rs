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
//! - A new incarnation counts only once it echoes ours: what was recorded earlier and is played again cannot.
//! - Within an incarnation every sequence number counts once.
//! - A node that stood still or was cut off goes on in the next incarnation, to see who hears it anew. Who knows the
//!   node needs no proof of that: it may be able to speak and not to hear, and is not two nodes because of it.
//! - A node whose clock went back learns from us that a later incarnation of it is known, and goes beyond it.
//! - Being heard and hearing are different things: `hears_us` says whether the peer hears this node.
//! - Who says something authentic gets an answer at the address it came from, also when this node's view of the API
//!   does not list it: views differ, and two nodes of which only one lists the other must not become two owners.
//! - Of two nodes neither may list the other: a greeting to everybody on the segment says where its sender is, and
//!   nothing else. Who does not hear the sender answers it, and then they meet like any others.
//!
//! It reads no clock and sends nothing: [`Membership::poll_transmit`] hands out datagrams.

use std::{
    collections::{BTreeMap, VecDeque},
    mem,
    net::IpAddr,
    time::{Duration, Instant},
};

use super::{
    datagram::{Datagram, PART_LEN, Part, Rejection},
    keys::{KeyId, KeyRing},
    replay::ReplayWindow,
    state::NodeState,
};

/// Speakers remembered at most; nobody runs more, and a remembered one costs little.
const MAX_PEERS: usize = 4096;
/// Parts of one state at most: bounds what an authentic but broken peer can make us keep.
const MAX_PARTS: u16 = 1024;
/// A silent peer gets the state with every so many heartbeats.
const DEAF_BEATS: u64 = 5;
/// A node that is listed no longer, or not yet, is spoken to for so long after its last word.
const ACQUAINTANCE: Duration = Duration::from_secs(600);
/// Whom greetings are for; no node is called that.
const EVERYBODY: &str = "";
/// So often a node may have gone on in the next incarnation while it was not heard; a restart is farther away.
const RENEWALS: u64 = 100;
/// Answers to a peer that has not heard us are this far apart at least.
const ANSWER_PAUSE: Duration = Duration::from_millis(5);

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

/// Another speaker.
#[derive(Debug, Clone, Default)]
pub struct Peer {
    incarnation: u64,
    /// A later incarnation that has not echoed ours yet.
    unproven: u64,
    /// Its latest datagram: what is played again does not change where it is answered.
    unproven_sequence: u64,
    /// When that came.
    unproven_heard: Option<Instant>,
    window: ReplayWindow,
    heard: Option<Instant>,
    alive: bool,
    hears_us: bool,
    deaf_since: Option<Instant>,
    newest_key: Option<KeyId>,
    version: u64,
    state: NodeState,
    assembly: Assembly,
    /// Our version it has.
    acknowledged: u64,
    /// Datagrams sent to it.
    sent: u64,
    answered: Option<Instant>,
    /// Where it listens, says the API.
    listed: Option<IpAddr>,
    /// Where its latest datagram came from, and when.
    source: Option<(IpAddr, Instant)>,
    /// Incarnation and number of its latest greeting.
    greeted: (u64, u64),
}

#[derive(Debug, Clone, Default)]
struct Assembly {
    version: u64,
    parts: BTreeMap<u16, Vec<u8>>,
    count: u16,
}

impl Peer {
    /// Whether it was heard within the patience.
    pub const fn is_alive(&self) -> bool {
        self.alive
    }

    /// Whether it hears this node.
    pub const fn hears_us(&self) -> bool {
        self.hears_us
    }

    /// Since when it has been heard but does not hear this node.
    pub const fn deaf_since(&self) -> Option<Instant> {
        self.deaf_since
    }

    /// What it said of itself last.
    pub const fn state(&self) -> &NodeState {
        &self.state
    }

    /// Where it is spoken to.
    fn address(&self) -> Option<IpAddr> {
        self.listed
            .or_else(|| self.source.map(|(address, _)| address))
    }

    /// Whether `incarnation` belongs to the life that was proven: the node stood still or was cut off, and went on.
    /// What was recorded and heard of this life is refused by its number, renewed or not.
    const fn is_renewal(&self, incarnation: u64) -> bool {
        let ahead = incarnation.saturating_sub(self.incarnation);
        self.incarnation > 0 && incarnation >= self.unproven && ahead <= RENEWALS
    }

    /// When it was heard last.
    pub const fn last_heard(&self) -> Option<Instant> {
        self.heard
    }
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
            self.incarnation = datagram.known.saturating_add(1);
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

    fn answer(&mut self, now: Instant, name: &str) {
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
    fn tell(&mut self, now: Instant, name: &str, with_state: bool) {
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

impl Peer {
    /// Takes a part; whether the state is whole and new.
    fn assemble(&mut self, version: u64, part: Part) -> bool {
        if part.count > MAX_PARTS {
            return false;
        }
        if self.assembly.version != version || self.assembly.count != part.count {
            self.assembly = Assembly {
                version,
                count: part.count,
                parts: BTreeMap::new(),
            };
        }
        self.assembly.parts.insert(part.index, part.bytes);
        if self.assembly.parts.len() < usize::from(part.count) {
            return false;
        }
        let whole: Vec<u8> = self.assembly.parts.values().flatten().copied().collect();
        self.assembly = Assembly::default();
        let Some(state) = NodeState::decode(&whole) else {
            return false;
        };
        self.version = version;
        self.state = state;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::peers::state::Phase;
    use crate::core::samples::start;

    const PATIENCE: Duration = Duration::from_millis(800);

    /// Two nodes and what is between them.
    struct Pair {
        now: Instant,
        nodes: [Membership; 2],
        /// Everything that was ever sent, by sender.
        sent: [Vec<Vec<u8>>; 2],
    }

    /// Where node `number` is.
    fn place(number: usize) -> IpAddr {
        IpAddr::from([10, 0, 0, u8::try_from(number + 1).unwrap()])
    }

    fn node(name: &str, incarnation: u64) -> Membership {
        let mut node = Membership::new(name, incarnation, PATIENCE);
        let keys = BTreeMap::from([("k".to_owned(), vec![1; 32])]);
        node.keys_mut().replace(start(), &keys);
        let addresses = [("a", 0), ("b", 1)].map(|(name, number)| (name.to_owned(), place(number)));
        node.set_addresses(&BTreeMap::from(addresses));
        node
    }

    impl Pair {
        fn new() -> Self {
            let mut pair = Self {
                now: start(),
                nodes: [node("a", 100), node("b", 200)],
                sent: [Vec::new(), Vec::new()],
            };
            for node in &mut pair.nodes {
                node.set_state(pair.now, &NodeState::default());
            }
            pair
        }

        /// Lets 200 ms pass, both beat, and what they send arrives.
        fn step(&mut self) {
            self.now += Duration::from_millis(200);
            for node in &mut self.nodes {
                node.handle_timeout(self.now);
                node.beat(self.now);
            }
            self.deliver();
        }

        fn deliver(&mut self) {
            loop {
                let mut quiet = true;
                for from in 0..2 {
                    while let Some(transmit) = self.nodes[from].poll_transmit() {
                        quiet = false;
                        let _ = self.nodes[1 - from].handle_datagram(
                            self.now,
                            place(from),
                            &transmit.bytes,
                        );
                        self.sent[from].push(transmit.bytes);
                    }
                }
                if quiet {
                    return;
                }
            }
        }

        /// The same, but only what b says arrives.
        fn step_deaf(&mut self) {
            self.now += Duration::from_millis(200);
            for node in &mut self.nodes {
                node.handle_timeout(self.now);
                node.beat(self.now);
            }
            while self.nodes[0].poll_transmit().is_some() {}
            self.deliver_to_a();
            while self.nodes[0].poll_transmit().is_some() {}
        }

        fn deliver_to_a(&mut self) {
            while let Some(transmit) = self.nodes[1].poll_transmit() {
                let _ = self.nodes[0].handle_datagram(self.now, place(1), &transmit.bytes);
                self.sent[1].push(transmit.bytes);
            }
        }

        fn sees(&self, from: usize) -> (bool, bool) {
            let peer = self.nodes[from].peer(["b", "a"][from]).unwrap();
            (peer.is_alive(), peer.hears_us())
        }

        #[track_caller]
        fn assert_met(&self) {
            let both = (self.sees(0), self.sees(1));
            assert_eq!(both, ((true, true), (true, true)), "a sees b, b sees a");
        }
    }

    #[test]
    fn two_nodes_meet_within_one_beat_and_know_each_others_state() {
        let mut pair = Pair::new();
        pair.step();
        pair.assert_met();
        assert!(pair.nodes.iter().all(Membership::is_complete));
    }

    #[test]
    fn a_quiet_pair_sends_two_small_datagrams_a_beat() {
        let mut pair = Pair::new();
        for _ in 0..3 {
            pair.step();
        }
        let before: Vec<_> = pair.sent.iter().map(Vec::len).collect();
        pair.step();
        for (from, before) in before.into_iter().enumerate() {
            let fresh = &pair.sent[from][before..];
            assert_eq!(fresh.len(), 1);
            assert!(fresh[0].len() < 90, "{} bytes", fresh[0].len());
        }
    }

    #[test]
    fn a_large_state_arrives_although_parts_are_lost() {
        let mut pair = Pair::new();
        pair.step();
        let claim = crate::core::peers::state::Claim {
            term: 1,
            fitness: crate::core::peers::state::Fitness::Fit,
        };
        let claims = (0..2000u32)
            .map(|bits| (IpAddr::from(bits.to_be_bytes()), claim))
            .collect();
        let state = NodeState {
            phase: Phase::Serving,
            claims,
            ..NodeState::default()
        };
        pair.nodes[0].set_state(pair.now, &state);
        let mut count = 0;
        while let Some(transmit) = pair.nodes[0].poll_transmit() {
            count += 1;
            if count % 3 != 0 {
                let _ = pair.nodes[1].handle_datagram(pair.now, place(0), &transmit.bytes);
            }
        }
        assert!(count > 20);
        assert_eq!(pair.nodes[1].peer("a").unwrap().state().claims.len(), 0);
        pair.step();
        assert_eq!(pair.nodes[1].peer("a").unwrap().state(), &state);
    }

    #[test]
    fn silence_is_death_after_the_patience_and_not_before() {
        let mut pair = Pair::new();
        pair.step();
        let last = pair.now;
        assert_eq!(pair.nodes[0].poll_timeout(), Some(last + PATIENCE));
        assert!(
            pair.nodes[0]
                .handle_timeout(last + PATIENCE - Duration::from_nanos(1))
                .is_empty()
        );
        assert_eq!(pair.nodes[0].handle_timeout(last + PATIENCE), ["b"]);
        assert_eq!(pair.sees(0), (false, false));
    }

    /// It is deaf, so it may have announced what another has; neighbours have to be told when it is gone.
    #[test]
    fn who_never_proved_itself_is_buried_too() {
        let mut pair = Pair::new();
        pair.nodes[1].beat(pair.now);
        let bytes = pair.nodes[1].poll_transmit().unwrap().bytes;
        let heard = pair.nodes[0].handle_datagram(pair.now, place(1), &bytes);
        assert_eq!(heard, Err(Rejection::Unproven));
        let end = pair.now + PATIENCE;
        assert_eq!(pair.nodes[0].poll_timeout(), Some(end));
        let early = end - Duration::from_nanos(1);
        assert_eq!(pair.nodes[0].handle_timeout(early), [""; 0]);
        // Played again it is no sign of life.
        let _ = pair.nodes[0].handle_datagram(early, place(1), &bytes);
        assert_eq!(pair.nodes[0].handle_timeout(end), ["b"]);
        assert_eq!(pair.nodes[0].poll_timeout(), None);
        // Who proves itself is buried once.
        let mut pair = Pair::new();
        pair.step();
        pair.step();
        pair.now += PATIENCE;
        assert_eq!(pair.nodes[0].handle_timeout(pair.now), ["b"]);
        assert_eq!(pair.nodes[0].handle_timeout(pair.now), [""; 0]);
    }

    #[test]
    fn a_node_that_hears_nothing_any_more_is_known_to_be_deaf_although_it_never_got_a_proof() {
        let mut pair = Pair::new();
        pair.nodes[0].beat(pair.now);
        let bytes = pair.nodes[0].poll_transmit().unwrap().bytes;
        let heard = pair.nodes[1].handle_datagram(pair.now, place(0), &bytes);
        assert_eq!(heard, Err(Rejection::Unproven));
        let mut seen = Vec::new();
        for _ in 0..6 {
            pair.step_deaf();
            seen.push(pair.sees(0));
        }
        assert_eq!(seen.first(), Some(&(true, true)));
        assert_eq!(seen.last(), Some(&(true, false)));
    }

    #[test]
    fn a_node_that_hears_nothing_is_known_to_be_deaf() {
        let mut pair = Pair::new();
        pair.step();
        for _ in 0..6 {
            pair.step_deaf();
        }
        assert_eq!(
            pair.sees(0),
            (true, false),
            "a hears b, and knows that b is deaf"
        );
        assert_eq!(pair.sees(1), (false, false));
    }

    #[test]
    fn what_was_recorded_moves_nothing_when_it_is_played_again() {
        let mut pair = Pair::new();
        for _ in 0..5 {
            pair.step();
        }
        let recorded = pair.sent[0].clone();
        pair.now += PATIENCE;
        assert_eq!(pair.nodes[1].handle_timeout(pair.now), ["a"]);
        for bytes in &recorded {
            let rejection = pair.nodes[1]
                .handle_datagram(pair.now, place(0), bytes)
                .unwrap_err();
            assert_eq!(rejection, Rejection::Replayed);
        }
        assert_eq!(pair.sees(1), (false, false));

        let mut restarted = node("b", 300);
        for bytes in &recorded {
            let rejection = restarted
                .handle_datagram(pair.now, place(0), bytes)
                .unwrap_err();
            assert_eq!(rejection, Rejection::Unproven);
        }
        assert!(!restarted.peer("a").unwrap().is_alive());
    }

    #[test]
    fn a_restarted_node_is_known_again_at_once_even_if_its_clock_went_back() {
        for incarnation in [201, 5] {
            let mut pair = Pair::new();
            pair.step();
            pair.nodes[1] = node("b", incarnation);
            pair.nodes[1].set_state(pair.now, &NodeState::default());
            pair.step();
            pair.step();
            pair.assert_met();
        }
    }

    #[test]
    fn after_a_renewal_only_fresh_contact_counts() {
        let mut pair = Pair::new();
        pair.step();
        pair.nodes[0].renew();
        assert!(!pair.nodes[0].is_complete());
        pair.step();
        assert!(pair.nodes[0].is_complete());
        assert_eq!(pair.sees(1), (true, true));
    }

    #[test]
    fn a_node_that_renews_while_it_hears_nobody_is_known_all_the_same() {
        let mut pair = Pair::new();
        pair.step();
        let recorded = pair.sent[1].clone();
        for _ in 0..5 {
            pair.step_deaf();
        }
        for _ in 0..5 {
            pair.nodes[1].renew();
            pair.step_deaf();
            assert_eq!(pair.sees(0), (true, false));
        }
        // Nothing of the life that goes on is heard twice.
        let renewed = pair.sent[1].clone();
        pair.now += PATIENCE;
        assert_eq!(pair.nodes[0].handle_timeout(pair.now), ["b"]);
        for bytes in recorded.iter().chain(&renewed) {
            let again = pair.nodes[0].handle_datagram(pair.now, place(1), bytes);
            assert_eq!(again, Err(Rejection::Replayed));
        }
        // Another life has to prove itself.
        let mut restarted = node("b", 200 + RENEWALS + 7);
        restarted.beat(pair.now);
        let bytes = restarted.poll_transmit().unwrap().bytes;
        let heard = pair.nodes[0].handle_datagram(pair.now, place(1), &bytes);
        assert_eq!(heard, Err(Rejection::Unproven));
    }

    #[test]
    fn what_was_known_of_a_life_is_not_taken_for_what_is_known_of_the_next() {
        let mut pair = Pair::new();
        for _ in 0..3 {
            let same = NodeState::default();
            pair.nodes[1].set_state(pair.now, &same);
            pair.step();
        }
        pair.nodes[1] = node("b", 200 + 2 * RENEWALS);
        pair.nodes[1].beat(pair.now);
        pair.deliver_to_a();
        let answer = pair.nodes[0].poll_transmit().unwrap().bytes;
        let heard = pair.nodes[1].handle_datagram(pair.now, place(0), &answer);
        assert!(heard.unwrap().appeared);
        // What it says then is lost, and from here on it is deaf.
        while pair.nodes[1].poll_transmit().is_some() {}
        let state = NodeState {
            phase: Phase::Serving,
            ..NodeState::default()
        };
        pair.nodes[1].set_state(pair.now, &state);
        while pair.nodes[1].poll_transmit().is_some() {}
        pair.step_deaf();
        assert_eq!(pair.nodes[0].peer("b").unwrap().state(), &state);
    }

    /// Its neighbours missed what this node announced.
    #[test]
    fn a_deaf_node_that_hears_again_appears_anew() {
        let mut pair = Pair::new();
        pair.step();
        for _ in 0..5 {
            pair.step_deaf();
        }
        assert_eq!(pair.sees(0), (true, false));
        pair.nodes[0].beat(pair.now);
        let transmit = pair.nodes[0].poll_transmit().unwrap();
        let heard = pair.nodes[1].handle_datagram(pair.now, place(0), &transmit.bytes);
        assert!(heard.unwrap().appeared);
        let answer = pair.nodes[1].poll_transmit().unwrap().bytes;
        let heard = pair.nodes[0].handle_datagram(pair.now, place(1), &answer);
        assert!(heard.unwrap().appeared);
    }

    #[test]
    fn a_node_that_does_not_list_the_other_answers_it() {
        let mut pair = Pair::new();
        pair.nodes[0].peers.clear();
        pair.step();
        pair.step();
        pair.assert_met();
    }

    #[test]
    fn two_nodes_of_which_neither_lists_the_other_meet_by_a_greeting() {
        for incarnation in [201, 5] {
            let mut pair = Pair::new();
            pair.step();
            pair.nodes[1] = node("b", incarnation);
            pair.now += ACQUAINTANCE;
            for node in &mut pair.nodes {
                node.set_addresses(&BTreeMap::new());
                node.handle_timeout(pair.now);
            }
            pair.nodes[1].set_state(pair.now, &NodeState::default());
            pair.step();
            assert_eq!(pair.sees(0), (false, false));
            let greeting = pair.nodes[1].greet().unwrap();
            let heard = pair.nodes[0].handle_datagram(pair.now, place(1), &greeting);
            assert_eq!(heard, Ok(Heard::default()));
            assert!(!pair.sees(0).0, "a greeting proves nothing");
            pair.deliver();
            pair.step();
            pair.assert_met();
        }
    }

    #[test]
    fn a_greeting_that_is_played_again_does_not_change_where_a_node_is_answered() {
        let mut pair = Pair::new();
        let recorded = pair.nodes[1].greet().unwrap();
        let latest = pair.nodes[1].greet().unwrap();
        let mut node = node("a", 300);
        node.set_addresses(&BTreeMap::new());
        let _ = node.handle_datagram(pair.now, place(1), &latest);
        let elsewhere = IpAddr::from([192, 0, 2, 66]);
        let heard = node.handle_datagram(pair.now, elsewhere, &recorded);
        assert_eq!(heard, Err(Rejection::Replayed));
        // It comes once on every segment that both nodes are on.
        let heard = node.handle_datagram(pair.now, elsewhere, &latest);
        assert_eq!(heard, Ok(Heard::default()));
        assert_eq!(node.peer("b").unwrap().address(), Some(place(1)));
        // Nor does one of a node that is heard, however new.
        pair.step();
        let fresh = pair.nodes[1].greet().unwrap();
        let _ = pair.nodes[0].handle_datagram(pair.now, elsewhere, &fresh);
        pair.nodes[0].set_addresses(&BTreeMap::new());
        let address = pair.nodes[0].peer("b").unwrap().address();
        assert_eq!(address, Some(place(1)));
    }

    #[test]
    fn a_node_that_hears_its_own_greeting_takes_no_notice() {
        let mut pair = Pair::new();
        let now = pair.now;
        let greeting = pair.nodes[0].greet().unwrap();
        let heard = pair.nodes[0].handle_datagram(now, place(0), &greeting);
        assert_eq!(heard, Ok(Heard::default()));
        let twin = node("a", 101).greet().unwrap();
        let heard = pair.nodes[0].handle_datagram(now, place(1), &twin);
        assert_eq!(heard, Err(Rejection::OwnName));
        assert!(pair.nodes[0].peer("a").is_none());
    }

    #[test]
    fn a_node_that_is_listed_no_longer_is_spoken_to_while_it_speaks_and_for_a_while() {
        let mut pair = Pair::new();
        pair.step();
        pair.nodes[0].set_addresses(&BTreeMap::new());
        for _ in 0..10 {
            pair.step();
        }
        pair.assert_met();
        pair.now += PATIENCE;
        pair.nodes[0].handle_timeout(pair.now);
        pair.nodes[0].beat(pair.now);
        assert!(pair.nodes[0].poll_transmit().is_some(), "it may be hearing");
        pair.now += ACQUAINTANCE;
        pair.nodes[0].beat(pair.now);
        assert_eq!(pair.nodes[0].poll_transmit(), None);
    }

    #[test]
    fn what_is_played_again_does_not_change_where_a_node_is_answered() {
        let mut pair = Pair::new();
        pair.step();
        pair.step();
        let recorded = pair.sent[1].clone();
        let elsewhere = IpAddr::from([192, 0, 2, 66]);
        let mut restarted = node("a", 300);
        restarted.set_addresses(&BTreeMap::new());
        let latest = recorded.last().unwrap();
        let _ = restarted.handle_datagram(pair.now, place(1), latest);
        for (receiver, name) in [(&mut pair.nodes[0], "known"), (&mut restarted, "unproven")] {
            receiver.set_addresses(&BTreeMap::new());
            for bytes in &recorded {
                let _ = receiver.handle_datagram(pair.now, elsewhere, bytes);
            }
            let address = receiver.peer("b").unwrap().address();
            assert_eq!(address, Some(place(1)), "{name}");
        }
    }

    #[test]
    fn datagrams_of_other_clusters_and_in_our_own_name_are_refused() {
        let mut pair = Pair::new();
        let now = pair.now;
        let mut stranger = node("b", 1);
        stranger
            .keys_mut()
            .replace(now, &BTreeMap::from([("k".to_owned(), vec![2; 32])]));
        stranger.beat(now);
        let bytes = stranger.poll_transmit().unwrap().bytes;
        assert_eq!(
            pair.nodes[0].handle_datagram(now, place(1), &bytes),
            Err(Rejection::Unauthentic)
        );

        let mut twin = Membership::new("a", 7, PATIENCE);
        twin.keys_mut()
            .replace(now, &BTreeMap::from([("k".to_owned(), vec![1; 32])]));
        twin.set_addresses(&BTreeMap::from([(
            "b".to_owned(),
            IpAddr::from([10, 0, 0, 1]),
        )]));
        twin.beat(now);
        let mut bytes = twin.poll_transmit().unwrap().bytes;
        assert_eq!(
            pair.nodes[0].handle_datagram(now, place(1), &bytes),
            Err(Rejection::Unauthentic)
        );
        bytes.truncate(3);
        assert_eq!(
            pair.nodes[0].handle_datagram(now, place(1), &bytes),
            Err(Rejection::Malformed)
        );
    }
}
