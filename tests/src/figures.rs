//! Measured figures in the form that every benchmark prints and writes.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::Serialize;

/// One figure: the median of some rounds. Rows keep their names once published.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// What was done, such as `cluster/power_cut`.
    pub case: String,
    /// What it was done to.
    pub contestant: String,
    /// What was measured, with its unit at the end.
    pub metric: String,
    /// Median over the rounds.
    pub value: f64,
    /// Unit of `value`, `min` and `max`.
    pub unit: String,
    /// Number of rounds.
    pub n: usize,
    /// Smallest of the rounds.
    pub min: f64,
    /// Largest of the rounds.
    pub max: f64,
    /// The contestant that `ratio` compares with, where there is a side-by-side.
    pub baseline: Option<String>,
    /// Median of the per-round ratios to the baseline.
    pub ratio: Option<f64>,
}

impl Row {
    /// The row of these rounds; `None` when there were none.
    pub fn of(
        case: &str,
        contestant: &str,
        metric: &str,
        unit: &str,
        rounds: &[f64],
    ) -> Option<Self> {
        let mut sorted = rounds.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        Some(Self {
            case: case.to_owned(),
            contestant: contestant.to_owned(),
            metric: metric.to_owned(),
            value: median(&sorted),
            unit: unit.to_owned(),
            n: sorted.len(),
            min,
            max,
            baseline: None,
            ratio: None,
        })
    }

    /// The row of a percentile of these rounds, by nearest rank: `part` of them are no larger than its value.
    pub fn percentile(
        case: &str,
        contestant: &str,
        metric: &str,
        unit: &str,
        part: f64,
        rounds: &[f64],
    ) -> Option<Self> {
        let mut sorted = rounds.to_vec();
        sorted.sort_by(f64::total_cmp);
        Some(Self {
            value: nearest_rank(&sorted, part)?,
            ..Self::of(case, contestant, metric, unit, rounds)?
        })
    }

    /// The same with a comparison; without ratios `baseline` says why there are none.
    #[must_use]
    pub fn compared(mut self, baseline: &str, ratios: &[f64]) -> Self {
        let mut sorted = ratios.to_vec();
        sorted.sort_by(f64::total_cmp);
        self.baseline = Some(baseline.to_owned());
        self.ratio = (!sorted.is_empty()).then(|| median(&sorted));
        self
    }
}

/// Milliseconds with three digits after the point.
pub fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

/// The rows as a table for people.
pub fn table(rows: &[Row]) -> String {
    let mut text = format!(
        "{:<28} {:<16} {:<22} {:>10} {:<5} {:>3} {:>10} {:>10}  {}\n",
        "case", "contestant", "metric", "median", "unit", "n", "min", "max", "ratio to"
    );
    for row in rows {
        let ratio = match (&row.baseline, row.ratio) {
            (Some(baseline), Some(ratio)) => format!("{ratio:.2} {baseline}"),
            (Some(baseline), None) => format!("- {baseline}"),
            (None, _) => String::new(),
        };
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{:<28} {:<16} {:<22} {:>10.1} {:<5} {:>3} {:>10.1} {:>10.1}  {ratio}",
            row.case, row.contestant, row.metric, row.value, row.unit, row.n, row.min, row.max
        );
    }
    text
}

/// Writes the rows to `target/bench/NAME.json` in the workspace, and returns the file.
pub fn publish<Figure: Serialize>(name: &str, rows: &[Figure]) -> Result<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .with_file_name("target")
        .join("bench");
    fs::create_dir_all(&directory)
        .with_context(|| format!("cannot create {}", directory.display()))?;
    let file = directory.join(format!("{name}.json"));
    fs::write(&file, serde_json::to_string_pretty(rows)? + "\n")
        .with_context(|| format!("cannot write {}", file.display()))?;
    Ok(file)
}

/// The smallest of the figures that `part` of them do not exceed.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a count of rounds is small, and a part of it is no more"
)]
fn nearest_rank(sorted: &[f64], part: f64) -> Option<f64> {
    let rank = (sorted.len() as f64 * part).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied()
}

fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        sorted[middle]
    } else {
        f64::midpoint(sorted[middle - 1], sorted[middle])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_holds_the_median_and_the_extremes() {
        let row = Row::of("case", "lbnode", "gap_ms", "ms", &[5.0, 1.0, 3.0]).expect("a row");
        assert_eq!((row.value, row.min, row.max, row.n), (3.0, 1.0, 5.0, 3));
        let row = Row::of("case", "lbnode", "gap_ms", "ms", &[4.0, 1.0]).expect("a row");
        assert_eq!(row.value, 2.5);
        assert_eq!(Row::of("case", "lbnode", "gap_ms", "ms", &[]), None);
    }

    #[test]
    fn a_percentile_is_one_of_the_rounds() {
        let rounds: Vec<f64> = (1..=20).rev().map(f64::from).collect();
        let at = |part| {
            let row = Row::percentile("case", "lbnode", "p_ms", "ms", part, &rounds);
            row.map(|row| (row.value, row.min, row.max, row.n))
        };
        assert_eq!(at(0.5), Some((10.0, 1.0, 20.0, 20)));
        assert_eq!(at(0.95), Some((19.0, 1.0, 20.0, 20)));
        assert_eq!(at(0.99), Some((20.0, 1.0, 20.0, 20)));
        assert_eq!(at(0.0), Some((1.0, 1.0, 20.0, 20)));
        assert_eq!(
            Row::percentile("case", "lbnode", "p_ms", "ms", 0.5, &[]),
            None
        );
    }

    #[test]
    fn the_table_says_why_there_is_no_ratio() {
        let row = Row::of("case", "lbnode", "gap_ms", "ms", &[1.0]).expect("a row");
        let text = table(&[row.compared("metallb not measured: no Go", &[])]);
        assert!(text.contains("- metallb not measured: no Go"), "{text}");
    }

    #[test]
    fn a_row_is_flat_json_with_the_common_names() {
        let row = Row::of("case", "lbnode", "gap_ms", "ms", &[1.0])
            .expect("a row")
            .compared("haproxy", &[0.5, 0.7, 0.6]);
        let json = serde_json::to_value(row).expect("JSON");
        assert_eq!(
            json,
            serde_json::json!({
                "case": "case", "contestant": "lbnode", "metric": "gap_ms", "value": 1.0,
                "unit": "ms", "n": 1, "min": 1.0, "max": 1.0, "baseline": "haproxy", "ratio": 0.6,
            })
        );
    }
}
