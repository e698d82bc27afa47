//! What must hold when the segment is quiet.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Duration,
};

use super::{
    network::LONGEST_WAY,
    world::{Belief, World},
};
use crate::core::{
    ownership::NodeView,
    peers::state::{Fitness, NodeState, Phase},
    speaker::Speaker,
};

/// Something that must not happen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("seed {seed}, after {episode} episodes: {what}\n{story}")]
pub struct Violation {
    /// The number to tell the story again.
    pub seed: u64,
    /// Episodes of faults before it.
    pub episode: u32,
    /// What happened.
    pub what: String,
    /// The faults that led to it.
    pub story: String,
}

impl World {
    /// Checks everything that must hold on a quiet segment.
    pub(super) fn check_quiet(&self) -> Result<(), String> {
        if let Some(what) = &self.caught {
            return Err(what.clone());
        }
        let all: BTreeSet<IpAddr> = self
            .nodes
            .iter()
            .flat_map(super::node::Node::holds)
            .collect();
        let wanted = self.directory.addresses.keys().copied();
        for address in all.into_iter().chain(wanted).collect::<BTreeSet<_>>() {
            let owners: Vec<usize> = (0..self.nodes.len())
                .filter(|node| self.nodes[*node].answers(address))
                .collect();
            self.check_single(address, &owners)?;
            self.check_served(address, &owners)?;
            self.check_known(address, &owners)?;
        }
        Ok(())
    }

    /// A node that slept for so long that the others gave it up answers for nothing that one of them has, not even
    /// for a moment. (Whom it did not hear before it cannot ask.)
    pub(super) fn check_awake(&self, node: usize, slept: Duration) -> Result<(), String> {
        let freeze = self.timing.freeze();
        // Its clock may be slow.
        if slept < freeze + freeze / 50 {
            return Ok(());
        }
        let awake = &self.nodes[node];
        for address in awake.holds() {
            let other = self.nodes.iter().enumerate().find(|(place, other)| {
                *place != node
                    && awake.heard_before_pause.contains(&other.name)
                    && other.answers(address)
                    && self.network.reaches(*place, node)
            });
            if let Some((_, other)) = other.filter(|_| awake.answers(address)) {
                return Err(format!(
                    "{} slept for {} ms and answers for {address}, which {} has",
                    awake.name,
                    slept.as_millis(),
                    other.name
                ));
            }
        }
        Ok(())
    }

    /// What `node` answers for and another node, which it has met, could take from it.
    pub(super) fn can_hand_over(&self, node: usize) -> Vec<IpAddr> {
        let met = |from: usize, to: usize| {
            let peers = self.nodes[from].speaker.as_ref().map(Speaker::membership);
            let peer = peers.and_then(|peers| peers.peer(&self.nodes[to].name));
            peer.is_some_and(|peer| peer.is_alive() && peer.hears_us())
        };
        let runs = |node: usize| self.nodes[node].paused_until.is_none();
        let informed = |node: usize| self.nodes[node].directory == self.directory;
        let serves = |node: usize| {
            let speaker = self.nodes[node].speaker.as_ref();
            speaker.is_some_and(|speaker| speaker.phase().0 == Phase::Serving)
        };
        let takes = |other: usize, address: IpAddr| {
            let joined = self.hears(node, other) && self.hears(other, node);
            let knows = met(node, other) && met(other, node) && informed(other);
            let able = runs(other) && serves(other) && self.could_serve(other, address);
            other != node && joined && knows && able
        };
        let mut held = self.nodes[node].keeps();
        held.retain(|address| {
            let answers = self.nodes[node].answers(*address) && informed(node);
            answers && (0..self.nodes.len()).any(|other| takes(other, *address))
        });
        held
    }

    /// At no moment is nobody there for what is handed over.
    pub(super) fn check_overlap(&self) -> Result<(), String> {
        let missing = self
            .handed_over
            .iter()
            .find(|address| !self.nodes.iter().any(|node| node.answers(**address)));
        match missing {
            Some(address) => Err(format!(
                "nobody answers for {address} while it is handed over"
            )),
            None => Ok(()),
        }
    }

    fn check_single(&self, address: IpAddr, owners: &[usize]) -> Result<(), String> {
        for (place, one) in owners.iter().enumerate() {
            for two in &owners[place + 1..] {
                if self.must_agree(*one, *two) || self.must_agree(*two, *one) {
                    let names = (&self.nodes[*one].name, &self.nodes[*two].name);
                    return Err(format!(
                        "{address} is answered for by {} and {}",
                        names.0, names.1
                    ));
                }
            }
        }
        Ok(())
    }

    /// Whether `to` has to know what `from` does: it hears it, and either the other way round as well, or it heard
    /// `from` since that one started and `to` runs. A node that starts deaf cannot prove that it is no recording; one
    /// that stood still goes on.
    fn must_agree(&self, from: usize, to: usize) -> bool {
        let mutual = self.network.reaches(to, from);
        let (one, two) = (&self.nodes[from], &self.nodes[to]);
        // What was on its way, or waited in a socket, is from before.
        let known = one.born.max(two.awake_since) + LONGEST_WAY;
        let met = two.last_heard(&one.name).is_some_and(|at| at > known);
        self.network.reaches(from, to) && (mutual || met)
    }

