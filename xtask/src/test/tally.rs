//! Counting what cargo's test harness prints.

/// What a tier of tests came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Outcome {
    pub(super) passed: usize,
    /// Names and reasons.
    pub(super) failed: Vec<(String, String)>,
    /// Names and reasons.
    pub(super) skipped: Vec<(String, String)>,
}

impl Outcome {
    pub(super) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed.extend(other.failed);
        self.skipped.extend(other.skipped);
    }

    /// Whether there were tests and none of them ran.
    pub(super) fn is_skipped_whole(&self) -> bool {
        self.passed == 0 && self.failed.is_empty() && !self.skipped.is_empty()
    }

    /// The line that ends a run.
    pub(super) fn closing_line(&self) -> String {
        format!(
            "{} passed, {} failed, {} skipped",
            self.passed,
            self.failed.len(),
            self.skipped.len()
        )
    }

    /// The same facts in a form that cannot be taken for the closing line.
    pub(super) fn summary(&self) -> String {
        format!(
            "{} ok, {} bad, {} left out",
            self.passed,
            self.failed.len(),
            self.skipped.len()
        )
    }
}

/// Reads the output of `cargo test` line by line.
#[derive(Debug, Default)]
pub(super) struct Tally {
    program: String,
    outcome: Outcome,
    in_program: usize,
}

impl Tally {
    /// Takes a line in; returns what to print instead of it.
    pub(super) fn show(&mut self, line: &str) -> Option<String> {
        let trimmed = line.trim_start();
        if let Some(rest) = trimmed
            .strip_prefix("Running ")
            .filter(|_| line.starts_with(' '))
        {
            self.program = program_name(rest);
            self.in_program = 0;
        } else if let Some(name) = trimmed
            .strip_prefix("Doc-tests ")
            .filter(|_| line.starts_with(' '))
        {
            self.program = format!("{name} (documentation)");
            self.in_program = 0;
        } else if let Some(rest) = line.strip_prefix("test result: ") {
            let verdict = if rest.starts_with("ok") {
                "ok"
            } else {
                "FAILED"
            };
            return Some(format!(
                "-- {}: {verdict}, {} ran",
                self.program, self.in_program
            ));
        } else if let Some((name, verdict)) = line
            .strip_prefix("test ")
            .and_then(|rest| rest.rsplit_once(" ... "))
        {
            self.verdict(name, verdict);
        }
        Some(line.to_owned())
    }

    /// The outcome; `good` is whether cargo ended with 0. A failure that no test told is one all the same.
    pub(super) fn finish(mut self, good: bool) -> Outcome {
        if !good && self.outcome.failed.is_empty() {
            let after = if self.program.is_empty() {
                "before the first test"
            } else {
                &self.program
            };
            let reason = format!("failed without naming a test ({after}): see the output above");
            self.outcome.failed.push(("cargo test".to_owned(), reason));
        }
        self.outcome
    }

    fn verdict(&mut self, name: &str, verdict: &str) {
        let name = format!("{} {name}", self.program);
        match verdict
            .split_once(',')
            .map_or((verdict, ""), |(word, rest)| (word, rest.trim()))
        {
            ("ok", _) => {
                self.outcome.passed += 1;
                self.in_program += 1;
            }
            ("FAILED", _) => {
                self.outcome
                    .failed
                    .push((name, "see the output above".to_owned()));
                self.in_program += 1;
            }
            ("ignored", "") => self
                .outcome
                .skipped
                .push((name, "no reason given".to_owned())),
            ("ignored", reason) => self.outcome.skipped.push((name, reason.to_owned())),
            _ => {}
        }
    }
}

/// `unittests src/lib.rs (target/debug/deps/daemon-0123)` is `daemon`, `tests/admin.rs (…/admin-0123)` is `admin`.
fn program_name(rest: &str) -> String {
    let file = rest
        .rsplit(['/', '('])
        .next()
        .unwrap_or(rest)
        .trim_end_matches(')');
    file.rsplit_once('-')
        .map_or(file, |(name, _)| name)
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "\
   Compiling daemon v0.1.0
     Running unittests src/lib.rs (target/debug/deps/daemon-95364162eb9b7ab1)

running 4 tests
test ready::tests::ready_needs_every_latch ... ok
test probe::tests::slow - should panic ... ok
test netns ... ignored, needs root
test broken ... FAILED

failures:

---- broken stdout ----
test of nothing ... at all

test result: FAILED. 2 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.02s

     Running tests/rfc.rs (target/debug/deps/rfc-95364162eb9b7ab1)
test a01 ... ok
test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.02s
   Doc-tests ipnet-like
test src/lib.rs - f (line 3) ... ignored
test result: ok. 0 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.02s
";

    #[test]
    fn every_test_is_counted_once_under_its_program() {
        let (_, outcome) = read(OUTPUT, false);
        assert_eq!(outcome.passed, 3);
        assert_eq!(
            outcome.failed,
            [(
                "daemon broken".to_owned(),
                "see the output above".to_owned()
            )]
        );
        assert_eq!(
            outcome.skipped,
            [
                ("daemon netns".to_owned(), "needs root".to_owned()),
                (
                    "ipnet-like (documentation) src/lib.rs - f (line 3)".to_owned(),
                    "no reason given".to_owned()
                ),
            ]
        );
        assert_eq!(outcome.closing_line(), "3 passed, 1 failed, 2 skipped");
    }

    #[test]
    fn no_printed_line_looks_like_a_closing_line() {
        let (shown, outcome) = read(OUTPUT, false);
        assert!(
            shown.contains(&"-- daemon: FAILED, 3 ran".to_owned()),
            "{shown:?}"
        );
        assert!(shown.contains(&"-- rfc: ok, 1 ran".to_owned()), "{shown:?}");
        for line in shown.iter().chain([&outcome.summary()]) {
            assert!(
                !line.contains(" passed") && !line.starts_with("test result"),
                "{line}"
            );
        }
    }

    #[test]
    fn a_failure_without_a_failed_test_counts() {
        let (_, outcome) = read("error: could not compile `daemon`\n", false);
        assert_eq!(outcome.closing_line(), "0 passed, 1 failed, 0 skipped");
        let (_, outcome) = read("", true);
        assert_eq!(outcome.closing_line(), "0 passed, 0 failed, 0 skipped");
    }

    #[test]
    fn a_tier_that_skipped_everything_is_told_from_one_that_had_nothing_to_do() {
        let mut outcome = Outcome::default();
        assert!(!outcome.is_skipped_whole());
        outcome
            .skipped
            .push(("lab up".to_owned(), "needs root".to_owned()));
        assert!(outcome.is_skipped_whole());
        outcome.passed = 1;
        assert!(!outcome.is_skipped_whole());
    }

    fn read(text: &str, good: bool) -> (Vec<String>, Outcome) {
        let mut tally = Tally::default();
        let shown = text.lines().filter_map(|line| tally.show(line)).collect();
        (shown, tally.finish(good))
    }
}
