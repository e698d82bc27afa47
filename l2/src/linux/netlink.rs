//! Requests to the kernel by netlink, and the notifications of its network configuration.

use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd};

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkDeserializable, NetlinkMessage, NetlinkPayload,
    NetlinkSerializable,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

/// A socket for requests, with answers of one kind. Every call waits for the kernel's answer, and most of them for the lock
/// of all network configuration: not for a thread that may not be late.
#[derive(Debug)]
pub struct Requests<A = RouteNetlinkMessage> {
    socket: Socket,
    sequence: u32,
    answers: PhantomData<A>,
}

impl Requests {
    /// Opens a socket for the network configuration.
    ///
    /// # Errors
    /// The kernel's.
    pub fn open() -> io::Result<Self> {
        Self::with(NETLINK_ROUTE)
    }
}

impl<A: NetlinkDeserializable> Requests<A> {
    /// Opens a socket for a part of the kernel.
    pub(super) fn with(protocol: isize) -> io::Result<Self> {
        let mut socket = Socket::new(protocol)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        Ok(Self {
            socket,
            sequence: 0,
            answers: PhantomData,
        })
    }

    /// Sends a request and waits for its acknowledgement.
    ///
    /// # Errors
    /// What the kernel answered, as an errno.
    pub fn acknowledged<M>(&mut self, message: M, flags: u16) -> io::Result<()>
    where
        M: NetlinkSerializable + Into<NetlinkPayload<M>>,
    {
        let sequence = self.send(message, NLM_F_REQUEST | NLM_F_ACK | flags)?;
        loop {
            for answer in self.receive()? {
                if answer.header.sequence_number != sequence {
                    continue;
                }
                if let NetlinkPayload::Error(error) = answer.payload {
                    return match error.code {
                        None => Ok(()),
                        Some(_) => Err(error.to_io()),
                    };
                }
            }
        }
    }

    /// Sends a dump request and gives back everything it yields.
    ///
    /// # Errors
    /// What the kernel answered, as an errno.
    pub fn dump<M>(&mut self, message: M) -> io::Result<Vec<A>>
    where
        M: NetlinkSerializable + Into<NetlinkPayload<M>>,
    {
        let sequence = self.send(message, NLM_F_REQUEST | NLM_F_DUMP)?;
        let mut found = Vec::new();
        loop {
            for answer in self.receive()? {
                if answer.header.sequence_number != sequence {
                    continue;
                }
                match answer.payload {
                    NetlinkPayload::InnerMessage(inner) => found.push(inner),
                    NetlinkPayload::Done(done) => {
                        return match done.code {
                            0.. => Ok(found),
                            // It began, and was not carried on.
                            code => Err(io::Error::from_raw_os_error(code.saturating_neg())),
                        };
                    }
                    NetlinkPayload::Error(error) if error.code.is_some() => {
                        return Err(error.to_io());
                    }
                    _ => {}
                }
            }
        }
    }

    /// Sends a question and waits for its one answer; `None` when the kernel gave none that this crate can read.
    ///
    /// # Errors
    /// What the kernel answered, as an errno.
    pub fn answered<M>(&mut self, message: M) -> io::Result<Option<A>>
    where
        M: NetlinkSerializable + Into<NetlinkPayload<M>>,
    {
        // The acknowledgement comes last and can always be read: the wait has an end.
        let sequence = self.send(message, NLM_F_REQUEST | NLM_F_ACK)?;
        let mut found = None;
        loop {
            for answer in self.receive()? {
                if answer.header.sequence_number != sequence {
                    continue;
                }
                match answer.payload {
                    NetlinkPayload::InnerMessage(inner) => found = Some(inner),
                    NetlinkPayload::Error(error) => {
                        return match error.code {
                            None => Ok(found),
                            Some(_) => Err(error.to_io()),
                        };
                    }
                    _ => {}
                }
            }
        }
    }

    fn send<M>(&mut self, message: M, flags: u16) -> io::Result<u32>
    where
        M: NetlinkSerializable + Into<NetlinkPayload<M>>,
    {
        self.sequence = self.sequence.wrapping_add(1);
        let mut packet = NetlinkMessage::from(message);
        packet.header.flags = flags;
        packet.header.sequence_number = self.sequence;
        packet.finalize();
        let mut bytes = vec![0; packet.buffer_len()];
        packet.serialize(&mut bytes);
        self.socket.send(&bytes, 0)?;
        Ok(self.sequence)
    }

    fn receive(&self) -> io::Result<Vec<NetlinkMessage<A>>> {
        let (bytes, _) = self.socket.recv_from_full()?;
        Ok(parse(&bytes))
    }
}

/// A socket for notifications of changed links, addresses and neighbours.
#[derive(Debug)]
pub struct Notifications {
    socket: Socket,
}

const RTNLGRP_LINK: u32 = 1;
const RTNLGRP_NEIGH: u32 = 3;
const RTNLGRP_IPV4_IFADDR: u32 = 5;
const RTNLGRP_IPV6_IFADDR: u32 = 9;

impl Notifications {
    /// Opens the socket; what changes from now on is queued.
    ///
    /// # Errors
    /// The kernel's.
    pub fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        for group in [
            RTNLGRP_LINK,
            RTNLGRP_NEIGH,
            RTNLGRP_IPV4_IFADDR,
            RTNLGRP_IPV6_IFADDR,
        ] {
            socket.add_membership(group)?;
        }
        socket.set_non_blocking(true)?;
        Ok(Self { socket })
    }

    /// The next changes, if there are any; `None` when some were lost and everything has to be looked
    /// at again.
    ///
    /// # Errors
    /// The kernel's.
    pub fn receive(&self) -> io::Result<Option<Vec<RouteNetlinkMessage>>> {
        match self.socket.recv_from_full() {
            Ok((bytes, _)) => Ok(Some(
                parse(&bytes)
                    .into_iter()
                    .filter_map(|message| match message.payload {
                        NetlinkPayload::InnerMessage(inner) => Some(inner),
                        _ => None,
                    })
                    .collect(),
            )),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Some(Vec::new())),
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                self.forget()?;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Throws away what is queued: it is older than everything that is read from now on, and would undo it. What is lost
    /// meanwhile is as old.
    fn forget(&self) -> io::Result<()> {
        loop {
            match self.socket.recv_from_full() {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl AsFd for Notifications {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The messages of a datagram; what this crate cannot read is left out (newer kernels say more).
pub(super) fn parse<M: NetlinkDeserializable>(mut bytes: &[u8]) -> Vec<NetlinkMessage<M>> {
    let mut messages = Vec::new();
    while let Some(header) = bytes.first_chunk::<4>() {
        let length = u32::from_ne_bytes(*header) as usize;
        let Some(message) = bytes.get(..length).filter(|message| message.len() >= 16) else {
            break;
        };
        if let Ok(message) = NetlinkMessage::deserialize(message) {
            messages.push(message);
        }
        bytes = &bytes[length.next_multiple_of(4).min(bytes.len())..];
    }
    messages
}
