//! A speaker: which addresses this node answers for.
//!
//! ```text
//!   datagrams, Directory, links, time ──► Speaker ──► datagrams to peers, announcements, status
//! ```
//!
//! ```text
//!             heard everybody                the others have, too            drain, cordon, label gone
//!   Listening ───────────────► Acquainted ───────────────────────► Serving ◄────────────────────────► Leaving
//!       │ ▲                                                           ▲│                                │
//!       │ └──────────── did not run for too long, or was cut off ─────┼┴────────────────────────────────┘
//!       └──────────────────── waited long enough ─────────────────────┘
//! ```
//!
//! **Claims.** A node that takes an address claims it with a term one above the highest it has seen. Of two claims
//! the higher term wins, of equal terms the better rendezvous score; the loser lets go in silence, and the winner
//! announces once more after the loser's last word. Nobody takes an address from a node that is alive and calls
//! itself fit: so views that differ can never make two nodes fight. A claim that is given up before everybody had to
//! hear of it is told for the patience.
//!
//! **Nobody takes it?** The first in the plan takes an unowned address at once, the next one a moment later, and so on:
//! a node that others believe fit but that cannot cannot block an address.
//!
//! **Frozen?** A node that did not run for almost the others' patience stops answering before it does anything else,
//! and starts again only when every peer that lived before has been heard anew. So does a node whose cable is put
//! back after nobody was heard through it: what looks unowned to it has been taken over.

mod claims;
mod disputes;
mod life;
mod telling;
mod timing;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use self::{claims::Parting, disputes::Disputes, life::HoldOff};
pub use self::{
    claims::{Holding, Why},
    telling::Greeting,
    timing::Timing,
};
use crate::core::{
    announcements::{Announcements, Due},
    ownership::Directory,
    peers::{
        datagram::Rejection,
        membership::{Membership, Peer, Transmit},
        state::{NodeState, Phase},
    },
    random::Random,
    segment::Interface,
};

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Send a heartbeat.
    Transmit(Transmit),
    /// Greet everybody on the segments of the addresses.
    Greet(Greeting),
    /// Tell the neighbours that `address` is here, on the interfaces of its [`Holding`].
    Announce(Due),
    /// This node answers for `address` from now on.
    Took(IpAddr, Why),
    /// This node does not answer for `address` any more.
    Released(IpAddr, Why),
    /// Everything is handed over; the process may end.
    Drained,
}

/// A speaker.
#[derive(Debug, Clone)]
pub struct Speaker {
    timing: Timing,
    random: Random,
    membership: Membership,
    directory: Arc<Directory>,
    informed: bool,
    /// This node is meant to serve and not cordoned.
    welcome: bool,
    interfaces: Vec<Interface>,
    /// Where everybody listens on each interface that an address may be served on; `None`: to be found out.
    segments: Option<Vec<(u32, IpAddr)>>,
    beats: u64,
    phase: Phase,
    phase_since: Instant,
    /// Set while listening: how long, and for whom (`None`: everybody with an address).
    hold_off: Option<HoldOff>,
    awaited: Option<BTreeSet<String>>,
    holdings: BTreeMap<IpAddr, Holding>,
    partings: BTreeMap<IpAddr, Parting>,
    /// Highest term seen of each wanted address, and who had it.
    terms: BTreeMap<IpAddr, (u64, String)>,
    /// Addresses that others should take: since when, and how many are in line before this node.
    orphans: BTreeMap<IpAddr, (Instant, u32)>,
    draining: Option<Instant>,
    drained: bool,
    announcements: Announcements,
    disputes: Disputes,
    told: Option<NodeState>,
    next_beat: Instant,
    last_input: Instant,
    actions: VecDeque<Action>,
    dirty: bool,
    freezes: u64,
}

