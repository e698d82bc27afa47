//! `cargo xtask lint`: everything that can be said about the tree without running it.

mod lengths;
mod words;

use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use clap::ValueEnum;

use crate::metadata::Metadata;
use crate::{cargo, layering, licences, say, schema, source};

/// Arguments of `cargo xtask lint`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only these steps
    #[arg(long = "step", value_enum, value_name = "STEP")]
    steps: Vec<Step>,
}

/// One step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Step {
    /// The tree is formatted
    Fmt,
    /// Nothing that must not be said: machine paths, loose ends
    Words,
    /// Files stay readable
    Lengths,
    /// Who imports whom
    Layering,
    /// Generated files are fresh
    Generated,
    /// Licences of the dependencies
    Licences,
    /// No warning from clippy, tests included
    Clippy,
    /// No warning from rustdoc, private items included
    Doc,
}

/// Runs the steps, all of them even if one fails.
///
/// # Errors
///
/// None: a step that cannot run counts as failed.
#[expect(
    clippy::disallowed_methods,
    reason = "driver: says how long a step took"
)]
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let all = Step::value_variants();
    let steps: Vec<Step> = all
        .iter()
        .copied()
        .filter(|step| args.steps.is_empty() || args.steps.contains(step))
        .collect();
    let mut failed = Vec::new();
    for step in &steps {
        let start = Instant::now();
        let problems = step
            .problems()
            .unwrap_or_else(|error| vec![format!("{error:#}")]);
        for problem in &problems {
            say::result(format!("{}: {problem}", step.name()));
        }
        let verdict = if problems.is_empty() { "ok" } else { "FAILED" };
        say::result(format!(
            "lint {} ... {verdict} ({:.1} s)",
            step.name(),
            start.elapsed().as_secs_f32()
        ));
        if !problems.is_empty() {
            failed.push(step.name());
        }
    }
    if failed.is_empty() {
        say::result(format!("lint: {} steps ok", steps.len()));
        return Ok(ExitCode::SUCCESS);
    }
    say::result(format!(
        "lint: {} of {} steps failed: {}",
        failed.len(),
        steps.len(),
        failed.join(", ")
    ));
    Ok(ExitCode::FAILURE)
}

impl Step {
    fn name(self) -> String {
        self.to_possible_value()
            .map(|value| value.get_name().to_owned())
            .unwrap_or_default()
    }

    fn problems(self) -> Result<Vec<String>> {
        match self {
            Self::Fmt => quiet(cargo::run(cargo::command(&[
                "fmt", "--all", "--check", "--", "-l",
            ]))),
            Self::Words => Ok(words::check(&source::load()?)),
            Self::Lengths => {
                let report = lengths::check(&layering::rust_files(&source::load()?));
                report.long.iter().for_each(say::progress);
                Ok(report.too_long)
            }
            Self::Layering => {
                let tree = layering::Tree::load(&Metadata::load()?, &source::load()?);
                Ok(layering::check(&tree)
                    .iter()
                    .map(ToString::to_string)
                    .collect())
            }
            Self::Generated => Ok(schema::stale()),
            Self::Licences => {
                let metadata = Metadata::load()?;
                let shipped = ["lbnode", "nodepool"]
                    .into_iter()
                    .flat_map(|name| metadata.runtime_closure(name));
                Ok(licences::check(metadata.third_party(), &shipped.collect()))
            }
            Self::Clippy => {
                let args = [
                    "clippy",
                    "--workspace",
                    "--keep-going",
                    "--all-targets",
                    "--",
                    "--deny",
                    "warnings",
                ];
                quiet(cargo::run(cargo::command(&args)))
            }
            Self::Doc => {
                let args = [
                    "doc",
                    "--workspace",
                    "--keep-going",
                    "--no-deps",
                    "--document-private-items",
                ];
                let mut command = cargo::command(&args);
                command.env("RUSTDOCFLAGS", "--deny warnings");
                quiet(cargo::run(command))
            }
        }
    }
}

/// The failure of a program that has told its problems itself.
fn quiet(outcome: Result<()>) -> Result<Vec<String>> {
    outcome.map(|()| Vec::new())
}
