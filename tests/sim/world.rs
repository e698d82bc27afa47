//! The segment, true time, and the order of everything.

mod neighbours;
mod segment;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::IpAddr;
use std::time::Duration;

use l2::wire::MacAddr;
use vrrp::proto::{AdvertInterval, Input, State};

use crate::checks::Checks;
use crate::faults::{Fault, loss_of, plan};
use crate::flaw::Flaw;
use crate::node::{Common, Effect, LIFETIME, Node, Packet, VIP, address};
use crate::random::Random;
use neighbours::Neighbours;

/// How a history went.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) steps: u64,
    pub(crate) takeovers: u64,
}

/// Everything in one history.
pub(crate) struct World {
    pub(crate) nodes: Vec<Node>,
    /// `hears[from][to]`.
    pub(crate) hears: Vec<Vec<bool>>,
    /// Side of each node, and of the clients.
    pub(crate) sides: Vec<u8>,
    pub(crate) client_side: u8,
    pub(crate) lossy: bool,
    pub(crate) common: Common,
    random: Random,
    neighbours: Neighbours,
    checks: Checks,
    time: u64,
    end: u64,
    order: u64,
    coming: BinaryHeap<Reverse<(u64, u64, usize)>>,
    letters: Vec<Option<Event>>,
    free: Vec<usize>,
    foreign: bool,
    loss: u64,
    duplicates: u64,
    delay: u64,
    takeovers: u64,
    trace: bool,
    was_lossy: bool,
    refreshed: bool,
    bereaved: bool,
    /// What a node did that no node may do.
    wrong: Option<String>,
}

#[derive(Debug)]
enum Event {
    Deliver { to: usize, packet: Packet },
    Announcement { from: usize },
    Question,
    Answer { from: usize },
    Claim { from: usize, to: usize },
    Owned { node: usize },
    Fault(Fault),
    Foreign,
}

const MILLI: u64 = 1_000_000;
const NODES: usize = 5;
/// The longest time between two refreshes.
const REFRESH: u64 = 61_000 * MILLI;
/// From a take-over to its last announcement but the refreshes, by clocks that may drift.
const LAST_ANNOUNCEMENT: u64 = 5_100 * MILLI;

impl World {
    pub(crate) fn new(seed: u64, flaw: Option<Flaw>, trace: bool) -> Self {
        let mut random = Random::new(seed);
        let centis = [1, 2, 10, 10, 10, 100][random.pick(6)];
        let interval = AdvertInterval::try_from(centis).expect("in range");
        let foreign = random.happens(300);
        let common = Common {
            interval,
            multicast: foreign || random.happens(500),
            preempt: random.happens(300),
            nodes: NODES,
            // As often as not; no draw of its own, so that old seeds stay what they were.
            grace: Duration::from_secs(5 * (seed % 2)),
            flaw,
        };
        let priorities = [240, 192, 144, 96, 48];
        let nodes = (0..NODES)
            .map(|index| {
                let drift = i64::try_from(random.below(4000)).unwrap_or(0) - 2000;
                let offset = 1_000_000_000 + random.below(1 << 40);
                Node::new(index, priorities[index], common, drift, offset)
            })
            .collect();
        let length = interval.duration().as_nanos();
        let length = u64::try_from(length).unwrap_or(u64::MAX);
        let lossy = random.happens(500);
        let mut world = Self {
            nodes,
            hears: vec![vec![true; NODES]; NODES],
            sides: vec![0; NODES],
            client_side: 0,
            lossy,
            common,
            neighbours: Neighbours::new(NODES, seed),
            checks: Checks::new(length),
            time: 0,
            end: 0,
            order: 0,
            coming: BinaryHeap::new(),
            letters: Vec::new(),
            free: Vec::new(),
            foreign,
            loss: if lossy { random.between(1, 200) } else { 0 },
            duplicates: if lossy { random.below(100) } else { 0 },
            // A fifth of what keeps two priorities apart.
            delay: (length * 48 / 256 / 5).min(2 * MILLI),
            takeovers: 0,
            trace,
            was_lossy: lossy,
            refreshed: false,
            bereaved: false,
            wrong: None,
            random,
        };
        let bound = world.checks.bound();
        let faults = plan(&mut world.random, NODES, length, bound);
        for (at, fault) in faults {
            world.post(at, Event::Fault(fault));
        }
        if foreign {
            world.post(0, Event::Foreign);
        }
        world
    }

