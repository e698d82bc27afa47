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
//! Only when a living speaker hands over what it can serve itself: nobody passes on to a node that is silent or whose pod is
//! gone. What the kernel is told ends by itself; tables that have no effect any more are removed.

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

use super::clerk::Clerk;
use crate::core::{peers::membership::Peer, segment::Interface};

/// Begins the names of our tables in the packet filter.
pub(super) const TABLES: &str = "lbnode-speaker-";
/// Tables at a time; what moves beyond them is reset, as it is without any.
const MOST_TABLES: usize = 32;

/// A table is not made anew for less than this: to the kernel no time is for ever.
const SHORTEST: Duration = Duration::from_millis(100);

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

/// What goes on in the kernel because of addresses that were handed over to this node.
#[derive(Debug)]
pub(super) struct Passing {
    clerk: Option<Clerk>,
    grace: Duration,
    tables: Vec<Table>,
    /// Number of the next table.
    next: u64,
}

impl Passing {
    /// Finds out whether this kernel lets this process do it, and says so if not; without a grace it is not wanted. What an
    /// earlier process left ends by itself.
    pub(super) fn open(now: Instant, grace: Duration) -> Self {
        let mut passing = Self {
            clerk: None,
            grace,
            tables: Vec::new(),
            next: 0,
        };
        if grace.is_zero() {
            return passing;
        }
        match Clerk::engage() {
            Ok((clerk, found)) => {
                for (name, family) in found {
                    let number = name.strip_prefix(TABLES).and_then(|end| end.parse().ok());
                    passing.next = passing.next.max(number.map_or(0, |number: u64| number + 1));
                    passing.tables.push(Table {
                        name,
                        family,
                        what: None,
                        until: now + grace,
                    });
                }
                passing.clerk = Some(clerk);
            }
            Err(error) => {
                tracing::warn!(%error, "connections that are under way when an address is handed over are reset: passing them on needs CAP_NET_ADMIN and nf_tables with `dup` and `ct`");
            }
        }
        passing
    }

    /// How long connections go on at the node an address comes from; zero: they are reset.
    pub(super) const fn grace(&self) -> Duration {
        match self.clerk {
            Some(_) => self.grace,
            None => Duration::ZERO,
        }
    }

    /// When [`Self::tidy`] has something to do.
    pub(super) fn due(&self) -> Option<Instant> {
        self.tables.iter().map(|table| table.until).min()
    }

    /// Removes tables without effect.
    pub(super) fn tidy(&mut self, now: Instant) {
        let Some(clerk) = &self.clerk else {
            return;
        };
        for table in self.tables.extract_if(.., |table| table.until <= now) {
            clerk.remove(table.name, table.family);
        }
    }

    /// Passes nothing of an address on any more: whoever let go of it must not send back what comes from its successor. What is
    /// passed on of others goes on.
    pub(super) fn end(&mut self, now: Instant, address: IpAddr) {
        for table in &mut self.tables {
            let Some(what) = &mut table.what else {
                continue;
            };
            let before = what.addresses.len();
            what.addresses.retain(|one| *one != address);
            if what.addresses.len() == before {
                continue;
            }
            what.grace = table.until.saturating_duration_since(now);
            if what.addresses.is_empty() || what.grace < SHORTEST {
                table.until = now;
            } else if let Some(clerk) = &self.clerk {
                clerk.replace(table.name.clone(), what.clone());
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
        let mut moves: BTreeMap<Predecessor, Vec<IpAddr>> = BTreeMap::new();
        for (address, served) in addresses {
            let predecessors = predecessors(peer, interfaces, &served, address);
            if predecessors.is_empty() && self.clerk.is_some() {
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
        let Some(clerk) = &self.clerk else {
            return;
        };
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
        self.next += 1;
        match clerk.pass_on(name.clone(), what.clone()) {
            Ok(()) => {
                tracing::info!(predecessor = %from, addresses = addresses.len(), grace_millis = self.grace.as_millis(), "connections of the predecessor go on there");
            }
            Err(error) => {
                tracing::warn!(%error, predecessor = %from, "connections of the predecessor cannot be passed on to it: they are reset");
            }
        }
        // Also when it failed: one that comes late has to go as well.
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

    #[test]
    fn what_moves_goes_to_the_peers_own_address_where_it_is_a_neighbour() {
        const NODES: (&str, u8) = ("10.0.0.0", 24);
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
