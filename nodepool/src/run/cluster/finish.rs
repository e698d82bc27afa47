//! The last touches: what the operator gets, and what the cluster gets through its API.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use tokio::time::Instant;

use super::super::data_plane;
use super::{Cluster, LOOK};
use crate::core::cluster_view::ClusterView;
use crate::core::facts::Facts;
use crate::error::Failure;
use crate::ui::{Progress, seconds};
use crate::workspace::Workspace;

/// Longest wait until every node is Ready.
const READY: Duration = Duration::from_secs(180);

impl Cluster<'_> {
    /// What [`Self::finish`] would change through the API, a line each.
    ///
    /// # Errors
    /// When the API refuses or does not answer.
    pub async fn rehearse(&self) -> Result<Vec<String>, Failure> {
        let mut lines = Vec::new();
        if let Some((file, text)) = &self.artefacts.cni {
            let changed = self.api()?.rehearse_manifest(text, file).await?;
            if !changed.is_empty() {
                lines.push(format!("apply {}", changed.join(", ")));
            }
        }
        let digest = self.artefacts.lbnode.image.digest.as_str();
        let rest = data_plane::rehearse(self.api()?, self.desired, Some(digest));
        lines.extend(rest.await?);
        Ok(lines)
    }

    /// The kubeconfig, the CNI of the operator's choice, the data plane, the wait for Ready, secrets taken back. True
    /// when something was changed.
    ///
    /// # Errors
    /// When a node does not become Ready, or the API or the disk refuses.
    pub async fn finish(
        &self,
        workspace: &Workspace,
        facts: &BTreeMap<IpAddr, Facts>,
    ) -> Result<bool, Failure> {
        // First: whatever is refused after it, the operator can look at the cluster.
        let mut changed = self.keep_kubeconfig(workspace)?;
        if let Some((file, text)) = &self.artefacts.cni {
            changed |= self.api()?.apply_manifest(text, file).await?;
        }
        let installed = data_plane::install(self.api()?, self.desired, self.artefacts).await?;
        changed |= installed.changed;
        for note in &installed.notes {
            self.world.log.machine("api")?.note(note);
            self.world.ui.note(note);
        }
        self.conclude(workspace, facts).await?;
        Ok(changed)
    }

    /// The same where nothing is to be applied.
    ///
    /// # Errors
    /// When a node does not become Ready, or the API or the disk refuses.
    pub async fn conclude(
        &self,
        workspace: &Workspace,
        facts: &BTreeMap<IpAddr, Facts>,
    ) -> Result<bool, Failure> {
        let changed = self.keep_kubeconfig(workspace)?;
        self.wait_ready(facts).await?;
        if let Some(secrets) = &self.secrets {
            self.api()?.remove_join_secrets(secrets).await?;
        }
        Ok(changed)
    }

    fn keep_kubeconfig(&self, workspace: &Workspace) -> Result<bool, Failure> {
        let access = self.access.as_ref();
        access.map_or(Ok(false), |access| {
            workspace.keep_kubeconfig(&access.kubeconfig)
        })
    }

    /// Nodes of machines that are not looked at (they may be without power) or in maintenance are not waited for.
    async fn wait_ready(&self, facts: &BTreeMap<IpAddr, Facts>) -> Result<(), Failure> {
        let in_service = |address: IpAddr| {
            let machine = self.desired.machine(address);
            !machine.is_some_and(|machine| machine.maintenance)
        };
        let names: BTreeSet<&str> = facts
            .iter()
            .filter(|(address, _)| in_service(**address))
            .map(|(_, facts)| facts.hostname.as_str())
            .collect();
        let waiting = |view: &ClusterView| {
            let nodes = view.nodes.iter();
            let waiting = nodes.filter(|(name, node)| !node.ready && names.contains(name.as_str()));
            let words = waiting.map(|(name, node)| {
                format!(
                    "{name}: {}",
                    node.why.as_deref().unwrap_or("no condition `Ready` yet")
                )
            });
            words.collect::<Vec<_>>()
        };
        let mut last = match &self.access {
            Some(access) => waiting(&access.last),
            None => return Ok(()),
        };
        if last.is_empty() {
            return Ok(());
        }
        let progress = Progress::begin(self.world.ui, "wait until every node is Ready");
        let deadline = Instant::now() + READY;
        while !last.is_empty() {
            self.world.interrupt.check()?;
            if Instant::now() >= deadline {
                let text = format!(
                    "not Ready after {}:\n  {}",
                    seconds(READY),
                    last.join("\n  ")
                );
                return Err(Failure::failed(text).hint("`kubectl describe node NAME` and `journalctl -u kubelet` on the machine say more; then run the same command again: it goes on where this one stopped"));
            }
            tokio::time::sleep(LOOK).await;
            last = waiting(&self.api()?.view().await?);
        }
        progress.end();
        Ok(())
    }
}