    /// Runs the history to its end.
    pub(crate) fn run(mut self) -> Result<Report, String> {
        let last = self.coming.iter().map(|Reverse((at, ..))| *at).max();
        self.end = last.unwrap_or(0) + self.checks.bound() + 3_000 * MILLI;
        let first = self.neighbours.next_question();
        self.post(first, Event::Question);
        let mut steps = 0_u64;
        loop {
            steps += 1;
            if steps > 3_000_000 {
                return Err("it never comes to rest".to_owned());
            }
            let timer = self
                .nodes
                .iter()
                .filter_map(|node| Some((node.due()?.max(self.time), node.index)))
                .min();
            let event = self.coming.peek().map(|Reverse((at, ..))| *at);
            let next = timer
                .map_or(u64::MAX, |(at, _)| at)
                .min(event.unwrap_or(u64::MAX));
            if next >= self.end {
                if self.complaint().is_some() && self.was_lossy && !self.refreshed {
                    // Where frames were lost for long enough, the refresh is what puts it right.
                    (self.end, self.refreshed) = (next + REFRESH, true);
                    continue;
                }
                self.checks
                    .at_the_end(&self)
                    .map_err(|why| self.blame(&why))?;
                if self.bereaved || !self.neighbours.random().happens(250) {
                    break;
                }
                self.bereave(self.end);
                continue;
            }
            let mut checks = self.checks;
            checks.before(next, &self).map_err(|why| self.blame(&why))?;
            self.checks = checks;
            self.time = next;
            self.expire();
            match event {
                Some(at) if at <= next => self.next_event(),
                _ => {
                    if let Some((_, index)) = timer {
                        let effects = self.nodes[index].tick(self.time);
                        self.carry_out(index, effects);
                    }
                }
            }
            if let Some(why) = self.wrong.take() {
                return Err(self.blame(&why));
            }
        }
        Ok(Report {
            steps,
            takeovers: self.takeovers,
        })
    }

    /// What is wrong with where the neighbours look for the VIP.
    pub(crate) fn complaint(&self) -> Option<String> {
        let owns = |node: &Node| node.is_active() && !node.paused;
        self.neighbours.complaint(self.nodes.iter().position(owns))
    }

    /// In a network at rest its Active goes, one way or another, and nothing else happens until the last
    /// announcement of its heir is due.
    fn bereave(&mut self, at: u64) {
        (self.bereaved, self.was_lossy) = (true, false);
        self.end = at + self.checks.bound() + LAST_ANNOUNCEMENT;
        if let Some(node) = self.nodes.iter().position(Node::is_active) {
            let fault = loss_of(self.neighbours.random(), node);
            self.post(at, Event::Fault(fault));
        }
        self.post(at, Event::Question);
    }

    fn blame(&self, why: &str) -> String {
        let interval = self.common.interval.duration().as_millis();
        format!(
            "at {:.4} s, adverts each {interval} ms: {why}",
            self.time as f64 / 1e9
        )
    }

    fn post(&mut self, at: u64, event: Event) {
        let slot = match self.free.pop() {
            Some(slot) => {
                self.letters[slot] = Some(event);
                slot
            }
            None => {
                self.letters.push(Some(event));
                self.letters.len() - 1
            }
        };
        self.order += 1;
        self.coming.push(Reverse((at, self.order, slot)));
    }

    fn next_event(&mut self) {
        let Some(Reverse((_, _, slot))) = self.coming.pop() else {
            return;
        };
        self.free.push(slot);
        match self.letters[slot].take() {
            Some(Event::Deliver { to, packet }) => {
                let effects = self.nodes[to].receive(self.time, packet);
                self.carry_out(to, effects);
            }
            Some(Event::Announcement { from }) => self.neighbours.announced(from),
            Some(Event::Question) => self.question(),
            Some(Event::Answer { from }) => self.neighbours.answered(from),
            Some(Event::Claim { from, to }) => {
                let last = u8::try_from(from).unwrap_or(255);
                let mac = MacAddr::new([2, 0, 0, 0, 0, last]);
                let effects = self.nodes[to].input(self.time, Input::Claimed { address: VIP, mac });
                self.carry_out(to, effects);
            }
            Some(Event::Owned { node }) if self.nodes[node].is_active() => {
                self.nodes[node].owned_until = Some(self.time + LIFETIME);
                let effects = self.nodes[node].input(self.time, Input::Owned);
                self.carry_out(node, effects);
            }
            Some(Event::Fault(fault)) => self.suffer(fault),
            Some(Event::Foreign) => self.foreign_advert(),
            Some(Event::Owned { .. }) | None => {}
        }
    }

    /// Lifetimes run out in the kernel, whatever became of the process.
    fn expire(&mut self) {
        for index in 0..self.nodes.len() {
            if self.nodes[index]
                .owned_until
                .is_some_and(|until| until <= self.time)
            {
                self.nodes[index].owned_until = None;
                if self.nodes[index].is_active() {
                    self.tell_lost(index);
                }
            }
        }
    }

