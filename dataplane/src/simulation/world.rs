//! The world: nodes, their network, the API, and the story.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    net::IpAddr,
    time::{Duration, Instant},
};

use super::{
    Flaw, Summary, Violation,
    faults::{Fault, draw},
    network::{LONGEST_WAY, Network, Quality},
    node::{Node, PACE},
};
use crate::core::{ownership::Directory, random::Random, segment::Interface, speaker::Timing};

/// Everything there is.
pub(super) struct World {
    pub(super) nodes: Vec<Node>,
    pub(super) network: Network<Message>,
    pub(super) directory: Directory,
    /// Beside each node: who the neighbours there believe has an address.
    pub(super) neighbours: Vec<BTreeMap<IpAddr, Belief>>,
    /// The first thing that must not happen even in the middle of an episode.
    pub(super) caught: Option<String>,
    /// What a node that was asked to end hands over, on a segment on which nothing else happens.
    pub(super) handed_over: Vec<IpAddr>,
    pub(super) timing: Timing,
    pub(super) seed: u64,
    pub(super) random: Random,
    pub(super) now: Duration,
    /// Where each node listens, labelled or not.
    pub(super) addresses: Vec<IpAddr>,
    /// Nodes with the label of those that serve.
    pub(super) labelled: BTreeSet<String>,
    pub(super) deaf_to_api: Vec<bool>,
    /// When each node (first) was last reached by a word of each other.
    pub(super) reached: BTreeMap<(usize, usize), Duration>,
    /// When each node (first) last saw each other announce an address.
    pub(super) overheard: BTreeMap<(usize, usize, IpAddr), Duration>,
    /// A node that is no speaker yet.
    pub(super) newcomer: Option<usize>,
    /// When each node hears of the last change.
    pub(super) news: BTreeMap<usize, Duration>,
    pub(super) story: String,
    /// Turns without time passing.
    pub(super) turns: u32,
    pub(super) summary: Summary,
}

/// Where neighbours believe an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Belief {
    pub(super) owner: usize,
    /// When they were told.
    pub(super) since: Duration,
}

/// What travels.
#[derive(Debug, Clone)]
pub(super) enum Message {
    Heartbeat(Vec<u8>),
    Announcement(IpAddr),
    /// An announcement in the socket of a node that does not run.
    Waiting(IpAddr),
}

pub(super) const CHAOS: Duration = Duration::from_millis(2000);

impl World {
    pub(super) fn new(seed: u64, flaw: Option<Flaw>, start: Instant) -> Self {
        let mut random = Random::new(seed);
        let count = 2 + usize::try_from(random.below(4)).unwrap_or(0);
        let timing = Timing {
            heartbeat: Duration::from_millis(200),
            patience: Duration::from_millis(800),
            refresh: Duration::from_secs(60),
        };
        let nodes: Vec<Node> = (0..count)
            .map(|node| {
                let pace = PACE - 10 + u128::from(random.below(21));
                let ahead = Duration::from_millis(random.below(1_000_000));
                Node::new(format!("node{node}"), start, timing, pace, ahead, flaw)
            })
            .collect();
        let addresses = (0u8..).zip(&nodes);
        let addresses = addresses.map(|(last, _)| IpAddr::from([10, 0, 255, last]));
        let network = Network::new(count, calm(), Random::new(random.next_u64()));
        let mut world = Self {
            neighbours: vec![BTreeMap::new(); count],
            deaf_to_api: vec![false; count],
            reached: BTreeMap::new(),
            overheard: BTreeMap::new(),
            newcomer: None,
            addresses: addresses.collect(),
            labelled: nodes.iter().map(|node| node.name.clone()).collect(),
            nodes,
            network,
            directory: Directory::default(),
            caught: None,
            handed_over: Vec::new(),
            seed,
            random,
            now: Duration::from_secs(1),
            timing,
            news: BTreeMap::new(),
            story: String::new(),
            turns: 0,
            summary: Summary::default(),
        };
        if world.random.chance(30) && world.nodes.len() > 2 {
            world.label(0, false);
        }
        if world.random.chance(20) {
            world.label(0, false);
            world.newcomer = Some(0);
        }
        let count = u8::try_from(world.random.below(24)).unwrap_or(0);
        world.set_addresses(count, true);
        world
    }

