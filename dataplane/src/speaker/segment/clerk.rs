//! Changes of the packet filter, on a thread of their own: one waits for those that others make (kube-proxy's with
//! thousands of Services), and heartbeats cannot.

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeSet, VecDeque},
    io,
    sync::mpsc::{Receiver, RecvTimeoutError, SendError, Sender, channel},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use l2::linux::{handover::PassOn, nftables::Family};

use super::{
    packet_filter::{Filter, Kernel, Part, Watch},
    passing::Change,
};

/// What came of [`Clerk::engage`].
pub(super) struct Engaged {
    /// `None`: the packet filter is not to be changed.
    pub(super) clerk: Option<Clerk>,
    /// Tables by which an earlier process passes on; `None`: this kernel cannot do that.
    pub(super) passing_on: Option<Vec<(String, Family)>>,
}

/// Takes changes, and has them made one after the other; ends with this, when they are made, and the watch with it.
#[derive(Debug)]
pub(super) struct Clerk {
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    /// What is to be watched over, if that has been said since the last time.
    wanted: Option<Watch>,
    ordered: Watch,
}

impl Clerk {
    /// With what this kernel can do; what it cannot is told.
    pub(super) fn engage() -> Engaged {
        let (kernel, passing_on) = Kernel::engage();
        match Self::with(kernel, PACE) {
            Ok(clerk) => {
                // What an earlier process watched over may be another node's now.
                clerk.order(Task::Watch(Watch::default()));
                Engaged {
                    clerk: Some(clerk),
                    passing_on,
                }
            }
            Err(error) => {
                tracing::warn!(%error, "connections that are under way when an address is handed over are reset, and what kube-proxy does not translate goes on to the segment again, and source ranges are left to kube-proxy: there is no thread for the packet filter");
                Engaged {
                    clerk: None,
                    passing_on: None,
                }
            }
        }
    }

    fn with(filter: impl Filter + Send + 'static, pace: Pace) -> io::Result<Self> {
        let (jobs, waiting) = channel();
        let mut desk = Desk::new(filter, pace);
        let thread = thread::Builder::new()
            .name("packet-filter".to_owned())
            .spawn(move || desk.work(&waiting))?;
        Ok(Self {
            jobs: Some(jobs),
            thread: Some(thread),
            wanted: None,
            ordered: Watch::default(),
        })
    }

    /// Watches over this from the next [`Self::carry_out`] on.
    pub(super) fn watch(&mut self, wanted: Watch) {
        self.wanted = Some(wanted);
    }

    /// Makes changes, and then sets the watch if it is another; waits for new tables and for what was not watched over before, all
    /// of it together for so long at most.
    pub(super) fn carry_out(&mut self, changes: Vec<Change>, patience: Duration) {
        let mut awaited = Vec::new();
        for change in changes {
            let what = match &change {
                Change::PassOn { what, .. } => Some(what.clone()),
                _ => None,
            };
            let answer = self.order(Task::Change(change));
            awaited.extend(what.map(|what| (what, answer)));
        }
        let watched = self.order_watch();
        let deadline = now() + patience;
        let left = || deadline.saturating_duration_since(now());
        for (what, answer) in awaited {
            tell(&what, answer.recv_timeout(left()));
        }
        if let Some(answer) = watched {
            // What became of it is told where it is set.
            let _ = answer.recv_timeout(left());
        }
    }

    /// The answer is for whoever waits: not when less is guarded than before. Who may connect does not depend on what this node has.
    fn order_watch(&mut self) -> Option<Receiver<io::Result<()>>> {
        let wanted = self.wanted.take()?;
        if wanted == self.ordered {
            return None;
        }
        let (now, before) = (&wanted.guarded, &self.ordered.guarded);
        let is_less =
            now.addresses.is_subset(&before.addresses) && now.segments.is_subset(&before.segments);
        let answer = self.order(Task::Watch(wanted.clone()));
        self.ordered = wanted;
        (!is_less).then_some(answer)
    }

    fn order(&self, task: Task) -> Receiver<io::Result<()>> {
        let (done, answer) = channel();
        if let Some(jobs) = &self.jobs {
            // It fails only where a panic ends a thread and not the process (releases abort): nobody answers then.
            let _ = jobs.send(Job { task, done });
        }
        answer
    }
}

impl Drop for Clerk {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            // An error is a panic, which only builds that unwind live to see; it was told.
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
        // After a panic in a build that unwinds; a release has ended.
        Err(RecvTimeoutError::Disconnected) => {
            tracing::error!(%predecessor, addresses, "the thread of the packet filter is gone: connections of the predecessor are reset");
        }
    }
}

/// What is to be done.
enum Task {
    Change(Change),
    Watch(Watch),
}

/// A task, and who waits for it.
struct Job {
    task: Task,
    done: Sender<io::Result<()>>,
}

impl Job {
    const fn is_watch(&self) -> bool {
        matches!(self.task, Task::Watch(_))
    }
}

/// When a watch is set although nothing else is wanted.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// So long after it could not be set.
    retry: Duration,
    /// So long after it was set, where others can remove it.
    renewal: Duration,
}

