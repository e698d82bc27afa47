//! The data plane through the API: controller, speakers and the pools of the cluster file.

use std::time::Duration;

use crate::api::{ApiFailure, ClusterApi};
use crate::commands::Artefacts;
use crate::core::desired::Desired;
use crate::error::Failure;
use crate::manifest::data_plane;

/// How often, and after which pause, objects are tried of a kind that was just defined: the API knows it a moment
/// later.
const TRIES: u32 = 33;
const PAUSE: Duration = Duration::from_millis(300);

/// Applies all of it; true when something changed. A cluster whose nodes serve no addresses gets nothing.
///
/// # Errors
/// When the API refuses or does not answer.
pub(super) async fn install(
    api: &dyn ClusterApi,
    desired: &Desired,
    artefacts: &Artefacts,
) -> Result<bool, Failure> {
    if desired.data_plane.nodes.is_empty() {
        return Ok(false);
    }
    let digest = &artefacts.lbnode.image.digest;
    let programs = data_plane::programs(&desired.data_plane, digest);
    let changed = api.apply_manifest(&programs, "the data plane").await?;
    let Some(pools) = data_plane::pools(&desired.data_plane) else {
        return Ok(changed);
    };
    let mut tries = TRIES;
    loop {
        let applied = api.apply_manifest(&pools, "the pools of the cluster file");
        match applied.await {
            Err(ApiFailure::Refused { .. }) if tries > 0 => tries -= 1,
            result => return Ok(result? || changed),
        }
        tokio::time::sleep(PAUSE).await;
    }
}
