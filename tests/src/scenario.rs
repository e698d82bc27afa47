//! One scenario: tried, timed, told on standard output and in the summary.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use crate::summary::Summary;

/// Why a scenario cannot be tried here.
#[derive(Debug)]
pub struct Skip(pub &'static str);

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Skip {}

/// How a scenario went, and how long it took.
#[derive(Debug)]
pub struct Outcome {
    result: Result<()>,
    took: Duration,
}

/// Tries a scenario. It fails by an error or a panic, and is skipped by a [`Skip`] error.
#[expect(clippy::disallowed_methods, reason = "says how long a scenario took")]
pub fn try_one(run: impl FnOnce() -> Result<()>) -> Outcome {
    let begin = Instant::now();
    let result = catch_unwind(AssertUnwindSafe(run));
    Outcome {
        result: result.unwrap_or_else(|panic| Err(anyhow!("it panicked: {}", said(&*panic)))),
        took: begin.elapsed(),
    }
}

impl Outcome {
    /// Tells it, in the form that cargo's own tests have.
    #[expect(clippy::print_stdout, reason = "a test program reports there")]
    pub fn tell(&self, name: &str, summary: &mut Summary) {
        let seconds = self.took.as_secs_f32();
        match &self.result {
            Ok(()) => {
                println!("test {name} ... ok ({seconds:.1} s)");
                summary.pass();
            }
            Err(error) if error.is::<Skip>() => {
                println!("test {name} ... skipped: {error}");
                summary.skip(name, &error.to_string());
            }
            Err(error) => {
                let reason = format!("{error:#}");
                println!("test {name} ... FAILED ({seconds:.1} s): {reason}");
                summary.fail(name, &reason);
            }
        }
    }
}

/// What a panic says of itself.
fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("without a message")
}

#[cfg(test)]
mod tests {
    use std::panic::panic_any;

    use super::*;

    /// What the summary of one scenario says.
    fn summary(run: impl FnOnce() -> Result<()>) -> Summary {
        let mut summary = Summary::default();
        try_one(run).tell("one", &mut summary);
        summary
    }

    #[test]
    fn a_scenario_that_panics_says_why() {
        let panics: [(&str, fn()); 3] = [
            ("it panicked: no answer", || panic!("no answer")),
            ("it panicked: 2 answers", || {
                let answers = std::hint::black_box(2);
                panic!("{answers} answers")
            }),
            ("it panicked: without a message", || panic_any(2_u8)),
        ];
        for (reason, panics) in panics {
            let told = summary(|| {
                panics();
                Ok(())
            });
            assert_eq!(told.failures[0].reason, reason);
        }
    }

    #[test]
    fn what_holds_fails_and_cannot_be_tried_is_counted_apart() {
        assert_eq!(summary(|| Ok(())).passed, 1);
        let failed = summary(|| Err(anyhow!("no link").context("cannot ping")));
        assert_eq!(failed.failures[0].reason, "cannot ping: no link");
        let skipped = summary(|| Err(Skip("no keepalived").into()));
        assert_eq!(skipped.skipped[0].reason, "no keepalived");
        assert_eq!((skipped.passed, skipped.failures.len()), (0, 0));
    }
}
