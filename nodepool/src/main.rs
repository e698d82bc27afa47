//! The `lbctl` program: reads the command line, runs the command, turns its end into an exit code.

use std::process::ExitCode;

use clap::Parser as _;
use nodepool::cli::Cli;
use nodepool::commands;
use nodepool::ui::Ui;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let ui = Ui::new(cli.quiet, cli.no_progress);
    match commands::run(cli.command, ui).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            ui.failure(&failure);
            failure.exit.into()
        }
    }
}
