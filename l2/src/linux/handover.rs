//! Two sides of a planned move of an address: connections that live at the old owner go on there.
//!
//! The new owner does not know them and would reset them. For a while it passes every segment that is not of a connection
//! of its own on to the old owner ([`PassOn`]). Where programs listen on the address, the old owner still has it, on its
//! loopback interface, and answers the client directly; it must not answer ARP for it meanwhile, nor ask with it as the
//! sender ([`Silence`]). Where the packet filter translates the address, the old owner has nothing to do.
//!
//! ```text
//! client ── SYN ─────────────────────────► new owner   begun here: stays here
//! client ── segment of an old connection ► new owner ─ same packet, other MAC ► old owner ── answer ──► client
//! ```
//!
//! What is told to the kernel ends by itself: each rule applies to addresses that leave its set after a while, so that a
//! process that dies in between leaves a table without effect.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use netlink_packet_netfilter::nftables::Register;

use super::expression::{
    Field, Set, accept, came_by_ethernet, came_in_on, copy_to, count, discard, go_to, is_in,
    is_tcp, state, value,
};
use super::layout::{Layout, fill, octets};
use super::nftables::{Batch, Entry, Family, Tables};
use super::set_keys::Keys;
use crate::wire::MacAddr;

/// What the new owner does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassOn {
    /// Index of the interface on which clients come in and the old owner is reached.
    pub interface: u32,
    /// The addresses that moved, of one family.
    pub addresses: Vec<IpAddr>,
    /// The old owner's own address, of the same family.
    pub predecessor: IpAddr,
    /// Its hardware addresses, as far as they are known: what comes back from them is not sent to it again.
    pub predecessor_macs: Vec<MacAddr>,
    /// What is not passed on.
    pub own: Own,
    /// For how long.
    pub grace: Duration,
}

/// Which connections the new owner knows as its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Own {
    /// Those that begin from now on: of programs that listen on the address. Whether the kernel tracks them does not matter.
    Begun,
    /// Those that the kernel tracks, and those that begin: of addresses that the packet filter translates.
    Tracked,
}

/// What the old owner does for IPv4 (IPv6 asks and answers for an address only where it is).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Silence {
    /// The addresses that moved.
    pub addresses: Vec<Ipv4Addr>,
    /// The sender of its own questions instead.
    pub own: Ipv4Addr,
    /// For how long.
    pub grace: Duration,
}

/// Makes and removes these tables.
#[derive(Debug)]
pub struct Handover {
    tables: Tables,
}

impl Handover {
    /// Opens a socket for it.
    ///
    /// # Errors
    /// The kernel's: no packet filter.
    pub fn open() -> io::Result<Self> {
        Ok(Self {
            tables: Tables::open()?,
        })
    }

    /// Finds out whether this kernel can do all of it for an address's family, and loads what it needs.
    ///
    /// # Errors
    /// The kernel's: no packet filter, no `dup`, missing CAP_NET_ADMIN.
    pub fn probe(&mut self, name: &str, family: IpAddr, own: Own) -> io::Result<()> {
        const LOOPBACK: u32 = 1;
        let pass_on = PassOn {
            interface: LOOPBACK,
            addresses: Vec::new(),
            predecessor: family,
            predecessor_macs: Vec::new(),
            own,
            grace: Duration::from_secs(1),
        };
        self.pass_on(name, &pass_on)?;
        self.remove(name, Family::of(family))?;
        if family.is_ipv4() && own == Own::Begun {
            let silence = Silence {
                addresses: Vec::new(),
                own: Ipv4Addr::LOCALHOST,
                grace: Duration::from_secs(1),
            };
            self.silence(name, &silence)?;
            self.remove(name, Family::Arp)?;
        }
        Ok(())
    }

    /// Passes on from now on, in place of what a table of this name did.
    ///
    /// # Errors
    /// The kernel's.
    pub fn pass_on(&mut self, name: &str, what: &PassOn) -> io::Result<()> {
        self.tables.commit(pass_on_rules(name, what))
    }

    /// Is silent from now on, in place of what a table of this name did.
    ///
    /// # Errors
    /// The kernel's.
    pub fn silence(&mut self, name: &str, what: &Silence) -> io::Result<()> {
        self.tables.commit(silence_rules(name, what))
    }

    /// Removes a table; that it was not there is no error.
    ///
    /// # Errors
    /// The kernel's.
    pub fn remove(&mut self, name: &str, family: Family) -> io::Result<()> {
        self.tables.commit(Batch::without(family, name))
    }

    /// Every table whose name begins so.
    ///
    /// # Errors
    /// The kernel's.
    pub fn tables(&mut self, prefix: &str) -> io::Result<Vec<(String, Family)>> {
        let mut found = Vec::new();
        for family in Family::ALL {
            let names = self.tables.names(family)?.into_iter();
            let ours = names.filter(|name| name.starts_with(prefix));
            found.extend(ours.map(|name| (name, family)));
        }
        Ok(found)
    }
}

