//! The system calls of the data path, each as a safe function: what the standard library and `socket2` cannot
//! do without a second system call or a copy.
#![expect(
    unsafe_code,
    reason = "the proxy's only file with raw system calls; each block says why it is sound"
)]

use std::io;
use std::mem::MaybeUninit;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};

/// Readiness that was reported for a registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Readiness(u32);

impl Readiness {
    /// There may be bytes, an end or an error to read.
    pub(crate) fn readable(self) -> bool {
        self.has(libc::EPOLLIN | libc::EPOLLRDHUP | libc::EPOLLHUP | libc::EPOLLERR)
    }

    /// There may be room to write, or a connect has ended.
    pub(crate) fn writable(self) -> bool {
        self.has(libc::EPOLLOUT | libc::EPOLLHUP | libc::EPOLLERR)
    }

    /// The peer sent FIN: after the bytes there is an end to read.
    pub(crate) fn peer_finished(self) -> bool {
        self.has(libc::EPOLLRDHUP | libc::EPOLLHUP)
    }

    /// The connection is broken.
    pub(crate) fn failed(self) -> bool {
        self.has(libc::EPOLLERR)
    }

    /// Both directions are gone.
    pub(crate) fn hung_up(self) -> bool {
        self.has(libc::EPOLLHUP)
    }

    fn has(self, bits: i32) -> bool {
        self.0 & bits.cast_unsigned() != 0
    }
}

/// What a registration asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interest {
    /// Bytes and end, once per change.
    Read,
    /// Bytes, end and room, once per change.
    ReadWrite,
    /// Bytes for as long as there are some (listeners, wake-ups).
    LevelRead,
    /// Nothing (a paused listener).
    Nothing,
}

impl Interest {
    fn bits(self) -> u32 {
        let bits = match self {
            Self::Read => libc::EPOLLIN | libc::EPOLLRDHUP | libc::EPOLLET,
            Self::ReadWrite => libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLRDHUP | libc::EPOLLET,
            Self::LevelRead => libc::EPOLLIN,
            Self::Nothing => 0,
        };
        bits.cast_unsigned()
    }
}

/// An epoll instance.
#[derive(Debug)]
pub(crate) struct Epoll(OwnedFd);

impl Epoll {
    /// # Errors
    /// Out of descriptors or memory.
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: no pointers; a non-negative result is a descriptor nobody else owns.
        unsafe { owned(libc::epoll_create1(libc::EPOLL_CLOEXEC)) }.map(Self)
    }

    /// Registers `fd`; it leaves by being closed.
    ///
    /// # Errors
    /// Out of memory or of the user's watches.
    pub(crate) fn add(&self, fd: BorrowedFd<'_>, interest: Interest, token: u64) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, fd, interest, token)
    }

    /// Changes a registration; what is ready already is reported again.
    ///
    /// # Errors
    /// Out of memory.
    pub(crate) fn modify(
        &self,
        fd: BorrowedFd<'_>,
        interest: Interest,
        token: u64,
    ) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, fd, interest, token)
    }

    /// Removes a registration whose socket lives on elsewhere.
    pub(crate) fn remove(&self, fd: BorrowedFd<'_>) {
        // What is not registered needs no removing.
        let _ = self.control(libc::EPOLL_CTL_DEL, fd, Interest::Nothing, 0);
    }

    fn control(
        &self,
        operation: i32,
        fd: BorrowedFd<'_>,
        interest: Interest,
        token: u64,
    ) -> io::Result<()> {
        let mut event = libc::epoll_event {
            events: interest.bits(),
            u64: token,
        };
        // SAFETY: `event` lives through the call; both descriptors are borrowed and so open.
        let result = unsafe {
            libc::epoll_ctl(
                self.0.as_raw_fd(),
                operation,
                fd.as_raw_fd(),
                &raw mut event,
            )
        };
        zero(result)
    }

    /// Waits up to `timeout_millis` (−1: for ever) and puts what is ready into `events`. An interrupting signal
    /// counts as nothing ready.
    ///
    /// # Errors
    /// Never in a sound program.
    pub(crate) fn wait(&self, events: &mut Events, timeout_millis: i32) -> io::Result<()> {
        events.ready = 0;
        let room = i32::try_from(events.slots.len()).unwrap_or(i32::MAX);
        // SAFETY: the kernel writes at most `room` events into `slots`, which has that many.
        let result = unsafe {
            libc::epoll_wait(
                self.0.as_raw_fd(),
                events.slots.as_mut_ptr(),
                room,
                timeout_millis,
            )
        };
        match usize::try_from(result) {
            Ok(ready) => {
                events.ready = ready;
                Ok(())
            }
            Err(_) => match io::Error::last_os_error() {
                e if e.kind() == io::ErrorKind::Interrupted => Ok(()),
                e => Err(e),
            },
        }
    }
}

