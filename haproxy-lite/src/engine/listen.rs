//! Listening sockets.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::time::Duration;

use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;
use nix::sys::socket::SockaddrStorage;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

/// Listens on `address` `threads` times (`SO_REUSEPORT`). The address need not be on this machine (`IP_FREEBIND`):
/// a virtual address is listened on before it arrives.
///
/// Accepted sockets inherit what is set here, which saves a system call per option and connection.
///
/// # Errors
/// The address is taken by somebody else, or is privileged.
pub(crate) fn bind(address: SocketAddr, threads: usize) -> io::Result<Vec<OwnedFd>> {
    (0..threads).map(|_| bind_one(address)).collect()
}

fn bind_one(address: SocketAddr) -> io::Result<OwnedFd> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM.nonblocking().cloexec(),
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    match address {
        SocketAddr::V4(_) => socket.set_freebind_v4(true)?,
        SocketAddr::V6(_) => {
            socket.set_only_v6(true)?;
            socket.set_freebind_v6(true)?;
        }
    }
    socket.set_tcp_nodelay(true)?;
    keep_alive(SockRef::from(&socket))?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Finds a peer that vanished without a word within 30 s: idle, or with bytes under way.
///
/// With a user timeout the kernel does not count probes: it gives up at the first one that is due after that time while
/// any is unanswered (`tcp_keepalive_timer`). So several have to fit into it, or a single lost packet would end a session.
///
/// Sockets differ in when they begin: all clients may have come in the same moment (after a failover they do), the kernel sends
/// what is due in the same quarter of a second at once, and its queues hold a thousand packets (`netdev_max_backlog`).
///
/// # Errors
/// Never on Linux.
pub(crate) fn keep_alive(socket: SockRef<'_>) -> io::Result<()> {
    // Neighbours in number are of one session, or of the same moment.
    let mixed = socket.as_raw_fd().unsigned_abs().wrapping_mul(0x9E37_79B9) >> 16;
    let probes = TcpKeepalive::new()
        .with_time(Duration::from_secs(u64::from(10 + mixed % 6)))
        .with_interval(Duration::from_secs(2))
        .with_retries(10);
    socket.set_tcp_keepalive(&probes)?;
    socket.set_tcp_user_timeout(Some(Duration::from_secs(30)))
}

/// Whether `address` is on a network interface of this machine at the moment. The loopback interface does not count:
/// an address that was handed over stays there for the connections that are left, and nobody new comes to it.
pub(crate) fn is_on_link(address: IpAddr) -> bool {
    let all = getifaddrs().into_iter().flatten();
    all.filter(|one| !one.flags.contains(InterfaceFlags::IFF_LOOPBACK))
        .filter_map(|one| ip(&one.address?))
        .any(|held| held == address)
}

fn ip(address: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = address.as_sockaddr_in().map(|v4| v4.ip().into());
    v4.or_else(|| Some(address.as_sockaddr_in6()?.ip().into()))
}

/// The kernel cuts it to `net.core.somaxconn`.
const BACKLOG: i32 = 16_384;
