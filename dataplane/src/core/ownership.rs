//! Who should have which address: one pure function of what is wanted and of what every node says of itself.
//!
//! Every speaker computes it from its own view. Views that agree give the same plan; views that do not yet are
//! repaired by the terms of the claims (see [`crate::core::speaker`]).
//!
//! - **Sticky**: an address that a fit node has is not in the plan at all. A returning node takes nothing.
//! - **Bounded load**: rendezvous hashing, but no node is given more than its even share while another has room.
//! - **Fit before stopgap**: a node that leaves, or has only terminating endpoints, serves while nobody is better.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use crate::core::{
    family::{Family, number},
    peers::state::{Fitness, NodeState, Phase},
    random::mix,
    segment::InterfaceFilter,
};

/// Nodes an advertisement means.
#[derive(Debug, Clone, PartialEq)]
pub enum NodeSet {
    /// Every node that may serve.
    All,
    /// These.
    Only(BTreeSet<String>),
}

impl NodeSet {
    /// Whether `node` is meant.
    pub fn contains(&self, node: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(nodes) => nodes.contains(node),
        }
    }
}

/// Where an advertisement lets an address be announced.
#[derive(Debug, Clone, PartialEq)]
pub struct Reach {
    /// On which nodes.
    pub nodes: NodeSet,
    /// On which of their interfaces.
    pub interfaces: InterfaceFilter,
}

/// Nodes with endpoints of a Service whose traffic stays on the node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LocalEndpoints {
    /// Nodes with a ready endpoint.
    pub ready: BTreeSet<String>,
    /// Nodes whose only endpoints are about to end but still serve.
    pub ending: BTreeSet<String>,
}

/// An address that should be announced.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    /// Where it may be announced; empty: nowhere.
    pub reaches: Arc<[Reach]>,
    /// Set when only nodes with endpoints may have it.
    pub endpoints: Option<Arc<LocalEndpoints>>,
}

/// What the API says: which addresses, and which nodes may serve them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Directory {
    /// Addresses that should be announced.
    pub addresses: BTreeMap<IpAddr, Wanted>,
    /// Nodes that are meant to serve addresses.
    pub nodes: BTreeSet<String>,
}

/// A node that is alive, as it describes itself.
#[derive(Debug, Clone, Copy)]
pub struct NodeView<'a> {
    /// Its name.
    pub name: &'a str,
    /// What it says of itself.
    pub state: &'a NodeState,
    /// It does not hear the node that plans, so nothing can be taken over from it.
    pub deaf: bool,
}

/// For every address that no fit node has: who should take it, and who else if that one does not.
pub type Plan<'a> = BTreeMap<IpAddr, Vec<&'a str>>;

impl Directory {
    /// How well a node could serve `address`.
    pub fn fitness(&self, address: IpAddr, node: NodeView<'_>) -> Fitness {
        let Some(wanted) = self.addresses.get(&address) else {
            return Fitness::Unfit;
        };
        let reached = wanted.reaches.iter().any(|reach| {
            let mut interfaces = node.state.interfaces.iter();
            reach.nodes.contains(node.name)
                && interfaces.any(|one| one.up && reach.interfaces.admits(one, address))
        });
        if !reached || !self.nodes.contains(node.name) || node.state.phase == Phase::Listening {
            return Fitness::Unfit;
        }
        let by_endpoints = match &wanted.endpoints {
            None => Fitness::Fit,
            Some(local) if local.ready.contains(node.name) => Fitness::Fit,
            Some(local) if local.ending.contains(node.name) => Fitness::Stopgap,
            Some(_) => Fitness::Unfit,
        };
        match node.state.phase {
            Phase::Leaving => by_endpoints.min(Fitness::Stopgap),
            Phase::Listening | Phase::Acquainted | Phase::Serving => by_endpoints,
        }
    }

