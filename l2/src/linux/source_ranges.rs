//! Who may connect: `loadBalancerSourceRanges` at the node that has the address.
//!
//! kube-proxy keeps to them as well, but not every proxy does, and it does not know of the older annotation. So whoever begins a connection from elsewhere
//! is refused here, before nftables or IPVS translate: what comes in on an interface of the segment, belongs to no connection that was answered
//! (such a one goes on, as with kube-proxy), and goes to a port whose list its source is not in. It is dropped, as kube-proxy
//! does it. Pods and this node itself are kube-proxy's to judge; who translates before the packet filter (eBPF) judges for himself.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use netlink_packet_netfilter::nftables::Register;

use super::expression::{
    Field, Set, accept, count, discard, go_to, is_in, protocol, state, way_in,
};
use super::layout::{Layout, interfaces, number, octets};
use super::nftables::{Batch, Entry, Family};
use super::own_table::{Difference, OwnTable, is_any_of};
use super::set_keys::{FOR_EVER, Key, Keys};

/// A port at an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Endpoint {
    /// Its address.
    pub address: IpAddr,
    /// The number of its protocol over IP: TCP is 6, UDP 17, SCTP 132.
    pub protocol: u8,
    /// Its number.
    pub port: u16,
}

/// Ports that are not for everyone, each with the first and the last address of ranges that do not touch. Ranges of the other family
/// admit nobody.
pub type Admitted = BTreeMap<Endpoint, Vec<(IpAddr, IpAddr)>>;

/// Who may connect to what.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceRanges {
    /// The lists.
    pub admitted: Arc<Admitted>,
    /// Indices of the interfaces that strangers come in on.
    pub segments: BTreeSet<u32>,
}

/// Makes, changes and removes the table.
#[derive(Debug)]
pub struct Doorkeeper {
    table: OwnTable,
    /// What the table of each family holds.
    held: BTreeMap<Family, SourceRanges>,
}

impl Doorkeeper {
    /// Opens a socket for a table of this name.
    ///
    /// # Errors
    /// The kernel's: no packet filter.
    pub fn open(name: impl Into<String>) -> io::Result<Self> {
        let table = OwnTable::open(name)?;
        Ok(Self {
            table,
            held: BTreeMap::new(),
        })
    }

    /// Whether the table goes with this process and nobody else can remove it (Linux 5.12). If not, it has to be set again now and then.
    pub fn is_owned(&self) -> bool {
        self.held.is_empty() || self.table.is_owned()
    }

    /// Admits these from now on, in place of everything else; without a port or a segment there is no table. What is to be
    /// done for IPv6 is done also when IPv4 fails.
    ///
    /// Only what differs is changed, and in an order in which nobody is refused who is on the old list and on the new one, and nobody admitted
    /// who is on neither.
    ///
    /// # Errors
    /// The kernel's, the first of them: missing CAP_NET_ADMIN, a table of this name that another process owns, no sets of ranges of
    /// several parts (before Linux 5.6).
    pub fn set(&mut self, what: &SourceRanges) -> io::Result<()> {
        let mut result = Ok(());
        for family in [Family::Ipv4, Family::Ipv6] {
            let mut done = self.set_or_forget(family, what);
            // Somebody has removed it.
            if done
                .as_ref()
                .is_err_and(|error| is_any_of(error, &[libc::ENOENT]))
            {
                done = self.set_or_forget(family, what);
            }
            result = result.and(done);
        }
        result
    }

    /// After an error it is not known what is there: the next table takes its place.
    fn set_or_forget(&mut self, family: Family, what: &SourceRanges) -> io::Result<()> {
        let done = self.set_family(family, what);
        if done.is_err() {
            self.table.forget(family);
        }
        done
    }

