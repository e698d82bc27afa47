//! Runs scenarios, one after the other or some at a time, and says how each went.
#![expect(clippy::print_stdout, reason = "a test program reports there")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use lab_tests::summary::Summary;

use crate::stalls::undisturbed;
use crate::{Context, Skip};

/// One thing that must hold.
pub(crate) type Scenario = (&'static str, Trial);

type Trial = fn(&Context) -> Result<()>;

/// So many of those that only wait run at a time.
const AT_A_TIME: usize = 4;
/// What is measured in milliseconds means nothing while a processor stood still for so long: a router that leaves
/// serves for no longer after its successor's announcement.
const STOOD_STILL: Duration = Duration::from_millis(20);

/// What there is to try.
pub(crate) struct Scenarios {
    /// They wait for most of their time: some run beside each other.
    pub(crate) patient: Vec<Scenario>,
    /// Nothing runs beside them, and one that fails while a processor stood still is made again.
    pub(crate) measured: Vec<Scenario>,
    /// Nothing runs beside them.
    pub(crate) long: Vec<Scenario>,
}

impl Scenarios {
    pub(crate) fn retain(&mut self, wants: impl Fn(&Scenario) -> bool) {
        for group in [&mut self.patient, &mut self.measured, &mut self.long] {
            group.retain(&wants);
        }
    }

    /// In the order of the groups.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Scenario> {
        self.patient.iter().chain(&self.measured).chain(&self.long)
    }
}

/// How the scenarios went.
pub(crate) fn run(context: &Context, scenarios: &Scenarios) -> Summary {
    let summary = Mutex::new(Summary::default());
    let queue = Mutex::new(scenarios.patient.iter());
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                while let Some(scenario) = next() {
                    try_one(scenario, &summary, |trial| trial(context));
                }
            });
        }
    });
    for scenario in &scenarios.measured {
        try_one(scenario, &summary, |trial| {
            undisturbed(STOOD_STILL, || trial(context))
        });
    }
    for scenario in &scenarios.long {
        try_one(scenario, &summary, |trial| trial(context));
    }
    summary.into_inner().unwrap_or_else(PoisonError::into_inner)
}

#[expect(clippy::disallowed_methods, reason = "says how long a scenario took")]
fn try_one(
    (name, trial): &Scenario,
    summary: &Mutex<Summary>,
    run: impl FnOnce(Trial) -> Result<()>,
) {
    let begin = Instant::now();
    let outcome = catch_unwind(AssertUnwindSafe(|| run(*trial)));
    let seconds = begin.elapsed().as_secs_f32();
    let mut summary = summary.lock().unwrap_or_else(PoisonError::into_inner);
    match outcome.unwrap_or_else(|_| Err(anyhow!("it panicked"))) {
        Ok(()) => {
            println!("test {name} ... ok ({seconds:.1} s)");
            summary.pass();
        }
        Err(error) if error.is::<Skip>() => {
            println!("test {name} ... skipped: {error}");
            summary.skip(name, &error.to_string());
        }
        Err(error) => {
            println!("test {name} ... FAILED ({seconds:.1} s): {error:#}");
            summary.fail(name, &format!("{error:#}"));
        }
    }
}
