//! The data path: threads that accept, choose a server, and move bytes.
//!
//! One thread per core, each with its own epoll instance and its own listening sockets (`SO_REUSEPORT`); a session
//! stays on its thread for life. Threads share counters only. The control thread talks to them through mailboxes
//! and never waits for them.

mod accept;
mod flow;
mod header;
mod listen;
mod opening;
mod pipes;
mod relay;
mod repeating;
mod session;
mod slab;
mod sys;
pub(crate) mod table;
mod timers;
mod waiting;
mod warm;
mod worker;

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

pub(crate) use listen::{bind, is_on_link};
pub(crate) use sys::{
    MOST_DESCRIPTORS, claim_low_ports, raise_descriptor_limit, receive_with_descriptors,
    send_with_descriptors,
};
use table::{Server, Shared, Table};
pub(crate) use timers::Millis;
use worker::{Command, Mailbox, Worker};

use crate::core::termination::Termination;

/// The running data path.
pub(crate) struct Engine {
    mailboxes: Arc<[Mailbox]>,
    threads: Vec<JoinHandle<()>>,
    shared: Arc<Shared>,
    epoch: Instant,
}

impl Engine {
    /// Starts so many threads, whose clock begins at `epoch`; without listeners yet.
    ///
    /// # Errors
    /// Out of descriptors or threads.
    pub(crate) fn start(
        threads: usize,
        epoch: Instant,
        shared: Shared,
        table: &Arc<Table>,
    ) -> io::Result<Self> {
        let mailboxes: Arc<[Mailbox]> = (0..threads.max(1))
            .map(|_| Mailbox::new())
            .collect::<io::Result<_>>()?;
        let shared = Arc::new(shared);
        let mut engine = Self {
            mailboxes,
            threads: Vec::new(),
            shared: Arc::clone(&shared),
            epoch,
        };
        for number in 0..engine.mailboxes.len() {
            let mailboxes = Arc::clone(&engine.mailboxes);
            let (table, shared) = (Arc::clone(table), Arc::clone(&shared));
            let worker = Worker::new(number, mailboxes, table, shared, epoch)?;
            let thread = std::thread::Builder::new()
                .name(format!("proxy-{number}"))
                .spawn(move || worker.run())?;
            engine.threads.push(thread);
        }
        Ok(engine)
    }

    /// How many sockets each front end needs.
    pub(crate) fn threads(&self) -> usize {
        self.mailboxes.len()
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Sessions at the moment.
    pub(crate) fn sessions(&self) -> u32 {
        self.shared.totals.sessions.load(Relaxed)
    }

    /// The engine's clock at `now`.
    pub(crate) fn millis(&self, now: Instant) -> Millis {
        Millis::try_from(now.saturating_duration_since(self.epoch).as_millis())
            .unwrap_or(Millis::MAX)
    }

    /// Uses `table` for sessions to come and listens on `sockets` as well: one per thread for each front end that is
    /// not listened on yet. Front ends that are not in `table` are closed; sessions are left alone.
    pub(crate) fn adopt(&self, table: &Arc<Table>, sockets: Vec<(String, Vec<OwnedFd>)>) {
        let mut shares: Vec<Vec<(String, OwnedFd)>> =
            self.mailboxes.iter().map(|_| Vec::new()).collect();
        for (frontend, fds) in sockets {
            for (number, fd) in fds.into_iter().enumerate() {
                let thread = number % shares.len();
                shares[thread].push((frontend.clone(), fd));
            }
        }
        for (mailbox, sockets) in self.mailboxes.iter().zip(shares) {
            mailbox.post(Command::Adopt {
                table: Arc::clone(table),
                sockets,
            });
        }
    }

    /// Stops accepting at once; whoever waits in the sockets' queues is a successor's.
    pub(crate) fn leave_listeners(&self) {
        for mailbox in self.mailboxes.iter() {
            mailbox.post(Command::LeaveListeners);
        }
    }

    /// Ends the sessions of `server`, or all, with RST.
    pub(crate) fn close_sessions(&self, server: Option<&Arc<Server>>, why: Termination) {
        for mailbox in self.mailboxes.iter() {
            mailbox.post(Command::Close {
                server: server.cloned(),
                why,
            });
        }
    }

    /// A server has room again: those who wait are looked at.
    pub(crate) fn serve_waiting(&self) {
        for mailbox in self.mailboxes.iter() {
            mailbox.post(Command::ServeWaiting);
        }
    }

    /// Asks every thread to answer.
    pub(crate) fn ask_for_signs_of_life(&self) {
        for mailbox in self.mailboxes.iter() {
            mailbox.ping();
        }
    }

    /// Whether every thread has answered one of the last two times.
    pub(crate) fn is_responsive(&self) -> bool {
        self.mailboxes
            .iter()
            .all(|mailbox| mailbox.unanswered() <= 2)
    }

    /// Ends the threads and what they hold.
    pub(crate) fn stop(self) {
        for mailbox in self.mailboxes.iter() {
            mailbox.post(Command::Quit);
        }
        for thread in self.threads {
            // A panicking thread has aborted the process already.
            let _ = thread.join();
        }
    }
}

/// A lock whose holder cannot have left it half-done: it only pushes and takes.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
