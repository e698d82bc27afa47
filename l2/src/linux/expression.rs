//! What rules of the packet filter are made of. Each expression reads or writes registers, and ends its rule
//! without effect when it does not match.

use netlink_packet_core::DefaultNla;
use netlink_packet_netfilter::nftables::{
    Bitwise, Cmp, DataAttribute, Expressions, Immediate, Lookup, Meta, MetaKey, Operator, Payload,
    Register, Verdict, VerdictAttribute,
};

use super::nftables::Expression;

/// Part of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Field {
    base: u32,
    offset: u32,
    len: u32,
}

impl Field {
    /// Of the Ethernet header.
    pub(super) const fn of_frame(offset: u32, len: u32) -> Self {
        Self {
            base: 0,
            offset,
            len,
        }
    }

    /// Of the IP header, or of the ARP message.
    pub(super) const fn of_network(offset: u32, len: u32) -> Self {
        Self {
            base: 1,
            offset,
            len,
        }
    }

    /// Of the TCP header.
    pub(super) const fn of_transport(offset: u32, len: u32) -> Self {
        Self {
            base: 2,
            offset,
            len,
        }
    }

    /// Into a register.
    pub(super) fn load(self, register: Register) -> Expression {
        Expressions::Payload(vec![
            Payload::DestinationRegister(register),
            Payload::Base(self.base),
            Payload::Offset(self.offset),
            Payload::Len(self.len),
        ])
        .into()
    }

    /// From a register. No checksum is put right: for ARP, which has none.
    pub(super) fn store(self, register: Register) -> Expression {
        Expressions::Payload(vec![
            Payload::SourceRegister(register),
            Payload::Base(self.base),
            Payload::Offset(self.offset),
            Payload::Len(self.len),
        ])
        .into()
    }

    /// It must have this value.
    pub(super) fn is(self, value: &[u8]) -> [Expression; 2] {
        [
            self.load(Register::Reg1),
            compare(Operator::Equal, value.to_vec()),
        ]
    }

    /// It must not.
    pub(super) fn is_not(self, value: &[u8]) -> [Expression; 2] {
        [
            self.load(Register::Reg1),
            compare(Operator::NotEqual, value.to_vec()),
        ]
    }

    /// Of one byte: under the mask it must have this value.
    pub(super) fn masked_is(self, mask: u8, value: u8) -> [Expression; 3] {
        let masked = Expressions::Bitwise(vec![
            Bitwise::SourceRegister(Register::Reg1),
            Bitwise::DestinationRegister(Register::Reg1),
            Bitwise::Length(1),
            Bitwise::Mask(DataAttribute::Value(vec![mask])),
            Bitwise::Xor(DataAttribute::Value(vec![0])),
        ]);
        [
            self.load(Register::Reg1),
            masked.into(),
            compare(Operator::Equal, vec![value]),
        ]
    }
}

/// It came in on this interface.
pub(super) fn came_in_on(interface: u32) -> [Expression; 2] {
    [
        way_in(),
        compare(Operator::Equal, interface.to_ne_bytes().to_vec()),
    ]
}

/// It came in on an Ethernet interface.
pub(super) fn came_by_ethernet() -> [Expression; 2] {
    const ETHERNET: u16 = 1;
    [
        fact(MetaKey::Iftype),
        compare(Operator::Equal, ETHERNET.to_ne_bytes().to_vec()),
    ]
}

/// The interface that it came in on, into the first register.
pub(super) fn way_in() -> Expression {
    fact(MetaKey::Iif)
}

/// The interface that it goes out by, into the first register.
pub(super) fn way_out() -> Expression {
    fact(MetaKey::Oif)
}

/// It is TCP.
pub(super) fn is_tcp() -> [Expression; 2] {
    const TCP: u8 = 6;
    is_protocol(TCP)
}

/// It is of this protocol over IP.
pub(super) fn is_protocol(number: u8) -> [Expression; 2] {
    [
        fact(MetaKey::L4Proto),
        compare(Operator::Equal, vec![number]),
    ]
}

/// Its protocol over IP, into a register.
pub(super) fn protocol(register: Register) -> Expression {
    Expressions::Meta(vec![
        Meta::DestinationRegister(register),
        Meta::Key(MetaKey::L4Proto),
    ])
    .into()
}

