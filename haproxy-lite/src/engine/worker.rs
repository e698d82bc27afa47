//! One thread of the data path: waits for readiness, hands it to sessions, keeps the clock.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use super::accept::Listener;
use super::flow::Gear;
use super::lock;
use super::session::{Opening, Session, Token, seconds};
use super::slab::{Key, Slab};
use super::sys::{Epoll, Events, Interest, Readiness, Waker};
use super::table::{Server, Shared, Table};
use super::timers::{Millis, Timers};
use super::warm::Warm;
use crate::core::balance::Balancer;
use crate::core::hedge::HedgeBudget;
use crate::core::termination::Termination;

/// What the control thread asks for.
#[derive(Debug)]
pub(crate) enum Command {
    /// Use another table, and listen on these as well.
    Adopt {
        table: Arc<Table>,
        sockets: Vec<(String, OwnedFd)>,
    },
    /// Stop accepting and leave the queues to whoever shares the sockets.
    LeaveListeners,
    /// End the sessions of a server, or all.
    Close {
        server: Option<Arc<Server>>,
        why: Termination,
    },
    /// Some server has room again.
    ServeWaiting,
    /// Say that the thread is well.
    Answer,
    /// End the thread.
    Quit,
}

/// Where commands wait for their thread.
#[derive(Debug)]
pub(crate) struct Mailbox {
    commands: Mutex<VecDeque<Command>>,
    waker: Waker,
    asked: AtomicU64,
    answered: AtomicU64,
}

impl Mailbox {
    /// # Errors
    /// Out of descriptors.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            commands: Mutex::default(),
            waker: Waker::new()?,
            asked: AtomicU64::new(0),
            answered: AtomicU64::new(0),
        })
    }

    /// Asks for a sign of life.
    pub(crate) fn ping(&self) {
        self.asked.fetch_add(1, Relaxed);
        self.post(Command::Answer);
    }

    fn answer(&self) {
        self.answered.store(self.asked.load(Relaxed), Relaxed);
    }

    /// Signs of life that are outstanding.
    pub(crate) fn unanswered(&self) -> u64 {
        self.asked
            .load(Relaxed)
            .saturating_sub(self.answered.load(Relaxed))
    }

    pub(crate) fn post(&self, command: Command) {
        lock(&self.commands).push_back(command);
        self.waker.wake();
    }
}

/// The state of one thread.
pub(crate) struct Worker {
    pub(super) epoll: Epoll,
    number: usize,
    /// Of all threads; this one's is at `number`.
    pub(super) mailboxes: Arc<[Mailbox]>,
    pub(super) table: Arc<Table>,
    pub(super) shared: Arc<Shared>,
    epoch: Instant,
    pub(super) now: Millis,
    pub(super) balancer: Balancer,
    pub(super) sessions: Slab<Session>,
    pub(super) gear: Gear,
    /// Sessions with more to move after everybody had a turn.
    pub(super) ready: VecDeque<Key>,
    pub(super) timers: Timers,
    #[expect(clippy::vec_box, reason = "boxes move between sessions and this list")]
    pub(super) spare_openings: Vec<Box<Opening>>,
    pub(super) hedges: HedgeBudget,
    /// Sessions that wait for a server with room, oldest first.
    pub(super) waiting: VecDeque<Key>,
    pub(super) warm: Warm,
    pub(super) listeners: Vec<Listener>,
    pub(super) listeners_made: u32,
    /// Accepting resumes then.
    pub(super) paused_until: Option<Millis>,
    next_sweep: Millis,
    quit: bool,
}

impl Worker {
    /// # Errors
    /// Out of descriptors.
    pub(crate) fn new(
        number: usize,
        mailboxes: Arc<[Mailbox]>,
        table: Arc<Table>,
        shared: Arc<Shared>,
        epoch: Instant,
    ) -> io::Result<Self> {
        let epoll = Epoll::new()?;
        epoll.add(
            mailboxes[number].waker.fd(),
            Interest::LevelRead,
            Token::Mailbox.to_bits(),
        )?;
        Ok(Self {
            epoll,
            number,
            mailboxes,
            shared,
            epoch,
            now: 0,
            balancer: Balancer::new(table.settings.policy),
            gear: Gear::new(table.settings.splice),
            table,
            sessions: Slab::new(),
            ready: VecDeque::new(),
            timers: Timers::default(),
            spare_openings: Vec::new(),
            hedges: HedgeBudget::default(),
            waiting: VecDeque::new(),
            warm: Warm::default(),
            listeners: Vec::new(),
            listeners_made: 0,
            paused_until: None,
            next_sweep: 0,
            quit: false,
        })
    }

