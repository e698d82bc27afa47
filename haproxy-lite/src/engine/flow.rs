//! One direction of a session: reads from one socket, writes to the other.
//!
//! A turn moves a bounded amount, so that a bulk transfer cannot starve small requests. Nothing is kept per session
//! while it is idle: bytes pass through the thread's scratch buffer, and only what the sink did not take is held, during
//! which nothing more is read (back-pressure). After full reads in a row the flow goes through a pipe (`splice`).

use std::io;
use std::os::fd::BorrowedFd;

use super::pipes::{Pipe, PipePool};
use super::sys;

/// How a turn ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Nothing to do until the source has bytes or the sink has room.
    Waiting,
    /// The sink is full: nothing to do until it has room.
    Blocked,
    /// There is probably more to move: come back after the others.
    More,
    /// The source has ended, and everything before the end is at the sink: pass the end on.
    Ended,
    /// The source's connection broke.
    SourceBroken,
    /// The sink's connection broke.
    SinkBroken,
}

/// What the flows of a thread share.
#[derive(Debug)]
pub(crate) struct Gear {
    /// Bytes of the last read are at its start.
    pub(crate) scratch: Box<[u8]>,
    pub(crate) pipes: PipePool,
    /// Whether bulk may go through pipes.
    pub(crate) splice: bool,
    /// Bytes that all flows have moved.
    pub(crate) moved: u64,
}

impl Gear {
    pub(crate) fn new(splice: bool) -> Self {
        Self {
            scratch: vec![0; SCRATCH].into_boxed_slice(),
            pipes: PipePool::default(),
            splice,
            moved: 0,
        }
    }
}

/// One direction.
#[derive(Debug, Default)]
pub(crate) struct Flow {
    held: Option<Box<Held>>,
    pipe: Option<Box<Pipe>>,
    moved: u64,
    /// The source may have bytes or an end.
    readable: bool,
    /// The source has said that its end follows.
    end_follows: bool,
    ended: bool,
    finished: bool,
    /// The sink has taken less than it was offered and has not reported room since.
    sink_full: bool,
    full_reads: u8,
}

#[derive(Debug)]
struct Held {
    bytes: Vec<u8>,
    sent: usize,
}

impl Flow {
    /// Bytes that the sink took.
    pub(crate) fn moved(&self) -> u64 {
        self.moved
    }

    /// The source has reported something to read; `end_follows`: an end among it.
    pub(crate) fn source_ready(&mut self, end_follows: bool) {
        self.readable = true;
        self.end_follows |= end_follows;
    }

    /// The sink has reported room.
    pub(crate) fn sink_ready(&mut self) {
        self.sink_full = false;
    }

    /// What was read and not yet taken.
    pub(crate) fn held(&self) -> Vec<u8> {
        let held = self.held.as_deref();
        held.map_or_else(Vec::new, |held| held.bytes[held.sent..].to_vec())
    }

    /// Bytes wait for the sink.
    pub(crate) fn is_blocked(&self) -> bool {
        self.held.is_some() || self.pipe.as_ref().is_some_and(|p| !p.is_empty())
    }

    /// A turn would move something without waiting for the sink.
    pub(crate) fn wants_turn(&self) -> bool {
        let blocked = self.is_blocked();
        !self.finished && (blocked && !self.sink_full || !blocked && self.readable)
    }

    /// It has moved much lately: its turns are long.
    pub(crate) fn is_bulk(&self) -> bool {
        self.full_reads >= SPLICE_AFTER
    }

    /// The sink knows of the end, or is gone.
    pub(crate) fn is_finished(&self) -> bool {
        self.finished
    }

    /// Sends FIN to the sink; the flow is over. With the other flow over too, closing the sink sends it.
    pub(crate) fn pass_end_on(&mut self, sink: BorrowedFd<'_>, other_is_over: bool) {
        self.finished = true;
        if other_is_over {
            return;
        }
        // A sink that is gone already needs no FIN; the other direction says why it went.
        let _ = socket2::SockRef::from(&sink).shutdown(std::net::Shutdown::Write);
    }

    /// Puts bytes in front of everything that the source sends.
    pub(crate) fn put_first(&mut self, bytes: Vec<u8>) {
        self.held = (!bytes.is_empty()).then(|| Box::new(Held { bytes, sent: 0 }));
    }

    /// Drops what is held and reads no more: the sink is gone.
    pub(crate) fn abandon(&mut self, pipes: &mut PipePool) {
        self.held = None;
        if let Some(pipe) = self.pipe.take() {
            pipes.give_back(pipe);
        }
        self.finished = true;
    }

    /// Moves one buffer's worth. `before_send` learns how much was moved before bytes that were just read are sent.
    pub(crate) fn turn(
        &mut self,
        source: BorrowedFd<'_>,
        sink: BorrowedFd<'_>,
        gear: &mut Gear,
        before_send: impl FnOnce(u64),
    ) -> Turn {
        let before = self.moved;
        let turn = self.try_turn(source, sink, gear, before_send);
        gear.moved += self.moved - before;
        self.sink_full = turn == Turn::Blocked;
        turn
    }

