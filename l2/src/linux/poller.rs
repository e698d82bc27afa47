//! Waits for file descriptors and a deadline.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

/// Waits for many descriptors at once and for a point in time of [`super::clock::boottime`], with
/// nanosecond resolution (the timeout of `epoll_wait` has milliseconds).
#[derive(Debug)]
pub struct Poller {
    epoll: Epoll,
    timer: TimerFd,
    armed: Option<Duration>,
}

/// Token of the timer, never handed out.
const TIMER: u64 = u64::MAX;
/// Descriptors reported per call; the rest comes with the next one.
const BATCH: usize = 32;

impl Poller {
    /// A poller that watches nothing.
    ///
    /// # Errors
    /// The kernel's, when descriptors run out.
    pub fn new() -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let flags = TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK;
        let timer = TimerFd::new(ClockId::CLOCK_BOOTTIME, flags)?;
        epoll.add(&timer, EpollEvent::new(EpollFlags::EPOLLIN, TIMER))?;
        Ok(Self {
            epoll,
            timer,
            armed: None,
        })
    }

    /// Watches a descriptor for input; [`Self::wait`] reports `token`.
    ///
    /// # Errors
    /// The kernel's.
    pub fn add(&self, fd: impl AsFd, token: u32) -> io::Result<()> {
        Ok(self
            .epoll
            .add(fd, EpollEvent::new(EpollFlags::EPOLLIN, token.into()))?)
    }

    /// Stops watching a descriptor.
    ///
    /// # Errors
    /// The kernel's.
    pub fn remove(&self, fd: impl AsFd) -> io::Result<()> {
        Ok(self.epoll.delete(fd)?)
    }

    /// Waits until a descriptor has input or `deadline` has come, and puts the tokens into `ready`.
    ///
    /// # Errors
    /// The kernel's; an interrupted wait is not one.
    pub fn wait(&mut self, deadline: Option<Duration>, ready: &mut Vec<u32>) -> io::Result<()> {
        self.arm(deadline)?;
        ready.clear();
        let mut events = [EpollEvent::empty(); BATCH];
        let count = match self.epoll.wait(&mut events, EpollTimeout::NONE) {
            Ok(count) => count,
            Err(Errno::EINTR) => 0,
            Err(error) => return Err(error.into()),
        };
        for event in &events[..count] {
            match u32::try_from(event.data()) {
                Ok(token) => ready.push(token),
                // Not read: arming it again clears the expiration.
                Err(_) => self.armed = None,
            }
        }
        Ok(())
    }

    fn arm(&mut self, deadline: Option<Duration>) -> io::Result<()> {
        if deadline == self.armed && deadline.is_some() {
            return Ok(());
        }
        match deadline {
            // All zeros would disarm it.
            Some(at) => self.timer.set(
                Expiration::OneShot(TimeSpec::from(at.max(Duration::from_nanos(1)))),
                TimerSetTimeFlags::TFD_TIMER_ABSTIME,
            )?,
            None => self.timer.unset()?,
        }
        self.armed = deadline;
        Ok(())
    }
}
