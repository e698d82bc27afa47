//! What a client sees of a fault, ours and keepalived's in turn.

use anyhow::{Context as _, Result, ensure};
use lab_tests::duel::router::has_keepalived;
use lab_tests::duel::{self, Case, Cause};
use lab_tests::figures::{self, Row};

use crate::runner::Scenario;
use crate::{Context, Skip};

pub(crate) const SCENARIOS: &[Scenario] = &[("d5_no_fault_costs_more_than_with_keepalived", race)];

const ROUNDS: usize = 3;
/// Of keepalived's, in the median of the rounds.
const RATIO: f64 = 1.05;

fn race(context: &Context) -> Result<()> {
    if !has_keepalived() {
        return Err(Skip("keepalived is not installed").into());
    }
    if !context.full {
        return Err(Skip("takes a quarter of an hour: runs with --full").into());
    }
    let mut wrong = Vec::new();
    for case in Case::all() {
        let rows = duel::run(&context.lbnode, &[case], ROUNDS)?;
        println!("{}", figures::table(&rows));
        if let Err(error) = judge(case, &rows) {
            wrong.push(format!("{case}: {error}"));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("; "));
    Ok(())
}

fn judge(case: Case, rows: &[Row]) -> Result<()> {
    let ours = |metric: &str| {
        rows.iter()
            .find(|row| row.contestant == "lbnode" && row.metric == metric)
            .with_context(|| format!("no {metric}"))
    };
    let last = ours("last_failure_ms")?;
    if let Some(ratio) = last.ratio {
        ensure!(ratio <= RATIO, "{ratio:.3} times keepalived's");
    }
    let limit = match case.interval {
        10 => 45.0,
        100 => 370.0,
        _ => f64::INFINITY,
    };
    ensure!(last.value <= limit, "{} ms, not {limit}", last.value);
    if case.cause == Cause::Graceful {
        let failed = ours("failed_connections")?.max;
        ensure!(failed <= 0.0, "{failed} connections failed");
    }
    Ok(())
}