    fn check_served(&self, address: IpAddr, owners: &[usize]) -> Result<(), String> {
        for side in self.sides() {
            let able: Vec<&str> = side
                .iter()
                .filter(|node| self.could_serve(**node, address))
                .map(|node| self.nodes[*node].name.as_str())
                .collect();
            // Who heard of the address only on one side of an outage of the API cannot be blamed.
            let agreed = side.iter().all(|node| {
                self.nodes[*node].speaker.is_none() || self.nodes[*node].directory == self.directory
            });
            if agreed && !able.is_empty() && !side.iter().any(|node| owners.contains(node)) {
                return Err(format!(
                    "{address} is answered for by nobody, and {able:?} could"
                ));
            }
        }
        Ok(())
    }

    fn check_known(&self, address: IpAddr, owners: &[usize]) -> Result<(), String> {
        for (node, known) in self.neighbours.iter().enumerate() {
            // When a cut heals beside a node that does not run, nobody notices; the refresh is for that.
            if self.nodes[node].speaker.is_none() {
                continue;
            }
            let mut heard = owners.iter().filter(|owner| self.hears(**owner, node));
            let (Some(owner), None) = (heard.next(), heard.next()) else {
                continue;
            };
            if !self.hears(node, *owner) {
                continue;
            }
            let believed = known.get(&address).copied();
            // Nor does anybody notice who announced and went without a word that arrived.
            let unnoticed = |other: Belief| {
                let (other, announced) = (other.owner, other.since);
                other != *owner && !self.could_know(*owner, other, address, announced)
            };
            if believed.is_some_and(unnoticed) {
                continue;
            }
            let believed = believed.map(|belief| belief.owner);
            if believed != Some(*owner) {
                let believed = believed.map(|other| self.nodes[other].name.as_str());
                return Err(format!(
                    "a neighbour beside {} believes {address} at {believed:?}, but {} has it",
                    self.nodes[node].name, self.nodes[*owner].name,
                ));
            }
        }
        Ok(())
    }

    /// Addresses that moved although their owner was not touched. (To who cannot hear the owner it is dead; the owner
    /// hears who takes over, and gives in.)
    pub(super) fn check_movement(
        &self,
        before: &BTreeMap<IpAddr, usize>,
        touched: &BTreeSet<usize>,
    ) -> Result<(), String> {
        for (address, owner) in before.iter().filter(|(_, owner)| !touched.contains(owner)) {
            let gone = !self.directory.addresses.contains_key(address);
            let to_the_deaf = (0..self.nodes.len()).any(|other| {
                let deaf = self.hears(other, *owner) && !self.hears(*owner, other);
                deaf && self.nodes[other].answers(*address)
            });
            if !gone && !to_the_deaf && !self.nodes[*owner].answers(*address) {
                let name = &self.nodes[*owner].name;
                return Err(format!("{address} left {name}, which nothing happened to"));
            }
        }
        Ok(())
    }

    /// Nodes that start together have equal shares.
    pub(super) fn check_balance(&self) -> Result<(), String> {
        let plain: Vec<IpAddr> = self
            .directory
            .addresses
            .iter()
            .filter(|(_, wanted)| wanted.endpoints.is_none())
            .map(|(address, _)| *address)
            .collect();
        let loads: Vec<usize> = self.nodes.iter().map(|node| node.holds().len()).collect();
        let serving = self.directory.nodes.len().max(1);
        let even = self.directory.addresses.len().div_ceil(serving);
        let most = loads.iter().max().copied().unwrap_or(0);
        if plain.len() == self.directory.addresses.len() && most > even + 1 {
            return Err(format!("shares of {loads:?} where {even} would be even"));
        }
        Ok(())
    }

    /// The sides of a cut: nodes that hear each other in at least one direction, directly or through others.
    fn sides(&self) -> Vec<Vec<usize>> {
        let mut left: BTreeSet<usize> = (0..self.nodes.len()).collect();
        let mut sides = Vec::new();
        while let Some(first) = left.pop_first() {
            let mut side = vec![first];
            let mut place = 0;
            while let Some(&node) = side.get(place) {
                let joined: Vec<usize> = left
                    .iter()
                    .copied()
                    .filter(|other| self.hears(node, *other) || self.hears(*other, node))
                    .collect();
                for other in joined {
                    left.remove(&other);
                    side.push(other);
                }
                place += 1;
            }
            sides.push(side);
        }
        sides
    }

    /// Whether what `from` says arrives at `to`: cables and cuts.
    pub(super) fn hears(&self, from: usize, to: usize) -> bool {
        self.nodes[from].linked && self.nodes[to].linked && self.network.reaches(from, to)
    }

    fn could_serve(&self, node: usize, address: IpAddr) -> bool {
        let node = &self.nodes[node];
        let Some(speaker) = &node.speaker else {
            return false;
        };
        if !node.linked || node.draining || !node.welcome {
            return false;
        }
        let (_, peers) = (speaker.phase(), speaker.membership());
        let state = NodeState {
            phase: Phase::Serving,
            interfaces: self.interfaces(),
            ..NodeState::default()
        };
        let view = NodeView {
            name: peers.name(),
            state: &state,
            deaf: false,
        };
        self.directory.fitness(address, view) == Fitness::Fit
    }
}