    /// Writes down everything that nodes do.
    pub(super) fn talkative(mut self) -> Self {
        for node in &mut self.nodes {
            node.talkative = true;
        }
        self
    }

    pub(super) fn run(mut self) -> Result<Summary, Violation> {
        self.begin().map_err(|what| self.violation(what))?;
        for _ in 0..=self.random.below(3) {
            self.episode().map_err(|what| self.violation(what))?;
        }
        Ok(self.summary())
    }

    /// What happened so far.
    pub(super) const fn summary(&self) -> Summary {
        Summary {
            datagrams: self.network.carried(),
            ..self.summary
        }
    }

    /// Everybody starts at the same time.
    pub(super) fn begin(&mut self) -> Result<(), String> {
        for node in 0..self.nodes.len() {
            self.nodes[node].directory = self.directory.clone();
            self.nodes[node].listed = self.speakers();
            self.strike(Fault::Boot(node));
        }
        self.news.clear();
        self.settle();
        self.check_quiet()?;
        self.check_balance()
    }

    pub(super) fn violation(&self, what: String) -> Violation {
        let (seed, episode, story) = (self.seed, self.summary.episodes, self.story.clone());
        Violation {
            seed,
            episode,
            what,
            story,
        }
    }

    /// Faults for a while, then a quiet segment, then the checks.
    fn episode(&mut self) -> Result<(), String> {
        self.summary.episodes += 1;
        let gentle = self.random.chance(40);
        let before = self.keepers();
        let mut touched = BTreeSet::new();
        let faults = if gentle { 1 } else { 1 + self.random.below(5) };
        let until = self.now + CHAOS;
        if !gentle {
            self.network.set_quality(stormy(&mut self.random));
        }
        for _ in 0..faults {
            let fault = draw(&mut self.random, self.nodes.len());
            match &fault {
                Fault::Crash(node)
                | Fault::Pause(node, _)
                | Fault::Cable(node, _)
                | Fault::Drain(node)
                | Fault::Cordon(node, _)
                | Fault::Newcomer { stranger: node }
                | Fault::Label { node, .. } => {
                    touched.insert(*node);
                }
                Fault::Boot(_) | Fault::BootInThePast(_) | Fault::Addresses(_) => {}
                // Who hears of what it missed does what it did not do then.
                Fault::ApiDown(_) => touched.extend(self.uninformed()),
                Fault::Split { .. } | Fault::Heal | Fault::Endpoints => {
                    touched.extend(0..self.nodes.len());
                }
            }
            if let Fault::Drain(node) = fault
                && gentle
            {
                self.handed_over = self.can_hand_over(node);
            }
            self.strike(fault);
            let pause = self.random.below(400);
            self.pass(Duration::from_millis(pause));
        }
        self.pass(until.saturating_sub(self.now));
        self.network.set_quality(calm());
        self.settle();
        self.handed_over.clear();
        self.check_quiet()?;
        if gentle {
            self.check_movement(&before, &touched)
        } else {
            Ok(())
        }
    }

    /// Long enough for everything to be decided.
    pub(super) fn settle(&mut self) {
        let latest_pause = self.nodes.iter().filter_map(|node| node.paused_until).max();
        let from = latest_pause.map_or(self.now, |until| until.max(self.now));
        let nodes = u32::try_from(self.nodes.len()).unwrap_or(1);
        let bound = self.timing.patience * 2 + self.timing.hold_off() + self.timing.step() * nodes;
        let end = from + bound + Duration::from_millis(700);
        self.pass(end.saturating_sub(self.now));
    }

