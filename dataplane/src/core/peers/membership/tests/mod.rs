//! Two nodes and what is between them.

mod greetings;
mod meeting;
mod recordings;
mod silence;

use super::{sending::ACQUAINTANCE, *};
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