/// Room for the events of one wait.
pub(crate) struct Events {
    slots: Box<[libc::epoll_event]>,
    ready: usize,
}

impl Events {
    pub(crate) fn with_room_for(events: usize) -> Self {
        Self {
            slots: vec![libc::epoll_event { events: 0, u64: 0 }; events].into_boxed_slice(),
            ready: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.ready
    }

    /// Token and readiness of the `index`th event of the last wait.
    pub(crate) fn get(&self, index: usize) -> (u64, Readiness) {
        let event = self.slots[index];
        (event.u64, Readiness(event.events))
    }
}

/// Accepts one connection: non-blocking, close-on-exec, with its source.
///
/// # Errors
/// `WouldBlock` without one; a connection that died in the queue; out of descriptors or memory.
pub(crate) fn accept(listener: BorrowedFd<'_>) -> io::Result<(OwnedFd, SocketAddr)> {
    let mut storage = MaybeUninit::<libc::sockaddr_storage>::zeroed();
    let mut length = socklen(size_of::<libc::sockaddr_storage>());
    // SAFETY: `storage` has `length` bytes; a non-negative result is a descriptor nobody else owns.
    let fd = unsafe {
        owned(libc::accept4(
            listener.as_raw_fd(),
            storage.as_mut_ptr().cast(),
            &raw mut length,
            libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC,
        ))
    }?;
    // SAFETY: zeroed before the call, and all-zero is a valid `sockaddr_storage`.
    let storage = unsafe { storage.assume_init() };
    Ok((fd, socket_addr(&storage)))
}

/// Reads into `buffer`; 0 is the peer's end.
///
/// # Errors
/// `WouldBlock` without bytes; the connection's error.
pub(crate) fn receive(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    // SAFETY: the kernel writes at most `buffer.len()` bytes into `buffer`.
    length(unsafe { libc::recv(fd.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), 0) })
}

/// Looks at the bytes that `receive` would take, without taking them.
///
/// # Errors
/// As [`receive`].
pub(crate) fn peek(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    // SAFETY: the kernel writes at most `buffer.len()` bytes into `buffer`.
    length(unsafe {
        libc::recv(
            fd.as_raw_fd(),
            buffer.as_mut_ptr().cast(),
            buffer.len(),
            libc::MSG_PEEK,
        )
    })
}

/// Writes a part of `bytes` and says how much; no SIGPIPE.
///
/// # Errors
/// `WouldBlock` without room; the connection's error.
pub(crate) fn send(fd: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    // SAFETY: the kernel reads at most `bytes.len()` bytes from `bytes`.
    length(unsafe {
        libc::send(
            fd.as_raw_fd(),
            bytes.as_ptr().cast(),
            bytes.len(),
            libc::MSG_NOSIGNAL,
        )
    })
}

/// Moves up to `bytes` bytes between a socket and a pipe without a copy; 0 is the peer's end.
///
/// # Errors
/// `WouldBlock` without bytes or room; the connection's error.
pub(crate) fn splice(from: BorrowedFd<'_>, to: BorrowedFd<'_>, bytes: usize) -> io::Result<usize> {
    // SAFETY: no offsets are passed; both descriptors are borrowed and so open.
    length(unsafe {
        libc::splice(
            from.as_raw_fd(),
            std::ptr::null_mut(),
            to.as_raw_fd(),
            std::ptr::null_mut(),
            bytes,
            libc::SPLICE_F_NONBLOCK | libc::SPLICE_F_MOVE,
        )
    })
}

/// A non-blocking pipe with room for `wanted` bytes, or for what the kernel grants: reading end, writing end, room.
///
/// # Errors
/// Out of descriptors.
pub(crate) fn pipe(wanted: usize) -> io::Result<(OwnedFd, OwnedFd, usize)> {
    let mut ends = [-1; 2];
    // SAFETY: `ends` has room for the two descriptors; after success nobody else owns them.
    let (reading, writing) = unsafe {
        zero(libc::pipe2(
            ends.as_mut_ptr(),
            libc::O_NONBLOCK | libc::O_CLOEXEC,
        ))?;
        (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1]))
    };
    let wanted = i32::try_from(wanted).unwrap_or(i32::MAX);
    // SAFETY: no pointers. Refusal (limits of an unprivileged user) leaves the pipe as it was.
    let granted = unsafe {
        libc::fcntl(writing.as_raw_fd(), libc::F_SETPIPE_SZ, wanted);
        libc::fcntl(writing.as_raw_fd(), libc::F_GETPIPE_SZ)
    };
    Ok((reading, writing, usize::try_from(granted).unwrap_or(4096)))
}

