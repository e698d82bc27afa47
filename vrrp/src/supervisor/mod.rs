//! The parent process: it looks after the router.
//!
//! When the router dies while it owns the addresses, the peers are told, and the addresses go as soon as a
//! successor has announced itself, within a tenth of a second in any case: a dead process cannot keep
//! answering for the VIP. Then the router is started again. When the router freezes, its addresses stay
//! until a successor speaks or every peer must have taken over ([`watchdog`]). When both die, the kernel's
//! lifetime of the addresses is the last line.

mod ears;
mod farewell;
mod watchdog;

use std::collections::BTreeSet;
use std::io::{self, Read as _};
use std::net::IpAddr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitCode, ExitStatus};
use std::time::Duration;

use l2::linux::address::{Addresses, Held, LOOPBACK};
use l2::linux::process::{Caught, Signals, signal, terminate, wait_either};

use crate::clock::now;
use crate::config::{GroupPlan, Plan};
use crate::host::{LIFETIME, MARK, remove_ours};
use crate::urgency::Urgency;
use ears::Ears;
use farewell::say_farewell;
use watchdog::{Duty, Watchdog};

/// Flag by which the router process knows its parent.
pub(crate) const CHILD_FLAG: &str = "--child-of";
/// Exit code of a router whose configuration is invalid: starting it again would not help.
pub(crate) const INVALID_CONFIG: u8 = 3;

/// Realtime priority: below the router's threads.
const PRIORITY: u8 = 48;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// After so long without a fault the next one is treated as the first.
const FORGIVEN_AFTER: Duration = Duration::from_secs(60);

/// From the death of the router to the end of its addresses, at most (and a little for the kernel).
const DEATH_HOLD: Duration = Duration::from_millis(80);
/// From a successor's advert to its announcement.
const ANNOUNCEMENT: Duration = Duration::from_millis(5);

