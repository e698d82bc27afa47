//! Changes of the packet filter, on a thread of their own: one waits for those that others make (kube-proxy's with
//! thousands of Services), and heartbeats cannot.

use std::{
    collections::VecDeque,
    io,
    net::{IpAddr, Ipv4Addr},
    sync::mpsc::{Receiver, RecvTimeoutError, SendError, Sender, channel},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use l2::linux::{
    guard::Guard,
    handover::{Handover, Own, PassOn},
    nftables::Family,
};

use super::passing::{Change, TABLES};

/// The table of what nobody translated.
const GUARD: &str = "lbnode-speaker-guard";

/// A change, and who waits for it.
struct Job {
    change: Change,
    done: Sender<io::Result<()>>,
}

/// Takes changes, and makes them one after the other; ends with this, when they are made.
#[derive(Debug)]
pub(super) struct Clerk {
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Clerk {
    /// With a kernel that can do it, of IPv4 at least, and the tables that an earlier process has left.
    ///
    /// # Errors
    /// The kernel's: no packet filter, no `dup`, missing CAP_NET_ADMIN; or there is no thread to be had.
    pub(super) fn engage() -> io::Result<(Self, Vec<(String, Family)>)> {
        let mut kernel = Handover::open()?;
        kernel.probe(
            &format!("{TABLES}probe"),
            Ipv4Addr::LOCALHOST.into(),
            Own::Tracked,
        )?;
        let guard = Guard::open(GUARD)?;
        // Without a list the names may meet: then a table takes the other's place.
        let mut found = kernel.tables(TABLES).unwrap_or_default();
        found.retain(|(name, _)| name != GUARD);
        let (jobs, waiting) = channel();
        let mut desk = Desk {
            kernel,
            guard,
            unguarded: false,
        };
        let thread = thread::Builder::new()
            .name("packet-filter".to_owned())
            .spawn(move || desk.work(&waiting))?;
        let clerk = Self {
            jobs: Some(jobs),
            thread: Some(thread),
        };
        // What an earlier process guarded may be another node's now.
        clerk.order(Change::Guard(Vec::new()));
        Ok((clerk, found))
    }

    /// Makes changes; waits for new tables, all of them together for so long at most.
    pub(super) fn carry_out(&self, changes: Vec<Change>, patience: Duration) {
        let mut awaited = Vec::new();
        for change in changes {
            let what = match &change {
                Change::PassOn { what, .. } => Some(what.clone()),
                _ => None,
            };
            let answer = self.order(change);
            awaited.extend(what.map(|what| (what, answer)));
        }
        let deadline = now() + patience;
        for (what, answer) in awaited {
            let left = deadline.saturating_duration_since(now());
            tell(&what, answer.recv_timeout(left));
        }
    }

    fn order(&self, change: Change) -> Receiver<io::Result<()>> {
        let (done, answer) = channel();
        if let Some(jobs) = &self.jobs {
            // A thread that panicked answers nothing.
            let _ = jobs.send(Job { change, done });
        }
        answer
    }
}

impl Drop for Clerk {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            // It panicked, and said so.
            let _ = thread.join();
        }
    }
}

fn tell(what: &PassOn, result: Result<io::Result<()>, RecvTimeoutError>) {
    let (predecessor, addresses) = (what.predecessor, what.addresses.len());
    match result {
        Ok(Ok(())) => {
            let grace_millis = what.grace.as_millis();
            tracing::info!(%predecessor, addresses, grace_millis, "connections of the predecessor go on there");
        }
        Ok(Err(error)) => {
            tracing::warn!(%error, %predecessor, addresses, "connections of the predecessor cannot be passed on to it: they are reset");
        }
        Err(RecvTimeoutError::Timeout) => {
            tracing::warn!(%predecessor, addresses, "the packet filter is slow: connections of the predecessor are passed on to it late");
        }
        Err(RecvTimeoutError::Disconnected) => {
            tracing::error!(%predecessor, addresses, "the thread of the packet filter is gone: connections of the predecessor are reset");
        }
    }
}

/// Where the changes are made.
struct Desk {
    kernel: Handover,
    guard: Guard,
    /// The last guard could not be set, which was told.
    unguarded: bool,
}

impl Desk {
    fn work(&mut self, jobs: &Receiver<Job>) {
        let mut waiting: VecDeque<Job> = VecDeque::new();
        while let Some(job) = waiting.pop_front().or_else(|| jobs.recv().ok()) {
            waiting.extend(jobs.try_iter());
            let later = || waiting.iter().map(|job| &job.change);
            // Of guards only the last one counts.
            if matches!(job.change, Change::Guard(_))
                && later().any(|later| matches!(later, Change::Guard(_)))
            {
                continue;
            }
            let table = name(&job.change).to_owned();
            let result = self.make(job.change);
            // Who does not wait any longer reads it in the log.
            if let Err(SendError(Err(error))) = job.done.send(result) {
                tracing::warn!(table, %error, "the packet filter was not changed");
            }
        }
    }

    fn make(&mut self, change: Change) -> io::Result<()> {
        match change {
            Change::PassOn { name, what } | Change::PassOnLess { name, what } => {
                self.kernel.pass_on(&name, &what)
            }
            Change::Remove { name, family } => self.kernel.remove(&name, family),
            Change::Guard(addresses) => {
                self.set_guard(&addresses);
                Ok(())
            }
        }
    }

    /// Told once, not with each address.
    fn set_guard(&mut self, addresses: &[IpAddr]) {
        let result = self.guard.set(addresses);
        if let Err(error) = &result
            && !self.unguarded
        {
            tracing::warn!(%error, "what kube-proxy does not translate goes on to the segment again");
        }
        self.unguarded = result.is_err();
    }
}

fn name(change: &Change) -> &str {
    match change {
        Change::PassOn { name, .. }
        | Change::PassOnLess { name, .. }
        | Change::Remove { name, .. } => name,
        Change::Guard(_) => GUARD,
    }
}

#[expect(clippy::disallowed_methods, reason = "waits for a thread")]
fn now() -> Instant {
    Instant::now()
}
