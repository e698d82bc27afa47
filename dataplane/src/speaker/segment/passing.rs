//! Connections that live at the node an address comes from go on there for a while (ADR 0011).
//!
//! A packet of a connection that began there has no entry in this node's connection tracking: kube-proxy would send it to
//! some pod, which resets it. So for a grace it is passed on to the node the address comes from, whose kube-proxy knows it
//! (`l2::linux::handover`). That node has nothing to do: it never had the address on an interface.
//!
//! | move | A does | B does |
//! |---|---|---|
//! | A to B | | passes on to A |
//! | B to A | passes on to B | lets go: ends passing on |
//!
//! Only when the address is handed over by a speaker that is alive: nobody passes on to a node that is silent. What the
//! kernel is told ends by itself; tables that have no effect any more are removed.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::{IpAddr, Ipv4Addr},
    time::{Duration, Instant},
};

use l2::{
    linux::{
        handover::{Handover, MOST_MOVED, PassOn},
        nftables::Family,
    },
    wire::MacAddr,
};

use crate::core::{peers::membership::Peer, segment::Interface};

/// How long connections go on where they live; as long as a VIP's (`handOverGraceMillis`).
const GRACE: Duration = Duration::from_secs(5);
/// Begins the names of our tables in the packet filter.
const TABLES: &str = "lbnode-speaker-";
/// Tables at a time; what moves beyond them is reset, as it is without any.
const MOST_TABLES: usize = 32;

/// A node that addresses come from, as it is seen on one interface of this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Predecessor {
    interface: u32,
    address: IpAddr,
    mac: MacAddr,
}

/// A table in the packet filter.
#[derive(Debug)]
struct Table {
    name: String,
    family: Family,
    addresses: BTreeSet<IpAddr>,
    /// When it has no effect any more.
    until: Instant,
}

/// What goes on in the kernel because of addresses that were handed over to this node.
#[derive(Debug)]
pub(super) struct Passing {
    kernel: Option<Handover>,
    tables: Vec<Table>,
    /// Number of the next table.
    next: u64,
}

impl Passing {
    /// Finds out whether this kernel lets this process do it, and says so if not. What an earlier process left ends by itself.
    pub(super) fn open(now: Instant) -> Self {
        let mut passing = Self {
            kernel: None,
            tables: Vec::new(),
            next: 0,
        };
        match supported() {
            Ok(mut kernel) => {
                // Without a list the names may meet: then a table takes the other's place.
                for (name, family) in kernel.tables(TABLES).unwrap_or_default() {
                    let number = name.strip_prefix(TABLES).and_then(|end| end.parse().ok());
                    passing.next = passing.next.max(number.map_or(0, |number: u64| number + 1));
                    passing.tables.push(Table {
                        name,
                        family,
                        addresses: BTreeSet::new(),
                        until: now + GRACE,
                    });
                }
                passing.kernel = Some(kernel);
            }
            Err(error) => {
                tracing::warn!(%error, "connections that are under way when an address is handed over are reset: passing them on needs CAP_NET_ADMIN and nf_tables with `dup`");
            }
        }
        passing
    }

    /// How long connections go on at the node an address comes from; zero: they are reset.
    pub(super) const fn grace(&self) -> Duration {
        match self.kernel {
            Some(_) => GRACE,
            None => Duration::ZERO,
        }
    }

    /// When [`Self::tidy`] has something to do.
    pub(super) fn due(&self) -> Option<Instant> {
        self.tables.iter().map(|table| table.until).min()
    }

    /// Removes tables without effect.
    pub(super) fn tidy(&mut self, now: Instant) {
        self.remove(|table| table.until <= now);
    }

    /// Passes nothing of an address on any more: whoever let go of it must not send back what comes from its successor.
    pub(super) fn end(&mut self, address: IpAddr) {
        self.remove(|table| table.addresses.contains(&address));
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
            for predecessor in predecessors(peer, interfaces, &served, address) {
                moves.entry(predecessor).or_default().push(address);
            }
        }
        for (predecessor, addresses) in moves {
            for addresses in addresses.chunks(MOST_MOVED) {
                self.pass_on(now, predecessor, addresses);
            }
        }
    }

    fn pass_on(&mut self, now: Instant, predecessor: Predecessor, addresses: &[IpAddr]) {
        let Some(kernel) = &mut self.kernel else {
            return;
        };
        if self.tables.len() >= MOST_TABLES {
            tracing::warn!(predecessor = %predecessor.address, "too many moves at a time: connections of the predecessor are reset");
            return;
        }
        let what = PassOn {
            interface: predecessor.interface,
            addresses: addresses.to_vec(),
            predecessor: predecessor.address,
            predecessor_mac: Some(predecessor.mac),
            grace: GRACE,
        };
        let name = format!("{TABLES}{}", self.next);
        self.next += 1;
        match kernel.pass_on(&name, &what) {
            Ok(()) => {
                tracing::info!(predecessor = %predecessor.address, addresses = addresses.len(), grace_millis = GRACE.as_millis(), "connections of the predecessor go on there");
                self.tables.push(Table {
                    name,
                    family: Family::of(predecessor.address),
                    addresses: addresses.iter().copied().collect(),
                    until: now + GRACE,
                });
            }
            Err(error) => {
                tracing::warn!(%error, predecessor = %predecessor.address, "connections of the predecessor cannot be passed on to it: they are reset");
            }
        }
    }

    fn remove(&mut self, is_over: impl Fn(&Table) -> bool) {
        let Some(kernel) = &mut self.kernel else {
            return;
        };
        for table in self.tables.extract_if(.., |table| is_over(table)) {
            if let Err(error) = kernel.remove(&table.name, table.family) {
                tracing::warn!(table = table.name, %error, "cannot remove a table of the packet filter; it has no effect after the grace");
            }
        }
    }
}

/// A socket to the packet filter of a kernel that can do it, of IPv4 at least.
fn supported() -> io::Result<Handover> {
    const LOOPBACK: u32 = 1;
    let mut kernel = Handover::open()?;
    let name = format!("{TABLES}probe");
    let nothing = PassOn {
        interface: LOOPBACK,
        addresses: Vec::new(),
        predecessor: Ipv4Addr::LOCALHOST.into(),
        predecessor_mac: None,
        grace: GRACE,
    };
    kernel.pass_on(&name, &nothing)?;
    kernel.remove(&name, Family::Ipv4)?;
    Ok(kernel)
}

/// Where packets to `address` go that belong to connections of `peer`: to its own address of the same family, on each interface
/// of this node that serves `address` and that has the peer as a neighbour.
fn predecessors(
    peer: &Peer,
    interfaces: &[Interface],
    served: &[u32],
    address: IpAddr,
) -> Vec<Predecessor> {
    let Some(own) = peer
        .address()
        .filter(|own| own.is_ipv4() == address.is_ipv4())
    else {
        return Vec::new();
    };
    let on_link = |interface: &&Interface| interface.up && interface.is_on_link(own);
    let Some(theirs) = peer.state().interfaces.iter().find(on_link) else {
        return Vec::new();
    };
    interfaces
        .iter()
        .filter(|interface| served.contains(&interface.index))
        .filter(on_link)
        .map(|interface| Predecessor {
            interface: interface.index,
            address: own,
            mac: MacAddr::new(theirs.mac),
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
            mac: MacAddr::new([2, 0, 0, 0, 0, 22]),
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
