//! The only task runner: one file per command, this one lists them.

mod bench;
mod bench_ipam;
mod bench_lifecycle;
mod bench_proxy;
mod bench_service;
mod bench_tests;
mod bundle;
mod cargo;
mod demo;
mod dist;
mod e2e;
mod elf;
mod image;
mod lab;
mod layering;
mod licences;
mod lint;
mod metadata;
mod rust;
mod say;
mod schema;
mod source;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Tasks of this repository.
#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    disable_help_subcommand = true
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure; prints a table and writes target/bench/NAME.json
    Bench(bench::Args),
    /// A directory with Kubernetes' software for `lbctl --bundle`
    Bundle(bundle::Args),
    /// A cluster from one file in a lab, and the death of the machine that owns its VIP
    Demo,
    /// Build lbctl and lbnode, both static, into target/dist
    Dist(dist::Args),
    /// Kubernetes' own end-to-end tests of Services, against a cluster in a lab
    E2e(e2e::Args),
    /// Write the OCI archive of lbnode
    Image(image::Args),
    /// Bare machines on this host
    Lab(lab::Args),
    /// Check who imports whom
    Layering,
    /// Formatting, clippy, docs, layering, generated files, licences, file sizes
    Lint(lint::Args),
    /// Write schema/cluster.schema.json and docs/config.md
    Schema,
    /// Units, documentation, simulation, virtual routers, then the lab; ends with one closing line
    Test(test::Args),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Bench(args) => bench::run(&args),
        Command::Bundle(args) => bundle::run(&args),
        Command::Demo => demo::run(),
        Command::Dist(args) => dist::run(&args),
        Command::E2e(args) => e2e::run(&args),
        Command::Image(args) => image::run(&args),
        Command::Lab(args) => lab::run(&args),
        Command::Layering => layering::run(),
        Command::Lint(args) => lint::run(&args),
        Command::Schema => schema::run(),
        Command::Test(args) => test::run(&args),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            say::error(&error);
            ExitCode::FAILURE
        }
    }
}
