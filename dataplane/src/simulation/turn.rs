//! How time passes: what happens at a moment, in which order.

use std::{fmt::Write as _, net::IpAddr, time::Duration};

use super::{
    node::{Effect, Node},
    world::{Belief, Message, World},
};

impl World {
    /// Lets time pass.
    pub(super) fn pass(&mut self, length: Duration) {
        let end = self.now + length;
        loop {
            let tick = self.nodes.iter_mut().filter_map(Node::next_tick).min();
            let wakes = self.nodes.iter().filter_map(|node| node.paused_until);
            let news = self.news.values().copied();
            let next = wakes
                .chain(tick)
                .chain(news)
                .chain(self.network.next_arrival())
                .min();
            let Some(next) = next.filter(|next| *next <= end) else {
                break;
            };
            self.watch_for_spinning(next);
            self.now = next.max(self.now);
            self.turn();
        }
        self.now = end;
    }

    /// A machine that wants to run again at once for ever would hang a real node, too.
    fn watch_for_spinning(&mut self, next: Duration) {
        self.turns = if next > self.now { 0 } else { self.turns + 1 };
        assert!(
            self.turns < 10_000,
            "seed {}: time stands still at {next:?}\n{}",
            self.seed,
            self.story
        );
    }

    /// Everything that happens at this moment.
    fn turn(&mut self) {
        for node in 0..self.nodes.len() {
            if self.nodes[node]
                .paused_until
                .is_some_and(|until| until <= self.now)
            {
                self.nodes[node].paused_until = None;
                self.nodes[node].awake_since = self.now;
                self.nodes[node].replug(self.now);
                let slept = self.nodes[node].paused_since.map(|since| self.now - since);
                if let Err(what) = self.check_awake(node, slept.unwrap_or_default()) {
                    self.caught.get_or_insert(what);
                }
            }
        }
        let due: Vec<usize> = self
            .news
            .iter()
            .filter(|(_, at)| **at <= self.now)
            .map(|(node, _)| *node)
            .collect();
        for node in due {
            self.news.remove(&node);
            if self.nodes[node].paused_until.is_some() {
                self.news.insert(node, self.now + Duration::from_millis(50));
            } else if !self.deaf_to_api[node] {
                self.inform(node);
                self.collect(node);
            }
        }
        while let Some(arrival) = self.network.receive(self.now) {
            let (from, to) = (arrival.from, arrival.to);
            if !self.nodes[to].linked {
                continue;
            }
            match arrival.payload {
                Message::Announcement(address) => {
                    let (owner, since) = (from, self.now);
                    self.neighbours[to].insert(address, Belief { owner, since });
                    if from != to {
                        self.overhear(from, to, address);
                    }
                }
                Message::Waiting(address) => self.overhear(from, to, address),
                Message::Heartbeat(bytes) => match self.nodes[to].paused_until {
                    // It waits in the socket.
                    Some(until) => {
                        self.network
                            .requeue(until, from, to, Message::Heartbeat(bytes));
                    }
                    None => {
                        self.reached.insert((to, from), self.now);
                        self.nodes[to].hear(self.now, self.addresses[from], &bytes);
                        self.collect(to);
                    }
                },
            }
        }
        for node in 0..self.nodes.len() {
            if self.nodes[node]
                .next_tick()
                .is_some_and(|at| at <= self.now)
            {
                self.nodes[node].tick(self.now);
                self.collect(node);
            }
        }
        if let Err(what) = self.check_overlap() {
            self.caught.get_or_insert(what);
        }
    }

    /// A node sees what another tells the neighbours.
    fn overhear(&mut self, from: usize, to: usize, address: IpAddr) {
        match self.nodes[to].paused_until {
            Some(until) => {
                self.network
                    .requeue(until, from, to, Message::Waiting(address));
            }
            None => {
                self.overheard.insert((to, from, address), self.now);
                let peer = self.nodes[from].name.clone();
                self.nodes[to].overhear(self.now, &peer, address);
                self.collect(to);
            }
        }
    }

    /// Carries out what a node did.
    pub(super) fn collect(&mut self, node: usize) {
        if self.nodes[node].paused_until.is_some() {
            return;
        }
        let effects = self.nodes[node].effects(self.now);
        for effect in effects {
            match effect {
                Effect::Heartbeat { to, bytes } => {
                    let to = self.nodes.iter().position(|other| other.name == to);
                    if let Some(to) = to.filter(|_| self.nodes[node].linked) {
                        self.network
                            .send(self.now, node, to, Message::Heartbeat(bytes));
                    }
                }
                Effect::Greeting(bytes) => {
                    let others = (0..self.nodes.len()).filter(|other| *other != node);
                    for to in others.filter(|_| self.nodes[node].linked) {
                        let greeting = Message::Heartbeat(bytes.clone());
                        self.network.send(self.now, node, to, greeting);
                    }
                }
                Effect::Announced(address) if self.nodes[node].linked => {
                    for to in 0..self.nodes.len() {
                        // Which of a burst get lost is luck; that none comes is what matters.
                        let announcement = Message::Announcement(address);
                        self.network.send_surely(self.now, node, to, announcement);
                    }
                }
                Effect::Announced(_) => {}
                Effect::Said(what) => {
                    let _ = writeln!(self.story, "  {:>6} ms: {what}", self.now.as_millis());
                }
                Effect::Took => self.summary.moves += 1,
            }
        }
    }
}