/// A counter that wakes an epoll from another thread.
#[derive(Debug)]
pub(crate) struct Waker(OwnedFd);

impl Waker {
    /// # Errors
    /// Out of descriptors.
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: no pointers; a non-negative result is a descriptor nobody else owns.
        unsafe { owned(libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC)) }.map(Self)
    }

    /// Makes the descriptor readable. A full counter is as good.
    pub(crate) fn wake(&self) {
        let one = 1_u64.to_ne_bytes();
        // SAFETY: reads the eight bytes of `one`.
        unsafe { libc::write(self.0.as_raw_fd(), one.as_ptr().cast(), one.len()) };
    }

    /// Makes it unreadable again.
    pub(crate) fn reset(&self) {
        let mut count = [0_u8; 8];
        // SAFETY: writes at most eight bytes into `count`.
        unsafe { libc::read(self.0.as_raw_fd(), count.as_mut_ptr().cast(), count.len()) };
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        use std::os::fd::AsFd as _;
        self.0.as_fd()
    }
}

/// Raises the soft limit of open descriptors to the hard limit and returns it.
pub(crate) fn raise_descriptor_limit() -> u64 {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` is a valid place to write to and to read from.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) != 0 {
            return 1024;
        }
        if limit.rlim_cur < limit.rlim_max {
            let raised = libc::rlimit {
                rlim_cur: limit.rlim_max,
                rlim_max: limit.rlim_max,
            };
            if libc::setrlimit(libc::RLIMIT_NOFILE, &raw const raised) == 0 {
                limit = raised;
            }
        }
    }
    limit.rlim_cur
}

/// Uses the right to bind ports below 1024 where this thread may have it and does not: the program's file grants it to users
/// who are not root for the asking only. Threads that are started afterwards have it too.
///
/// # Errors
/// The kernel's.
pub(crate) fn claim_low_ports() -> io::Result<()> {
    /// `CAP_NET_BIND_SERVICE`.
    const RIGHT: u32 = 1 << 10;
    let mut header = CapabilityHeader {
        version: CAPABILITY_VERSION,
        pid: 0,
    };
    let mut sets = [CapabilitySets::default(); 2];
    let call = |number, header: *mut CapabilityHeader, sets: *mut CapabilitySets| {
        // SAFETY: both pointers are to live values of the layout and number that this version asks for.
        match unsafe { libc::syscall(number, header, sets) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    };
    call(libc::SYS_capget, &raw mut header, sets.as_mut_ptr())?;
    if sets[0].permitted & !sets[0].effective & RIGHT == 0 {
        return Ok(());
    }
    sets[0].effective |= RIGHT;
    call(libc::SYS_capset, &raw mut header, sets.as_mut_ptr())
}

#[repr(C)]
struct CapabilityHeader {
    version: u32,
    pid: i32,
}

/// Half of the capabilities: 32 bits of each set.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct CapabilitySets {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// `_LINUX_CAPABILITY_VERSION_3`: two halves.
const CAPABILITY_VERSION: u32 = 0x2008_0522;

/// # Safety
/// `fd` is the fresh result of a call that creates descriptors: nobody else owns it.
unsafe fn owned(fd: i32) -> io::Result<OwnedFd> {
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: by the contract of this function.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn zero(result: i32) -> io::Result<()> {
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

fn length(result: isize) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

fn socklen(bytes: usize) -> libc::socklen_t {
    libc::socklen_t::try_from(bytes).unwrap_or(0)
}

/// IPv4-mapped IPv6 addresses come out as IPv4, so that ranges and limits see one address per client.
fn socket_addr(storage: &libc::sockaddr_storage) -> SocketAddr {
    let any: *const libc::sockaddr_storage = storage;
    match i32::from(storage.ss_family) {
        libc::AF_INET => {
            // SAFETY: the family says so, and the storage is larger than and aligned for every address type.
            let v4 = unsafe { *any.cast::<libc::sockaddr_in>() };
            let address = Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr));
            SocketAddr::new(IpAddr::V4(address), u16::from_be(v4.sin_port))
        }
        libc::AF_INET6 => {
            // SAFETY: as above.
            let v6 = unsafe { *any.cast::<libc::sockaddr_in6>() };
            let address = Ipv6Addr::from(v6.sin6_addr.s6_addr);
            SocketAddr::new(
                IpAddr::V6(address).to_canonical(),
                u16::from_be(v6.sin6_port),
            )
        }
        _ => SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
    }
}

/// Receives bytes, and descriptors that came with them (at most [`MOST_DESCRIPTORS`]).
///
/// # Errors
/// The socket's error; descriptors were cut off.
pub(crate) fn receive_with_descriptors(
    fd: BorrowedFd<'_>,
    buffer: &mut [u8],
) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut control = [0_u64; CONTROL_WORDS];
    let mut slice = libc::iovec {
        iov_base: buffer.as_mut_ptr().cast(),
        iov_len: buffer.len(),
    };
    // SAFETY: an all-zero `msghdr` is valid: no name, no buffers.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut slice;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = size_of_val(&control) as _;
    // SAFETY: `message` points to `buffer` and `control`, with their lengths; both live through the call.
    let received =
        length(unsafe { libc::recvmsg(fd.as_raw_fd(), &raw mut message, libc::MSG_CMSG_CLOEXEC) })?;
    let mut descriptors = Vec::new();
    // SAFETY: the kernel has filled `control` and set its length, which the CMSG functions walk along; descriptors in
    // SCM_RIGHTS are fresh and nobody else owns them. Reads are unaligned-safe.
    unsafe {
        let mut header = libc::CMSG_FIRSTHDR(&raw const message);
        while let Some(part) = header.as_ref() {
            if part.cmsg_level == libc::SOL_SOCKET && part.cmsg_type == libc::SCM_RIGHTS {
                let bytes = part.cmsg_len - libc::CMSG_LEN(0) as usize;
                let data = libc::CMSG_DATA(header).cast::<i32>();
                for index in 0..bytes / size_of::<i32>() {
                    descriptors.push(OwnedFd::from_raw_fd(data.add(index).read_unaligned()));
                }
            }
            header = libc::CMSG_NXTHDR(&raw const message, header);
        }
    }
    if message.msg_flags & libc::MSG_CTRUNC != 0 {
        return Err(io::Error::other(
            "descriptors were cut off: is the limit of open files reached?",
        ));
    }
    Ok((received, descriptors))
}

/// Sends bytes, and descriptors with them.
///
/// # Errors
/// The socket's error; more than [`MOST_DESCRIPTORS`].
pub(crate) fn send_with_descriptors(
    fd: BorrowedFd<'_>,
    bytes: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<usize> {
    if descriptors.len() > MOST_DESCRIPTORS {
        return Err(io::Error::other("too many descriptors for one message"));
    }
    let mut control = [0_u64; CONTROL_WORDS];
    let mut slice = libc::iovec {
        iov_base: bytes.as_ptr().cast_mut().cast(),
        iov_len: bytes.len(),
    };
    let payload = u32::try_from(size_of_val(descriptors)).unwrap_or(0);
    // SAFETY: as in `receive_with_descriptors`; `control` has room for MOST_DESCRIPTORS, checked above, and the kernel only
    // reads from `bytes`.
    length(unsafe {
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_iov = &raw mut slice;
        message.msg_iovlen = 1;
        if !descriptors.is_empty() {
            message.msg_control = control.as_mut_ptr().cast();
            message.msg_controllen = libc::CMSG_SPACE(payload) as _;
            let header = libc::CMSG_FIRSTHDR(&raw const message);
            (*header).cmsg_level = libc::SOL_SOCKET;
            (*header).cmsg_type = libc::SCM_RIGHTS;
            (*header).cmsg_len = libc::CMSG_LEN(payload) as _;
            let data = libc::CMSG_DATA(header).cast::<i32>();
            for (index, descriptor) in descriptors.iter().enumerate() {
                data.add(index).write_unaligned(descriptor.as_raw_fd());
            }
        }
        libc::sendmsg(fd.as_raw_fd(), &raw const message, libc::MSG_NOSIGNAL)
    })
}

/// Descriptors in one message.
pub(crate) const MOST_DESCRIPTORS: usize = 16;
/// Room for a header and [`MOST_DESCRIPTORS`], aligned as headers want it.
const CONTROL_WORDS: usize = 16;
