//! Runs scenarios, one after the other or some at a time, and says how each went.

use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::Result;
use lab_tests::{scenario::try_one, summary::Summary};

use crate::Context;
use crate::stalls::undisturbed;

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
                    report(scenario, &summary, |trial| trial(context));
                }
            });
        }
    });
    for scenario in &scenarios.measured {
        report(scenario, &summary, |trial| {
            undisturbed(STOOD_STILL, || trial(context))
        });
    }
    for scenario in &scenarios.long {
        report(scenario, &summary, |trial| trial(context));
    }
    summary.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn report(
    (name, trial): &Scenario,
    summary: &Mutex<Summary>,
    run: impl FnOnce(Trial) -> Result<()>,
) {
    let outcome = try_one(|| run(*trial));
    let mut summary = summary.lock().unwrap_or_else(PoisonError::into_inner);
    outcome.tell(name, &mut summary);
}