/// States of connection tracking.
pub(super) mod state {
    /// It fits no connection, or not its place in one.
    pub(in crate::linux) const INVALID: u32 = 1;
    /// The first of a connection, or one of those before the answer.
    pub(in crate::linux) const NEW: u32 = 1 << 3;
    /// Of a connection that was answered, or of what such a one has brought about.
    pub(in crate::linux) const ESTABLISHED_OR_RELATED: u32 = 1 << 1 | 1 << 2;
}

/// Connection tracking has it in one of these states.
pub(super) fn is_in(states: u32) -> [Expression; 3] {
    const STATE: u32 = 0;
    let masked = Expressions::Bitwise(vec![
        Bitwise::SourceRegister(Register::Reg1),
        Bitwise::DestinationRegister(Register::Reg1),
        Bitwise::Length(4),
        Bitwise::Mask(DataAttribute::Value(states.to_ne_bytes().to_vec())),
        Bitwise::Xor(DataAttribute::Value(vec![0; 4])),
    ]);
    [
        other(
            "ct",
            vec![number(1, Register::Reg1.into()), number(2, STATE)],
        ),
        masked.into(),
        compare(Operator::NotEqual, vec![0; 4]),
    ]
}

fn fact(key: MetaKey) -> Expression {
    Expressions::Meta(vec![
        Meta::DestinationRegister(Register::Reg1),
        Meta::Key(key),
    ])
    .into()
}

fn compare(operator: Operator, value: Vec<u8>) -> Expression {
    Expressions::Cmp(vec![
        Cmp::SourceRegister(Register::Reg1),
        Cmp::Op(operator),
        Cmp::Data(DataAttribute::Value(value)),
    ])
    .into()
}

/// A set of the table, by name and by its number in the batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Set {
    pub(super) name: &'static str,
    pub(super) number: u32,
}

impl Set {
    /// What is in the register must be in the set.
    pub(super) fn contains(self, register: Register) -> Expression {
        Expressions::Lookup(vec![
            Lookup::Set(self.name.to_owned()),
            Lookup::SourceRegister(register),
            Lookup::SetId(self.number),
        ])
        .into()
    }

    /// What is in the register is put into the set, or stays there for longer; does not match when it is full.
    pub(super) fn note(self, register: Register) -> Expression {
        const UPDATE: u32 = 1;
        other(
            "dynset",
            vec![
                DefaultNla::new(1, terminated(self.name)),
                number(2, self.number),
                number(3, UPDATE),
                number(4, register.into()),
            ],
        )
    }
}

/// A value into a register.
pub(super) fn value(register: Register, value: Vec<u8>) -> Expression {
    Expressions::Immediate(vec![
        Immediate::DestinationRegister(register),
        Immediate::Data(DataAttribute::Value(value)),
    ])
    .into()
}

/// A copy goes to the neighbour whose address is in one register, through the interface in the other.
pub(super) fn copy_to(neighbour: Register, interface: Register) -> Expression {
    other(
        "dup",
        vec![number(1, neighbour.into()), number(2, interface.into())],
    )
}

/// Counts what comes so far.
pub(super) fn count() -> Expression {
    other("counter", Vec::new())
}

/// The packet goes on.
pub(super) fn accept() -> Expression {
    const ACCEPT: u32 = 1;
    verdict(vec![VerdictAttribute::Code(Verdict::Other(ACCEPT))])
}

/// The packet ends here.
pub(super) fn discard() -> Expression {
    const DROP: u32 = 0;
    verdict(vec![VerdictAttribute::Code(Verdict::Other(DROP))])
}

/// On in another chain.
pub(super) fn go_to(chain: &str) -> Expression {
    verdict(vec![
        VerdictAttribute::Code(Verdict::Goto),
        VerdictAttribute::Chain(chain.to_owned()),
    ])
}

fn verdict(attributes: Vec<VerdictAttribute>) -> Expression {
    Expressions::Immediate(vec![
        Immediate::DestinationRegister(Register::Verdict),
        Immediate::Data(DataAttribute::Verdict(attributes)),
    ])
    .into()
}

/// An expression that the library has no type for; the numbers are those of the kernel's `nf_tables.h`.
fn other(name: &str, attributes: Vec<DefaultNla>) -> Expression {
    Expressions::Other {
        expression_type: name.to_owned(),
        attributes,
    }
    .into()
}

fn number(kind: u16, value: u32) -> DefaultNla {
    DefaultNla::new(kind, value.to_be_bytes().to_vec())
}

fn terminated(text: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    bytes.push(0);
    bytes
}
