//! The commands: each reads its input, lets `core` decide and `run` do, and says what came of it.

mod checkup;
mod cluster_file;
mod config;
mod create;
mod diff;
mod install;
mod preflight;
mod render;
mod reset;
mod service;
mod snapshot;
mod software;
mod status;
mod target;
mod update;

pub use checkup::{Checked, check_cluster};
pub use create::{Create, Outcome, create};
pub use install::{Install, install};
pub use preflight::{Look, Looked, look};
pub use reset::{Reset, reset_nodes};
pub use snapshot::{Snapshot, Taken, snapshot};
pub use software::Artefacts;
pub use status::{Seen, Sight, see};
pub use update::{Consent, Leave, Update, update};

use crate::cli::{self, Command};
use crate::error::Failure;
use crate::ui::Ui;

/// Runs one command.
///
/// # Errors
/// When it did not succeed; the failure carries the exit code.
pub async fn run(command: Command, ui: Ui) -> Result<(), Failure> {
    match command {
        Command::Create(cli::Create::Config(args)) => config::create(&args, ui),
        Command::Create(cli::Create::Cluster(args)) => create::run(&args, ui).await,
        Command::Update(cli::Update::Cluster(args)) => update::run(&args, ui).await,
        Command::Install(args) => install::run(&args, ui).await,
        Command::Check(cli::Check::Config(args)) => config::check(&args, ui),
        Command::Check(cli::Check::Preflight(args)) => preflight::run(&args, ui).await,
        Command::Check(cli::Check::Cluster(args)) => checkup::run(&args, ui).await,
        Command::Check(cli::Check::Service(args)) => service::check(&args, ui).await,
        Command::Explain(cli::Explain::Owner(args)) => service::explain(&args, ui).await,
        Command::Status(args) => status::run(&args, ui).await,
        Command::Snapshot(args) => snapshot::run(&args, ui).await,
        Command::Render(args) => render::run(&args, ui),
        Command::Reset(cli::Reset::Cluster(args)) => reset::run(&args, ui).await,
        Command::Reset(cli::Reset::Nodes(args)) => reset::nodes(&args, ui).await,
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut cli::command(), "lbctl", &mut text);
            ui.result(&String::from_utf8_lossy(&text))
        }
        Command::Diff(args) => diff::run(&args, ui),
        Command::Version => ui.result(concat!("lbctl ", env!("CARGO_PKG_VERSION"), "\n")),
    }
}
