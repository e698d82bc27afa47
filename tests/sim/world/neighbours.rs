//! Machines that want to reach the VIP, what they remember of it, and what their part of the network heard.

use super::{Event, MILLI, World};
use crate::random::Random;

/// What is known of the VIP beside the routers.
#[derive(Debug)]
pub(super) struct Neighbours {
    /// Remembers for ever, never asks, and takes every announcement.
    elder: Option<usize>,
    /// Asks now and then, takes the first answer, and every announcement.
    newcomer: Option<usize>,
    /// By node.
    heard: Vec<Heard>,
    frames: u64,
    /// Not the history's own: what is asked changes nothing else in it.
    random: Random,
}

/// The last frames of a node that named the VIP, as numbers in the order of their arrival.
#[derive(Debug, Clone, Copy, Default)]
struct Heard {
    any: u64,
    announcement: u64,
}

impl Neighbours {
    pub(super) fn new(nodes: usize, seed: u64) -> Self {
        Self {
            elder: None,
            newcomer: None,
            heard: vec![Heard::default(); nodes],
            frames: 0,
            random: Random::new(!seed),
        }
    }

    pub(super) fn next_question(&mut self) -> u64 {
        self.random.between(50 * MILLI, 1000 * MILLI)
    }

    pub(super) fn random(&mut self) -> &mut Random {
        &mut self.random
    }

    /// Nobody answered all the while: the kernels have given the entry up and ask anew.
    pub(super) fn forget(&mut self) {
        (self.elder, self.newcomer) = (None, None);
        self.heard.fill(Heard::default());
    }

    pub(super) fn announced(&mut self, from: usize) {
        (self.elder, self.newcomer) = (Some(from), Some(from));
        self.frames += 1;
        self.heard[from] = Heard {
            any: self.frames,
            announcement: self.frames,
        };
    }

    pub(super) fn answered(&mut self, from: usize) {
        self.newcomer.get_or_insert(from);
        self.frames += 1;
        self.heard[from].any = self.frames;
    }

    /// What is wrong when `active` owns the VIP.
    pub(super) fn complaint(&self, active: Option<usize>) -> Option<String> {
        for (who, entry) in [("elder", self.elder), ("newcomer", self.newcomer)] {
            if entry.is_some() && entry != active {
                return Some(format!(
                    "the {who}'s neighbour entry points to {entry:?}, Active is {active:?}"
                ));
            }
        }
        let active = active?;
        let told = self.heard[active].announcement;
        let loser = (0..self.heard.len())
            .find(|other| *other != active && self.heard[*other].any > told)?;
        Some(format!(
            "node {active} has not announced itself since the last frame of node {loser}"
        ))
    }
}

impl World {
    /// The newcomer has no entry (any more) and asks.
    pub(super) fn question(&mut self) {
        self.neighbours.newcomer = None;
        for node in 0..self.nodes.len() {
            let reaches = self.nodes[node].link && self.sides[node] == self.client_side;
            if reaches && self.nodes[node].owns(self.time) {
                let way = self.neighbours.random.between(1, 2 * self.delay.max(2));
                self.post(self.time + way, Event::Answer { from: node });
            }
        }
        let next = self.time + self.neighbours.next_question();
        if next < self.end {
            self.post(next, Event::Question);
        }
    }
}
