//! What this node says of itself, and how it sees the others.

use std::{net::IpAddr, time::Instant};

use super::{Action, Speaker};
use crate::core::{
    ownership::NodeView,
    peers::{
        membership::Peer,
        state::{Claim, Fitness, NodeState},
    },
    segment::Interface,
};

/// A node that answers greets with every so many heartbeats.
const GREETING_BEATS: u64 = 5;

/// A datagram for everybody on some segments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Greeting {
    /// Where everybody listens, by index of the interface.
    pub to: Vec<(u32, IpAddr)>,
    /// The bytes.
    pub bytes: Vec<u8>,
}

impl Speaker {
    /// Greets everybody on the segments of the addresses, whom the API may not have told this node of: with each
    /// heartbeat until this node answers, then now and then.
    pub(super) fn greet(&mut self) {
        self.beats += 1;
        if self.answers() && !self.beats.is_multiple_of(GREETING_BEATS) {
            return;
        }
        let to = match self.segments.take() {
            Some(known) => known,
            None => self.segments(),
        };
        self.segments = Some(to.clone());
        if to.is_empty() {
            return;
        }
        if let Some(bytes) = self.membership.greet() {
            self.actions
                .push_back(Action::Greet(Greeting { to, bytes }));
        }
    }

    /// Where everybody listens on each interface that an address may be served on: nobody else has to know.
    fn segments(&self) -> Vec<(u32, IpAddr)> {
        self.connected()
            .filter_map(|interface| Some((interface.index, interface.everybody()?)))
            .collect()
    }

    /// Whether this node is on the segment of an address: others would hear it there. The loopback interface, which is
    /// always up, and those of pods do not count.
    pub(super) fn is_connected(&self) -> bool {
        self.connected().next().is_some()
    }

    /// Interfaces that are up and on which an address may be served.
    fn connected(&self) -> impl Iterator<Item = &Interface> {
        let me = self.membership.name();
        let is_served = move |interface: &&Interface| {
            let mut addresses = self.directory.addresses.iter();
            interface.up
                && addresses.any(|(address, wanted)| {
                    wanted.reaches.iter().any(|reach| {
                        reach.nodes.contains(me) && reach.interfaces.admits(interface, *address)
                    })
                })
        };
        self.interfaces.iter().filter(is_served)
    }

    /// Tells the others what has changed here.
    pub(super) fn tell(&mut self, now: Instant) {
        let state = self.state();
        if self.told.as_ref() != Some(&state) {
            self.membership.set_state(now, &state);
            self.told = Some(state);
        }
        let ends = self.draining.is_some() && self.holdings.is_empty();
        if ends && !std::mem::replace(&mut self.drained, ends) {
            self.actions.push_back(Action::Drained);
        }
    }

    /// What this node says of itself.
    pub(super) fn state(&self) -> NodeState {
        let ended = self.partings.iter().map(|(address, parting)| {
            (
                *address,
                Claim {
                    term: parting.term,
                    fitness: Fitness::Unfit,
                },
            )
        });
        let claims = self.holdings.iter().map(|(address, holding)| {
            (
                *address,
                Claim {
                    term: holding.term,
                    fitness: holding.fitness,
                },
            )
        });
        NodeState {
            phase: self.phase,
            interfaces: self
                .interfaces
                .iter()
                .map(|interface| Interface {
                    index: 0,
                    ..interface.clone()
                })
                .collect(),
            claims: ended.chain(claims).collect(),
        }
    }

    /// Everybody who is alive, this node included.
    pub(super) fn views<'a>(&'a self, now: Instant, own: &'a NodeState) -> Vec<NodeView<'a>> {
        let peers = self.membership.peers().filter(|(_, peer)| peer.is_alive());
        let mut views: Vec<_> = peers
            .map(|(name, peer)| NodeView {
                name,
                state: peer.state(),
                deaf: self.is_deaf(now, peer),
            })
            .collect();
        views.push(NodeView {
            name: self.membership.name(),
            state: own,
            deaf: false,
        });
        views
    }

    /// Whether a peer has not heard this node for the patience, so that it cannot give in.
    pub(super) fn is_deaf(&self, now: Instant, peer: &Peer) -> bool {
        peer.deaf_since()
            .is_some_and(|since| now >= since + self.timing.patience)
    }
}
