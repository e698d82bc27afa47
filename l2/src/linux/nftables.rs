//! Tables of the kernel's packet filter, changed as one: everything of a `Batch` or nothing.
//!
//! The messages are those of `netlink-packet-netfilter` (ADR 0009); what goes into a rule is in `expression`.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_APPEND, NLM_F_CREATE, NLM_F_DUMP, NLM_F_REQUEST, NetlinkMessage,
    NetlinkPayload,
};
use netlink_packet_netfilter::nftables::{
    ChainAttribute, ChainMessage, ExpressionAttribute, Hook, HookNumber, ListAttribute,
    NfTablesMessage, RuleAttribute, RuleMessage, SetAttribute, SetDescription, SetElementList,
    SetElementMessage, SetFlags, SetMessage, TableAttribute, TableFlags, TableMessage,
};
use netlink_packet_netfilter::none::ControlMessage;
use netlink_packet_netfilter::{
    NetfilterHeader, NetfilterMessage, NetfilterMessageInner, NetfilterProtoFamily,
};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_NETFILTER};

use super::netlink::parse;
use super::set_keys::{Key, Keys, part_of_a_key};

/// One expression of a rule.
pub(super) type Expression = ListAttribute<ExpressionAttribute>;

/// What a table filters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// IPv4 packets.
    Ipv4,
    /// IPv6 packets.
    Ipv6,
    /// ARP packets.
    Arp,
}

impl Family {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Ipv4, Self::Ipv6, Self::Arp];

    /// The family of an address.
    pub const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::Ipv4,
            IpAddr::V6(_) => Self::Ipv6,
        }
    }

    const fn number(self) -> NetfilterProtoFamily {
        match self {
            Self::Ipv4 => NetfilterProtoFamily::IPv4,
            Self::Ipv6 => NetfilterProtoFamily::IPv6,
            Self::Arp => NetfilterProtoFamily::ARP,
        }
    }
}

/// Where a chain begins, and before whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) hook: u32,
    pub(super) priority: i32,
}

/// Changes of one family that come into force together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Batch {
    family: Family,
    table: String,
    changes: Vec<(u16, NfTablesMessage)>,
}

impl Batch {
    /// Changes of a table that is there.
    pub(super) fn of(family: Family, table: &str) -> Self {
        Self {
            family,
            table: table.to_owned(),
            changes: Vec::new(),
        }
    }

    /// Removes the table; that it was not there is no fault.
    pub(super) fn without(family: Family, table: &str) -> Self {
        let mut batch = Self::of(family, table);
        // Kernels before 6.3 have no "delete if there", so it is made first.
        batch.make_table(TableFlags::empty());
        let name = vec![TableAttribute::Name(batch.table.clone())];
        let gone = NfTablesMessage::DeleteTable(TableMessage { attributes: name });
        batch.changes.push((0, gone));
        batch
    }

    /// An empty table in place of whatever had its name.
    pub(super) fn afresh(family: Family, table: &str) -> Self {
        let mut batch = Self::without(family, table);
        batch.make_table(TableFlags::empty());
        batch
    }

    /// The same for the socket that commits it: nobody else can change the table, and it goes with the socket (Linux 5.12).
    pub(super) fn afresh_and_owned(family: Family, table: &str) -> Self {
        let mut batch = Self::without(family, table);
        batch.make_table(TableFlags::Owner);
        batch
    }

    fn make_table(&mut self, flags: TableFlags) {
        let mut attributes = vec![TableAttribute::Name(self.table.clone())];
        // Without the attribute an owned table that is there stays as it is.
        if !flags.is_empty() {
            attributes.push(TableAttribute::Flags(flags));
        }
        let message = NfTablesMessage::NewTable(TableMessage { attributes });
        self.changes.push((NLM_F_CREATE, message));
    }

