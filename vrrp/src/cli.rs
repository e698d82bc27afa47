//! `lbnode vrrp`.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use cluster_config::node::VrrpConfig;
use daemon::logging::LogArgs;
use l2::linux::capability::{self, Capability, require};
use l2::linux::process::Signals;

use crate::config::Plan;
use crate::process::{self, Setup};
use crate::proto::replay;
use crate::supervisor;

/// Owns the virtual addresses of the API servers together with the other nodes (VRRP, RFC 9568).
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Configuration file.
    #[arg(long, value_name = "FILE", default_value = "/etc/lbnode/vrrp.yaml")]
    config: PathBuf,
    /// Only check the configuration; exit code 3 when it is invalid.
    #[arg(long)]
    check: bool,
    /// Replay what `/record` of a running router gave, and print its transitions and alarms
    #[arg(long, value_name = "FILE", conflicts_with = "check")]
    replay: Option<PathBuf>,
    /// Set by the supervising process on the router it starts.
    #[arg(long = "child-of", value_name = "PID", hide = true)]
    parent: Option<u32>,
    #[command(flatten)]
    log: LogArgs,
}

/// Runs the command.
pub fn run(args: Args) -> ExitCode {
    if let Some(file) = &args.replay {
        return replay(file);
    }
    // Before the log's thread starts, which would take the signals otherwise.
    let signals = if args.parent.is_none() && !args.check {
        match Signals::catch() {
            Ok(signals) => Some(signals),
            Err(error) => {
                complain(&format!("cannot watch for signals: {error}"));
                return ExitCode::FAILURE;
            }
        }
    } else {
        None
    };
    daemon::logging::init(&args.log);
    let plan = process::read(&args.config)
        .map_err(|error| format!("cannot read `{}`: {error}", args.config.display()))
        .and_then(|text| Ok((plan(&text, &args.config)?, text)));
    let (plan, text) = match plan {
        Ok(found) => found,
        Err(problem) => {
            complain(&problem);
            return ExitCode::from(supervisor::INVALID_CONFIG);
        }
    };
    if args.check {
        return ExitCode::SUCCESS;
    }
    // As somebody who is not root it has what its file permits, but not in effect. Threads and the router process
    // come later.
    if let Err(error) = capability::raise() {
        complain(&format!("cannot use its capabilities: {error}"));
        return ExitCode::FAILURE;
    }
    if let Err(missing) = require(&[Capability::NetAdmin, Capability::NetRaw]) {
        complain(&missing.to_string());
        return ExitCode::FAILURE;
    }
    let outcome = if let Some(signals) = signals {
        let file = args.config;
        let fallback = plan_again(&file).or(Some(plan));
        supervisor::run(&signals, move || {
            plan_again(&file).or_else(|| fallback.clone())
        })
        .map_err(anyhow::Error::from)
    } else {
        let setup = Setup {
            file: args.config,
            text,
            plan,
            parent: args.parent,
        };
        process::run(setup).map(|()| ExitCode::SUCCESS)
    };
    outcome.unwrap_or_else(|error| {
        complain(&format!("{error:#}"));
        ExitCode::FAILURE
    })
}

fn replay(file: &Path) -> ExitCode {
    let lines = process::read(file)
        .map_err(|error| format!("cannot read `{}`: {error}", file.display()))
        .and_then(|text| {
            replay::read(&text).map_err(|error| format!("{}: {error}", file.display()))
        });
    match lines {
        Ok(lines) => {
            for line in replay::replay(&lines) {
                if writeln!(io::stdout(), "{line}").is_err() {
                    // The reader has seen enough.
                    break;
                }
            }
            ExitCode::SUCCESS
        }
        Err(problem) => {
            complain(&problem);
            ExitCode::FAILURE
        }
    }
}

/// The checked content of a file, or what is wrong with it in words.
pub(crate) fn plan(text: &str, file: &Path) -> Result<Plan, String> {
    let config = VrrpConfig::from_yaml(text, &file.display().to_string())
        .map_err(|error| error.to_string())?;
    Plan::new(&config, seed()).map_err(|problems| {
        let lines: Vec<_> = problems
            .iter()
            .map(|problem| format!("{}: {problem}", file.display()))
            .collect();
        lines.join("\n")
    })
}

fn plan_again(file: &Path) -> Option<Plan> {
    plan(&process::read(file).ok()?, file).ok()
}

/// For jitter only.
fn seed() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[expect(
    clippy::print_stderr,
    reason = "the answer of the command, before or instead of its log"
)]
fn complain(problem: &str) {
    eprintln!("error: {problem}");
}
