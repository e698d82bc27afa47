//! Raw IP sockets: one that receives a protocol on one interface with everything the kernel knows about
//! each packet, and one that sends with a fixed source.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrIn6, recvmsg, setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};

use super::filter::Filter;
use crate::wire::{Ipv4Header, WireError};

/// What arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received<'a> {
    /// Sender.
    pub source: IpAddr,
    /// Receiver.
    pub destination: IpAddr,
    /// TTL or hop limit.
    pub ttl: u8,
    /// When the kernel received it, by [`super::clock::wall`]; absent on kernels that do not stamp.
    pub stamped: Option<Duration>,
    /// What follows the IP header.
    pub payload: &'a [u8],
}

/// Result of one receive.
#[derive(Debug)]
pub enum Reception<'a> {
    /// A packet.
    Packet(Received<'a>),
    /// A packet that is no IP packet, which a kernel never delivers.
    Malformed(WireError),
    /// Nothing more there.
    Empty,
}

/// Receives one IP protocol on one interface.
#[derive(Debug)]
pub struct RawReceiver {
    socket: Socket,
    v6: bool,
    buffer: Vec<u8>,
    control: Vec<u8>,
}

/// Larger than any packet of a link with jumbo frames.
const BUFFER: usize = 16 * 1024;
/// Room for a burst while the reader is held up.
const QUEUE: usize = 1 << 20;

impl RawReceiver {
    /// Opens a socket for `protocol` on `interface` (bound by name, so that an interface that is created
    /// anew is found again by whoever opens it anew), a member of `group`.
    ///
    /// # Errors
    /// The kernel's: missing CAP_NET_RAW, no such interface.
    pub fn open(interface: &str, index: u32, protocol: u8, group: IpAddr) -> io::Result<Self> {
        let v6 = group.is_ipv6();
        let domain = if v6 { Domain::IPV6 } else { Domain::IPV4 };
        let socket = Socket::new(domain, Type::RAW, Some(Protocol::from(i32::from(protocol))))?;
        socket.bind_device(Some(interface.as_bytes()))?;
        socket.set_nonblocking(true)?;
        socket.set_recv_buffer_size(QUEUE)?;
        setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
        match group {
            IpAddr::V4(group) => {
                socket
                    .join_multicast_v4_n(&group, &socket2::InterfaceIndexOrAddress::Index(index))?;
            }
            IpAddr::V6(group) => {
                setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
                setsockopt(&socket, sockopt::Ipv6RecvHopLimit, &true)?;
                socket.join_multicast_v6(&group, index)?;
            }
        }
        let control = nix::cmsg_space!(libc::timespec, libc::in6_pktinfo, libc::c_int);
        Ok(Self {
            socket,
            v6,
            buffer: vec![0; BUFFER],
            control,
        })
    }

