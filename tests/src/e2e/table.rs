//! The runs side by side, and what was not expected of them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use super::EXPECTED;
use super::report::{Outcome, Spec};

/// One spec in one run, as it is published.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Line {
    /// The spec's whole name.
    pub spec: String,
    /// Which run, from 1.
    pub run: usize,
    /// Ginkgo's word for how it went.
    pub result: String,
    /// How long it took.
    pub seconds: f64,
    /// Why it did not pass.
    pub reason: String,
    /// Why it is known to fail, if it is.
    pub expected: Option<String>,
    #[serde(skip)]
    short_name: String,
}

impl Line {
    /// How a spec went.
    pub fn new(spec: &Spec, run: usize, outcome: &Outcome) -> Self {
        Self {
            spec: spec.name().to_owned(),
            run,
            result: outcome.state.clone(),
            seconds: outcome.seconds,
            reason: outcome.reason.clone(),
            expected: expected(spec).map(str::to_owned),
            short_name: spec.short_name(),
        }
    }

    fn passed(&self) -> bool {
        self.result == "passed"
    }
}

/// Why a spec is known to fail.
pub(super) fn expected(spec: &Spec) -> Option<&'static str> {
    EXPECTED
        .iter()
        .find(|(words, _)| spec.name().contains(words))
        .map(|(_, why)| *why)
}

/// The specs, and in a column of each run how they went.
pub fn table(lines: &[Line]) -> String {
    let mut specs: BTreeMap<&str, Vec<&Line>> = BTreeMap::new();
    for line in lines {
        specs.entry(&line.spec).or_default().push(line);
    }
    let mut text = String::new();
    for lines in specs.values_mut() {
        lines.sort_by_key(|line| line.run);
        for line in lines.iter() {
            let cell = format!("{} {:.0} s", line.result, line.seconds);
            // Writing to a string cannot fail.
            let _ = write!(text, "{cell:<16}");
        }
        let name = lines.first().map_or("", |line| &line.short_name);
        let _ = writeln!(text, "{name}");
        for line in lines.iter().filter(|line| !line.passed()) {
            let _ = writeln!(text, "    run {}: {}", line.run, line.reason);
        }
        if let Some(why) = lines.first().and_then(|line| line.expected.as_deref()) {
            let _ = writeln!(text, "    known to fail: {why}");
        }
    }
    text
}

/// A line of each run: how many passed.
pub fn closing_lines(lines: &[Line]) -> String {
    let mut runs: BTreeMap<usize, (usize, usize)> = BTreeMap::new();
    for line in lines {
        let (passed, all) = runs.entry(line.run).or_default();
        *passed += usize::from(line.passed());
        *all += 1;
    }
    let line = |(run, (passed, all)): (usize, (usize, usize))| {
        format!("run {run}: {passed} of {all} passed")
    };
    runs.into_iter().map(line).collect::<Vec<_>>().join("\n")
}

/// What did not go as it is known to: a spec that did not pass, or one that passed although it is on the list.
pub fn surprises(lines: &[Line]) -> Surprises<'_> {
    let failed = |line: &&Line| !line.passed() && line.expected.is_none();
    let passed = |line: &&Line| line.passed() && line.expected.is_some();
    Surprises {
        failed: lines.iter().filter(failed).collect(),
        passed: lines.iter().filter(passed).collect(),
    }
}

/// What was not expected.
#[derive(Debug)]
pub struct Surprises<'a> {
    /// Not on the list of known failures, and did not pass: a failure of the run.
    pub failed: Vec<&'a Line>,
    /// On that list, and passed: it can be taken off.
    pub passed: Vec<&'a Line>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(words: &str, run: usize, result: &str) -> Line {
        let report = format!(
            r#"[{{"SpecReports": [{{"ContainerHierarchyTexts": ["[sig-network] LoadBalancers"], "LeafNodeType": "It",
            "LeafNodeText": "{words} [Slow]", "State": "{result}", "RunTime": 2000000000,
            "Failure": {{"Message": "because"}}}}]}}]"#
        );
        let spec = super::super::report::specs(&report.replace("skipped", "passed"));
        let spec = spec.expect("a report").remove(0);
        let outcome = super::super::report::outcome(&report, &spec).expect("an outcome");
        Line::new(&spec, run, &outcome)
    }

    #[test]
    fn only_what_is_not_known_to_fail_is_a_failure() {
        let known = EXPECTED[0].0;
        let lines = [
            line("should work", 1, "passed"),
            line(known, 1, "timedout"),
            line("should work", 2, "failed"),
            line(known, 2, "passed"),
            line("should be there", 2, "skipped"),
        ];
        let Surprises { failed, passed } = surprises(&lines);
        let names: Vec<_> = failed
            .iter()
            .map(|line| (line.run, &*line.result))
            .collect();
        assert_eq!(names, [(2, "failed"), (2, "skipped")]);
        assert_eq!(passed.len(), 1);
        assert!(passed[0].spec.contains(known));
    }

    #[test]
    fn runs_are_columns_and_have_a_closing_line_each() {
        let lines = [
            line("should work", 2, "failed"),
            line("should work", 1, "passed"),
            line("should be there", 1, "passed"),
        ];
        let text = table(&lines);
        assert!(
            text.contains(
                "passed 2 s      failed 2 s      LoadBalancers should work\n    run 2: because\n"
            ),
            "{text}"
        );
        assert_eq!(
            closing_lines(&lines),
            "run 1: 2 of 2 passed\nrun 2: 0 of 1 passed"
        );
    }
}
