//! Listening sockets of one thread, and what comes in through them.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use super::session::Token;
use super::sys::{self, Interest};
use super::table::{Frontend, Table, Totals};
use super::timers::Millis;
use super::worker::Worker;
use crate::core::balance::Balancer;

/// A listening socket of this thread.
#[derive(Debug)]
pub(super) struct Listener {
    number: u32,
    frontend: Arc<Frontend>,
    fd: OwnedFd,
    /// The last batch was a single connection: the next is probably one too.
    singles: bool,
}

impl Worker {
    /// Uses another table for sessions to come, and listens on `sockets` as well.
    pub(super) fn adopt(&mut self, table: Arc<Table>, sockets: Vec<(String, OwnedFd)>) {
        self.balancer = Balancer::new(table.settings.policy);
        self.gear.splice = table.settings.splice;
        self.accept_rest(&table);
        let epoll = &self.epoll;
        self.listeners.retain_mut(|listener| {
            let same = table
                .frontends
                .iter()
                .find(|frontend| frontend.is_same(&listener.frontend));
            match same {
                Some(frontend) => listener.frontend = Arc::clone(frontend),
                // The control thread holds the socket as well, so that closing it here would not end the watch.
                None => epoll.remove(listener.fd.as_fd()),
            }
            same.is_some()
        });
        for (name, fd) in sockets {
            let Some(frontend) = table.frontends.iter().find(|f| f.name == name) else {
                continue;
            };
            self.listeners_made += 1;
            let number = self.listeners_made;
            let token = Token::Listener(number).to_bits();
            if let Err(error) = self.epoll.add(fd.as_fd(), Interest::LevelRead, token) {
                tracing::error!(frontend = name, %error, "cannot watch a listening socket");
                continue;
            }
            let frontend = Arc::clone(frontend);
            self.listeners.push(Listener {
                number,
                frontend,
                fd,
                singles: false,
            });
        }
        self.table = table;
        self.resume_accepting();
        // The new table may have room for more.
        self.serve_waiting();
    }

    /// Whoever waits at a listener that is about to be closed is still let in.
    fn accept_rest(&mut self, table: &Table) {
        let closing: Vec<u32> = self
            .listeners
            .iter()
            .filter(|listener| {
                !table
                    .frontends
                    .iter()
                    .any(|f| f.is_same(&listener.frontend))
            })
            .map(|listener| listener.number)
            .collect();
        for number in closing {
            while self.accept_from(number) > 0 {}
        }
    }

    /// Somebody else accepts from the same sockets from here on.
    pub(super) fn leave_listeners(&mut self) {
        for listener in self.listeners.drain(..) {
            self.epoll.remove(listener.fd.as_fd());
        }
    }

    /// Takes connections from a listener; more of them only while they come in crowds.
    pub(super) fn accept_from(&mut self, number: u32) -> u32 {
        let Some(position) = self.listeners.iter().position(|l| l.number == number) else {
            return 0;
        };
        let batch = if self.listeners[position].singles {
            1
        } else {
            ACCEPT_BATCH
        };
        let mut accepted = 0;
        while accepted < batch {
            if self.shared.totals.sessions.load(Relaxed) >= self.table.settings.max_sessions {
                self.pause_accepting(|totals| &totals.accept_paused_full);
                break;
            }
            let listener = &self.listeners[position];
            match sys::accept(listener.fd.as_fd()) {
                Ok((client, source)) => {
                    accepted += 1;
                    let frontend = Arc::clone(&listener.frontend);
                    self.begin(client, source, frontend);
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) if is_exhaustion(&e) => {
                    self.pause_accepting(|totals| &totals.accept_paused_resources);
                    break;
                }
                // This connection died in the queue, or the network hiccuped; the next may be well.
                Err(_) => accepted += 1,
            }
        }
        self.listeners[position].singles = accepted <= 1;
        accepted
    }

    /// Leaves connections in the kernel's queue for a moment.
    fn pause_accepting(&mut self, counter: fn(&Totals) -> &AtomicU64) {
        if self.paused_until.is_none() {
            counter(&self.shared.totals).fetch_add(1, Relaxed);
            self.watch_listeners(Interest::Nothing);
        }
        self.paused_until = Some(self.now + PAUSE);
    }

    fn resume_accepting(&mut self) {
        self.paused_until = None;
        self.watch_listeners(Interest::LevelRead);
    }

    fn watch_listeners(&self, interest: Interest) {
        for listener in &self.listeners {
            let token = Token::Listener(listener.number).to_bits();
            if let Err(error) = self.epoll.modify(listener.fd.as_fd(), interest, token) {
                tracing::error!(%error, "cannot change what a listening socket is watched for");
            }
        }
    }

    /// Accepts again when there is room again.
    pub(super) fn end_pause(&mut self) {
        if self.paused_until.is_none_or(|until| until > self.now) {
            return;
        }
        if self.shared.totals.sessions.load(Relaxed) >= self.table.settings.max_sessions {
            self.paused_until = Some(self.now + PAUSE);
        } else {
            self.resume_accepting();
        }
    }
}

/// The system has no descriptor or memory left.
pub(super) fn is_exhaustion(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM)
    )
}

const ACCEPT_BATCH: u32 = 64;
/// Milliseconds between two looks for room when full.
const PAUSE: Millis = 10;
