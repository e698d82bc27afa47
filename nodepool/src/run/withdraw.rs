//! Service addresses leave a node that does not carry them any more, and their clients notice nothing.
//!
//! ```text
//! those who carry them now serve ─► cordoned: its speaker hands over ─► nothing is left there ─► label gone ─► in service again
//! ```
//!
//! The label goes last: whoever loses it is a stranger to the other speakers at once. What an interrupted run leaves looks like
//! maintenance, which the next one ends.

use std::net::IpAddr;
use std::time::Duration;

use super::World;
use super::maintenance::held;
use super::removal::emptied;
use crate::api::ClusterApi;
use crate::core::cluster_view::{Maintain, NodeView};
use crate::core::desired::Desired;
use crate::core::service_view::{self, SpeakerState};
use crate::error::Failure;
use crate::ui::seconds;

/// Longest wait until a speaker that was just started serves: its image is there, and it listens first.
const SERVING: Duration = Duration::from_secs(180);
/// Longest wait until the others have taken what a speaker hands over.
const HAND_OVER: Duration = Duration::from_secs(60);
/// How a speaker that is able to take addresses calls that.
const SERVES: &str = "Serving";

/// Takes the Service addresses off a node, in order.
///
/// # Errors
/// When nobody else can take them, or the API does not answer; run again it goes on.
pub(super) async fn withdraw(
    world: &World<'_>,
    api: &dyn ClusterApi,
    desired: &Desired,
    node: &str,
) -> Result<(), Failure> {
    if !has_speaker(api, node).await? {
        // Nothing answers there that could hand over.
        return Ok(api.withdraw(node).await?);
    }
    let waiting = emptied(world, SERVING, async || not_ready(api, desired, node).await).await?;
    if !waiting.is_empty() {
        let (took, why) = (seconds(SERVING), waiting.join("; "));
        let text = format!(
            "{node} keeps its Service addresses: after {took} nobody else can take them: {why}"
        );
        return Err(Failure::failed(text).hint(
            "`kubectl -n lb-system get pods -o wide` and `lbctl status` say more; then run the same command again",
        ));
    }
    world.interrupt.check()?;
    api.maintain(node, Maintain::Begin).await?;
    let left = emptied(world, HAND_OVER, async || held(api, node).await).await?;
    if !left.is_empty() {
        api.maintain(node, Maintain::End).await?;
        let (took, left) = (seconds(HAND_OVER), left.join("; "));
        let text = format!("{node}: after {took} nobody else has taken {left}");
        return Err(Failure::failed(text).hint(
            "`lbctl explain owner ADDRESS` says why the others have not; then run the same command again",
        ));
    }
    api.withdraw(node).await?;
    api.maintain(node, Maintain::End).await?;
    world
        .ui
        .note(&format!("  {node}: its Service addresses are elsewhere"));
    Ok(())
}

async fn speakers(api: &dyn ClusterApi) -> Result<Vec<SpeakerState>, Failure> {
    Ok(service_view::view(&api.service_objects().await?).speakers)
}

/// Whether a speaker runs on the node that the others hear.
async fn has_speaker(api: &dyn ClusterApi, node: &str) -> Result<bool, Failure> {
    let speakers = speakers(api).await?;
    Ok(speakers.iter().any(|one| one.node == node && !one.lost))
}

/// Why the nodes that carry Service addresses now cannot take those of `node` yet; empty: they can.
async fn not_ready(
    api: &dyn ClusterApi,
    desired: &Desired,
    node: &str,
) -> Result<Vec<String>, Failure> {
    let carriers: Vec<IpAddr> = desired
        .machines
        .iter()
        .filter(|machine| machine.lbnode && !machine.maintenance)
        .map(|machine| machine.node_ip)
        .collect();
    let carries = |other: &NodeView| {
        let mut addresses = other.addresses.iter();
        other.ready && addresses.any(|address| carriers.contains(address))
    };
    let view = api.view().await?;
    let others = view
        .nodes
        .iter()
        .filter(|(name, other)| name.as_str() != node && carries(other));
    let others: Vec<&str> = others.map(|(name, _)| name.as_str()).collect();
    if others.is_empty() {
        return Ok(vec!["none of their nodes is Ready".to_owned()]);
    }
    let speakers = speakers(api).await?;
    let why = |name: &&str| {
        let mut speakers = speakers.iter();
        let speaker = speakers.find(|one| one.node == *name && !one.phase.is_empty());
        match speaker {
            None => Some(format!("no speaker has reported on {name}")),
            Some(one) if one.lost => Some(format!("the speaker of {name} is not heard")),
            Some(one) if one.phase != SERVES => {
                Some(format!("the speaker of {name} is in phase `{}`", one.phase))
            }
            Some(_) => None,
        }
    };
    Ok(others.iter().filter_map(why).collect())
}
