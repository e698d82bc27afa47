//! The socket of the heartbeats.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket},
};

pub(super) fn listen(port: u16) -> io::Result<UdpSocket> {
    let any = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, port));
    // A host without IPv6.
    let socket = any.or_else(|_| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)));
    let words = |error: io::Error| {
        let words = format!("UDP port {port} for heartbeats: {error}");
        io::Error::new(error.kind(), words)
    };
    let socket = socket.map_err(words)?;
    socket.set_nonblocking(true)?;
    socket.set_broadcast(true)?;
    Ok(socket)
}

/// `to` on the link of one interface: a group of IPv6 is one on each.
pub(super) const fn on_link(index: u32, to: SocketAddr) -> SocketAddr {
    match to {
        SocketAddr::V6(v6) => {
            SocketAddr::V6(SocketAddrV6::new(*v6.ip(), v6.port(), v6.flowinfo(), index))
        }
        SocketAddr::V4(_) => to,
    }
}

/// The address as the socket's family writes it.
pub(super) fn mapped(socket: &UdpSocket, to: SocketAddr) -> SocketAddr {
    match (socket.local_addr(), to.ip()) {
        (Ok(SocketAddr::V6(_)), IpAddr::V4(v4)) => {
            SocketAddr::new(v4.to_ipv6_mapped().into(), to.port())
        }
        _ => to,
    }
}
