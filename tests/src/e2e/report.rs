//! What Ginkgo tells in its JSON report.

use std::fmt;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

/// A spec by its whole name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Spec(String);

/// How a spec went.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Ginkgo's word: `passed`, `failed`, `timedout`, `skipped` and others; `broken` when there is no report.
    pub state: String,
    /// How long it took.
    pub seconds: f64,
    /// Why it did not pass, in one line.
    pub reason: String,
}

impl Spec {
    /// The name.
    pub fn name(&self) -> &str {
        &self.0
    }

    /// The name without what all have in common and without tags.
    pub fn short_name(&self) -> String {
        let words = self.0.split_whitespace();
        let words: Vec<&str> = words.filter(|word| !word.starts_with('[')).collect();
        words.join(" ")
    }

    /// A regular expression of Go that finds this spec and no other.
    ///
    /// Ginkgo puts the name of the suite before it.
    pub(super) fn pattern(&self) -> String {
        let mut pattern = String::from(" ");
        for letter in self.0.chars() {
            if "\\.+*?()|[]{}^$".contains(letter) {
                pattern.push('\\');
            }
            pattern.push(letter);
        }
        pattern.push('$');
        pattern
    }

    pub(super) fn file_name(&self) -> String {
        let name = self.short_name();
        let plain = |letter: char| {
            if letter.is_ascii_alphanumeric() {
                letter
            } else {
                '-'
            }
        };
        name.chars().map(plain).collect()
    }
}

impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Outcome {
    /// There is no report.
    pub(super) fn broken(reason: &str) -> Self {
        Self {
            state: "broken".to_owned(),
            seconds: 0.0,
            reason: one_line(reason),
        }
    }

    /// Whether it passed.
    pub fn passed(&self) -> bool {
        self.state == "passed"
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} after {:.0} s", self.state, self.seconds)
    }
}

/// The specs that a report is about, skipped ones left out.
pub(super) fn specs(report: &str) -> Result<Vec<Spec>> {
    Ok(all(report)?
        .into_iter()
        .filter(|one| one.state != "skipped")
        .map(|one| one.spec())
        .collect())
}

/// How a spec went by a report.
pub(super) fn outcome(report: &str, spec: &Spec) -> Result<Outcome> {
    let mut ran: Vec<SpecReport> = all(report)?
        .into_iter()
        // A spec that skips itself has taken time, or says why.
        .filter(|one| one.state != "skipped" || !one.failure.message.is_empty())
        .collect();
    let (Some(one), None) = (ran.pop(), ran.pop()) else {
        bail!("the report is not about one spec");
    };
    if one.spec() != *spec {
        bail!("the report is about `{}`", one.spec());
    }
    Ok(Outcome {
        seconds: one.run_time / 1e9,
        reason: one_line(&one.failure.message),
        state: one.state,
    })
}

fn all(report: &str) -> Result<Vec<SpecReport>> {
    let suites: Vec<Suite> =
        serde_json::from_str(report).context("this is not a report of Ginkgo")?;
    let all = suites.into_iter().flat_map(|suite| suite.spec_reports);
    Ok(all.filter(|one| one.leaf_node_type == "It").collect())
}

fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let line = words.join(" ");
    match line.char_indices().nth(LINE) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// Letters of a reason.
const LINE: usize = 300;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Suite {
    spec_reports: Vec<SpecReport>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SpecReport {
    /// Absent for what belongs to the whole suite.
    #[serde(default)]
    container_hierarchy_texts: Option<Vec<String>>,
    leaf_node_type: String,
    #[serde(default)]
    leaf_node_text: String,
    state: String,
    /// Nanoseconds.
    #[serde(default)]
    run_time: f64,
    #[serde(default)]
    failure: Failure,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Failure {
    #[serde(default)]
    message: String,
}

impl SpecReport {
    fn spec(&self) -> Spec {
        let containers = self.container_hierarchy_texts.iter().flatten();
        let texts: Vec<&str> = containers
            .map(String::as_str)
            .chain([&*self.leaf_node_text])
            .collect();
        Spec(texts.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = r#"[{"SuiteDescription": "Kubernetes e2e suite", "SpecReports": [
        {"ContainerHierarchyTexts": null, "LeafNodeType": "SynchronizedBeforeSuite", "LeafNodeText": "",
         "State": "passed", "RunTime": 100},
        {"ContainerHierarchyTexts": ["[sig-storage] Volumes"], "LeafNodeType": "It", "LeafNodeText": "should work",
         "State": "skipped", "RunTime": 0},
        {"ContainerHierarchyTexts": ["[sig-network] LoadBalancers [Feature:LoadBalancer]"], "LeafNodeType": "It",
         "LeafNodeText": "should work for type=LoadBalancer [Slow]", "State": "failed", "RunTime": 19500000000,
         "Failure": {"Message": "no address\n  within 20 min", "Location": {"FileName": "a.go"}}}
    ]}]"#;

    #[test]
    fn the_specs_are_those_that_were_not_left_out() {
        let specs = specs(REPORT).expect("a report");
        let [spec] = &specs[..] else {
            panic!("{specs:?}");
        };
        assert_eq!(
            spec.name(),
            "[sig-network] LoadBalancers [Feature:LoadBalancer] should work for type=LoadBalancer [Slow]"
        );
        assert_eq!(
            spec.short_name(),
            "LoadBalancers should work for type=LoadBalancer"
        );
        assert_eq!(
            spec.file_name(),
            "LoadBalancers-should-work-for-type-LoadBalancer"
        );
        assert_eq!(
            spec.pattern(),
            r" \[sig-network\] LoadBalancers \[Feature:LoadBalancer\] should work for type=LoadBalancer \[Slow\]$"
        );
    }

    #[test]
    fn the_outcome_is_that_of_the_spec_that_ran() {
        let spec = specs(REPORT).expect("a report").remove(0);
        let outcome = outcome(REPORT, &spec).expect("an outcome");
        assert_eq!(outcome.state, "failed");
        assert_eq!(outcome.seconds, 19.5);
        assert_eq!(outcome.reason, "no address within 20 min");
        assert!(!outcome.passed());
    }

    #[test]
    fn a_report_of_nothing_or_of_another_spec_is_no_outcome() {
        let spec = specs(REPORT).expect("a report").remove(0);
        let skipped = REPORT.replace("\"failed\"", "\"skipped\"");
        let none = skipped.replace("no address\\n  within 20 min", "");
        assert_eq!(
            outcome(&skipped, &spec).expect("it skipped itself").state,
            "skipped"
        );
        outcome(&none, &spec).expect_err("nothing ran");
        let other = Spec("[sig-storage] Volumes should work".to_owned());
        outcome(REPORT, &other).expect_err("another one ran");
        outcome("{", &spec).expect_err("no JSON");
        outcome("[]", &spec).expect_err("no suite");
    }

    #[test]
    fn a_long_reason_is_cut_between_letters() {
        let long = "ä".repeat(400);
        assert_eq!(one_line(&long).chars().count(), LINE + 1);
        assert_eq!(one_line(" a\n\tb "), "a b");
    }
}
