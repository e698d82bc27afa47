//! Who may connect: `loadBalancerSourceRanges` at the node that has the address.
//!
//! kube-proxy keeps to them as well, but not every proxy does, and it learns of a Service when it does. So whoever begins a connection from elsewhere is
//! refused here, before anybody translates: what comes in on an interface on which this node answers for addresses, is the first packet of a
//! connection (one that exists goes on, as with kube-proxy), and goes to a port whose list its source is not in. It is dropped, as
//! kube-proxy does it. Pods and this node itself are kube-proxy's to judge.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use netlink_packet_netfilter::nftables::Register;

use super::expression::{
    Field, Set, accept, count, discard, go_to, is_in, protocol, state, way_in,
};
use super::layout::{Layout, interfaces, number, octets};
use super::nftables::{Batch, Entry, Family, Key, Keys};
use super::own_table::{Contents, OwnTable};

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

/// Who may connect to what.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceRanges {
    /// Ports that are not for everyone, each with the first and the last address of ranges that do not touch. Ranges of the other family
    /// admit nobody.
    pub admitted: BTreeMap<Endpoint, Vec<(IpAddr, IpAddr)>>,
    /// Indices of the interfaces that strangers come in on.
    pub segments: BTreeSet<u32>,
}

/// Makes, changes and removes the table.
#[derive(Debug)]
pub struct Doorkeeper {
    table: OwnTable,
}

impl Doorkeeper {
    /// Opens a socket for a table of this name, and finds out whether this kernel can do it: sets of ranges of several parts (Linux 5.6).
    ///
    /// # Errors
    /// The kernel's: no packet filter, missing CAP_NET_ADMIN, no such sets.
    pub fn open(name: impl Into<String>) -> io::Result<Self> {
        let table = OwnTable::open(name)?;
        let mut doorkeeper = Self { table };
        let anyone = IpAddr::from([192, 0, 2, 1]);
        let endpoint = Endpoint {
            address: anyone,
            protocol: 6,
            port: 1,
        };
        doorkeeper.set(&SourceRanges {
            admitted: BTreeMap::from([(endpoint, vec![(anyone, anyone)])]),
            segments: BTreeSet::from([1]),
        })?;
        doorkeeper.set(&SourceRanges::default())?;
        Ok(doorkeeper)
    }

    /// Whether the table goes with this process and nobody else can remove it (Linux 5.12). If not, it has to be set again now and then.
    pub fn is_owned(&self) -> bool {
        self.table.is_owned()
    }

    /// Admits these from now on, in place of everything else; without a port or a segment there is no table. What is to be
    /// done for IPv6 is done also when IPv4 fails.
    ///
    /// # Errors
    /// The kernel's, the first of them: missing CAP_NET_ADMIN, a table of this name that another process owns.
    pub fn set(&mut self, what: &SourceRanges) -> io::Result<()> {
        let mut result = Ok(());
        for family in [Family::Ipv4, Family::Ipv6] {
            let all = what.admitted.iter();
            let of_family: Vec<_> = all
                .filter(|(endpoint, _)| Family::of(endpoint.address) == family)
                .collect();
            let done = if of_family.is_empty() || what.segments.is_empty() {
                self.table.remove(family)
            } else {
                let segments = what.segments.iter().copied().map(number);
                let segments = segments.map(Key::from).collect();
                let limited = of_family.iter().map(|(endpoint, _)| key(endpoint));
                let limited = limited.map(Key::from).collect();
                let admitted = of_family.iter().flat_map(|(endpoint, ranges)| {
                    let ranges = ranges.iter();
                    let fitting = ranges.filter(|(first, _)| Family::of(*first) == family);
                    fitting.map(|(first, last)| {
                        let with = |source| [key(endpoint), octets(source)].concat();
                        Key::range(with(*first), with(*last))
                    })
                });
                // Nobody is refused until it is known who is admitted.
                let sets = vec![
                    (ADMITTED, admitted.collect()),
                    (LIMITED, limited),
                    (SEGMENTS, segments),
                ];
                self.table.set(&Contents {
                    family,
                    rules,
                    sets,
                })
            };
            result = result.and(done);
        }
        result
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
    let keys = Keys {
        kind,
        len,
        size: 0,
        dynamic: false,
        is_number: false,
        ranges_of: &[],
    };
    batch.set(LIMITED.name, LIMITED.number, keys, FOR_EVER);
    let (kind, len, ranges_of) = layout.with_protocol_port_and_address();
    let keys = Keys {
        kind,
        len,
        ranges_of,
        ..keys
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
/// Keys stay until the table goes.
const FOR_EVER: Duration = Duration::ZERO;
/// Before routing: after what is passed on to a predecessor (-150), before kube-proxy's lists (-110) and its translation (-100).
const ARRIVALS: Entry = Entry {
    hook: 0,
    priority: -140,
};
