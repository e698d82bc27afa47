//! How much the kernel prefers our threads to others'.

use std::io;
use std::thread;

use l2::linux::realtime;

/// What the kernel grants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// SCHED_RR.
    Realtime,
    /// The highest of the ordinary priorities.
    Raised,
    /// Nothing.
    Ordinary,
}

/// The highest of the ordinary priorities, as a nice level.
const HIGHEST: i8 = -20;

impl Urgency {
    /// Takes the most that the kernel grants the calling thread; `priority` is that among realtime threads.
    /// Gives back why it is not realtime.
    pub(crate) fn take(priority: u8) -> (Self, Option<io::Error>) {
        let Err(refusal) = realtime::schedule(priority) else {
            return (Self::Realtime, None);
        };
        let urgency = match realtime::nice(HIGHEST) {
            Ok(()) => Self::Raised,
            Err(_) => Self::Ordinary,
        };
        (urgency, Some(refusal))
    }

    /// Tries what the kernel grants, and says it once.
    pub(crate) fn find(priority: u8) -> Self {
        let (urgency, refusal) = thread::spawn(move || Self::take(priority))
            .join()
            .unwrap_or((Self::Ordinary, None));
        let causes = "CAP_SYS_NICE is missing, or the cgroup has no realtime budget (cpu.rt_runtime_us is 0)";
        let error = refusal.map(tracing::field::display);
        match urgency {
            Self::Realtime => tracing::info!("realtime scheduling (SCHED_RR) for the router"),
            Self::Raised => {
                tracing::warn!(error, "no realtime scheduling, nice -20 instead: {causes}");
            }
            Self::Ordinary => tracing::warn!(
                error,
                "no realtime scheduling: on a busy node adverts may be late; {causes}"
            ),
        }
        urgency
    }

    /// Takes back what a parent passed on.
    pub(crate) fn drop_inherited() {
        // To be less favoured is always permitted.
        let _ = realtime::nice(0);
    }

    /// Name in status.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Realtime => "realtime",
            Self::Raised => "raised",
            Self::Ordinary => "ordinary",
        }
    }
}
