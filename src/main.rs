//! lbnode: every role of a load-balancer node in one static binary.
//!
//! Each role is a crate with `cli::Args` and `cli::run`; this file only dispatches.

mod cli;
mod get;
mod probe;
mod version;

use std::io::Write;
use std::process::ExitCode;

use cli::Command;

fn main() -> ExitCode {
    daemon::build_info::install(version::BUILD);
    let code = match cli::parse().command {
        Command::Proxy(args) => haproxy_lite::cli::run(&args),
        Command::Vrrp(args) => vrrp::cli::run(args),
        Command::Controller(args) => dataplane::controller::cli::run(args),
        Command::Speaker(args) => dataplane::speaker::cli::run(args),
        Command::Probe(args) => probe::cli::run(args),
        Command::Get(args) => get::run(args),
        Command::Version(args) => print_version(args.json),
    };
    daemon::logging::flush();
    code
}

fn print_version(json: bool) -> ExitCode {
    // A reader that has gone away wanted no more: that is a success.
    let _ = std::io::stdout().write_all(version::describe(json).as_bytes());
    ExitCode::SUCCESS
}