    fn try_turn(
        &mut self,
        source: BorrowedFd<'_>,
        sink: BorrowedFd<'_>,
        gear: &mut Gear,
        before_send: impl FnOnce(u64),
    ) -> Turn {
        if self.finished {
            return Turn::Waiting;
        }
        if let Err(stop) = self.flush(sink, gear) {
            return stop;
        }
        if self.ended {
            return Turn::Ended;
        }
        if !self.readable {
            return Turn::Waiting;
        }
        let spliced = if gear.splice && self.is_bulk() {
            gear.pipes.take()
        } else {
            None
        };
        match spliced {
            Some(pipe) => self.turn_by_pipe(pipe, source, sink, gear),
            None => self.turn_by_copy(source, sink, gear, before_send),
        }
    }

    fn turn_by_copy(
        &mut self,
        source: BorrowedFd<'_>,
        sink: BorrowedFd<'_>,
        gear: &mut Gear,
        before_send: impl FnOnce(u64),
    ) -> Turn {
        let read = match sys::receive(source, &mut gear.scratch) {
            Ok(0) => return self.end(),
            Ok(read) => read,
            Err(e) => return self.nothing_read(&e),
        };
        let full = read == gear.scratch.len();
        self.full_reads = if full {
            self.full_reads.saturating_add(1)
        } else {
            0
        };
        before_send(self.moved);
        let sent = match sys::send(sink, &gear.scratch[..read]) {
            Ok(sent) => sent,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => 0,
            Err(_) => {
                // Another sink may still get them.
                self.put_first(gear.scratch[..read].to_vec());
                return Turn::SinkBroken;
            }
        };
        self.moved += sent as u64;
        if sent < read {
            self.put_first(gear.scratch[sent..read].to_vec());
            return Turn::Blocked;
        }
        if full {
            return Turn::More;
        }
        // A short read has emptied the source; what comes later is reported again, an end that was reported is not.
        self.readable = self.end_follows;
        if self.readable {
            Turn::More
        } else {
            Turn::Waiting
        }
    }

    fn turn_by_pipe(
        &mut self,
        mut pipe: Box<Pipe>,
        source: BorrowedFd<'_>,
        sink: BorrowedFd<'_>,
        gear: &mut Gear,
    ) -> Turn {
        match pipe.fill(source) {
            Ok(0) => {
                gear.pipes.give_back(pipe);
                self.end()
            }
            Ok(read) => {
                if read < SMALL {
                    self.full_reads -= 1;
                } else {
                    self.full_reads = SPLICE_PATIENCE;
                }
                self.pipe = Some(pipe);
                match self.flush(sink, gear) {
                    Ok(()) => Turn::More,
                    Err(stop) => stop,
                }
            }
            Err(e) => {
                gear.pipes.give_back(pipe);
                self.nothing_read(&e)
            }
        }
    }

    /// Sends what is held, from memory or pipe.
    fn flush(&mut self, sink: BorrowedFd<'_>, gear: &mut Gear) -> Result<(), Turn> {
        let stop = |e: &io::Error| match e.kind() {
            io::ErrorKind::WouldBlock => Turn::Blocked,
            _ => Turn::SinkBroken,
        };
        while let Some(held) = &mut self.held {
            let sent = sys::send(sink, &held.bytes[held.sent..]).map_err(|e| stop(&e))?;
            held.sent += sent;
            self.moved += sent as u64;
            if held.sent == held.bytes.len() {
                self.held = None;
            }
        }
        let Some(mut pipe) = self.pipe.take() else {
            return Ok(());
        };
        while !pipe.is_empty() {
            match pipe.drain(sink) {
                Ok(sent) => self.moved += sent as u64,
                Err(e) => {
                    self.pipe = Some(pipe);
                    return Err(stop(&e));
                }
            }
        }
        gear.pipes.give_back(pipe);
        Ok(())
    }

    fn nothing_read(&mut self, error: &io::Error) -> Turn {
        if error.kind() == io::ErrorKind::WouldBlock {
            self.readable = false;
            Turn::Waiting
        } else {
            Turn::SourceBroken
        }
    }

    fn end(&mut self) -> Turn {
        self.ended = true;
        self.readable = false;
        Turn::Ended
    }
}

/// 64 KiB: one full segment group of the kernel per send; half the size costs twice the CPU, twice the size nothing less.
const SCRATCH: usize = 64 * 1024;
/// Full reads in a row before a flow is bulk.
const SPLICE_AFTER: u8 = 2;
/// Small reads in a row (above [`SPLICE_AFTER`]) before a bulk flow is copied again.
const SPLICE_PATIENCE: u8 = 8;
/// A spliced read below this many bytes is small.
const SMALL: usize = 16 * 1024;
