//! Cluster file, workspace and SSH settings of a command that reaches machines.

use std::time::Duration;

use cluster_config::Cluster;

use super::cluster_file;
use crate::api::KubeConnector;
use crate::cli;
use crate::core::desired::Desired;
use crate::core::from_config;
use crate::error::{Exit, Failure};
use crate::remote::SshConnector;
use crate::run::{Interrupt, LogDirectory, World};
use crate::ui::Ui;
use crate::workspace::{Workspace, expand_home};

/// Longest wait for one SSH connection.
const CONNECT: Duration = Duration::from_secs(10);

pub(super) struct Target {
    pub(super) cluster: Cluster,
    pub(super) desired: Desired,
    pub(super) workspace: Workspace,
    pub(super) connector: SshConnector,
    pub(super) log: LogDirectory,
}

impl Target {
    /// Reads the cluster file and finds the key; nothing is reached yet.
    pub(super) fn open(args: &cli::Target, command: &str, ui: Ui) -> Result<Self, Failure> {
        let cluster = cluster_file::cluster(&args.file, ui)?;
        let desired = from_config::desired(&cluster);
        let workspace = Workspace::open(&args.workspace, cluster.name())?;
        let key = args
            .ssh_private_key
            .clone()
            .or_else(|| cluster.ssh_private_key_path().map(expand_home));
        if let Some(key) = key.as_ref().filter(|key| !key.is_file()) {
            return Err(Failure::new(
                Exit::Config,
                format!(
                    "the SSH key `{}` does not exist; nothing was changed",
                    key.display()
                ),
            )
            .hint(
                "correct `sshPrivateKeyPath` in the cluster file, or pass `--ssh-private-key FILE`",
            ));
        }
        let connector = SshConnector {
            user: cluster.login_user().to_owned(),
            key,
            known_hosts: workspace.known_hosts(),
            connect_timeout: CONNECT,
        };
        let log = LogDirectory::new(workspace.directory(), command);
        Ok(Self {
            cluster,
            desired,
            workspace,
            connector,
            log,
        })
    }

    /// The outside world, as a command on this target sees it.
    pub(super) fn world<'a>(&'a self, ui: Ui, interrupt: &'a Interrupt) -> World<'a> {
        World {
            connector: &self.connector,
            api: &KubeConnector,
            ui,
            interrupt,
            log: &self.log,
        }
    }
}
