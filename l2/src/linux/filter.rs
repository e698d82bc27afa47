//! Classic BPF programs, so that the kernel only wakes us for what matters.
#![expect(
    clippy::cast_possible_truncation,
    reason = "opcodes fit into sixteen bits; libc gives them as 32-bit constants"
)]

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};

use socket2::{SockFilter, Socket};

const LOAD_BYTE: u16 = (libc::BPF_LD | libc::BPF_B | libc::BPF_ABS) as u16;
const LOAD_HALF: u16 = (libc::BPF_LD | libc::BPF_H | libc::BPF_ABS) as u16;
const LOAD_WORD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const JUMP_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

/// Returned by a program to keep the whole packet.
const ALL: u32 = u32::MAX;

/// A program under construction: tests in a row, each of which must hold.
#[derive(Debug, Default)]
pub struct Filter {
    program: Vec<SockFilter>,
}

/// Width of a loaded field.
#[derive(Debug, Clone, Copy)]
pub enum Field {
    /// One byte at this offset.
    Byte(u32),
    /// Two bytes, network order.
    Half(u32),
    /// Four bytes, network order.
    Word(u32),
}

impl Filter {
    /// Keeps nothing: for sockets that only send.
    pub fn nothing() -> Self {
        Self {
            program: vec![SockFilter::new(RETURN, 0, 0, 0)],
        }
    }

    /// Continues only if the field has one of the values.
    #[must_use]
    pub fn one_of(mut self, field: Field, values: &[u32]) -> Self {
        let (code, offset) = match field {
            Field::Byte(offset) => (LOAD_BYTE, offset),
            Field::Half(offset) => (LOAD_HALF, offset),
            Field::Word(offset) => (LOAD_WORD, offset),
        };
        self.program.push(SockFilter::new(code, 0, 0, offset));
        // Each test jumps over a chain of unconditional jumps: offsets of a conditional jump have only
        // eight bits, and there may be hundreds of values.
        let count = values.len();
        for (index, value) in values.iter().enumerate() {
            let rest = u32::try_from((count - index - 1) * 2 + 1).unwrap_or(u32::MAX);
            self.program.push(SockFilter::new(JUMP_EQUAL, 0, 1, *value));
            self.program.push(jump(rest));
        }
        self.program.push(SockFilter::new(RETURN, 0, 0, 0));
        self
    }

    /// Keeps what came through all tests.
    #[must_use]
    pub fn keep(mut self) -> Self {
        self.program.push(SockFilter::new(RETURN, 0, 0, ALL));
        self
    }

    /// ARP frames in which one of these addresses is the sender: announcements and claims.
    pub fn arp_from(senders: &[Ipv4Addr]) -> Self {
        let senders: Vec<u32> = senders.iter().map(|address| address.to_bits()).collect();
        Self::default()
            .one_of(Field::Half(12), &[0x0806])
            .one_of(Field::Word(28), &senders)
            .keep()
    }

    /// ARP frames that ask for or come from one of these addresses.
    pub fn arp_replies_from(sender: Ipv4Addr) -> Self {
        Self::default()
            .one_of(Field::Half(12), &[0x0806])
            .one_of(Field::Word(28), &[sender.to_bits()])
            .keep()
    }

    /// Neighbor Advertisements whose target ends in the last word of one of these addresses (the rest
    /// is compared by whoever reads them).
    pub fn neighbor_adverts_for(targets: &[Ipv6Addr]) -> Self {
        let last: Vec<u32> = targets
            .iter()
            .map(|address| {
                let octets = address.octets();
                u32::from_be_bytes([octets[12], octets[13], octets[14], octets[15]])
            })
            .collect();
        Self::default()
            .one_of(Field::Half(12), &[0x86dd])
            .one_of(Field::Byte(20), &[58])
            .one_of(Field::Byte(54), &[136])
            .one_of(Field::Word(74), &last)
            .keep()
    }

    /// Puts it on a socket.
    ///
    /// # Errors
    /// The kernel's: a program longer than 4096 instructions, for example.
    pub fn attach(&self, socket: &Socket) -> io::Result<()> {
        socket.attach_filter(&self.program)
    }

    /// Its length in instructions.
    pub fn len(&self) -> usize {
        self.program.len()
    }

    /// Whether it has no instruction.
    pub fn is_empty(&self) -> bool {
        self.program.is_empty()
    }
}

fn jump(over: u32) -> SockFilter {
    SockFilter::new((libc::BPF_JMP | libc::BPF_JA) as u16, 0, 0, over)
}
