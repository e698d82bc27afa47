//! Another speaker, as far as it is known.

use std::{collections::BTreeMap, net::IpAddr, time::Instant};

use crate::core::peers::{datagram::Part, keys::KeyId, replay::ReplayWindow, state::NodeState};

/// Parts of one state at most: bounds what an authentic but broken peer can make us keep.
pub(super) const MAX_PARTS: u16 = 1024;
/// So often a node may have gone on in the next incarnation while it was not heard; a restart is farther away.
pub(super) const RENEWALS: u64 = 100;

/// Another speaker.
#[derive(Debug, Clone, Default)]
pub struct Peer {
    pub(super) incarnation: u64,
    /// A later incarnation that has not echoed ours yet.
    pub(super) unproven: u64,
    /// Its latest datagram: what is played again does not change where it is answered.
    pub(super) unproven_sequence: u64,
    /// When that came.
    pub(super) unproven_heard: Option<Instant>,
    pub(super) window: ReplayWindow,
    pub(super) heard: Option<Instant>,
    pub(super) alive: bool,
    pub(super) hears_us: bool,
    pub(super) deaf_since: Option<Instant>,
    pub(super) newest_key: Option<KeyId>,
    pub(super) version: u64,
    pub(super) state: NodeState,
    pub(super) assembly: Assembly,
    /// Our version it has.
    pub(super) acknowledged: u64,
    /// Datagrams sent to it.
    pub(super) sent: u64,
    pub(super) answered: Option<Instant>,
    /// Where it listens, says the API.
    pub(super) listed: Option<IpAddr>,
    /// Where its latest datagram came from, and when.
    pub(super) source: Option<(IpAddr, Instant)>,
    /// Incarnation and number of its latest greeting.
    pub(super) greeted: (u64, u64),
}

#[derive(Debug, Clone, Default)]
pub(super) struct Assembly {
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
    pub fn address(&self) -> Option<IpAddr> {
        self.listed
            .or_else(|| self.source.map(|(address, _)| address))
    }

    /// One that is known from the API alone, and said this.
    #[cfg(test)]
    pub(crate) fn sample(
        address: IpAddr,
        interfaces: Vec<crate::core::segment::Interface>,
    ) -> Self {
        Self {
            listed: Some(address),
            state: NodeState {
                interfaces,
                ..NodeState::default()
            },
            ..Self::default()
        }
    }

    /// Whether `incarnation` belongs to the life that was proven: the node stood still or was cut off, and went on.
    /// What was recorded and heard of this life is refused by its number, renewed or not.
    pub(super) const fn is_renewal(&self, incarnation: u64) -> bool {
        let ahead = incarnation.saturating_sub(self.incarnation);
        self.incarnation > 0 && incarnation >= self.unproven && ahead <= RENEWALS
    }

    /// When it was heard last.
    pub const fn last_heard(&self) -> Option<Instant> {
        self.heard
    }

    /// Takes a part; whether the state is whole and new.
    pub(super) fn assemble(&mut self, version: u64, part: Part) -> bool {
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