    fn set_family(&mut self, family: Family, what: &SourceRanges) -> io::Result<()> {
        let new: Lists<'_> = of_family(family, &what.admitted);
        if new.is_empty() || what.segments.is_empty() {
            self.held.remove(&family);
            return self.table.remove(family);
        }
        if self.table.make_sure(family, rules)? {
            self.held.remove(&family);
        }
        let held = self.held.get(&family).cloned().unwrap_or_default();
        if held == *what {
            return Ok(());
        }
        let old = of_family(family, &held.admitted);
        // Who may come is known before anybody is refused, and as long as anybody is.
        let lists = new.iter().map(|(endpoint, ranges)| {
            let before = old.get(endpoint).copied();
            difference(family, endpoint, before.unwrap_or_default(), ranges)
        });
        self.table.change(family, ADMITTED, lists)?;
        let keys = |lists: &Lists<'_>, others: &Lists<'_>| {
            let alone = lists.keys().filter(|one| !others.contains_key(*one));
            alone.map(|endpoint| Key::from(key(endpoint))).collect()
        };
        let limited = Difference {
            gone: keys(&old, &new),
            new: keys(&new, &old),
        };
        let keys = |these: &BTreeSet<u32>, others: &BTreeSet<u32>| {
            let alone = these.difference(others).copied();
            alone.map(number).map(Key::from).collect()
        };
        let segments = Difference {
            gone: keys(&held.segments, &what.segments),
            new: keys(&what.segments, &held.segments),
        };
        self.table.change(family, SEGMENTS, [segments])?;
        self.table.change(family, LIMITED, [limited])?;
        let open_again = old.iter().filter(|(one, _)| !new.contains_key(*one));
        let lists = open_again.map(|(endpoint, ranges)| difference(family, endpoint, ranges, &[]));
        self.table.change(family, ADMITTED, lists)?;
        self.held.insert(family, what.clone());
        Ok(())
    }
}

type Range = (IpAddr, IpAddr);
type Lists<'a> = BTreeMap<&'a Endpoint, &'a [Range]>;

fn of_family(family: Family, admitted: &Admitted) -> Lists<'_> {
    let lists = admitted.iter();
    lists
        .filter(|(endpoint, _)| Family::of(endpoint.address) == family)
        .map(|(endpoint, ranges)| (endpoint, ranges.as_slice()))
        .collect()
}

/// From one list of an endpoint to another.
fn difference(family: Family, endpoint: &Endpoint, old: &[Range], new: &[Range]) -> Difference {
    let keys = |these: &[Range], others: &[Range]| {
        let alone = these.iter().filter(|range| !others.contains(range));
        let fitting = alone.filter(|(first, _)| Family::of(*first) == family);
        let with = |source| [key(endpoint), octets(source)].concat();
        fitting
            .map(|(first, last)| Key::range(with(*first), with(*last)))
            .collect()
    };
    Difference {
        gone: keys(old, new),
        new: keys(new, old),
    }
}

/// A port at an address as sets hold it: each part takes whole registers.
fn key(endpoint: &Endpoint) -> Vec<u8> {
    let port = endpoint.port.to_be_bytes();
    [
        octets(endpoint.address).as_slice(),
        &[endpoint.protocol, 0, 0, 0],
        &[port[0], port[1], 0, 0],
    ]
    .concat()
}

fn rules(batch: &mut Batch, family: Family) {
    const STRANGERS: &str = "strangers";
    let layout = Layout::of(family);
    let (kind, len) = layout.with_protocol_and_port();
    let keys = Keys::plain(kind, len);
    batch.set(LIMITED.name, LIMITED.number, keys, FOR_EVER);
    let (kind, len, ranges_of) = layout.with_protocol_port_and_address();
    let keys = Keys {
        ranges_of,
        ..Keys::plain(kind, len)
    };
    batch.set(ADMITTED.name, ADMITTED.number, keys, FOR_EVER);
    interfaces(batch, SEGMENTS);
    batch.chain(STRANGERS, None);
    batch.chain("arrivals", Some(ARRIVALS));
    let [second, third, fourth] = layout.behind;
    let goal = || {
        [
            layout.destination.load(Register::Reg32_00),
            protocol(second),
            DESTINATION_PORT.load(third),
        ]
    };
    let mut arrival = vec![way_in(), SEGMENTS.contains(Register::Reg1)];
    arrival.extend(is_in(state::NEW));
    arrival.extend(goal());
    arrival.push(LIMITED.contains(Register::Reg32_00));
    arrival.push(go_to(STRANGERS));
    batch.rule("arrivals", arrival);
    let mut known = Vec::from(goal());
    known.push(layout.source.load(fourth));
    known.push(ADMITTED.contains(Register::Reg32_00));
    known.push(accept());
    batch.rule(STRANGERS, known);
    batch.rule(STRANGERS, vec![count(), discard()]);
}

/// Of TCP, UDP and SCTP.
const DESTINATION_PORT: Field = Field::of_transport(2, 2);
/// Ports that are not for everyone.
const LIMITED: Set = Set {
    name: "limited",
    number: 1,
};
/// Who may connect to them.
const ADMITTED: Set = Set {
    name: "admitted",
    number: 2,
};
const SEGMENTS: Set = Set {
    name: "segments",
    number: 3,
};
/// Before routing: after what is passed on to a predecessor (-150), before kube-proxy's lists (-110) and its translation (-100).
const ARRIVALS: Entry = Entry {
    hook: 0,
    priority: -140,
};
