//! `cargo xtask test`: units, documentation, a real API server, virtual routers, then the lab, and one closing line for all of it.

mod scenarios;
mod tally;

use std::io::{self, BufRead, BufReader};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use anyhow::{Context, Result};
use lab_tests::bundle;

use crate::metadata::Metadata;
use crate::{cargo, say};
use tally::{Outcome, Tally};

/// Arguments of `cargo xtask test`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// All seeds, all repetitions, all fault points
    #[arg(long)]
    full: bool,
    /// Only tests whose name contains this
    filter: Option<String>,
}

/// Runs the tiers in order of their cost; a tier runs even if the one before it failed.
///
/// # Errors
///
/// When cargo cannot be asked for the test targets.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let mut total = Outcome::default();
    total.add(tier("units and simulation", || units(args))?);
    total.add(tier("documentation", || documentation(args))?);
    total.add(tier("API server", || api_server(args))?);
    let mut skipped_whole = Vec::new();
    for (name, program) in [
        ("virtual routers", scenarios::ROUTERS),
        ("lab", scenarios::LAB),
    ] {
        let outcome = tier(name, || program.run(args))?;
        if outcome.is_skipped_whole() {
            skipped_whole.push(name);
        }
        total.add(outcome);
    }

    if !total.skipped.is_empty() {
        say::result("\nskipped:");
        for (name, reason) in &total.skipped {
            say::result(format!("  {name}: {reason}"));
        }
    }
    if !total.failed.is_empty() {
        say::result("\nfailed:");
        for (name, reason) in &total.failed {
            say::result(format!("  {name}: {reason}"));
        }
    }
    for name in &skipped_whole {
        say::result(format!(
            "\nevery test of the tier `{name}` was skipped: that counts as a failure of the run"
        ));
    }
    say::result(format!("\n{}", total.closing_line()));
    Ok(if total.failed.is_empty() && skipped_whole.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn units(args: &Args) -> Result<Outcome> {
    let metadata = Metadata::load()?;
    let mut command = cargo::command(&["test", "--workspace", "--no-fail-fast", "--lib", "--bins"]);
    for target in metadata.test_targets().filter(|target| {
        let own = scenarios::ALL
            .iter()
            .any(|program| program.target == *target);
        let simulated = SIMULATIONS.iter().any(|(_, name)| name == target);
        let later = *target == API_SERVER || (args.full && simulated);
        !(own || later)
    }) {
        command.args(["--test", target]);
    }
    let mut outcome = harness(command, args)?;
    if args.full {
        // A hundred thousand histories want an optimised program.
        for (package, target) in SIMULATIONS {
            let words = ["test", "--profile", "lab", "-p", package, "--test", target];
            outcome.add(harness(cargo::command(&words), args)?);
        }
    }
    Ok(outcome)
}

fn documentation(args: &Args) -> Result<Outcome> {
    harness(
        cargo::command(&["test", "--workspace", "--no-fail-fast", "--doc"]),
        args,
    )
}

/// Controllers and speakers against the API server and etcd of the lab's bundle, which is made first if need be.
fn api_server(args: &Args) -> Result<Outcome> {
    let bundle = match bundle::directory() {
        Ok(bundle) => bundle,
        Err(error) => {
            let reason = format!("there is no API server to test with: {error:#}");
            return Ok(Outcome {
                failed: vec![(API_SERVER.to_owned(), reason)],
                ..Outcome::default()
            });
        }
    };
    // The same packages as for the units: with fewer of them cargo would build dependencies again.
    let mut command = cargo::command(&["test", "--workspace", "--test", API_SERVER]);
    command
        .env("BUNDLED_LB_KUBE", bundle.join("bin/kube"))
        .env("RUST_TEST_THREADS", "1");
    harness(command, args)
}

fn harness(mut command: Command, args: &Args) -> Result<Outcome> {
    if let Some(filter) = &args.filter {
        command.args(["--", filter]);
    }
    if args.full {
        command.env(FULL, "1");
    }
    let mut tally = Tally::default();
    let good = stream(command, |line| tally.show(line))?;
    Ok(tally.finish(good))
}

/// Runs `command` with both outputs in one stream, hands each line to `show` and prints what comes back.
/// Returns whether it ended with 0.
fn stream(mut command: Command, mut show: impl FnMut(&str) -> Option<String>) -> Result<bool> {
    let (reader, writer) = io::pipe().context("cannot make a pipe")?;
    command
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer);
    let mut child = command.spawn().context("cannot run cargo")?;
    // The command holds our ends of the pipe: without them gone the stream has no end.
    drop(command);
    let mut reader = BufReader::new(reader);
    let mut bytes = Vec::new();
    while reader.read_until(b'\n', &mut bytes)? > 0 {
        let line = String::from_utf8_lossy(&bytes);
        if let Some(line) = show(line.trim_end_matches('\n')) {
            say::result(line);
        }
        bytes.clear();
    }
    Ok(child.wait()?.success())
}

#[expect(
    clippy::disallowed_methods,
    reason = "driver: says how long a tier took"
)]
fn tier(name: &str, run: impl FnOnce() -> Result<Outcome>) -> Result<Outcome> {
    say::result(format!("\n== {name}"));
    let start = Instant::now();
    let outcome = run()?;
    let seconds = start.elapsed().as_secs_f32();
    say::result(format!("== {name}: {} ({seconds:.0} s)", outcome.summary()));
    Ok(outcome)
}

/// The test targets of simulated histories, with their packages: of the virtual routers, and of the speakers.
const SIMULATIONS: [(&str, &str); 2] = [("lab-tests", "sim"), ("dataplane", "simulation")];

/// The test target that wants a real API server.
const API_SERVER: &str = "api";

/// Set for test programs that know a longer version of themselves.
const FULL: &str = "LBNODE_TEST_FULL";