    pub(super) fn strike(&mut self, fault: Fault) {
        let _ = writeln!(self.story, "  {:>6} ms: {fault:?}", self.now.as_millis());
        match fault {
            Fault::Crash(node) => self.nodes[node].crash(),
            Fault::Boot(node) => self.boot(node, 1_000_000),
            Fault::BootInThePast(node) => self.boot(node, 1),
            Fault::Pause(node, length) => {
                let until = self.now + length;
                if self.nodes[node].speaker.is_some() && self.nodes[node].paused_until.is_none() {
                    self.nodes[node].pause(self.now, until);
                }
            }
            Fault::Cable(node, linked) => {
                self.nodes[node].linked = linked;
                if self.nodes[node].paused_until.is_none() {
                    self.nodes[node].replug(self.now);
                }
            }
            Fault::Drain(node) => {
                if self.nodes[node].paused_until.is_none() {
                    self.nodes[node].drain(self.now);
                }
            }
            Fault::Cordon(node, cordoned) => {
                self.nodes[node].welcome = !cordoned;
                self.spread_news();
            }
            Fault::Label {
                node,
                labelled,
                unheard_by,
            } => {
                if let Some(deaf) = unheard_by {
                    self.deaf_to_api[deaf] = true;
                }
                self.label(node, labelled);
                self.spread_news();
            }
            Fault::Newcomer { stranger } => {
                if let Some(node) = self.newcomer.take() {
                    self.deaf_to_api[stranger] |= stranger != node;
                    self.label(stranger, false);
                    self.label(node, true);
                    self.spread_news();
                    self.nodes[node].directory.clone_from(&self.directory);
                    self.nodes[node].listed = self.speakers();
                    self.boot(node, 1_000_000);
                }
            }
            Fault::Split { side, one_way } => {
                for from in 0..self.nodes.len() {
                    for to in 0..self.nodes.len() {
                        let apart = side[from] != side[to];
                        self.network
                            .set_cut(from, to, apart && !(one_way && side[from]));
                    }
                }
            }
            Fault::Heal => {
                self.network.heal();
            }
            Fault::ApiDown(deaf) => {
                self.deaf_to_api = deaf;
                self.spread_news();
            }
            Fault::Addresses(count) => {
                self.set_addresses(count, false);
                self.spread_news();
            }
            Fault::Endpoints => {
                self.set_addresses(
                    u8::try_from(self.directory.addresses.len()).unwrap_or(0),
                    true,
                );
                self.spread_news();
            }
        }
        for node in 0..self.nodes.len() {
            self.collect(node);
        }
    }

    fn boot(&mut self, node: usize, clock: u64) {
        if self.newcomer != Some(node) && self.nodes[node].speaker.is_none() {
            let millis = u64::try_from(self.now.as_millis()).unwrap_or(0);
            self.nodes[node].paused_until = None;
            self.nodes[node].boot(self.now, clock + millis);
        }
    }

    /// Whether `to` could know that `from` was there and announced `address` at the time `announced`: it saw the
    /// announcement, or a word of `from` so late that it still counted then.
    pub(super) fn could_know(
        &self,
        to: usize,
        from: usize,
        address: IpAddr,
        announced: Duration,
    ) -> bool {
        let seen = self.overheard.get(&(to, from, address));
        let saw = seen.is_some_and(|at| *at + LONGEST_WAY > announced);
        // Clocks may be fast.
        let patience = self.timing.patience * 49 / 50;
        let reached = self.reached.get(&(to, from));
        saw || reached.is_some_and(|at| *at + patience >= announced)
    }

    /// Who answers for what and is to keep it. A node that leaves, or whose endpoints end, has an address only until
    /// somebody fit comes.
    fn keepers(&self) -> BTreeMap<IpAddr, usize> {
        let nodes = self.nodes.iter().enumerate();
        nodes
            .flat_map(|(node, one)| one.keeps().into_iter().map(move |address| (address, node)))
            .filter(|(address, node)| self.nodes[*node].answers(*address))
            .collect()
    }

    /// The interfaces of a node whose cable is in.
    pub(super) fn interfaces(&self) -> Vec<Interface> {
        vec![Interface {
            index: 1,
            name: "eth0".to_owned(),
            mac: [2; 6],
            up: true,
            networks: vec![(IpAddr::from([10, 0, 0, 0]), 16)],
        }]
    }
}

pub(super) const fn calm() -> Quality {
    Quality {
        delay: Duration::from_micros(100),
        jitter: Duration::from_millis(2),
        loss: 0,
        duplication: 1,
    }
}

fn stormy(random: &mut Random) -> Quality {
    Quality {
        delay: Duration::from_micros(100),
        jitter: Duration::from_millis(1 + random.below(300)),
        loss: random.below(40),
        duplication: random.below(10),
    }
}
