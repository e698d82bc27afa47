//! The lab tier: a program of its own that tells its outcome in a file.

use std::fs;
use std::path::Path;

use anyhow::Result;
use serde::Deserialize;

use super::tally::Outcome;
use super::{Args, FULL, stream};
use crate::{cargo, dist};

/// Runs the scenarios of the lab.
///
/// # Errors
///
/// When cargo cannot be started.
pub(super) fn run(args: &Args) -> Result<Outcome> {
    let report = cargo::root().join("target/lab-test.json");
    let _ = fs::remove_file(&report);
    // A host that cannot hold a lab is told so by the scenarios; building for it would be in vain.
    if lab_tests::host::shortcomings().is_empty()
        && let Err(error) = dist::build(dist::Profile::Lab)
    {
        let failed = vec![(
            "lab".to_owned(),
            format!("the programs cannot be built: {error:#}"),
        )];
        return Ok(Outcome {
            failed,
            ..Outcome::default()
        });
    }
    // The same packages as for the units: with fewer of them cargo would build dependencies again.
    let mut command = cargo::command(&["test", "--workspace", "--test", TARGET, "--"]);
    if args.full {
        command.arg("--full").env(FULL, "1");
    }
    command.args(&args.filter);
    let good = stream(command, |line| {
        (!is_closing_line(line)).then(|| line.to_owned())
    })?;
    Ok(outcome(read(&report), good))
}

/// What the program writes when it ends.
#[derive(Debug, Deserialize)]
struct Report {
    passed: usize,
    failed: usize,
    #[serde(default)]
    failures: Vec<Entry>,
    skipped: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
struct Entry {
    name: String,
    reason: String,
}

fn read(path: &Path) -> Option<Report> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

fn outcome(report: Option<Report>, good: bool) -> Outcome {
    let mut outcome = Outcome::default();
    if let Some(report) = report {
        let pair = |entry: Entry| (format!("lab {}", entry.name), entry.reason);
        outcome.passed = report.passed;
        outcome.failed = report.failures.into_iter().map(pair).collect();
        outcome.skipped = report.skipped.into_iter().map(pair).collect();
        while outcome.failed.len() < report.failed {
            outcome
                .failed
                .push(("lab".to_owned(), "see the output above".to_owned()));
        }
    } else {
        outcome.failed.push((
            "lab".to_owned(),
            "ended without a report: see the output above".to_owned(),
        ));
    }
    if !good && outcome.failed.is_empty() && outcome.skipped.is_empty() {
        outcome.failed.push((
            "lab".to_owned(),
            "failed without naming a test: see the output above".to_owned(),
        ));
    }
    outcome
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

/// Name of the test target.
pub(super) const TARGET: &str = "lab";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_becomes_an_outcome() {
        let text = r#"{"passed":3,"failed":2,"failures":[{"name":"a4","reason":"half a file"}],"skipped":[{"name":"vm","reason":"no qemu"}]}"#;
        let outcome = outcome(Some(serde_json::from_str(text).unwrap()), false);
        assert_eq!(outcome.closing_line(), "3 passed, 2 failed, 1 skipped");
        assert_eq!(
            outcome.failed[0],
            ("lab a4".to_owned(), "half a file".to_owned())
        );
    }

    #[test]
    fn no_report_or_a_bad_end_is_a_failure() {
        assert_eq!(outcome(None, true).failed.len(), 1);
        let text = r#"{"passed":3,"failed":0,"skipped":[]}"#;
        assert_eq!(
            outcome(Some(serde_json::from_str(text).unwrap()), false)
                .failed
                .len(),
            1
        );
        assert_eq!(
            outcome(Some(serde_json::from_str(text).unwrap()), true)
                .failed
                .len(),
            0
        );
    }

    #[test]
    fn only_the_closing_line_is_swallowed() {
        assert!(is_closing_line("3 passed, 0 failed, 1 skipped"));
        assert!(!is_closing_line("test a2 ... ok (12.3 s)"));
        assert!(!is_closing_line("3 machines are up"));
    }
}
