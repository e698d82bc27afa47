//! TCP connections of this host, ended from outside the programs that have them (`sock_diag`, `ss --kill`).
//!
//! An address that leaves a host leaves its connections behind. Those of the host with itself are the worst: what a program
//! there sends to the address goes out to the new owner with that owner's own address as the sender, is dropped, and
//! nobody answers it ever. Ended from outside, the program learns of it at once (`ECONNABORTED`) and connects again.

use std::io;
use std::net::IpAddr;

use netlink_packet_sock_diag::constants::{AF_INET, AF_INET6, IPPROTO_TCP};
use netlink_packet_sock_diag::inet::{ExtensionFlags, InetRequest, SocketId, StateFlags, Timer};
use netlink_packet_sock_diag::{SockDiagDestroy, SockDiagMessage};
use netlink_sys::protocols::NETLINK_SOCK_DIAG;

use super::netlink::Requests;

/// Who is at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// Another address: a client elsewhere, or a program of this host that has another one. It gets a reset, as long as the
    /// host has the address.
    Other,
    /// The same address: a program of this host.
    Itself,
}

/// Finds and ends connections.
#[derive(Debug)]
pub struct Connections {
    requests: Requests<SockDiagMessage>,
}

impl Connections {
    /// Opens a socket for it.
    ///
    /// # Errors
    /// The kernel's.
    pub fn open() -> io::Result<Self> {
        Ok(Self {
            requests: Requests::with(NETLINK_SOCK_DIAG)?,
        })
    }

    /// Ends the connections whose end on this host is `address`, and says how many ends of this host were told; of a connection
    /// of the host with itself one end may tell the other. Listeners stay. What is refused for one is done for the others all
    /// the same.
    ///
    /// # Errors
    /// The kernel's, if no connection ended: no CAP_NET_ADMIN, `EOPNOTSUPP` without CONFIG_INET_DIAG_DESTROY, `ENOENT` without
    /// `tcp_diag`.
    pub fn end(&mut self, address: IpAddr, peer: Peer) -> io::Result<usize> {
        let (mut told, mut refusal) = (0, None);
        // Sockets of IPv6 may have addresses of IPv4.
        let families: &[u8] = match address {
            IpAddr::V4(_) => &[AF_INET, AF_INET6],
            IpAddr::V6(_) => &[AF_INET6],
        };
        for family in families {
            for id in self.of_family(*family, address.is_ipv4())? {
                let own = id.source_address.to_canonical() == address;
                let with_itself = id.destination_address.to_canonical() == address;
                if own && with_itself == (peer == Peer::Itself) {
                    match self.end_one(*family, id) {
                        Ok(ended) => told += usize::from(ended),
                        Err(error) => refusal = Some(error),
                    }
                }
            }
        }
        match refusal {
            Some(error) if told == 0 => Err(error),
            _ => Ok(told),
        }
    }

    fn of_family(&mut self, family: u8, may_be_missing: bool) -> io::Result<Vec<SocketId>> {
        let any = match family {
            AF_INET => SocketId::new_v4(),
            _ => SocketId::new_v6(),
        };
        let found = match self.requests.dump(request(family, any)) {
            Err(error) if family == AF_INET6 && may_be_missing && is_missing(&error) => {
                return Ok(Vec::new());
            }
            other => other?,
        };
        let id = |message| match message {
            // No program has it any more, and kernels before 6.1 refuse to end it; it is told as FIN_WAIT2, too.
            SockDiagMessage::InetResponse(response)
                if response.header.timer == Some(Timer::TimeWait) =>
            {
                None
            }
            SockDiagMessage::InetResponse(response) => Some(response.header.socket_id),
            _ => None,
        };
        Ok(found.into_iter().filter_map(id).collect())
    }

    /// False: it has ended meanwhile.
    fn end_one(&mut self, family: u8, id: SocketId) -> io::Result<bool> {
        let order = SockDiagDestroy::new(request(family, id));
        match self.requests.acknowledged(order, 0) {
            Ok(()) => Ok(true),
            Err(error) if is_missing(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn request(family: u8, socket_id: SocketId) -> SockDiagMessage {
    let no_connection = StateFlags::LISTEN | StateFlags::TIME_WAIT | StateFlags::CLOSE;
    SockDiagMessage::InetRequest(InetRequest {
        family,
        protocol: IPPROTO_TCP,
        extensions: ExtensionFlags::empty(),
        states: StateFlags::all().difference(no_connection),
        socket_id,
    })
}

fn is_missing(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ENOENT)
}