    /// Takes the next packet, if there is one.
    ///
    /// # Errors
    /// The kernel's; the interface going down is one (`ENETDOWN`).
    pub fn receive(&mut self) -> io::Result<Reception<'_>> {
        let mut stamped = None;
        let mut hop_limit = None;
        let mut destination = None;
        let fd = self.socket.as_raw_fd();
        let (length, sender) = {
            let mut slices = [IoSliceMut::new(&mut self.buffer)];
            let flags = MsgFlags::MSG_DONTWAIT;
            // Filled by the kernel up to its length.
            self.control.resize(self.control.capacity(), 0);
            let message =
                match recvmsg::<SockaddrIn6>(fd, &mut slices, Some(&mut self.control), flags) {
                    Ok(message) => message,
                    Err(Errno::EAGAIN | Errno::EINTR) => return Ok(Reception::Empty),
                    Err(error) => return Err(error.into()),
                };
            for control in message.cmsgs()? {
                match control {
                    ControlMessageOwned::ScmTimestampns(stamp) => {
                        stamped = Some(Duration::from(stamp));
                    }
                    ControlMessageOwned::Ipv6PacketInfo(info) => {
                        destination = Some(Ipv6Addr::from(info.ipi6_addr.s6_addr));
                    }
                    ControlMessageOwned::Ipv6HopLimit(limit) => {
                        hop_limit = u8::try_from(limit).ok()
                    }
                    _ => {}
                }
            }
            (message.bytes, message.address)
        };
        let bytes = &self.buffer[..length.min(self.buffer.len())];
        if !self.v6 {
            return Ok(match Ipv4Header::parse(bytes) {
                Ok((header, payload)) => Reception::Packet(Received {
                    source: header.source.into(),
                    destination: header.destination.into(),
                    ttl: header.ttl,
                    stamped,
                    payload,
                }),
                Err(error) => Reception::Malformed(error),
            });
        }
        let truncated = WireError::Truncated {
            what: "ipv6 packet",
            needed: 40,
            got: 0,
        };
        Ok(match (sender, destination) {
            (Some(sender), Some(destination)) => Reception::Packet(Received {
                source: sender.ip().into(),
                destination: destination.into(),
                // Without a hop limit nothing proves that it comes from the link.
                ttl: hop_limit.unwrap_or(0),
                stamped,
                payload: bytes,
            }),
            _ => Reception::Malformed(truncated),
        })
    }

    /// Has the kernel drop what does not pass.
    ///
    /// # Errors
    /// The kernel's.
    pub fn attach(&self, filter: &Filter) -> io::Result<()> {
        filter.attach(&self.socket)
    }
}

impl AsFd for RawReceiver {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Sends one IP protocol on one interface from one address.
#[derive(Debug)]
pub struct RawSender {
    socket: Socket,
    index: u32,
}

impl RawSender {
    /// Opens a socket that sends with TTL or hop limit 255, internetwork control as type of service,
    /// no copies to this host.
    ///
    /// # Errors
    /// The kernel's: missing CAP_NET_RAW, no such interface, `source` not on this host.
    pub fn open(interface: &str, index: u32, protocol: u8, source: IpAddr) -> io::Result<Self> {
        const INTERNETWORK_CONTROL: u32 = 0xc0;
        let v6 = source.is_ipv6();
        let domain = if v6 { Domain::IPV6 } else { Domain::IPV4 };
        let socket = Socket::new(domain, Type::RAW, Some(Protocol::from(i32::from(protocol))))?;
        // A raw socket receives whether it wants to or not.
        Filter::nothing().attach(&socket)?;
        socket.bind_device(Some(interface.as_bytes()))?;
        socket.set_nonblocking(true)?;
        if v6 {
            socket.set_unicast_hops_v6(255)?;
            socket.set_multicast_hops_v6(255)?;
            socket.set_multicast_if_v6(index)?;
            socket.set_multicast_loop_v6(false)?;
            socket.set_tclass_v6(INTERNETWORK_CONTROL)?;
        } else {
            socket.set_ttl_v4(255)?;
            socket.set_multicast_ttl_v4(255)?;
            socket.set_multicast_loop_v4(false)?;
            socket.set_tos_v4(INTERNETWORK_CONTROL)?;
        }
        if let IpAddr::V4(source) = source {
            socket.set_multicast_if_v4(&source)?;
        }
        socket.bind(&address(source, index).into())?;
        Ok(Self { socket, index })
    }

    /// Sends one packet; never blocks.
    ///
    /// # Errors
    /// The kernel's: `EPERM` of a firewall, `ENOBUFS` of a full queue, `ENETDOWN`.
    pub fn send(&self, destination: IpAddr, payload: &[u8]) -> io::Result<()> {
        self.socket
            .send_to(payload, &address(destination, self.index).into())?;
        Ok(())
    }
}

fn address(ip: IpAddr, index: u32) -> SocketAddr {
    match ip {
        IpAddr::V4(ip) => SocketAddrV4::new(ip, 0).into(),
        IpAddr::V6(ip) => {
            let local = ip.is_unicast_link_local() || ip.is_multicast();
            SocketAddrV6::new(ip, 0, 0, if local { index } else { 0 }).into()
        }
    }
}
