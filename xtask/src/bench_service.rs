//! `cargo xtask bench service`: what clients see of faults of Services' nodes, and how long changes take, ours beside MetalLB.

use anyhow::Result;
use lab_tests::figures::Row;
use lab_tests::service::{self, Amount, Case, Contestant};
use lab_tests::{Lab, Machine};

use crate::bench;

/// Arguments of `cargo xtask bench service`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Faults of each kind
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Services that are created and deleted (39 at most), twice as many as there are edits of a pool
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(2..=39))]
    services: u16,
    /// Only these cases, such as `power_cut/default` or `create_to_connect`; all when none is given
    #[arg(long = "case")]
    cases: Vec<Case>,
    /// Only these, `lbnode` or `metallb`; both when none is given
    #[arg(long = "contestant")]
    contestants: Vec<Contestant>,
    /// Leave the lab (prefix `bench`) as it is at the end
    #[arg(long)]
    keep: bool,
}

/// Brings up a cluster of three machines that all serve addresses, and measures on it.
///
/// # Errors
/// When something cannot be built, brought up or measured.
pub(crate) fn run(args: &Args) -> Result<Vec<Row>> {
    let all = Case::all();
    let cases = if args.cases.is_empty() {
        &all
    } else {
        &args.cases
    };
    let contestants = if args.contestants.is_empty() {
        &Contestant::ALL[..]
    } else {
        &args.contestants
    };
    let programs = bench::built()?;
    let lab = Lab::open("bench")?;
    // An earlier run may have left it with MetalLB.
    lab.down()?;
    lab.up(&Machine::CONTROL_PLANE)?;
    let cluster = bench::three_control_planes(&lab, programs)?;
    cluster.create()?;
    let services = usize::from(args.services);
    let amount = Amount {
        faults: args.runs,
        services,
        edits: services / 2,
    };
    let rows = service::run(&cluster, contestants, cases, amount)?;
    if !args.keep {
        lab.down()?;
    }
    Ok(rows)
}
