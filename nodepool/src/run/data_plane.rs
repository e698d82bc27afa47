//! The data plane through the API: controller, speakers and the pools of the cluster file.

use std::time::Duration;

use crate::api::{self, ApiFailure, ClusterApi};
use crate::commands::Artefacts;
use crate::core::desired::Desired;
use crate::core::leftovers::{leftovers, named};
use crate::core::rivals;
use crate::error::Failure;
use crate::manifest::data_plane;

/// How often, and after which pause, objects are tried of a kind that was just defined: the API knows it a moment
/// later.
const TRIES: u32 = 33;
const PAUSE: Duration = Duration::from_millis(300);

/// What was done, and what the operator should know of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Installed {
    /// Something is not as it was before.
    pub(super) changed: bool,
    /// A line each.
    pub(super) notes: Vec<String>,
}

/// Applies all of it, and removes pools that an earlier file had. A cluster whose nodes serve no addresses gets nothing.
///
/// # Errors
/// When the API refuses or does not answer.
pub(super) async fn install(
    api: &dyn ClusterApi,
    desired: &Desired,
    artefacts: &Artefacts,
) -> Result<Installed, Failure> {
    let mut installed = Installed::default();
    if desired.data_plane.nodes.is_empty() {
        return Ok(installed);
    }
    installed.changed |= install_programs(api, desired, artefacts).await?;
    if let Some(pools) = data_plane::pools(&desired.data_plane) {
        installed.changed |= apply_pools(api, &pools).await?;
    }
    remove_leftovers(api, desired, &mut installed).await?;
    let objects = api.service_objects().await?;
    for rival in rivals::rivals(&objects.workloads, &objects.cilium) {
        installed.notes.push(format!("warning: {rival}"));
        let hint = format!("hint: {}", rival.hint());
        installed.notes.retain(|note| *note != hint);
        installed.notes.push(hint);
    }
    Ok(installed)
}

/// Applies controller and speakers alone. True when something is not as it was before.
///
/// # Errors
/// When the API refuses or does not answer.
pub(super) async fn install_programs(
    api: &dyn ClusterApi,
    desired: &Desired,
    artefacts: &Artefacts,
) -> Result<bool, Failure> {
    if desired.data_plane.nodes.is_empty() {
        return Ok(false);
    }
    let digest = &artefacts.lbnode.image.digest;
    let programs = data_plane::programs(&desired.data_plane, digest);
    Ok(api.apply_manifest(&programs, "the data plane").await?)
}

/// What [`install`] would change, a line each. `image_digest`: of the programs; absent: only pools are looked at.
///
/// # Errors
/// When the API refuses or does not answer.
pub(super) async fn rehearse(
    api: &dyn ClusterApi,
    desired: &Desired,
    image_digest: Option<&str>,
) -> Result<Vec<String>, Failure> {
    let mut lines = Vec::new();
    if desired.data_plane.nodes.is_empty() {
        return Ok(lines);
    }
    let mut changed = Vec::new();
    if let Some(digest) = image_digest {
        let programs = data_plane::programs(&desired.data_plane, digest);
        changed = api.rehearse_manifest(&programs, "the data plane").await?;
    }
    if let Some(pools) = data_plane::pools(&desired.data_plane) {
        let pools = api.rehearse_manifest(&pools, "the pools of the cluster file");
        changed.extend(pools.await?);
    }
    if !changed.is_empty() {
        lines.push(format!("apply {}", changed.join(", ")));
    }
    let wanted = data_plane::pool_objects(&desired.data_plane);
    let wanted = wanted.iter().map(named).collect();
    let found = leftovers(&api.pool_objects().await?, &wanted, api::MANAGER);
    lines.extend(found.remove.into_iter().map(|(kind, name)| {
        format!("remove {kind} {name}: the cluster file does not have it any more")
    }));
    Ok(lines)
}

async fn apply_pools(api: &dyn ClusterApi, pools: &str) -> Result<bool, Failure> {
    let mut tries = TRIES;
    loop {
        let applied = api.apply_manifest(pools, "the pools of the cluster file");
        match applied.await {
            Err(ApiFailure::Refused { code: 404, .. }) if tries > 0 => tries -= 1,
            result => return Ok(result?),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn remove_leftovers(
    api: &dyn ClusterApi,
    desired: &Desired,
    installed: &mut Installed,
) -> Result<(), Failure> {
    let wanted = data_plane::pool_objects(&desired.data_plane);
    let wanted = wanted.iter().map(named).collect();
    let found = leftovers(&api.pool_objects().await?, &wanted, api::MANAGER);
    for (kind, name) in found.remove {
        api.delete_pool_object(&kind, &name).await?;
        installed.changed = true;
        let note = format!("removed {kind} {name}: the cluster file does not have it any more");
        installed.notes.push(note);
    }
    for ((kind, name), writers) in found.keep {
        installed.notes.push(format!(
            "left {kind} {name} alone: the cluster file does not have it any more, but it was changed by {} since; `kubectl delete {}.bundledlb.io {name}` removes it",
            writers.join(", "),
            kind.to_lowercase(),
        ));
    }
    Ok(())
}
