//! Packet sockets: whole Ethernet frames on one interface.

use std::io::{self, Read as _};
use std::os::fd::{AsFd, BorrowedFd};

use socket2::{Domain, Protocol, Socket, Type};

use super::filter::Filter;
use super::sys;
use crate::wire::EtherType;

/// Sends and receives Ethernet frames of one EtherType on one interface.
#[derive(Debug)]
pub struct PacketSocket {
    socket: Socket,
    buffer: Vec<u8>,
}

const BUFFER: usize = 2048;

impl PacketSocket {
    /// Opens a socket that receives what passes `filter`; own frames are not received.
    ///
    /// # Errors
    /// The kernel's: missing CAP_NET_RAW, no such interface.
    pub fn open(index: u32, ether_type: EtherType, filter: &Filter) -> io::Result<Self> {
        // Protocol zero receives nothing until it is bound: no frame slips in before the filter.
        let socket = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(0)))?;
        socket.set_nonblocking(true)?;
        filter.attach(&socket)?;
        sys::ignore_outgoing(socket.as_fd())?;
        sys::bind_packet(socket.as_fd(), index, ether_type as u16)?;
        Ok(Self {
            socket,
            buffer: vec![0; BUFFER],
        })
    }

    /// Replaces the filter.
    ///
    /// # Errors
    /// The kernel's.
    pub fn refilter(&self, filter: &Filter) -> io::Result<()> {
        filter.attach(&self.socket)
    }

    /// Sends one frame; never blocks.
    ///
    /// # Errors
    /// The kernel's: `ENETDOWN`, `ENOBUFS`.
    pub fn send(&self, frame: &[u8]) -> io::Result<()> {
        self.socket.send(frame)?;
        Ok(())
    }

    /// Takes the next frame, if there is one.
    ///
    /// # Errors
    /// The kernel's: `ENETDOWN` once when the interface goes down.
    pub fn receive(&mut self) -> io::Result<Option<&[u8]>> {
        match (&self.socket).read(&mut self.buffer) {
            Ok(length) => Ok(Some(&self.buffer[..length])),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
