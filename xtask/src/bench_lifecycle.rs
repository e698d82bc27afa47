//! `cargo xtask bench lifecycle`: how long `lbctl` takes, and what clients see of planned changes.

use std::fs;

use anyhow::{Context as _, Result};
use lab_tests::Lab;
use lab_tests::figures::Row;
use lab_tests::lifecycle::{self, Case, Ground};

use crate::{bench, cargo};

/// Arguments of `cargo xtask bench lifecycle`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Rounds of each case
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Only these cases, such as `upgrade` or `noop_update_5_nodes`; all when none is given
    #[arg(long = "only", value_name = "CASE")]
    only: Vec<Case>,
    /// Leave the lab (prefix `bench`) as it is at the end
    #[arg(long)]
    keep: bool,
}

/// Makes clusters in a lab of its own, changes them and measures.
///
/// # Errors
/// When something cannot be built, brought up, changed or measured.
pub(crate) fn run(args: &Args) -> Result<Vec<Row>> {
    let all: Vec<Case> = Case::all().collect();
    let cases = if args.only.is_empty() {
        &all
    } else {
        &args.only
    };
    let programs = bench::built()?;
    let lab = Lab::open("bench")?;
    let example = cargo::root().join("examples/three-control-planes.yaml");
    let example = fs::read_to_string(&example)
        .with_context(|| format!("cannot read {}", example.display()))?;
    let ground = Ground {
        lab: &lab,
        programs,
        example: &example,
    };
    let rows = lifecycle::run(&ground, cases, args.runs)?;
    if !args.keep {
        lab.down()?;
    }
    Ok(rows)
}
