//! What nobody translated does not go on.
//!
//! Who answers ARP or NDP for an address that is on no interface gets packets which the kernel takes for somebody else's. What
//! the packet filter translates goes to its pod, and kube-proxy rejects what has no endpoint. Everything else (ports that no Service
//! has, packets that come before kube-proxy knows the Service) the kernel would route to the segment again, where the next node may do the
//! same until the packet's time is over; it would tell the sender of a shorter way to the address; and connection tracking would remember the
//! connection untranslated for two minutes. So it ends here.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use netlink_packet_netfilter::nftables::Register;

use super::expression::{Field, Set, count, discard, is_protocol};
use super::layout::Layout;
use super::nftables::{Batch, Entry, Family, Tables};

const ANSWERED: Set = Set {
    name: "answered",
    number: 1,
};
/// Keys stay until the table goes.
const FOR_EVER: Duration = Duration::ZERO;
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

/// Makes and removes the table.
#[derive(Debug)]
pub struct Guard {
    tables: Tables,
    name: String,
}

impl Guard {
    /// Opens a socket for a table of this name.
    ///
    /// # Errors
    /// The kernel's: no packet filter.
    pub fn open(name: impl Into<String>) -> io::Result<Self> {
        Ok(Self {
            tables: Tables::open()?,
            name: name.into(),
        })
    }

    /// Guards these addresses from now on, in place of all others.
    ///
    /// # Errors
    /// The kernel's: missing CAP_NET_ADMIN.
    pub fn set(&mut self, addresses: &[IpAddr]) -> io::Result<()> {
        for family in [Family::Ipv4, Family::Ipv6] {
            let own = addresses.iter().copied();
            let own: Vec<IpAddr> = own
                .filter(|address| Family::of(*address) == family)
                .collect();
            if own.is_empty() {
                // A kernel without the family has no such table either.
                let _ = self.tables.commit(Batch::without(family, &self.name));
            } else {
                self.tables.commit(rules(family, &self.name, &own))?;
            }
        }
        Ok(())
    }
}

fn rules(family: Family, table: &str, addresses: &[IpAddr]) -> Batch {
    let layout = Layout::of(family);
    let mut batch = Batch::afresh(family, table);
    layout.addresses(&mut batch, ANSWERED, addresses.len(), FOR_EVER, addresses);
    batch.chain("routed", Some(ROUTED));
    let untranslated = vec![
        layout.destination.load(Register::Reg1),
        ANSWERED.contains(Register::Reg1),
        count(),
        discard(),
    ];
    batch.rule("routed", untranslated);
    let redirect = Redirect::of(family);
    batch.chain("sent", Some(SENT));
    let mut advice = Vec::from(is_protocol(redirect.protocol));
    advice.extend(TYPE.is(&[redirect.kind]));
    advice.extend([
        redirect.way.load(Register::Reg1),
        ANSWERED.contains(Register::Reg1),
        discard(),
    ]);
    batch.rule("sent", advice);
    batch
}

/// An ICMP message that tells of a shorter way (RFC 792; RFC 4861 §4.5).
struct Redirect {
    protocol: u8,
    kind: u8,
    /// The neighbour to send to instead: here the address itself, which the kernel takes for a neighbour's.
    way: Field,
}

const TYPE: Field = Field::of_transport(0, 1);

impl Redirect {
    const fn of(family: Family) -> Self {
        match family {
            Family::Ipv4 | Family::Arp => Self {
                protocol: 1,
                kind: 5,
                way: Field::of_transport(4, 4),
            },
            Family::Ipv6 => Self {
                protocol: 58,
                kind: 137,
                way: Field::of_transport(8, 16),
            },
        }
    }
}
