//! Connections that live at the node an address comes from go on there for a while (ADR 0011).
//!
//! A packet of a connection that began there has no entry in this node's connection tracking: kube-proxy would send it to
//! some pod, which resets it. So for a grace it is passed on to the node the address comes from, whose kube-proxy knows it
//! (`l2::linux::handover`). That node has nothing to do: what its kernel tracks it goes on translating.
//!
//! | move | A does | B does |
//! |---|---|---|
//! | A to B | | passes on to A |
//! | B to A | passes on to B | lets go: ends passing on |
//!
//! Only when a living speaker hands over: nobody passes on to a node that is silent, or whose pod is gone. What the kernel is told ends by itself; tables that have no effect any more are removed.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::{Duration, Instant},
};

use l2::{
    linux::{
        handover::{MOST_MOVED, Own, PassOn},
        nftables::Family,
    },
    wire::MacAddr,
};

use crate::core::{peers::membership::Peer, segment::Interface};

/// Begins the names of our tables in the packet filter.
pub(super) const TABLES: &str = "lbnode-speaker-";
/// Tables at a time; what moves beyond them is reset, as it is without any.
const MOST_TABLES: usize = 32;
/// A table is not made anew for less than this: a timeout of 0 means for ever.
const SHORTEST: Duration = Duration::from_millis(100);

/// What to tell the packet filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    /// A table, before anybody is told to send here.
    PassOn { name: String, what: PassOn },
    /// The same with fewer addresses.
    PassOnLess { name: String, what: PassOn },
    /// A table is over.
    Remove { name: String, family: Family },
}

impl Change {
    /// The table's name.
    pub(super) fn table(&self) -> &str {
        match self {
            Self::PassOn { name, .. }
            | Self::PassOnLess { name, .. }
            | Self::Remove { name, .. } => name,
        }
    }
}

/// A node that addresses come from, as it is seen on one interface of this node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Predecessor {
    interface: u32,
    address: IpAddr,
    macs: Vec<MacAddr>,
}

/// A table in the packet filter.
#[derive(Debug)]
struct Table {
    name: String,
    family: Family,
    /// `None`: an earlier process made it.
    what: Option<PassOn>,
    /// When it has no effect any more.
    until: Instant,
}

/// What goes on in the kernel because of addresses that this node has.
#[derive(Debug)]
pub(super) struct Passing {
    grace: Duration,
    tables: Vec<Table>,
    /// Number of the next table.
    next: u64,
    changes: Vec<Change>,
}

impl Passing {
    /// For connections that go on for a grace; zero: they are reset. `found` are tables of an earlier process, which end by
    /// themselves.
    pub(super) fn new(now: Instant, grace: Duration, found: Vec<(String, Family)>) -> Self {
        let numbers = found
            .iter()
            .filter_map(|(name, _)| name.strip_prefix(TABLES)?.parse().ok());
        let next = numbers
            .max()
            .map_or(0, |number: u64| number.wrapping_add(1));
        let tables = found.into_iter().map(|(name, family)| Table {
            name,
            family,
            what: None,
            until: now + grace,
        });
        Self {
            grace,
            tables: tables.collect(),
            next,
            changes: Vec::new(),
        }
    }

    /// What to tell the packet filter, in this order.
    pub(super) fn poll_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    /// When [`Self::tidy`] has something to do.
    pub(super) fn due(&self) -> Option<Instant> {
        self.tables.iter().map(|table| table.until).min()
    }

    /// Removes tables without effect.
    pub(super) fn tidy(&mut self, now: Instant) {
        let over = self.tables.extract_if(.., |table| table.until <= now);
        let gone = over.map(|table| Change::Remove {
            name: table.name,
            family: table.family,
        });
        self.changes.extend(gone);
    }

    /// Passes nothing of these addresses on any more: whoever let go of one must not send back what comes from its
    /// successor. What is passed on of others goes on.
    pub(super) fn end(&mut self, now: Instant, released: &BTreeSet<IpAddr>) {
        for table in &mut self.tables {
            let Some(what) = &mut table.what else {
                continue;
            };
            let before = what.addresses.len();
            what.addresses.retain(|one| !released.contains(one));
            if what.addresses.len() == before {
                continue;
            }
            what.grace = table.until.saturating_duration_since(now);
            if what.addresses.is_empty() || what.grace < SHORTEST {
                table.until = now;
            } else {
                self.changes.push(Change::PassOnLess {
                    name: table.name.clone(),
                    what: what.clone(),
                });
            }
        }
        self.tidy(now);
    }

