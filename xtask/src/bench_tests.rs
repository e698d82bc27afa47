//! Measurements that tests of `dataplane` make: they print a line `figure CASE METRIC VALUE` for each.

use std::collections::BTreeMap;
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use lab_tests::figures::Row;

use crate::cargo;

/// Values by case and metric.
#[derive(Debug, Default)]
pub(crate) struct Rounds(BTreeMap<(String, String), Vec<f64>>);

impl Rounds {
    /// Runs a test program with these words for cargo, and takes in what it measured.
    ///
    /// # Errors
    /// When a test cannot be built, fails or measures nothing.
    pub(crate) fn measure(&mut self, words: &[&str], variables: &[(&str, &str)]) -> Result<()> {
        let mut command = cargo::command(&["test", "--profile", "lab", "-p", "dataplane"]);
        command
            .args(words)
            .envs(variables.iter().copied())
            .stderr(Stdio::inherit());
        let output = command.output().context("cannot run cargo")?;
        let text = String::from_utf8_lossy(&output.stdout);
        ensure!(output.status.success(), "a test failed:\n{text}");
        let before = self.count();
        text.lines().for_each(|line| self.read(line));
        ensure!(
            self.count() > before,
            "nothing was measured; the test said:\n{text}"
        );
        Ok(())
    }

    /// The same of a test with an API server that runs only when it is asked for.
    ///
    /// # Errors
    /// As [`Self::measure`].
    pub(crate) fn measure_api(&mut self, test: &str, variables: &[(&str, &str)]) -> Result<()> {
        let words = ["--test", "api", "--", "--ignored", "--nocapture", test];
        self.measure(&words, variables)
    }

    /// Takes a line of a test in; most are none of ours.
    fn read(&mut self, line: &str) {
        // The name of the test may stand before it on the same line.
        let Some((_, figure)) = line.split_once("figure ") else {
            return;
        };
        if let [case, metric, value] = figure.split(' ').collect::<Vec<_>>()[..]
            && let Ok(value) = value.parse()
        {
            let key = (case.to_owned(), metric.to_owned());
            self.0.entry(key).or_default().push(value);
        }
    }

    fn count(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }

    /// A row for each case and metric, of ours.
    pub(crate) fn rows(&self) -> Vec<Row> {
        self.rows_of("lbnode")
    }

    /// A row for each case and metric.
    pub(crate) fn rows_of(&self, contestant: &str) -> Vec<Row> {
        let rows = self.0.iter().filter_map(|((case, metric), values)| {
            let unit = match metric.as_str() {
                "seconds" => "s",
                "us" => "us",
                "rss_mib" => "MiB",
                metric if metric.ends_with("_ms") => "ms",
                _ => "1",
            };
            Row::of(case, contestant, metric, unit, values)
        });
        rows.collect()
    }

    /// The same, each compared with what was measured of a baseline in the same round.
    pub(crate) fn compared(&self, contestant: &str, with: &Self, baseline: &str) -> Vec<Row> {
        let rows = self.rows_of(contestant).into_iter();
        let compare = |row: Row| {
            let key = (row.case.clone(), row.metric.clone());
            let values = |rounds: &Self| rounds.0.get(&key).cloned().unwrap_or_default();
            let pairs = values(self).into_iter().zip(values(with));
            let ratios: Vec<f64> = pairs.map(|(one, other)| one / other).collect();
            row.compared(baseline, &ratios)
        };
        rows.map(compare).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_from_between_other_lines() {
        let mut rounds = Rounds::default();
        for line in [
            "running 1 test",
            "test a ... figure restart_100000 seconds 1.5",
            "figure restart_100000 seconds 2.5",
            "figure restart_100000 seconds 2",
            "figure allocate us 30",
            "figure create_to_status/bare p50_ms 5.125",
            "figure broken",
            "figure broken us many",
        ] {
            rounds.read(line);
        }
        let rows = rounds.rows();
        assert_eq!(rows.len(), 3);
        assert_eq!(
            (&*rows[2].case, rows[2].value, rows[2].n),
            ("restart_100000", 2.0, 3)
        );
        let units: Vec<&str> = rows.iter().map(|row| &*row.unit).collect();
        assert_eq!(units, ["us", "ms", "s"]);
    }

    #[test]
    fn rounds_are_compared_one_by_one() {
        let rounds = |values: [f64; 3]| {
            let mut rounds = Rounds::default();
            for value in values {
                rounds.read(&format!("figure c p50_ms {value}"));
            }
            rounds
        };
        let rows = rounds([1.0, 6.0, 20.0]).compared("a", &rounds([2.0, 2.0, 10.0]), "b");
        assert_eq!((rows.len(), rows[0].ratio), (1, Some(2.0)));
        assert_eq!(rows[0].baseline.as_deref(), Some("b"));
    }
}