impl Speaker {
    /// A speaker for node `name` that knows nothing yet. `incarnation` grows with every start.
    pub fn new(
        now: Instant,
        name: impl Into<String>,
        incarnation: u64,
        timing: Timing,
        seed: u64,
    ) -> Self {
        Self {
            timing,
            random: Random::new(seed),
            membership: Membership::new(name, incarnation, timing.patience),
            directory: Arc::default(),
            informed: false,
            welcome: false,
            interfaces: Vec::new(),
            segments: None,
            beats: 0,
            phase: Phase::Listening,
            phase_since: now,
            hold_off: None,
            awaited: None,
            holdings: BTreeMap::new(),
            partings: BTreeMap::new(),
            terms: BTreeMap::new(),
            orphans: BTreeMap::new(),
            draining: None,
            drained: false,
            announcements: Announcements::new(timing.refresh, seed),
            disputes: Disputes::default(),
            told: None,
            next_beat: now,
            last_input: now,
            actions: VecDeque::new(),
            dirty: true,
            freezes: 0,
        }
    }

    /// New keys for the heartbeats, by name; returns the names of those that are too short. A set without one
    /// that will do changes nothing.
    pub fn handle_keys(
        &mut self,
        now: Instant,
        secrets: &BTreeMap<String, Vec<u8>>,
    ) -> Vec<String> {
        self.wake(now);
        let short = self.membership.keys_mut().replace(now, secrets);
        self.dirty = true;
        self.evaluate(now);
        short
    }

    /// What the API says: where the other speakers listen, what is wanted, and whether this node is welcome
    /// to serve (labelled, not cordoned).
    pub fn handle_directory(
        &mut self,
        now: Instant,
        directory: Arc<Directory>,
        addresses: &BTreeMap<String, IpAddr>,
        welcome: bool,
    ) {
        self.wake(now);
        self.membership.set_addresses(addresses);
        self.terms
            .retain(|address, _| directory.addresses.contains_key(address));
        self.orphans
            .retain(|address, _| directory.addresses.contains_key(address));
        self.directory = directory;
        self.segments = None;
        self.welcome = welcome;
        self.informed = true;
        self.dirty = true;
        self.evaluate(now);
    }

    /// The interfaces of this node, whenever one changed.
    pub fn handle_links(&mut self, now: Instant, interfaces: Vec<Interface>) {
        self.wake(now);
        let was_connected = self.is_connected();
        self.interfaces = interfaces;
        self.segments = None;
        self.dirty = true;
        if !was_connected && self.is_connected() && self.answers() && self.is_alone() {
            self.listen_again(now, None);
        }
        self.evaluate(now);
    }

    /// A heartbeat arrived from `source`.
    ///
    /// # Errors
    /// What is not from a speaker of this cluster, or not of this time.
    pub fn handle_datagram(
        &mut self,
        now: Instant,
        source: IpAddr,
        bytes: &[u8],
    ) -> Result<(), Rejection> {
        self.wake(now);
        let result = self.membership.handle_datagram(now, source, bytes);
        if let Ok(heard) = result {
            self.dirty |= heard.changed;
            if heard.appeared {
                // Behind a network that has healed are neighbours who missed what happened here.
                self.remind_neighbours(now);
            }
        }
        self.evaluate(now);
        result.map(|_| ())
    }

    /// The speaker `peer` tells the neighbours that it has `address`. Returns whether that is an alarm: this node
    /// has it as well, has answered before, and hears no heartbeat of that speaker.
    pub fn handle_peer_answer(&mut self, now: Instant, peer: &str, address: IpAddr) -> bool {
        self.wake(now);
        let insists = self.holdings.contains_key(&address)
            && self.disputes.open(now, address, self.timing.patience);
        self.evaluate(now);
        insists && !self.membership.peer(peer).is_some_and(Peer::is_alive)
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.wake(now);
        if !self.membership.handle_timeout(now).is_empty() {
            // The dead may have taken over something and announced it, and died before this node heard of it; so may
            // somebody who heard nobody, whom nobody could believe.
            self.remind_neighbours(now);
            self.dirty = true;
        }
        if now >= self.next_beat {
            self.membership.beat(now);
            self.greet();
            // Peers that do not hear this node are judged by how long that lasts.
            self.dirty |= self
                .membership
                .peers()
                .any(|(_, peer)| peer.is_alive() && !peer.hears_us());
            let jitter = u64::try_from(self.timing.heartbeat.as_micros() / 20).unwrap_or(u64::MAX);
            let early = Duration::from_micros(self.random.below(jitter));
            self.next_beat = now + self.timing.heartbeat.saturating_sub(early);
        }
        self.dirty |= self
            .hold_off
            .is_some_and(|hold_off| now >= hold_off.greeted)
            || self.draining.is_some_and(|until| now >= until)
            || self.claim_timeout().is_some_and(|at| now >= at);
        self.evaluate(now);
    }

