//! A parent and a child that look after each other.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::{Pid, getppid};

/// Has the kernel send SIGTERM to this process when its parent dies, and takes back the signals that
/// the parent's [`Signals`] had blocked for its children.
///
/// # Errors
/// The parent, `parent`, is dead already.
pub fn follow_parent(parent: u32) -> io::Result<()> {
    set_pdeathsig(Signal::SIGTERM)?;
    watched().thread_unblock()?;
    if u32::try_from(getppid().as_raw()) == Ok(parent) {
        Ok(())
    } else {
        Err(io::Error::other("the parent process has died"))
    }
}

/// Signals of a parent that passes them on.
#[derive(Debug)]
pub struct Signals {
    fd: SignalFd,
}

/// What a [`Signals`] reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caught {
    /// SIGTERM or SIGINT: the process shall end.
    Stop,
    /// SIGHUP or SIGUSR1, for the child.
    PassOn(i32),
    /// A child changed its state.
    Child,
}

impl Signals {
    /// Takes the signals away from their default actions, for threads started later as well.
    ///
    /// # Errors
    /// The kernel's.
    pub fn catch() -> io::Result<Self> {
        let set = watched();
        set.thread_block()?;
        let fd = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        Ok(Self { fd })
    }

    /// The next signal, if one came.
    ///
    /// # Errors
    /// The kernel's.
    pub fn next(&self) -> io::Result<Option<Caught>> {
        let Some(info) = self.fd.read_signal()? else {
            return Ok(None);
        };
        let number = i32::try_from(info.ssi_signo).unwrap_or(0);
        Ok(Some(match Signal::try_from(number) {
            Ok(Signal::SIGCHLD) => Caught::Child,
            Ok(Signal::SIGTERM | Signal::SIGINT) => Caught::Stop,
            _ => Caught::PassOn(number),
        }))
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn watched() -> SigSet {
    [
        Signal::SIGTERM,
        Signal::SIGINT,
        Signal::SIGHUP,
        Signal::SIGUSR1,
        Signal::SIGCHLD,
    ]
    .into_iter()
    .collect()
}

/// Sends a signal, by number, to a process.
///
/// # Errors
/// The kernel's: no such process.
pub fn signal(pid: u32, number: i32) -> io::Result<()> {
    let pid = i32::try_from(pid).map_err(io::Error::other)?;
    Ok(kill(Pid::from_raw(pid), Signal::try_from(number)?)?)
}

/// Asks a process to end (SIGTERM).
///
/// # Errors
/// The kernel's: no such process.
pub fn terminate(pid: u32) -> io::Result<()> {
    signal(pid, Signal::SIGTERM as i32)
}

/// Waits for input on either descriptor, at most for `patience`; says which ones have some.
///
/// # Errors
/// The kernel's; an interrupted wait reports nothing.
pub fn wait_either(
    one: BorrowedFd<'_>,
    other: BorrowedFd<'_>,
    patience: Option<Duration>,
) -> io::Result<(bool, bool)> {
    let mut fds = [
        PollFd::new(one, PollFlags::POLLIN),
        PollFd::new(other, PollFlags::POLLIN),
    ];
    let timeout = patience.map_or(PollTimeout::NONE, |patience| {
        // Rounded up: a wait that ends too early would spin.
        let millis = patience.as_micros().div_ceil(1000).min(60_000);
        PollTimeout::try_from(millis as u64).unwrap_or(PollTimeout::MAX)
    });
    match poll(&mut fds, timeout) {
        Ok(_) => {}
        Err(nix::errno::Errno::EINTR) => return Ok((false, false)),
        Err(error) => return Err(error.into()),
    }
    let readable = |fd: &PollFd<'_>| fd.revents().is_some_and(|events| !events.is_empty());
    Ok((readable(&fds[0]), readable(&fds[1])))
}