/// Runs the router until it is told to stop; reads the configuration anew through `plan` when it has to
/// clean up.
///
/// `signals` were caught before any other thread was started: one that had not blocked them would take
/// them, and end this process or, as the first one of a container, lose them.
pub(crate) fn run(signals: &Signals, plan: impl Fn() -> Option<Plan>) -> io::Result<ExitCode> {
    // Said by the router process when it is not permitted.
    Urgency::take(PRIORITY);
    let mut pause = FIRST_PAUSE;
    loop {
        let started = now();
        let (child, lifeline) = spawn()?;
        let (status, stopping) = Watch {
            lifeline,
            signals,
            plan: &plan,
        }
        .over(child)?;
        if stopping || status.code() == Some(0) || status.code() == Some(INVALID_CONFIG.into()) {
            let code = status
                .code()
                .and_then(|code| u8::try_from(code).ok())
                .unwrap_or(1);
            return Ok(ExitCode::from(code));
        }
        if now().since(started) > FORGIVEN_AFTER {
            pause = FIRST_PAUSE;
        }
        tracing::error!(%status, pause_millis = pause.as_millis(), "the router process died; its addresses are gone from this node; it is started again");
        std::thread::sleep(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn spawn() -> io::Result<(Child, UnixStream)> {
    let (ours, theirs) = UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_default();
    let child = Command::new(Path::new("/proc/self/exe"))
        .arg0(name)
        .args(arguments)
        .arg(CHILD_FLAG)
        .arg(std::process::id().to_string())
        .stdin(OwnedFd::from(theirs))
        .spawn()?;
    Ok((child, ours))
}

/// What is looked at while a router runs.
struct Watch<'a, P> {
    lifeline: UnixStream,
    signals: &'a Signals,
    plan: &'a P,
}

impl<P: Fn() -> Option<Plan>> Watch<'_, P> {
    /// Waits for the router's end; says how it ended and whether it was asked to.
    fn over(&self, mut child: Child) -> io::Result<(ExitStatus, bool)> {
        let mut stopping = false;
        let mut watchdog = Watchdog::default();
        let mut ears = None;
        loop {
            let wake = match watchdog.duty(now()) {
                Duty::Wait(until) => {
                    ears = None;
                    until
                }
                Duty::Hold { renew, until } => {
                    if renew {
                        self.renew();
                    }
                    if watchdog.expects_successor(now()) && ears.is_none() {
                        ears = Ears::open(&self.groups());
                    }
                    Some(until)
                }
                Duty::Fence => {
                    tracing::error!(
                        "the router process does not run; its addresses are taken away"
                    );
                    self.fence();
                    watchdog.fenced();
                    None
                }
            };
            if let Some(ears) = &mut ears
                && ears.hear_successor(now().after(EAR_TURN))
            {
                tracing::error!(
                    "the router process does not run and another node has taken over; its addresses are taken away"
                );
                std::thread::sleep(ANNOUNCEMENT);
                let groups = self.groups();
                let addresses = held(&groups).iter().map(|held| held.address).collect();
                self.fence();
                // The kernel answered for them until now: the owner announces itself once more.
                say_farewell(&groups, &addresses);
                watchdog.fenced();
            }
            let patience = if ears.is_some() {
                Some(EAR_TURN)
            } else {
                wake.map(|at| at.since(now()))
            };
            let (beat, caught) =
                wait_either(self.lifeline.as_fd(), self.signals.as_fd(), patience)?;
            if beat {
                match last_beat(&self.lifeline) {
                    Beat::Patience(patience) => watchdog.beat(now(), Some(patience)),
                    Beat::NotOwning => watchdog.beat(now(), None),
                    // The end of the stream comes with the end of the process.
                    Beat::Ended => {
                        self.bury();
                        return Ok((child.wait()?, stopping));
                    }
                    Beat::Nothing => {}
                }
            }
            if caught && let Some(status) = self.pass_on(&mut child, &mut stopping)? {
                self.bury();
                return Ok((status, stopping));
            }
        }
    }

    fn pass_on(&self, child: &mut Child, stopping: &mut bool) -> io::Result<Option<ExitStatus>> {
        while let Some(caught) = self.signals.next()? {
            match caught {
                Caught::Stop => {
                    *stopping = true;
                    // It may have died this instant.
                    let _ = terminate(child.id());
                }
                Caught::PassOn(number) => {
                    let _ = signal(child.id(), number);
                }
                Caught::Child => {
                    if let Some(status) = child.try_wait()? {
                        return Ok(Some(status));
                    }
                }
            }
        }
        Ok(None)
    }

    fn groups(&self) -> Vec<GroupPlan> {
        (self.plan)().map(|plan| plan.groups).unwrap_or_default()
    }

    /// The router is dead. What it owned is handed over, if it owned anything.
    fn bury(&self) {
        let groups = self.groups();
        let held = held(&groups);
        if !held.is_empty() {
            let addresses = held.iter().map(|held| held.address).collect();
            let until = now().after(DEATH_HOLD);
            let ears = Ears::open(&groups);
            say_farewell(&groups, &addresses);
            if ears.is_some_and(|mut ears| ears.hear_successor(until)) {
                std::thread::sleep(ANNOUNCEMENT);
            }
        }
        self.fence();
    }

    /// Keeps the addresses of a silent router from expiring.
    fn renew(&self) {
        let groups = self.groups();
        let Ok(mut addresses) = Addresses::open(MARK) else {
            return;
        };
        for held in held(&groups) {
            let _ = addresses.own(held, None, LIFETIME);
        }
    }

    /// Takes every address of ours off this node.
    fn fence(&self) {
        let configured = configured(&self.groups());
        let removed = Addresses::open(MARK)
            .and_then(|mut addresses| remove_ours(&mut addresses, &configured));
        if let Err(error) = removed {
            tracing::error!(%error, "cannot take the addresses off; they go by themselves within two seconds");
        }
    }
}

/// How long the parent listens before it looks at its child again.
const EAR_TURN: Duration = Duration::from_millis(5);

/// Addresses of the groups that are on an interface as ours; those that linger were handed over already.
fn held(groups: &[GroupPlan]) -> Vec<Held> {
    let configured = configured(groups);
    let found = Addresses::open(MARK).and_then(|mut addresses| addresses.list());
    found
        .unwrap_or_default()
        .into_iter()
        .filter(|found| found.is_finite() && found.held.index != LOOPBACK)
        .filter(|found| configured.contains(&found.held.address))
        .map(|found| found.held)
        .collect()
}

fn configured(groups: &[GroupPlan]) -> BTreeSet<IpAddr> {
    let routers = groups.iter().flat_map(|group| &group.routers);
    routers
        .flat_map(|router| router.addresses.iter().copied())
        .collect()
}

#[derive(Debug, PartialEq, Eq)]
enum Beat {
    Nothing,
    NotOwning,
    Patience(Duration),
    Ended,
}

/// The youngest of the beats that are waiting.
fn last_beat(mut lifeline: &UnixStream) -> Beat {
    let mut last = Beat::Nothing;
    let mut beat = [0; 4];
    loop {
        match lifeline.read(&mut beat) {
            Ok(0) => return Beat::Ended,
            Ok(_) => {
                let millis = u32::from_be_bytes(beat);
                last = if millis == 0 {
                    Beat::NotOwning
                } else {
                    Beat::Patience(Duration::from_millis(millis.into()))
                };
            }
            Err(_) => return last,
        }
    }
}