    /// Hand everything over, by `deadline` at the latest.
    pub fn handle_drain(&mut self, now: Instant, deadline: Instant) {
        self.wake(now);
        self.draining.get_or_insert(deadline);
        self.dirty = true;
        self.evaluate(now);
    }

    /// When to call [`Self::handle_timeout`] at the latest.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let drain = self.draining.filter(|_| !self.drained);
        let hold_off = self.hold_off.filter(|_| !self.answers());
        let hold_off = hold_off.map(|hold_off| {
            if self.last_input < hold_off.greeted {
                hold_off.greeted
            } else {
                hold_off.until
            }
        });
        [
            Some(self.next_beat),
            self.membership.poll_timeout(),
            self.announcements.poll_timeout().filter(|_| self.answers()),
            self.disputes.poll_timeout().filter(|_| self.objects()),
            self.claim_timeout(),
            hold_off,
            drain,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// The next thing to do.
    pub fn poll_action(&mut self) -> Option<Action> {
        if let Some(action) = self.actions.pop_front() {
            return Some(action);
        }
        self.membership.poll_transmit().map(Action::Transmit)
    }

    /// Whether this node answers for `address`, and on which interfaces (by index).
    pub fn serves(&self, address: IpAddr) -> Option<&[u32]> {
        let holding = self.holdings.get(&address).filter(|_| self.answers())?;
        Some(&holding.interfaces)
    }

    /// The addresses this node has.
    pub fn holdings(&self) -> impl Iterator<Item = (IpAddr, &Holding)> {
        self.holdings
            .iter()
            .map(|(address, holding)| (*address, holding))
    }

    /// Where this node is in its life, and since when.
    pub const fn phase(&self) -> (Phase, Instant) {
        (self.phase, self.phase_since)
    }

    /// The other speakers.
    pub const fn membership(&self) -> &Membership {
        &self.membership
    }

    /// The interfaces of this node.
    pub fn interfaces(&self) -> &[Interface] {
        &self.interfaces
    }

    /// What the API said last.
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// How often this node found that it had not run for too long.
    pub const fn freezes(&self) -> u64 {
        self.freezes
    }

    /// The other speaker that has a hardware address: its answers are no foreign ones.
    pub fn peer_with(&self, mac: [u8; 6]) -> Option<&str> {
        let mut peers = self.membership.peers();
        let (name, _) = peers.find(|(_, peer)| {
            let mut interfaces = peer.state().interfaces.iter();
            interfaces.any(|interface| interface.mac == mac)
        })?;
        Some(name)
    }

    /// Whether it minds that others say they have what it has. Who leaves has asked them to take it.
    fn objects(&self) -> bool {
        self.phase == Phase::Serving
    }

    /// Tells the neighbours once more what this node has: they may have missed it.
    pub fn remind_neighbours(&mut self, now: Instant) {
        for address in self.holdings.keys() {
            self.announcements.remind(now, *address);
        }
    }

    fn evaluate(&mut self, now: Instant) {
        if std::mem::take(&mut self.dirty) {
            let phase = self.next_phase(now);
            let before = self.answers();
            self.set_phase(now, phase);
            let woke = self.answers() && !before;
            self.settle_claims(now, woke);
            self.tell(now);
        }
        if self.objects() {
            for address in self.disputes.poll(now) {
                self.announcements.remind(now, address);
            }
        }
        if self.answers() {
            let due = self.announcements.poll(now);
            self.actions.extend(due.into_iter().map(Action::Announce));
        }
    }
}
