//! The system calls that neither std, nix nor socket2 wrap.
#![expect(
    unsafe_code,
    reason = "raw system calls: each block says why it is sound"
)]
#![expect(
    clippy::cast_possible_truncation,
    reason = "sizes of structures and address families are small constants"
)]

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Binds a packet socket to an interface and an EtherType; zero receives nothing.
pub(super) fn bind_packet(fd: BorrowedFd<'_>, index: u32, ether_type: u16) -> io::Result<()> {
    // SAFETY: sockaddr_ll is plain data, for which all zeros is a valid value.
    let mut address: libc::sockaddr_ll = unsafe { mem::zeroed() };
    address.sll_family = libc::AF_PACKET as libc::sa_family_t;
    address.sll_protocol = ether_type.to_be();
    address.sll_ifindex = i32::try_from(index).map_err(io::Error::other)?;
    let length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // SAFETY: the pointer and the length describe `address`, which outlives the call.
    check(unsafe { libc::bind(fd.as_raw_fd(), (&raw const address).cast(), length) })
}

/// Keeps a packet socket from seeing the frames this host sends.
pub(super) fn ignore_outgoing(fd: BorrowedFd<'_>) -> io::Result<()> {
    let on: libc::c_int = 1;
    let length = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the pointer and the length describe `on`, which outlives the call.
    check(unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_IGNORE_OUTGOING,
            (&raw const on).cast(),
            length,
        )
    })
}

/// Schedules the calling thread by SCHED_RR with this priority, children excepted.
pub(super) fn schedule_round_robin(priority: i32) -> io::Result<()> {
    let parameter = libc::sched_param {
        sched_priority: priority,
    };
    let policy = libc::SCHED_RR | libc::SCHED_RESET_ON_FORK;
    // SAFETY: the pointer describes `parameter`, which outlives the call; 0 is the calling thread.
    check(unsafe { libc::sched_setscheduler(0, policy, &raw const parameter) })
}

/// Sets the nice level of the calling thread.
pub(super) fn set_nice(level: libc::c_int) -> io::Result<()> {
    // SAFETY: no memory is involved; 0 is the calling thread.
    check(unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, level) })
}

/// Which process the capabilities are of, as the kernel wants to be asked (`man 2 capget`).
#[repr(C)]
struct CapabilityHeader {
    version: u32,
    process: libc::c_int,
}

/// Half of the capability sets of a thread, 32 bits each.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct CapabilityHalf {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// Puts into effect what the calling thread is permitted.
pub(super) fn raise_permitted() -> io::Result<()> {
    const VERSION_3: u32 = 0x2008_0522;
    let mut header = CapabilityHeader {
        version: VERSION_3,
        process: 0,
    };
    let mut halves = [CapabilityHalf::default(); 2];
    // SAFETY: version 3 reads one header and writes two halves; both outlive the call.
    check_long(unsafe { libc::syscall(libc::SYS_capget, &raw mut header, halves.as_mut_ptr()) })?;
    for half in &mut halves {
        half.effective = half.permitted;
    }
    // SAFETY: version 3 reads one header and two halves; both outlive the call.
    check_long(unsafe { libc::syscall(libc::SYS_capset, &raw mut header, halves.as_ptr()) })
}

fn check_long(result: libc::c_long) -> io::Result<()> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}