    /// From now on passes on what belongs to connections of addresses that `peer` hands over, each served on some
    /// interfaces of this node.
    pub(super) fn begin(
        &mut self,
        now: Instant,
        peer: &Peer,
        interfaces: &[Interface],
        addresses: impl IntoIterator<Item = (IpAddr, Vec<u32>)>,
    ) {
        if self.grace.is_zero() {
            return;
        }
        let mut moves: BTreeMap<Predecessor, Vec<IpAddr>> = BTreeMap::new();
        for (address, served) in addresses {
            let predecessors = predecessors(peer, interfaces, &served, address);
            if predecessors.is_empty() {
                tracing::info!(%address, "connections of the predecessor are reset: its own address is not of this family, or not a neighbour's");
            }
            for predecessor in predecessors {
                moves.entry(predecessor).or_default().push(address);
            }
        }
        for (predecessor, addresses) in moves {
            for addresses in addresses.chunks(MOST_MOVED) {
                self.pass_on(now, &predecessor, addresses);
            }
        }
    }

    fn pass_on(&mut self, now: Instant, predecessor: &Predecessor, addresses: &[IpAddr]) {
        let from = predecessor.address;
        if self.tables.len() >= MOST_TABLES {
            tracing::warn!(predecessor = %from, "too many moves at a time: connections of the predecessor are reset");
            return;
        }
        let what = PassOn {
            interface: predecessor.interface,
            addresses: addresses.to_vec(),
            predecessor: from,
            predecessor_macs: predecessor.macs.clone(),
            own: Own::Tracked,
            grace: self.grace,
        };
        let name = format!("{TABLES}{}", self.next);
        self.next = self.next.wrapping_add(1);
        self.changes.push(Change::PassOn {
            name: name.clone(),
            what: what.clone(),
        });
        self.tables.push(Table {
            name,
            family: Family::of(from),
            what: Some(what),
            until: now + self.grace,
        });
    }
}

