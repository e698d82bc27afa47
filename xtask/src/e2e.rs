//! `cargo xtask e2e`: Kubernetes' own end-to-end tests of Services against a cluster in the lab.

use std::process::ExitCode;

use anyhow::{Result, ensure};
use lab_tests::e2e::{self, Suite};
use lab_tests::{Lab, Machine, figures};

use crate::{bench, cargo, say};

/// Arguments of `cargo xtask e2e`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Runs of every spec
    #[arg(long, default_value_t = 1)]
    runs: usize,
    /// A regular expression of Go that finds the specs; those of Services of type LoadBalancer when none is given
    #[arg(long)]
    focus: Option<String>,
    /// Specs at a time
    #[arg(long, default_value_t = 3)]
    jobs: usize,
    /// Leave the lab (prefix `e2e`) as it is at the end
    #[arg(long)]
    keep: bool,
    /// Only compile the program and show the specs
    #[arg(long)]
    list: bool,
}

/// Runs `cargo xtask e2e`; it fails when a spec does that is not known to.
///
/// # Errors
///
/// When something cannot be built or brought up.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let suite = Suite::new(cargo::root().join("target/bench/e2e"))?;
    let specs = suite.specs(args.focus.as_deref().unwrap_or(e2e::FOCUS))?;
    ensure!(
        args.focus.is_some() || specs.len() == e2e::SPECS,
        "there are {} specs of Services, and {} were expected: look what has changed",
        specs.len(),
        e2e::SPECS
    );
    if args.list {
        specs.iter().for_each(say::result);
        return Ok(ExitCode::SUCCESS);
    }
    ensure!(args.runs > 0, "nothing is to be run");
    let programs = bench::built()?;
    let lab = Lab::open("e2e")?;
    lab.up(&Machine::CONTROL_PLANE)?;
    let cluster = bench::three_control_planes(&lab, programs)?;
    cluster.create()?;
    e2e::prepare(&cluster)?;
    let mut lines = Vec::new();
    for round in 1..=args.runs {
        cluster.settle()?;
        lines.extend(suite.run(&cluster, &specs, args.jobs, round)?);
        // What there is, in case that a later run cannot be made.
        figures::publish("e2e", &lines)?;
    }
    let file = figures::publish("e2e", &lines)?;
    say::result(e2e::table(&lines));
    let surprises = e2e::surprises(&lines);
    for line in &surprises.passed {
        say::result(format_args!(
            "run {}: passed, and is on the list of known failures: {}",
            line.run, line.spec
        ));
    }
    say::result(e2e::closing_lines(&lines));
    say::progress(format_args!(
        "written to {}; logs in {}",
        file.display(),
        suite.directory.display()
    ));
    if !args.keep {
        lab.down()?;
    }
    Ok(if surprises.failed.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