const PACE: Pace = Pace {
    retry: Duration::from_secs(10),
    renewal: Duration::from_secs(60),
};

/// What an operator has to know.
#[derive(Debug)]
enum Remark {
    /// A part of the watch could not be set; told once until it is.
    Refused(Part, io::Error),
    SetAgain(Part),
    /// A table was not changed, and nobody waits for the answer.
    Late {
        table: String,
        error: io::Error,
    },
    /// The watch's tables could not be removed at the end.
    Left(io::Error),
}

impl Remark {
    fn tell(self) {
        match self {
            Self::Refused(Part::Guard, error) => {
                tracing::warn!(%error, "what kube-proxy does not translate goes on to the segment again: the packet filter refuses, and is asked again every 10 s");
            }
            Self::SetAgain(Part::Guard) => {
                tracing::info!("what kube-proxy does not translate ends at this node again");
            }
            Self::Refused(Part::SourceRanges, error) => {
                tracing::warn!(%error, "source ranges of Services are left to kube-proxy: the packet filter refuses, and is asked again every 10 s");
            }
            Self::SetAgain(Part::SourceRanges) => {
                tracing::info!("source ranges of Services hold at this node again");
            }
            Self::Late { table, error } => {
                tracing::warn!(table, %error, "the packet filter was not changed");
            }
            Self::Left(error) => {
                tracing::warn!(%error, "a table of the packet filter was not removed: the next start does it");
            }
        }
    }
}

/// Where the changes are made.
struct Desk<F> {
    filter: F,
    pace: Pace,
    watched: Watch,
    /// When the watch is set again.
    again: Option<Instant>,
    /// What could not be set, which was told.
    refused: BTreeSet<Part>,
}

impl<F: Filter> Desk<F> {
    fn new(filter: F, pace: Pace) -> Self {
        Self {
            filter,
            pace,
            watched: Watch::default(),
            again: None,
            refused: BTreeSet::new(),
        }
    }

    /// Until nobody can bring a job any more, and all are done.
    fn work(&mut self, jobs: &Receiver<Job>) {
        let mut waiting: VecDeque<Job> = VecDeque::new();
        loop {
            let next = match waiting.pop_front() {
                Some(job) => Ok(job),
                None => self.wait(jobs),
            };
            waiting.extend(jobs.try_iter());
            let remarks = match next {
                // Of watches only the last one counts.
                Ok(job) if job.is_watch() && waiting.iter().any(Job::is_watch) => Vec::new(),
                Ok(job) => self.make(job),
                Err(RecvTimeoutError::Timeout) => self.set_watch(),
                Err(RecvTimeoutError::Disconnected) => break,
            };
            remarks.into_iter().for_each(Remark::tell);
        }
        self.leave().into_iter().for_each(Remark::tell);
    }

    fn wait(&self, jobs: &Receiver<Job>) -> Result<Job, RecvTimeoutError> {
        match self.again {
            Some(again) => jobs.recv_timeout(again.saturating_duration_since(now())),
            None => jobs.recv().map_err(RecvTimeoutError::from),
        }
    }

    fn make(&mut self, job: Job) -> Vec<Remark> {
        match job.task {
            Task::Change(change) => {
                let result = self.filter.change(&change);
                // Who does not wait any longer reads it in the log.
                match job.done.send(result) {
                    Err(SendError(Err(error))) => vec![Remark::Late {
                        table: change.table().to_owned(),
                        error,
                    }],
                    _ => Vec::new(),
                }
            }
            Task::Watch(watched) => {
                self.watched = watched;
                let remarks = self.set_watch();
                // Often nobody waits.
                let _ = job.done.send(Ok(()));
                remarks
            }
        }
    }

    fn set_watch(&mut self) -> Vec<Remark> {
        let mut remarks = Vec::new();
        for part in Part::ALL {
            match self.filter.watch(part, &self.watched) {
                Ok(()) if self.refused.remove(&part) => remarks.push(Remark::SetAgain(part)),
                Err(error) if self.refused.insert(part) => {
                    remarks.push(Remark::Refused(part, error));
                }
                Ok(()) | Err(_) => {}
            }
        }
        let pause = if !self.refused.is_empty() {
            Some(self.pace.retry)
        } else if self.watched != Watch::default() && !self.filter.is_owned() {
            Some(self.pace.renewal)
        } else {
            None
        };
        self.again = pause.map(|pause| now() + pause);
        remarks
    }

    /// Takes the watch's tables away: where they are not this process's own they would stay.
    fn leave(&mut self) -> Vec<Remark> {
        if self.watched == Watch::default() {
            return Vec::new();
        }
        let nothing = Watch::default();
        let parts = Part::ALL.into_iter();
        let told = parts.filter(|part| !self.refused.contains(part));
        told.filter_map(|part| self.filter.watch(part, &nothing).err())
            .map(Remark::Left)
            .collect()
    }
}

#[expect(clippy::disallowed_methods, reason = "waits for a thread")]
fn now() -> Instant {
    Instant::now()
}