/// Where packets to `address` go that belong to connections of `peer`: to its own address of the same family, on each interface
/// of this node that serves `address` and that has the peer as a neighbour.
fn predecessors(
    peer: &Peer,
    interfaces: &[Interface],
    served: &[u32],
    address: IpAddr,
) -> Vec<Predecessor> {
    let Some(own) = peer.address() else {
        return Vec::new();
    };
    let on_link = |interface: &&Interface| interface.up && interface.is_on_link(own);
    let theirs = peer.state().interfaces.iter().filter(on_link);
    let macs: BTreeSet<[u8; 6]> = theirs.map(|interface| interface.mac).collect();
    if own.is_ipv4() != address.is_ipv4() || macs.is_empty() {
        return Vec::new();
    }
    interfaces
        .iter()
        .filter(|interface| served.contains(&interface.index))
        .filter(on_link)
        .map(|interface| Predecessor {
            interface: interface.index,
            address: own,
            macs: macs.iter().copied().map(MacAddr::new).collect(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::samples::start;

    fn interface(index: u32, last: u8, networks: &[(&str, u8)], up: bool) -> Interface {
        let network = |(address, prefix): &(&str, u8)| (address.parse().unwrap(), *prefix);
        Interface {
            index,
            name: format!("eth{index}"),
            mac: [2, 0, 0, 0, 0, last],
            up,
            networks: networks.iter().map(network).collect(),
        }
    }

    fn peer(address: &str, interfaces: Vec<Interface>) -> Peer {
        Peer::sample(address.parse().unwrap(), interfaces)
    }

    const NODES: (&str, u8) = ("10.0.0.0", 24);

    fn passing(now: Instant) -> Passing {
        let mut passing = Passing::new(now, Duration::from_secs(5), Vec::new());
        take(&mut passing, now, 0..100);
        passing
    }

    /// Takes some addresses from the same peer.
    fn take(passing: &mut Passing, now: Instant, some: std::ops::Range<u8>) {
        let peer = peer("10.0.0.2", vec![interface(0, 22, &[NODES], true)]);
        let own = [interface(1, 11, &[NODES], true)];
        passing.begin(now, &peer, &own, some.map(|last| (vip(last), vec![1])));
    }

    fn vip(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, 100 + last])
    }

    /// What is told, the end of the table's name, and how many addresses it is for.
    fn told(passing: &mut Passing) -> Vec<(&'static str, String, usize)> {
        let end = |name: String| name.trim_start_matches(TABLES).to_owned();
        let changes = passing.poll_changes().into_iter();
        let told = changes.map(|change| match change {
            Change::PassOn { name, what } => ("new", end(name), what.addresses.len()),
            Change::PassOnLess { name, what } => {
                assert!(what.grace < Duration::from_secs(5));
                ("less", end(name), what.addresses.len())
            }
            Change::Remove { name, .. } => ("gone", end(name), 0),
        });
        told.collect()
    }

    fn words(words: &[(&'static str, &str, usize)]) -> Vec<(&'static str, String, usize)> {
        let words = words.iter();
        words
            .map(|(what, name, count)| (*what, (*name).to_owned(), *count))
            .collect()
    }

    #[test]
    fn one_address_that_leaves_does_not_end_the_others() {
        let now = start();
        let mut passing = passing(now);
        assert_eq!(
            told(&mut passing),
            words(&[("new", "0", 64), ("new", "1", 36)])
        );
        let later = now + Duration::from_secs(1);
        passing.end(later, &[vip(3), vip(4), vip(99)].into());
        assert_eq!(
            told(&mut passing),
            words(&[("less", "0", 62), ("less", "1", 35)])
        );
        passing.end(later, &(64..100).map(vip).collect());
        assert_eq!(told(&mut passing), words(&[("gone", "1", 0)]));
        // Nothing of it is known here.
        passing.end(later, &[vip(64), vip(120)].into());
        assert_eq!(told(&mut passing), words(&[]));
        // A table is not made anew for its last moment.
        passing.end(now + Duration::from_millis(4_950), &[vip(5)].into());
        assert_eq!(told(&mut passing), words(&[("gone", "0", 0)]));
        assert_eq!(passing.due(), None);
    }

    #[test]
    fn tables_go_when_they_are_over_and_numbers_are_not_used_again() {
        let now = start();
        let found = [("7", Family::Ipv4), ("probe", Family::Ipv6)]
            .map(|(end, family)| (format!("{TABLES}{end}"), family));
        let mut passing = Passing::new(now, Duration::from_secs(5), found.to_vec());
        take(&mut passing, now + Duration::from_secs(1), 0..1);
        assert_eq!(told(&mut passing), words(&[("new", "8", 1)]));
        let due = passing.due().unwrap();
        passing.tidy(due);
        assert_eq!(
            told(&mut passing),
            words(&[("gone", "7", 0), ("gone", "probe", 0)])
        );
        passing.tidy(passing.due().unwrap());
        assert_eq!(told(&mut passing), words(&[("gone", "8", 0)]));
    }

    #[test]
    fn no_more_tables_than_there_may_be_and_none_without_a_grace() {
        let now = start();
        let mut passing = passing(now);
        for _ in 0..50 {
            take(&mut passing, now, 0..1);
        }
        assert_eq!(told(&mut passing).len(), MOST_TABLES);
        let mut passing = Passing::new(now, Duration::ZERO, Vec::new());
        take(&mut passing, now, 0..1);
        assert_eq!(told(&mut passing), words(&[]));
    }

    #[test]
    fn what_moves_goes_to_the_peers_own_address_where_it_is_a_neighbour() {
        const OTHERS: (&str, u8) = ("192.168.0.0", 24);
        let own = [
            interface(1, 11, &[NODES], true),
            interface(2, 12, &[OTHERS], true),
        ];
        let theirs = |up| {
            vec![
                interface(0, 21, &[OTHERS], true),
                interface(0, 22, &[NODES], up),
            ]
        };
        let address = "10.0.0.201".parse().unwrap();
        let good = peer("10.0.0.2", theirs(true));
        let expected = Predecessor {
            interface: 1,
            address: "10.0.0.2".parse().unwrap(),
            macs: vec![MacAddr::new([2, 0, 0, 0, 0, 22])],
        };
        assert_eq!(predecessors(&good, &own, &[1, 2], address), [expected]);
        // Not served there; no carrier there; not a neighbour; of another family; never heard of.
        assert_eq!(predecessors(&good, &own, &[2], address), []);
        let cut = peer("10.0.0.2", theirs(false));
        assert_eq!(predecessors(&cut, &own, &[1, 2], address), []);
        let routed = peer("10.9.0.2", theirs(true));
        assert_eq!(predecessors(&routed, &own, &[1, 2], address), []);
        let v6 = "2001:db8::201".parse().unwrap();
        assert_eq!(predecessors(&good, &own, &[1, 2], v6), []);
        assert_eq!(predecessors(&Peer::default(), &own, &[1, 2], address), []);
    }
}