    /// Who should take what; `nodes` are all that are alive, this one included.
    pub fn plan<'a>(&self, nodes: &[NodeView<'a>]) -> Plan<'a> {
        let mut claims: BTreeMap<IpAddr, Vec<(u64, Fitness)>> = BTreeMap::new();
        let mut loads: BTreeMap<&str, usize> = BTreeMap::new();
        for node in nodes {
            let serves = matches!(node.state.phase, Phase::Acquainted | Phase::Serving);
            if serves && self.nodes.contains(node.name) {
                loads.insert(node.name, 0);
            }
            for (address, claim) in &node.state.claims {
                let fitness = if node.deaf {
                    Fitness::Fit
                } else {
                    claim.fitness
                };
                claims
                    .entry(*address)
                    .or_default()
                    .push((claim.term, fitness));
                if claim.fitness == Fitness::Fit
                    && let Some(load) = loads.get_mut(node.name)
                {
                    *load += 1;
                }
            }
        }
        let share = self.addresses.len().div_ceil(loads.len().max(1));
        let mut plan = Plan::new();
        for &address in self.addresses.keys() {
            // The claim of the highest term is the one that stands.
            let standing = claims.get(&address).and_then(|claims| claims.iter().max());
            let to_beat = standing.map_or(Fitness::Unfit, |(_, fitness)| *fitness);
            if to_beat == Fitness::Fit {
                continue;
            }
            let mut able: Vec<(Fitness, &'a str)> = nodes
                .iter()
                .map(|node| (self.fitness(address, *node), node.name))
                .filter(|(fitness, _)| *fitness > to_beat)
                .collect();
            let best = able.iter().map(|(fitness, _)| *fitness).max();
            able.retain(|(fitness, _)| Some(*fitness) == best);
            let mut order: Vec<&'a str> = able.into_iter().map(|(_, name)| name).collect();
            order.sort_by_key(|name| std::cmp::Reverse(score(name, address)));
            let load = |name: &str| loads.get(name).copied().unwrap_or(usize::MAX);
            let roomy = order.iter().position(|name| load(name) < share);
            let least = || (0..order.len()).min_by_key(|place| load(order[*place]));
            if let Some(place) = roomy.or_else(least) {
                order[..=place].rotate_right(1);
                if let Some(load) = order.first().and_then(|first| loads.get_mut(first)) {
                    *load += 1;
                }
                plan.insert(address, order);
            }
        }
        plan
    }
}