    /// Adds a set whose keys go by themselves after `timeout`; zero: they stay.
    pub(super) fn set(&mut self, name: &str, number: u32, keys: Keys, timeout: Duration) {
        let mut flags = SetFlags::empty();
        if keys.dynamic {
            flags |= SetFlags::Eval;
        }
        if !timeout.is_zero() {
            flags |= SetFlags::Timeout;
        }
        let mut description = vec![SetDescription::Size(keys.size)];
        if !keys.ranges_of.is_empty() {
            flags |= SetFlags::Interval | SetFlags::Concat;
            let parts = keys.ranges_of.iter().copied().map(part_of_a_key);
            description.push(SetDescription::Concat(parts.collect()));
        }
        let mut attributes = vec![
            SetAttribute::Table(self.table.clone()),
            SetAttribute::Name(name.to_owned()),
            SetAttribute::Flags(flags),
            SetAttribute::KeyType(keys.kind),
            SetAttribute::KeyLen(keys.len),
            SetAttribute::Id(number),
            SetAttribute::Description(description),
        ];
        if !timeout.is_zero() {
            attributes.push(SetAttribute::Timeout(millis(timeout)));
        }
        if keys.is_number {
            attributes.push(SetAttribute::UserData(order_of_this_machine()));
        }
        let message = NfTablesMessage::NewSet(SetMessage { attributes });
        self.changes.push((NLM_F_CREATE, message));
    }

    /// Takes all keys out of a set.
    pub(super) fn flush(&mut self, set: &str) {
        let attributes = vec![
            SetElementList::Table(self.table.clone()),
            SetElementList::Set(set.to_owned()),
        ];
        let message = NfTablesMessage::DeleteSetElement(SetElementMessage { attributes });
        self.changes.push((0, message));
    }

    /// Takes keys out of a set that is there; all of them must be in it.
    pub(super) fn without_elements(&mut self, set: &str, keys: impl Iterator<Item = Key>) {
        let element = |key: Key| ListAttribute::Element(key.into_attributes());
        let attributes = vec![
            SetElementList::Table(self.table.clone()),
            SetElementList::Set(set.to_owned()),
            SetElementList::Elements(keys.map(element).collect()),
        ];
        let message = NfTablesMessage::DeleteSetElement(SetElementMessage { attributes });
        self.changes.push((0, message));
    }

    /// Puts keys into a set: of this batch, or one that is there.
    pub(super) fn elements(&mut self, set: &str, number: u32, keys: impl Iterator<Item = Key>) {
        let element = |key: Key| ListAttribute::Element(key.into_attributes());
        let elements: Vec<_> = keys.map(element).collect();
        if elements.is_empty() {
            return;
        }
        let attributes = vec![
            SetElementList::Table(self.table.clone()),
            SetElementList::Set(set.to_owned()),
            SetElementList::SetId(number),
            SetElementList::Elements(elements),
        ];
        let message = NfTablesMessage::NewSetElement(SetElementMessage { attributes });
        self.changes.push((NLM_F_CREATE, message));
    }

    /// Adds a chain; without an entry only other chains lead to it.
    pub(super) fn chain(&mut self, name: &str, entry: Option<Entry>) {
        let mut attributes = vec![
            ChainAttribute::Table(self.table.clone()),
            ChainAttribute::Name(name.to_owned()),
        ];
        if let Some(Entry { hook, priority }) = entry {
            attributes.push(ChainAttribute::Hook(vec![
                Hook::Number(HookNumber::Other(hook)),
                Hook::Priority(priority.cast_unsigned()),
            ]));
            attributes.push(ChainAttribute::Type("filter".to_owned()));
        }
        let message = NfTablesMessage::NewChain(ChainMessage { attributes });
        self.changes.push((NLM_F_CREATE, message));
    }

    /// Appends a rule to a chain.
    pub(super) fn rule(&mut self, chain: &str, expressions: Vec<Expression>) {
        let attributes = vec![
            RuleAttribute::Table(self.table.clone()),
            RuleAttribute::Chain(chain.to_owned()),
            RuleAttribute::Expressions(expressions),
        ];
        let message = NfTablesMessage::NewRule(RuleMessage { attributes });
        self.changes.push((NLM_F_CREATE | NLM_F_APPEND, message));
    }
}

/// The way to the packet filter.
#[derive(Debug)]
pub(super) struct Tables {
    socket: Socket,
    sequence: u32,
}

/// Subsystem number of nf_tables, told at the start of a batch.
const SUBSYSTEM: u16 = 10;

