//! Nodes go out of service and come back: the virtual IP, addresses of Services and pods leave in order.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::removal::{DRAIN, emptied, not_gone, stop_router};
use super::{Cluster, Fleet, World};
use crate::api::ClusterApi;
use crate::core::cluster_view::{Drain, Maintain};
use crate::core::facts::Facts;
use crate::core::service_view;
use crate::core::update::Pause;
use crate::error::Failure;
use crate::manifest::static_pod;

/// From here on nothing goes to a node by itself, and its speaker hands over.
///
/// # Errors
/// When the API does not answer.
pub async fn retire(
    world: &World<'_>,
    cluster: &Cluster<'_>,
    pause: &Pause,
) -> Result<(), Failure> {
    world.interrupt.check()?;
    world
        .ui
        .note(&format!("take {} out of service", pause.node));
    cluster
        .api()?
        .maintain(&pause.node, Maintain::Begin)
        .await?;
    Ok(())
}

/// Stops the router of a node that goes out of service; whoever has the virtual IP hands it over.
///
/// # Errors
/// When it does not stop.
pub async fn stop_serving(
    world: &World<'_>,
    fleet: &Fleet<'_>,
    cluster: &Cluster<'_>,
    pause: &Pause,
    facts: &mut BTreeMap<IpAddr, Facts>,
) -> Result<(), Failure> {
    world.interrupt.check()?;
    let vips: Vec<IpAddr> = cluster.work().desired.vips().collect();
    let session = fleet.machine(pause.address);
    stop_router(session, &pause.node, &vips).await?;
    let manifest = static_pod::VRRP.path();
    let facts = facts.get_mut(&pause.address);
    if facts.is_some_and(|facts| facts.files.remove(&manifest).is_some()) {
        let text = format!("  {}: its router has stopped", pause.node);
        world.ui.note(&text);
    }
    Ok(())
}

/// Waits until pods and Service addresses have gone elsewhere, and notes it.
///
/// # Errors
/// When something does not go, or the API does not answer; run again it goes on.
pub async fn empty(world: &World<'_>, cluster: &Cluster<'_>, pause: &Pause) -> Result<(), Failure> {
    let api = cluster.api()?;
    let node = pause.node.as_str();
    let left = emptied(world, DRAIN, async || {
        let mut left = api.evict(node, Drain::ComesBack).await?;
        left.extend(held(api, node).await?);
        Ok(left)
    });
    if let Some(failure) = not_gone(node, DRAIN, &left.await?) {
        return Err(failure);
    }
    world.interrupt.check()?;
    api.maintain(node, Maintain::Drained).await?;
    world.ui.note(&format!(
        "  {node}: in maintenance, nothing of it is in use"
    ));
    Ok(())
}

/// Addresses of Services that the speaker of a node answers for.
pub(super) async fn held(api: &dyn ClusterApi, node: &str) -> Result<Vec<String>, Failure> {
    let view = service_view::view(&api.service_objects().await?);
    let services = view.services.into_iter();
    let held = services.filter_map(|service| {
        let address = service.address?;
        service.owner.filter(|owner| owner.node == node)?;
        Some(format!("the address {address} of {}", service.service))
    });
    Ok(held.collect())
}
