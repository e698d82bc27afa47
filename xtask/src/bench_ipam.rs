//! `cargo xtask bench ipam`: addresses for very many Services, in the core alone and against a real API server.
//!
//! The tests of `dataplane` do the work and print a line `figure CASE METRIC VALUE` for each measurement.

use std::collections::BTreeMap;
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use lab_tests::figures::Row;

use crate::{cargo, say};

/// Arguments of `cargo xtask bench ipam`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Rounds of the core; the API server is asked once
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// The core only
    #[arg(long)]
    core: bool,
}

/// Runs the rounds.
///
/// # Errors
/// When a test cannot be built, fails or measures nothing.
pub(crate) fn run(args: &Args) -> Result<Vec<Row>> {
    let mut rounds = Rounds::default();
    for round in 1..=args.runs {
        say::progress(format_args!("100000 Services in the core, round {round}"));
        let words = ["--test", "scale", "--", "--nocapture"];
        measure(&words, &[("SCALE_SERVICES", "100000")], &mut rounds)?;
    }
    if !args.core {
        say::progress("10000 Services on an API server");
        let words = [
            "--test",
            "api",
            "--",
            "--ignored",
            "--nocapture",
            "ten_thousand_services",
        ];
        measure(&words, &[], &mut rounds)?;
    }
    Ok(rounds.rows())
}

fn measure(words: &[&str], variables: &[(&str, &str)], rounds: &mut Rounds) -> Result<()> {
    let mut command = cargo::command(&["test", "--profile", "lab", "-p", "dataplane"]);
    command
        .args(words)
        .envs(variables.iter().copied())
        .stderr(Stdio::inherit());
    let output = command.output().context("cannot run cargo")?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "a test failed:\n{text}");
    let before = rounds.count();
    text.lines().for_each(|line| rounds.read(line));
    ensure!(
        rounds.count() > before,
        "nothing was measured; the test said:\n{text}"
    );
    Ok(())
}

/// Values by case and metric.
#[derive(Debug, Default)]
struct Rounds(BTreeMap<(String, String), Vec<f64>>);

impl Rounds {
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

    fn rows(&self) -> Vec<Row> {
        let rows = self.0.iter().filter_map(|((case, metric), values)| {
            let unit = match metric.as_str() {
                "seconds" => "s",
                "us" => "us",
                "rss_mib" => "MiB",
                _ => "1",
            };
            Row::of(case, "lbnode", metric, unit, values)
        });
        rows.collect()
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
            "figure broken",
            "figure broken us many",
        ] {
            rounds.read(line);
        }
        let rows = rounds.rows();
        assert_eq!(rows.len(), 2);
        assert_eq!(
            (&*rows[1].case, rows[1].value, rows[1].n),
            ("restart_100000", 2.0, 3)
        );
        assert_eq!(rows[0].unit, "us");
    }
}
