//! Runs scenarios, one after the other or some at a time, and says how each went.
#![expect(clippy::print_stdout, reason = "a test program reports there")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use anyhow::{Result, anyhow};
use lab_tests::summary::Summary;

use crate::{Context, Skip};

/// One thing that must hold.
pub(crate) type Scenario = (&'static str, fn(&Context) -> Result<()>);

/// So many of those that only wait run at a time.
const AT_A_TIME: usize = 4;

/// How the scenarios went; `patient` ones run beside each other, `alone` ones do not.
pub(crate) fn run(context: &Context, alone: &[Scenario], patient: &[Scenario]) -> Summary {
    let summary = Mutex::new(Summary::default());
    let queue = Mutex::new(patient.iter());
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                while let Some(scenario) = next() {
                    try_one(scenario, context, &summary);
                }
            });
        }
    });
    for scenario in alone {
        try_one(scenario, context, &summary);
    }
    summary.into_inner().unwrap_or_else(PoisonError::into_inner)
}

#[expect(clippy::disallowed_methods, reason = "says how long a scenario took")]
fn try_one((name, scenario): &Scenario, context: &Context, summary: &Mutex<Summary>) {
    let begin = Instant::now();
    let outcome = catch_unwind(AssertUnwindSafe(|| scenario(context)));
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
