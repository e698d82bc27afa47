//! Pipes for `splice`. A flow takes one when bytes are there and gives it back when it is empty, so that a few serve
//! thousands of sessions.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use super::sys;

/// One pipe, and how many bytes are in it.
#[derive(Debug)]
pub(crate) struct Pipe {
    reading: OwnedFd,
    writing: OwnedFd,
    room: usize,
    held: usize,
}

impl Pipe {
    pub(crate) fn is_empty(&self) -> bool {
        self.held == 0
    }

    /// Fills the (empty) pipe from a socket; 0 is the peer's end.
    ///
    /// # Errors
    /// As [`sys::splice`].
    pub(crate) fn fill(&mut self, source: BorrowedFd<'_>) -> io::Result<usize> {
        let moved = sys::splice(source, self.writing.as_fd(), self.room)?;
        self.held += moved;
        Ok(moved)
    }

    /// Empties a part of the pipe into a socket.
    ///
    /// # Errors
    /// As [`sys::splice`].
    pub(crate) fn drain(&mut self, sink: BorrowedFd<'_>) -> io::Result<usize> {
        let moved = sys::splice(self.reading.as_fd(), sink, self.held)?;
        self.held -= moved;
        Ok(moved)
    }
}

/// The idle pipes of a thread.
#[derive(Debug, Default)]
#[expect(
    clippy::vec_box,
    reason = "flows hold boxes: a pipe is a rare thing to have"
)]
pub(crate) struct PipePool {
    idle: Vec<Box<Pipe>>,
    /// The kernel grants this user no pipes worth having.
    refused: bool,
}

impl PipePool {
    /// An empty pipe, unless the kernel has refused one.
    pub(crate) fn take(&mut self) -> Option<Box<Pipe>> {
        if let Some(pipe) = self.idle.pop() {
            return Some(pipe);
        }
        if self.refused {
            return None;
        }
        let (reading, writing, room) = sys::pipe(WANTED).ok()?;
        if room < USEFUL {
            // Above the user's soft limit pipes are one page: copying is cheaper.
            self.refused = true;
            return None;
        }
        Some(Box::new(Pipe {
            reading,
            writing,
            room,
            held: 0,
        }))
    }

    /// Takes a pipe back; one with bytes in it is closed, because they belong to a session.
    pub(crate) fn give_back(&mut self, pipe: Box<Pipe>) {
        if pipe.is_empty() && self.idle.len() < KEPT {
            self.idle.push(pipe);
        } else {
            self.refused = false;
        }
    }

    /// Closes all but a few: a burst of bulk sessions is over.
    pub(crate) fn shrink(&mut self) {
        self.idle.truncate(KEPT_WHEN_QUIET);
        self.refused = false;
    }
}

/// 1 MiB: measured cheaper than 256 KiB by a tenth, and the most an unprivileged user gets.
const WANTED: usize = 1 << 20;
const USEFUL: usize = 64 * 1024;
const KEPT: usize = 64;
const KEPT_WHEN_QUIET: usize = 4;
