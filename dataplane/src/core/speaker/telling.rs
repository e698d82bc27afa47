//! What this node says of itself, and how it sees the others.

use std::time::Instant;

use super::{Action, Speaker};
use crate::core::{
    ownership::NodeView,
    peers::{
        membership::Peer,
        state::{Claim, NodeState},
    },
    segment::Interface,
};

impl Speaker {
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
            claims: claims.collect(),
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