impl Tables {
    pub(super) fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_NETFILTER)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        // The kernel answers before the request returns: what is not there then never comes.
        socket.set_non_blocking(true)?;
        Ok(Self {
            socket,
            sequence: 0,
        })
    }

    /// Makes all changes, or none of them.
    pub(super) fn commit(&mut self, batch: Batch) -> io::Result<()> {
        let first = self.sequence.wrapping_add(1);
        let mut bytes = Vec::new();
        let mark = |subsystem, inner: ControlMessage| {
            let header = NetfilterHeader::new(NetfilterProtoFamily::Unspec, 0, subsystem);
            (0, NetfilterMessage::new(header, inner))
        };
        let header = NetfilterHeader::new(batch.family.number(), 0, 0);
        let changes = batch.changes.into_iter().map(|(flags, message)| {
            let message = NetfilterMessage::new(header.clone(), message);
            (NLM_F_ACK | flags, message)
        });
        let messages = [mark(SUBSYSTEM, ControlMessage::BatchBegin)]
            .into_iter()
            .chain(changes)
            .chain([mark(SUBSYSTEM, ControlMessage::BatchEnd)]);
        for (flags, message) in messages {
            self.sequence = self.sequence.wrapping_add(1);
            append(&mut bytes, message, flags, self.sequence);
        }
        self.socket.send(&bytes, 0)?;
        // Each change is acknowledged; the marks are not.
        let expected = self.sequence.wrapping_sub(first).wrapping_sub(1);
        let mut acknowledged = 0;
        while acknowledged < expected {
            for answer in self.receive()? {
                if answer.header.sequence_number.wrapping_sub(first) > expected {
                    continue;
                }
                if let NetlinkPayload::Error(error) = answer.payload {
                    match error.code {
                        None => acknowledged += 1,
                        Some(_) => return Err(error.to_io()),
                    }
                }
            }
        }
        Ok(())
    }

    /// Names of all tables of a family.
    pub(super) fn names(&mut self, family: Family) -> io::Result<Vec<String>> {
        self.sequence = self.sequence.wrapping_add(1);
        let question = NfTablesMessage::GetTable(TableMessage {
            attributes: Vec::new(),
        });
        let header = NetfilterHeader::new(family.number(), 0, 0);
        let message = NetfilterMessage::new(header, question);
        let mut bytes = Vec::new();
        append(&mut bytes, message, NLM_F_DUMP, self.sequence);
        self.socket.send(&bytes, 0)?;
        let mut names = Vec::new();
        loop {
            for answer in self.receive()? {
                if answer.header.sequence_number != self.sequence {
                    continue;
                }
                match answer.payload {
                    NetlinkPayload::InnerMessage(found) => names.extend(name_in(found)),
                    NetlinkPayload::Done(_) => return Ok(names),
                    NetlinkPayload::Error(error) if error.code.is_some() => {
                        return Err(error.to_io());
                    }
                    _ => {}
                }
            }
        }
    }

    fn receive(&self) -> io::Result<Vec<NetlinkMessage<NetfilterMessage>>> {
        let (bytes, _) = self.socket.recv_from_full()?;
        Ok(parse(&bytes))
    }
}

fn append(bytes: &mut Vec<u8>, message: NetfilterMessage, flags: u16, sequence: u32) {
    let mut packet = NetlinkMessage::from(message);
    packet.header.flags = NLM_F_REQUEST | flags;
    packet.header.sequence_number = sequence;
    packet.finalize();
    let start = bytes.len();
    bytes.resize(start + packet.buffer_len().next_multiple_of(4), 0);
    packet.serialize(&mut bytes[start..]);
}

fn name_in(message: NetfilterMessage) -> Option<String> {
    let NetfilterMessageInner::NfTables(NfTablesMessage::NewTable(table)) = message.inner else {
        return None;
    };
    table
        .attributes
        .into_iter()
        .find_map(|attribute| match attribute {
            TableAttribute::Name(name) => Some(name),
            _ => None,
        })
}

/// What `nft list` wants to know of a set of numbers; the kernel keeps it and does not look at it.
fn order_of_this_machine() -> Vec<u8> {
    const BYTE_ORDER: u8 = 0;
    const OF_THIS_MACHINE: u32 = 1;
    let value = OF_THIS_MACHINE.to_ne_bytes();
    [[BYTE_ORDER, 4].as_slice(), value.as_slice()].concat()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