/// Addresses that the rules are for; they leave it by themselves.
const MOVED: Set = Set {
    name: "moved",
    number: 1,
};
/// Clients' ends of connections that began at this node.
const BEGUN: Set = Set {
    name: "begun",
    number: 2,
};
const PREROUTING: u32 = 0;
const BEFORE_TRACKING: i32 = -300;
/// After tracking (-200), before kube-proxy's translation (-100).
const BEFORE_TRANSLATION: i32 = -150;
/// As many connections as may begin within the grace; more are served by the old owner as long as it lives.
const MOST_BEGUN: u32 = 65_536;
/// Addresses that one table can be for.
pub const MOST_MOVED: usize = 64;
/// Later than the rules' end, so that no connection is forgotten before.
const REMEMBERED_LONGER: Duration = Duration::from_secs(5);

const TCP_SOURCE_PORT: Field = Field::of_transport(0, 2);
const TCP_FLAGS: Field = Field::of_transport(13, 1);
const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;
const ETHER_SOURCE: Field = Field::of_frame(6, 6);

fn pass_on_rules(table: &str, what: &PassOn) -> Batch {
    const STRANGERS: &str = "strangers";
    let arrivals = Entry {
        hook: PREROUTING,
        priority: match what.own {
            Own::Begun => BEFORE_TRACKING,
            Own::Tracked => BEFORE_TRANSLATION,
        },
    };
    let layout = Layout::of(Family::of(what.predecessor));
    let mut batch = Batch::afresh(layout.family, table);
    layout.addresses(&mut batch, MOVED, MOST_MOVED, what.grace);
    fill(&mut batch, MOVED, &what.addresses);
    if what.own == Own::Begun {
        let (kind, len) = layout.with_port();
        let keys = Keys {
            size: MOST_BEGUN,
            dynamic: true,
            ..Keys::plain(kind, len)
        };
        let remembered = what.grace + REMEMBERED_LONGER;
        batch.set(BEGUN.name, BEGUN.number, keys, remembered);
    }
    batch.chain(STRANGERS, None);
    batch.chain("arrivals", Some(arrivals));
    let mut arrival = Vec::new();
    arrival.extend(came_in_on(what.interface));
    arrival.push(layout.destination.load(Register::Reg1));
    arrival.push(MOVED.contains(Register::Reg1));
    if !what.predecessor_macs.is_empty() {
        arrival.extend(came_by_ethernet());
    }
    for mac in &what.predecessor_macs {
        arrival.extend(ETHER_SOURCE.is_not(&mac.octets()));
    }
    arrival.push(go_to(STRANGERS));
    batch.rule("arrivals", arrival);
    let client = || {
        [
            layout.source.load(Register::Reg32_00),
            TCP_SOURCE_PORT.load(layout.behind[0]),
        ]
    };
    let mut beginning = Vec::from(is_tcp());
    beginning.extend(TCP_FLAGS.masked_is(SYN | ACK, SYN));
    let own = match what.own {
        Own::Begun => {
            beginning.extend(client());
            beginning.push(BEGUN.note(Register::Reg32_00));
            let mut known = Vec::from(is_tcp());
            known.extend(client());
            known.push(BEGUN.contains(Register::Reg32_00));
            vec![beginning, known]
        }
        Own::Tracked => {
            // A stranger's is taken for the beginning of something, so this one is ours, and out of its window.
            let mut misplaced = Vec::from(is_in(state::INVALID));
            misplaced.extend(is_tcp());
            misplaced.extend(TCP_FLAGS.masked_is(FIN | SYN | RST | ACK, ACK));
            let known = is_in(state::ESTABLISHED_OR_RELATED);
            vec![beginning, known.into(), misplaced]
        }
    };
    for mut own in own {
        own.push(accept());
        batch.rule(STRANGERS, own);
    }
    let (to, through) = (Register::Reg1, Register::Reg2);
    let mut other = Vec::from(is_tcp());
    other.extend([
        count(),
        value(to, octets(what.predecessor)),
        value(through, what.interface.to_ne_bytes().to_vec()),
        copy_to(to, through),
        discard(),
    ]);
    batch.rule(STRANGERS, other);
    batch
}

fn silence_rules(table: &str, what: &Silence) -> Batch {
    const INPUT: Entry = Entry {
        hook: 0,
        priority: 0,
    };
    const OUTPUT: Entry = Entry {
        hook: 1,
        priority: 0,
    };
    const OPERATION: Field = Field::of_network(6, 2);
    const SENDER: Field = Field::of_network(14, 4);
    const TARGET: Field = Field::of_network(24, 4);
    const REQUEST: [u8; 2] = [0, 1];
    let mut batch = Batch::afresh(Family::Arp, table);
    let addresses: Vec<IpAddr> = what.addresses.iter().copied().map(IpAddr::from).collect();
    let layout = Layout::of(Family::Arp);
    layout.addresses(&mut batch, MOVED, MOST_MOVED, what.grace);
    fill(&mut batch, MOVED, &addresses);
    batch.chain("heard", Some(INPUT));
    let mut heard = Vec::from(OPERATION.is(&REQUEST));
    heard.extend([
        TARGET.load(Register::Reg1),
        MOVED.contains(Register::Reg1),
        discard(),
    ]);
    batch.rule("heard", heard);
    batch.chain("said", Some(OUTPUT));
    let mut said = Vec::from(OPERATION.is(&REQUEST));
    said.extend([
        SENDER.load(Register::Reg1),
        MOVED.contains(Register::Reg1),
        value(Register::Reg1, what.own.octets().to_vec()),
        SENDER.store(Register::Reg1),
    ]);
    batch.rule("said", said);
    batch
}
