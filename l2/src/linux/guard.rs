//! What nobody translated does not go on.
//!
//! Who answers ARP or NDP for an address that is on no interface gets packets which the kernel takes for somebody else's. What
//! the packet filter translates goes to its pod, and kube-proxy rejects what has no endpoint. Everything else (ports that no Service
//! has, packets that come before kube-proxy knows the Service) the kernel would route to the segment again, where the next node may do the
//! same until the packet's time is over; it would tell the sender of a shorter way to the address; and connection tracking would remember the
//! connection untranslated for two minutes. So it ends here.
//!
//! Only what would leave by an interface on which this node answers for addresses: network plug-ins that serve Services without
//! kube-proxy route an address untranslated to an interface of their own (Antrea's proxyAll to `antrea-gw0`), and that passes.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;

use netlink_packet_netfilter::nftables::Register;

use super::expression::{Field, Set, count, discard, is_protocol, way_out};
use super::layout::{Layout, interfaces, number, octets};
use super::nftables::{Batch, Entry, Family};
use super::own_table::{Contents, OwnTable};
use super::set_keys::{FOR_EVER, Key};

/// What is guarded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Guarded {
    /// Addresses that this node answers for.
    pub addresses: BTreeSet<IpAddr>,
    /// Indices of the interfaces on which it does.
    pub segments: BTreeSet<u32>,
}

/// Makes, changes and removes the table.
#[derive(Debug)]
pub struct Guard {
    table: OwnTable,
    /// What was set, if nothing went wrong.
    held: Option<Guarded>,
}

impl Guard {
    /// Opens a socket for a table of this name.
    ///
    /// # Errors
    /// The kernel's: no packet filter.
    pub fn open(name: impl Into<String>) -> io::Result<Self> {
        let table = OwnTable::open(name)?;
        Ok(Self { table, held: None })
    }

    /// Whether the table goes with this process and nobody else can remove it (Linux 5.12). If not, it has to be set again now and then.
    pub fn is_owned(&self) -> bool {
        self.table.is_owned()
    }

    /// Guards this from now on, in place of everything else; without an address or a segment there is no table. What
    /// is to be done for IPv6 is done also when IPv4 fails.
    ///
    /// # Errors
    /// The kernel's, the first of them: missing CAP_NET_ADMIN, no packet filter, a table of this name that another process owns.
    pub fn set(&mut self, what: &Guarded) -> io::Result<()> {
        if self.held.as_ref() == Some(what) && self.is_owned() {
            return Ok(());
        }
        self.held = None;
        let mut result = Ok(());
        for family in [Family::Ipv4, Family::Ipv6] {
            let addresses = what.addresses.iter().copied();
            let addresses = addresses.filter(|address| Family::of(*address) == family);
            let addresses: Vec<Key> = addresses.map(octets).map(Key::from).collect();
            let done = if addresses.is_empty() || what.segments.is_empty() {
                self.table.remove(family)
            } else {
                let segments = what.segments.iter().copied().map(number);
                let segments = segments.map(Key::from).collect();
                self.table.set(&Contents {
                    family,
                    rules,
                    sets: vec![(SEGMENTS, segments), (ANSWERED, addresses)],
                })
            };
            result = result.and(done);
        }
        if result.is_ok() {
            self.held = Some(what.clone());
        }
        result
    }
}

fn rules(batch: &mut Batch, family: Family) {
    let layout = Layout::of(family);
    layout.addresses(batch, ANSWERED, AS_MANY_AS_COME, FOR_EVER);
    interfaces(batch, SEGMENTS);
    batch.chain("routed", Some(ROUTED));
    let untranslated = vec![
        layout.destination.load(Register::Reg1),
        ANSWERED.contains(Register::Reg1),
        way_out(),
        SEGMENTS.contains(Register::Reg1),
        count(),
        discard(),
    ];
    batch.rule("routed", untranslated);
    let redirect = Redirect::of(family);
    batch.chain("sent", Some(SENT));
    let mut advice = Vec::from(is_protocol(redirect.protocol));
    advice.extend(TYPE.is(&[redirect.kind]));
    advice.extend([
        redirect.destination.load(Register::Reg1),
        ANSWERED.contains(Register::Reg1),
        discard(),
    ]);
    batch.rule("sent", advice);
}

/// An ICMP message that tells of a shorter way (RFC 792; RFC 4861 §4.5).
struct Redirect {
    protocol: u8,
    kind: u8,
    /// Where the sender wanted to go: of IPv4 it stands in the header of its packet, which is sent back to it.
    destination: Field,
}

const TYPE: Field = Field::of_transport(0, 1);

impl Redirect {
    const fn of(family: Family) -> Self {
        match family {
            Family::Ipv4 | Family::Arp => Self {
                protocol: 1,
                kind: 5,
                destination: Field::of_transport(24, 4),
            },
            Family::Ipv6 => Self {
                protocol: 58,
                kind: 137,
                destination: Field::of_transport(24, 16),
            },
        }
    }
}

const ANSWERED: Set = Set {
    name: "answered",
    number: 1,
};
const SEGMENTS: Set = Set {
    name: "segments",
    number: 2,
};
const AS_MANY_AS_COME: usize = 0;
/// What is routed to others, after kube-proxy's rejections.
const ROUTED: Entry = Entry {
    hook: 2,
    priority: 10,
};
/// What this host itself sends.
const SENT: Entry = Entry {
    hook: 3,
    priority: 0,
};

#[cfg(test)]
mod tests {
    use nix::sched::{CloneFlags, unshare};

    use super::*;
    use crate::linux::handover::Handover;

    /// On a kernel before 5.12, where others can remove it: the namespace ends with the test's thread.
    #[test]
    fn a_table_that_somebody_removed_is_made_again() {
        let tables = || Handover::open()?.tables("ours-");
        if unshare(CloneFlags::CLONE_NEWNET).is_err() || tables().is_err() {
            eprintln!("SKIPPED: needs root and nf_tables");
            return;
        }
        let table = OwnTable::open("ours-1").unwrap().without_owner();
        let mut guard = Guard { table, held: None };
        let mut others = Handover::open().unwrap();
        let what = Guarded {
            addresses: BTreeSet::from([IpAddr::from([192, 0, 2, 100])]),
            segments: BTreeSet::from([1]),
        };
        for _ in 0..2 {
            guard.set(&what).unwrap();
            assert!(!guard.is_owned());
            let there = [("ours-1".to_owned(), Family::Ipv4)];
            assert_eq!(others.tables("ours-").unwrap(), there);
            others.remove("ours-1", Family::Ipv4).unwrap();
        }
        // And what is not there any more is not missed.
        guard.set(&Guarded::default()).unwrap();
        assert!(others.tables("ours-").unwrap().is_empty());
    }
}