    /// Until told to quit.
    pub(crate) fn run(mut self) {
        let mut events = Events::with_room_for(256);
        while !self.quit {
            let timeout = self.wait_millis();
            if let Err(error) = self.work(&mut events, timeout) {
                tracing::error!(%error, "waiting for events failed; the thread ends");
                return;
            }
        }
    }

    /// Waits for events, up to `timeout_millis`, and does what they and the clock ask for.
    fn work(&mut self, events: &mut Events, timeout_millis: i32) -> io::Result<()> {
        self.epoll.wait(events, timeout_millis)?;
        self.read_clock();
        for index in 0..events.len() {
            let (bits, readiness) = events.get(index);
            self.dispatch(Token::from_bits(bits), readiness);
        }
        self.give_turns();
        self.expire();
        Ok(())
    }

    fn mailbox(&self) -> &Mailbox {
        &self.mailboxes[self.number]
    }

    fn dispatch(&mut self, token: Token, readiness: Readiness) {
        match token {
            Token::Mailbox => self.read_mail(),
            Token::Listener(number) => {
                self.accept_from(number);
            }
            Token::Session(key, endpoint) => self.handle_readiness(key, endpoint, readiness),
        }
    }

    fn read_mail(&mut self) {
        self.mailbox().waker.reset();
        let commands = std::mem::take(&mut *lock(&self.mailbox().commands));
        for command in commands {
            match command {
                Command::Adopt { table, sockets } => self.adopt(table, sockets),
                Command::LeaveListeners => self.leave_listeners(),
                Command::Close { server, why } => self.close(server.as_ref(), why),
                Command::ServeWaiting => self.serve_waiting(),
                Command::Answer => self.mailbox().answer(),
                Command::Quit => self.quit = true,
            }
        }
    }

    fn close(&mut self, server: Option<&Arc<Server>>, why: Termination) {
        let belongs = |session: &Session| match server {
            None => true,
            Some(server) => session
                .seat
                .as_ref()
                .is_some_and(|seat| Arc::ptr_eq(seat.server(), server)),
        };
        for key in self.sessions.keys_where(belongs) {
            // Clients that have not been answered yet need not know.
            if why != Termination::ServerDown || !self.ask_another(key) {
                self.end(key, why);
            }
        }
        self.gear.pipes.shrink();
    }

    /// A turn for each session that stands in line, until much has been moved: those who have just got something to move
    /// may have little.
    fn give_turns(&mut self) {
        let enough = self.gear.moved + ROUND;
        for _ in 0..self.ready.len() {
            if self.gear.moved >= enough {
                return;
            }
            let Some(key) = self.ready.pop_front() else {
                return;
            };
            self.relay_rest(key);
        }
    }

    fn expire(&mut self) {
        while let Some(key) = self.timers.pop_due(self.now) {
            self.handle_opening_timeout(key);
        }
        self.end_pause();
        if self.next_sweep <= self.now {
            self.next_sweep = self.now + SWEEP;
            self.sweep();
        }
    }

    /// Ends what has been silent for too long, and looks after sessions that have come of age.
    fn sweep(&mut self) {
        let (patience, now) = (self.table.settings.patience, seconds(self.now));
        let in_need = |session: &Session| {
            session.server.is_some()
                && (!session.marks.server_kept_alive
                    || session.has_uncounted_bytes()
                    || session.verdict(patience, now).is_some())
        };
        for key in self.sessions.keys_where(in_need) {
            self.look_after(key, patience);
        }
        self.warm.refresh(&self.table, self.now);
        if self.sessions.is_empty() {
            self.gear.pipes.shrink();
            self.spare_openings.truncate(16);
        }
    }

    /// How long nothing needs to be done without an event. Sweeps need no timer of their own, which each wait would set and
    /// take back: the control thread asks for a sign of life every second, and more often while it stops.
    fn wait_millis(&mut self) -> i32 {
        if !self.ready.is_empty() || self.quit {
            return 0;
        }
        let sessions = &mut self.sessions;
        let opening = self.timers.next(|key| {
            sessions
                .get_mut(key)
                .is_some_and(|session| session.opening.is_some())
        });
        let next = [opening, self.paused_until].into_iter().flatten().min();
        next.map_or(-1, |at| {
            i32::try_from(at.saturating_sub(self.now)).unwrap_or(i32::MAX)
        })
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "driver: reads the clock once per wake-up"
    )]
    fn read_clock(&mut self) {
        let elapsed = Instant::now().saturating_duration_since(self.epoch);
        self.now = Millis::try_from(elapsed.as_millis()).unwrap_or(Millis::MAX);
    }
}

/// A little less than between two questions of the control thread, so that each finds a sweep due.
const SWEEP: Millis = 900;
/// Bytes between two looks at what is ready: some 50 µs of the thread's time.
const ROUND: u64 = 256 * 1024;

#[cfg(test)]
mod tests;
