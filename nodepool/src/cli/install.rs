//! The command that furnishes a cluster of others.

use std::path::PathBuf;

use clap::Args;

use super::Target;

/// `lbctl install`
#[derive(Debug, Args)]
pub struct Install {
    /// Cluster and machines.
    #[command(flatten)]
    pub target: Target,
    /// Credentials of the cluster's administrator
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: PathBuf,
    /// Node binary; default: `lbnode` beside this program
    #[arg(long, value_name = "FILE")]
    pub lbnode: Option<PathBuf>,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
    /// Show what would be done, and do nothing; 5: there is something to do
    #[arg(long)]
    pub dry_run: bool,
}
