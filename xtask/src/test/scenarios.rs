//! Tiers that are a program of their own: it runs scenarios with the built programs and tells its outcome in a file.

use std::fs;
use std::path::Path;

use anyhow::Result;
use lab_tests::summary::{Remark, Summary};

use super::tally::Outcome;
use super::{Args, FULL, stream};
use crate::{cargo, dist};

/// A test target without cargo's harness.
#[derive(Debug, Clone, Copy)]
pub(super) struct Program {
    /// Name of the target, and of its outcome's file.
    pub(super) target: &'static str,
    /// Whether this host can run its scenarios. They tell why not; building for them would be in vain.
    possible: fn() -> bool,
}

/// Virtual routers in network namespaces.
pub(super) const ROUTERS: Program = Program {
    target: "vrrp",
    possible: || lab_tests::duel::arena::possible().is_ok(),
};

/// Bare machines.
pub(super) const LAB: Program = Program {
    target: "lab",
    possible: || lab_tests::host::shortcomings().is_empty(),
};

/// All of them.
pub(super) const ALL: [Program; 2] = [ROUTERS, LAB];

impl Program {
    /// Runs its scenarios.
    ///
    /// # Errors
    ///
    /// When cargo cannot be started.
    pub(super) fn run(self, args: &Args) -> Result<Outcome> {
        let report = cargo::root().join(format!("target/{}-test.json", self.target));
        let _ = fs::remove_file(&report);
        if (self.possible)()
            && let Err(error) = dist::build(dist::Profile::Lab)
        {
            let reason = format!("the programs cannot be built: {error:#}");
            return Ok(Outcome {
                failed: vec![(self.target.to_owned(), reason)],
                ..Outcome::default()
            });
        }
        // The same packages as for the units: with fewer of them cargo would build dependencies again.
        let mut command = cargo::command(&["test", "--workspace", "--test", self.target, "--"]);
        if args.full {
            command.arg("--full").env(FULL, "1");
        }
        command.args(&args.filter);
        let good = stream(command, |line| {
            (!is_closing_line(line)).then(|| line.to_owned())
        })?;
        Ok(self.outcome(read(&report), good))
    }

    fn outcome(self, report: Option<Summary>, good: bool) -> Outcome {
        let target = self.target;
        let mut outcome = Outcome::default();
        let Some(report) = report else {
            let reason = "ended without a report: see the output above".to_owned();
            outcome.failed.push((target.to_owned(), reason));
            return outcome;
        };
        let pair = |remark: Remark| (format!("{target} {}", remark.name), remark.reason);
        outcome.passed = report.passed;
        outcome.failed = report.failures.into_iter().map(pair).collect();
        outcome.skipped = report.skipped.into_iter().map(pair).collect();
        if !good && outcome.failed.is_empty() && outcome.skipped.is_empty() {
            let reason = "failed without naming a test: see the output above".to_owned();
            outcome.failed.push((target.to_owned(), reason));
        }
        outcome
    }
}

fn read(path: &Path) -> Option<Summary> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

/// The program's own closing line: there is to be one for the whole run.
fn is_closing_line(line: &str) -> bool {
    let mut words = line.split([' ', ',']).filter(|word| !word.is_empty());
    let mut number = || {
        words
            .next()
            .is_some_and(|word| word.parse::<usize>().is_ok())
    };
    number() && line.contains(" passed") && line.contains(" failed")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(passed: usize) -> Summary {
        Summary {
            passed,
            ..Summary::default()
        }
    }

    #[test]
    fn the_report_becomes_an_outcome() {
        let mut summary = summary(3);
        summary.fail("a4", "half a file");
        summary.skip("vm", "no qemu");
        let text = serde_json::to_string(&summary).unwrap();
        let outcome = LAB.outcome(serde_json::from_str(&text).unwrap(), false);
        assert_eq!(outcome.closing_line(), "3 passed, 1 failed, 1 skipped");
        assert_eq!(
            outcome.failed[0],
            ("lab a4".to_owned(), "half a file".to_owned())
        );
    }

    #[test]
    fn no_report_or_a_bad_end_is_a_failure() {
        assert_eq!(ROUTERS.outcome(None, true).failed.len(), 1);
        assert_eq!(ROUTERS.outcome(Some(summary(3)), false).failed.len(), 1);
        assert_eq!(ROUTERS.outcome(Some(summary(3)), true).failed.len(), 0);
    }

    #[test]
    fn only_the_closing_line_is_swallowed() {
        assert!(is_closing_line("3 passed, 0 failed, 1 skipped"));
        assert!(!is_closing_line("test a2 ... ok (12.3 s)"));
        assert!(!is_closing_line("3 machines are up"));
    }
}
