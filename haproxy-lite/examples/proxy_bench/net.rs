//! Sockets, namespaces and the request that all parts speak.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd as _, BorrowedFd};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::socket::{MsgFlags, recv, send};
use socket2::{Domain, Socket, Type};

/// A request has so many bytes: what is wanted, how many bytes of it, padding.
pub(crate) const REQUEST: usize = 200;
/// Answer with so many bytes.
pub(crate) const ANSWER: u8 = b'A';
/// Never ask again and be told when something happens; acknowledged with eight bytes.
pub(crate) const WATCH: u8 = b'W';
/// Bytes of an acknowledged watch.
pub(crate) const WATCHED: usize = 8;

pub(crate) fn request(what: u8, bytes: u64) -> [u8; REQUEST] {
    let mut request = [0; REQUEST];
    request[0] = what;
    request[1..9].copy_from_slice(&bytes.to_le_bytes());
    request
}

/// What a request wants, and how much of it.
pub(crate) fn wanted(request: &[u8; REQUEST]) -> (u8, u64) {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&request[1..9]);
    (request[0], u64::from_le_bytes(bytes))
}

/// Goes on in this network namespace; empty: stays.
pub(crate) fn enter(netns: &str) -> io::Result<()> {
    if netns.is_empty() {
        return Ok(());
    }
    let file = std::fs::File::open(format!("/run/netns/{netns}"))?;
    Ok(nix::sched::setns(
        file,
        nix::sched::CloneFlags::CLONE_NEWNET,
    )?)
}

pub(crate) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM.nonblocking(),
        None,
    )?;
    socket.set_reuse_address(true)?;
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    socket.listen(16_384)?;
    Ok(socket.into())
}

/// Starts to connect.
pub(crate) fn dial(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM.nonblocking(),
        None,
    )?;
    socket.set_tcp_nodelay(true)?;
    match socket.connect(&address.into()) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
        _ => Ok(socket.into()),
    }
}

/// A connection that is open, and does not block.
pub(crate) fn open(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    Ok(stream)
}

pub(crate) fn poll() -> io::Result<Epoll> {
    Ok(Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?)
}

pub(crate) fn watch(
    epoll: &Epoll,
    fd: impl std::os::fd::AsFd,
    flags: EpollFlags,
    token: usize,
) -> io::Result<()> {
    Ok(epoll.add(fd, EpollEvent::new(flags, token as u64))?)
}

/// Bytes read, and `None` when there are none at the moment.
pub(crate) fn receive(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    match recv(fd.as_raw_fd(), buffer, MsgFlags::empty()) {
        Ok(read) => Ok(Some(read)),
        Err(nix::errno::Errno::EAGAIN) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// As [`receive`]; the bytes are thrown away by the kernel.
pub(crate) fn discard(fd: BorrowedFd<'_>, most: &mut [u8]) -> io::Result<Option<usize>> {
    match recv(fd.as_raw_fd(), most, MsgFlags::MSG_TRUNC) {
        Ok(read) => Ok(Some(read)),
        Err(nix::errno::Errno::EAGAIN) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Bytes written, 0 without room.
pub(crate) fn write(fd: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    match send(fd.as_raw_fd(), bytes, MsgFlags::MSG_NOSIGNAL) {
        Ok(sent) => Ok(sent),
        Err(nix::errno::Errno::EAGAIN) => Ok(0),
        Err(error) => Err(error.into()),
    }
}

pub(crate) fn raise_descriptor_limit() {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // With less it fails later and says so.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}
