//! `cargo xtask bench ipam`: addresses for very many Services, in the core alone and against a real API server.

use anyhow::Result;
use lab_tests::figures::Row;

use crate::bench_tests::Rounds;
use crate::say;

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
        rounds.measure(&words, &[("SCALE_SERVICES", "100000")])?;
    }
    if !args.core {
        say::progress("10000 Services on an API server");
        rounds.measure_api("ten_thousand_services", &[])?;
    }
    Ok(rounds.rows())
}