    /// The kernel took the address off; a paused process hears of it when it runs again.
    fn tell_lost(&mut self, index: usize) {
        let paused = self.nodes[index].paused;
        self.nodes[index].untold = paused;
        if !paused {
            let effects = self.nodes[index].input(self.time, Input::AddressLost);
            self.carry_out(index, effects);
        }
    }

    fn carry_out(&mut self, index: usize, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Sent { to, packet } => {
                    for receiver in to {
                        self.send(index, receiver, &packet);
                    }
                }
                Effect::Announced { wrong } => {
                    if let Some(wrong) = wrong {
                        self.accuse(format!("node {index} {wrong}"));
                    }
                    self.announce(index);
                }
                Effect::PassesOn { to } => self.check_predecessor(index, to),
                Effect::Own => {
                    let at = self.time + self.random.between(1, MILLI);
                    self.post(at, Event::Owned { node: index });
                }
                Effect::Changed { from, to, why } => {
                    if self.trace {
                        let at = self.time as f64 / 1e9;
                        println!("{at:10.4} node {index}: {from} -> {to}: {why}");
                    }
                    if to == State::Active {
                        self.takeovers += 1;
                        self.checks.takeover(index);
                    }
                }
            }
        }
    }

    /// The first thing that is wrong is told.
    fn accuse(&mut self, why: String) {
        self.wrong.get_or_insert(why);
    }

    /// Where nothing is lost, whoever is passed on to keeps the VIP for it.
    fn check_predecessor(&mut self, index: usize, to: IpAddr) {
        let same = |node: &&Node| address(node.index) == to;
        let Some(node) = self.nodes.iter().find(same) else {
            self.accuse(format!("node {index} passes on to {to}, which is nobody"));
            return;
        };
        let parted = self.sides[index] != self.sides[node.index]
            || self.hears.iter().flatten().any(|hears| !hears);
        let disturbed = self.lossy || parted || node.crashed || node.paused;
        let sound = node.healthy && node.link && self.nodes[index].link;
        if sound && !disturbed && !node.takes_what_is_passed_on(self.time) {
            let to = node.index;
            self.accuse(format!(
                "node {index} passes on to node {to}, which does not linger"
            ));
        }
    }

    fn suffer(&mut self, fault: Fault) {
        if self.trace {
            println!("{:10.4} {fault:?}", self.time as f64 / 1e9);
        }
        let mut checks = self.checks;
        checks.fault(self.time, &fault, self);
        self.checks = checks;
        let time = self.time;
        let (node, effects) = match fault {
            Fault::Crash { node, supervised } => {
                self.nodes[node].crash(supervised);
                return;
            }
            Fault::Start { node } => {
                if self.nodes[node].group.is_some() {
                    return;
                }
                self.nodes[node].paused = false;
                (node, self.nodes[node].start(time))
            }
            Fault::Stop { node } => (node, self.nodes[node].input(time, Input::Stop)),
            Fault::Pause { node } => {
                self.nodes[node].pause(time);
                return;
            }
            Fault::Resume { node, lost } => {
                if !self.nodes[node].paused {
                    return;
                }
                let effects = self.nodes[node].resume(time, lost);
                self.carry_out(node, effects);
                // Two threads wake, and the router's may come first.
                if std::mem::take(&mut self.nodes[node].untold) {
                    self.tell_lost(node);
                }
                return;
            }
            Fault::Health { node, healthy } => {
                if self.nodes[node].healthy == healthy {
                    return;
                }
                (node, self.nodes[node].set_health(time, healthy))
            }
            Fault::Link { node, up } => {
                if self.nodes[node].link == up {
                    return;
                }
                (node, self.nodes[node].set_link(time, up))
            }
            Fault::Partition { sides, client } => {
                (self.sides, self.client_side) = (sides, client);
                return;
            }
            Fault::Deaf { from, to } => {
                self.hears[from][to] = false;
                return;
            }
            Fault::Heal => {
                let served = self
                    .nodes
                    .iter()
                    .any(|node| node.is_active() && self.sides[node.index] == self.client_side);
                if !served {
                    self.neighbours.forget();
                }
                self.hears = vec![vec![true; NODES]; NODES];
                self.sides = vec![0; NODES];
                self.client_side = 0;
                return;
            }
            Fault::Calm => {
                (self.loss, self.duplicates, self.lossy) = (0, 0, false);
                self.hears = vec![vec![true; NODES]; NODES];
                return;
            }
        };
        self.carry_out(node, effects);
    }
}