/// Rendezvous score: every node ranks every address on its own, so that a node that is gone moves only its own
/// addresses. The same on every machine and in every release.
pub fn score(node: &str, address: IpAddr) -> u64 {
    const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME);
    let name = node.bytes().fold(FNV_OFFSET, step);
    let family = u8::from(Family::of(address) == Family::V6);
    let bytes = number(address).to_be_bytes();
    mix(bytes.into_iter().fold(step(name, family), step))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{peers::state::Claim, segment::Interface};

    fn wanted(endpoints: Option<LocalEndpoints>) -> Wanted {
        let reach = Reach {
            nodes: NodeSet::All,
            interfaces: InterfaceFilter::default(),
        };
        Wanted {
            reaches: Arc::new([reach]),
            endpoints: endpoints.map(Arc::new),
        }
    }

    fn directory(addresses: u8, nodes: &[&str]) -> Directory {
        Directory {
            addresses: (0..addresses)
                .map(|last| (address(last), wanted(None)))
                .collect(),
            nodes: nodes.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    fn address(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    fn serving() -> NodeState {
        let interface = Interface {
            index: 0,
            name: "eth0".to_owned(),
            mac: [0; 6],
            up: true,
            networks: vec![(address(0), 24)],
        };
        NodeState {
            phase: Phase::Serving,
            interfaces: vec![interface],
            ..NodeState::default()
        }
    }

    fn views<'a>(names: &[&'a str], states: &'a [NodeState]) -> Vec<NodeView<'a>> {
        names
            .iter()
            .zip(states)
            .map(|(name, state)| NodeView {
                name,
                state,
                deaf: false,
            })
            .collect()
    }

    /// Everybody takes what the plan gives them.
    fn carry_out(directory: &Directory, names: &[&str], states: &mut [NodeState]) {
        let plan: Vec<_> = directory
            .plan(&views(names, states))
            .into_iter()
            .map(|(address, order)| (address, order[0].to_owned()))
            .collect();
        for (address, owner) in plan {
            for (name, state) in names.iter().zip(&mut *states) {
                state.claims.remove(&address);
                if *name == owner {
                    state.claims.insert(
                        address,
                        Claim {
                            term: 1,
                            fitness: Fitness::Fit,
                        },
                    );
                }
            }
        }
    }

    fn loads(states: &[NodeState]) -> Vec<usize> {
        states.iter().map(|state| state.claims.len()).collect()
    }

    #[test]
    fn thirty_addresses_on_three_nodes_are_ten_each() {
        let names = ["cp1", "cp2", "cp3"];
        let mut states = [serving(), serving(), serving()];
        let directory = directory(30, &names);
        carry_out(&directory, &names, &mut states);
        assert_eq!(loads(&states), [10, 10, 10]);
        assert!(
            directory.plan(&views(&names, &states)).is_empty(),
            "nothing left to move"
        );
    }

    #[test]
    fn addresses_that_come_one_by_one_are_spread_as_evenly() {
        let names = ["cp1", "cp2", "cp3"];
        let mut states = [serving(), serving(), serving()];
        for count in 1..=30 {
            carry_out(&directory(count, &names), &names, &mut states);
            let loads = loads(&states);
            let (least, most) = (loads.iter().min().unwrap(), loads.iter().max().unwrap());
            assert!(most - least <= 1, "{count}: {loads:?}");
        }
    }

    #[test]
    fn a_dead_node_moves_only_its_own_and_a_returning_one_takes_nothing() {
        let names = ["cp1", "cp2", "cp3"];
        let mut states = [serving(), serving(), serving()];
        let directory = directory(30, &names);
        carry_out(&directory, &names, &mut states);
        let (survivors, mut left) = (["cp1", "cp2"], states[..2].to_vec());
        let before: Vec<_> = left.iter().map(|state| state.claims.clone()).collect();
        carry_out(&directory, &survivors, &mut left);
        assert_eq!(loads(&left), [15, 15]);
        for (before, after) in before.iter().zip(&left) {
            assert!(
                before
                    .keys()
                    .all(|address| after.claims.contains_key(address))
            );
        }
        let back = [left[0].clone(), left[1].clone(), serving()];
        assert!(directory.plan(&views(&names, &back)).is_empty());
    }

    #[test]
    fn only_nodes_on_the_link_that_are_meant_and_up_are_asked() {
        let names = ["meant", "unlabelled", "far", "down", "listening"];
        let mut states = vec![serving(); 5];
        states[2].interfaces[0].networks = vec![(IpAddr::from([10, 9, 0, 0]), 24)];
        states[3].interfaces[0].up = false;
        states[4].phase = Phase::Listening;
        let directory = directory(1, &["meant", "far", "down", "listening"]);
        assert_eq!(
            directory.plan(&views(&names, &states))[&address(0)],
            ["meant"]
        );
    }

    #[test]
    fn local_traffic_goes_where_endpoints_are_and_ending_ones_are_a_stopgap() {
        let names = ["a", "b", "c"];
        let mut states = vec![serving(); 3];
        let mut directory = directory(1, &names);
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let mut plan = |ready: &[&str], ending: &[&str], states: &[NodeState]| {
            let endpoints = LocalEndpoints {
                ready: set(ready),
                ending: set(ending),
            };
            directory
                .addresses
                .insert(address(0), wanted(Some(endpoints)));
            let plan = directory.plan(&views(&names, states));
            plan.get(&address(0)).map(|order| order.join(" "))
        };
        assert_eq!(plan(&["b"], &["c"], &states).as_deref(), Some("b"));
        assert_eq!(plan(&[], &["c"], &states).as_deref(), Some("c"));
        assert_eq!(plan(&[], &[], &states), None);
        states[2].claims.insert(
            address(0),
            Claim {
                term: 1,
                fitness: Fitness::Stopgap,
            },
        );
        assert_eq!(
            plan(&[], &["a", "c"], &states),
            None,
            "no better than who has it"
        );
        assert_eq!(plan(&["a"], &["c"], &states).as_deref(), Some("a"));
    }

    #[test]
    fn a_leaving_node_serves_only_when_nobody_else_does() {
        let names = ["a", "b"];
        let mut states = vec![serving(); 2];
        let directory = directory(1, &names);
        states[0].phase = Phase::Leaving;
        assert_eq!(directory.plan(&views(&names, &states))[&address(0)], ["b"]);
        states[1].phase = Phase::Leaving;
        assert_eq!(
            directory.plan(&views(&names, &states))[&address(0)].len(),
            2
        );
    }

    #[test]
    fn the_score_never_changes_between_releases() {
        assert_eq!(score("cp1", address(1)), 8_279_956_089_626_905_420);
        assert_eq!(
            score("cp1", "fd00::1".parse().unwrap()),
            3_470_825_401_900_092_560
        );
    }
}
