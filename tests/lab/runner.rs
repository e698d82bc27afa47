//! Runs scenarios one after the other and says how each went.

use std::cell::OnceCell;
use std::process::ExitCode;

use anyhow::{Result, bail};
use lab_tests::Lab;
use lab_tests::scenario::{Skip, try_one};
use lab_tests::summary::Summary;

use crate::shared::Fixture;

/// The prefix of the labs that tests use, so that one brought up by hand never disturbs them.
pub(crate) const PREFIX: &str = "test";

/// The prefix of a second lab beside it.
pub(crate) const SECOND_PREFIX: &str = "testb";

/// One thing that must hold.
#[derive(Clone, Copy)]
pub(crate) struct Scenario {
    /// A sentence in underscores.
    pub(crate) name: &'static str,
    /// Fails by an error or a panic; skips by a [`Skip`] error.
    pub(crate) run: fn(&Context) -> Result<()>,
}

/// What every scenario has at hand.
pub(crate) struct Context {
    /// The lab that scenarios share.
    pub(crate) lab: &'static Lab,
    /// The cluster that scenarios share, or why there is none.
    pub(crate) fixture: OnceCell<Result<Fixture, String>>,
    /// A second lab, with three machines that nothing is installed on.
    pub(crate) bare: OnceCell<Result<&'static Lab, String>>,
    /// Whether to take the time for repetitions.
    pub(crate) full: bool,
}

impl Context {
    /// For what takes minutes: skipped without `--full`.
    pub(crate) fn only_in_full(&self) -> Result<()> {
        if self.full {
            return Ok(());
        }
        Err(Skip("takes minutes: runs with --full").into())
    }
}

/// What the command line asks for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    list: bool,
    full: bool,
    keep: bool,
    filters: Vec<String>,
}

impl Options {
    /// Reads the arguments; those that cargo hands to every test program are accepted.
    pub(crate) fn parse(arguments: impl Iterator<Item = String>) -> Result<Self> {
        let mut options = Self::default();
        for argument in arguments {
            match argument.as_str() {
                "--list" => options.list = true,
                "--full" => options.full = true,
                "--keep" => options.keep = true,
                "--nocapture" | "--test-threads=1" | "--quiet" | "-q" => {}
                unknown if unknown.starts_with('-') => {
                    bail!("there is no option `{unknown}`; known are --list, --full and --keep")
                }
                filter => options.filters.push(filter.to_owned()),
            }
        }
        Ok(options)
    }

    fn wants(&self, name: &str) -> bool {
        self.filters.is_empty() || self.filters.iter().any(|filter| name.contains(filter))
    }
}

/// Runs those of the scenarios that the options ask for.
pub(crate) fn run(scenarios: &[Scenario], options: &Options) -> ExitCode {
    let wanted: Vec<&Scenario> = scenarios
        .iter()
        .filter(|scenario| options.wants(scenario.name))
        .collect();
    if options.list {
        for scenario in wanted {
            println!("{}: test", scenario.name);
        }
        return ExitCode::SUCCESS;
    }
    let mut summary = Summary::default();
    match prepare(options) {
        Ok(context) => {
            for scenario in wanted {
                try_one(|| (scenario.run)(&context)).tell(scenario.name, &mut summary);
            }
            if options.keep {
                println!("the labs `{PREFIX}` and `{SECOND_PREFIX}` stay as they are");
                return conclude(&summary);
            }
            let second = context.bare.get().and_then(|lab| lab.as_ref().ok());
            let downs = second.into_iter().chain([&context.lab]);
            if let Err(error) = downs.copied().try_for_each(Lab::down) {
                summary.fail("the_lab_goes_down_at_the_end", &format!("{error:#}"));
            }
        }
        Err(reason) => {
            let reason = format!("{reason:#}");
            println!("no lab on this host: {reason}");
            for scenario in wanted {
                println!("test {} ... skipped", scenario.name);
                summary.skip(scenario.name, &reason);
            }
        }
    }
    conclude(&summary)
}

fn prepare(options: &Options) -> Result<Context> {
    // It lives as long as the program.
    let lab: &Lab = Box::leak(Box::new(Lab::open(PREFIX)?));
    lab.down()?;
    Ok(Context {
        lab,
        fixture: OnceCell::new(),
        bare: OnceCell::new(),
        full: options.full,
    })
}

fn conclude(summary: &Summary) -> ExitCode {
    let written = summary.publish("lab");
    if let Err(error) = &written {
        eprintln!("{error:#}");
    }
    println!("{}", summary.closing_line());
    if summary.failures.is_empty() && written.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
