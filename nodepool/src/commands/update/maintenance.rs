//! Nodes that go out of service and come back.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::roll_out;
use crate::api::ClusterApi;
use crate::core::cluster_view::{ClusterView, Drain, Maintain};
use crate::core::desired::Desired;
use crate::core::facts::Facts;
use crate::core::plan::Situation;
use crate::core::update::{self, Balancers, Pause, Pauses};
use crate::error::{Exit, Failure};
use crate::manifest::static_pod;
use crate::run::{self, Fleet, World, balancers, empty, retire, stop_serving};

/// A machine that does not answer, and why.
pub(super) type Dark = (IpAddr, String);

/// An error when a machine that does not answer is in use, though the file has it in maintenance.
pub(super) fn all_rest(
    desired: &Desired,
    view: &ClusterView,
    dark: &[Dark],
) -> Result<(), Failure> {
    for (address, cause) in dark {
        let machine = desired.machine(*address);
        if let Some(why) = machine.and_then(|machine| update::still_in_use(view, machine)) {
            let text = format!("{address}: {cause}, and {why}; nothing was changed");
            return Err(Failure::failed(text).hint(
                "maintenance begins while the machine answers: its router and its pods end in order; one that will not come back leaves by `lbctl reset nodes --node NAME --force`",
            ));
        }
    }
    Ok(())
}

/// An error when too little would be left in service.
pub(super) async fn guard(
    situation: &Situation<'_>,
    fleet: &Fleet<'_>,
    api: &dyn ClusterApi,
    pauses: &Pauses,
) -> Result<(), Failure> {
    let begin = &pauses.begin;
    if begin.is_empty() {
        return Ok(());
    }
    let mut known = Balancers::new();
    if begin.iter().any(|pause| pause.routes) {
        let members = update::members_with_balancer(situation);
        known = balancers(fleet, api, situation.facts, &members).await?;
    }
    match update::leaves_too_few(situation, begin, &known) {
        None => Ok(()),
        Some(why) => {
            let names: Vec<&str> = begin.iter().map(|pause| pause.node.as_str()).collect();
            let text = format!(
                "with {} in maintenance {why}; nothing was changed",
                names.join(", ")
            );
            Err(Failure::new(Exit::Config, text)
                .hint("first repair or add another node, or take one out of `maintenanceBlocks`"))
        }
    }
}

/// Lines about those who go out of service, with what is lost, and about those who come back.
pub(super) async fn outline(api: &dyn ClusterApi, pauses: &Pauses) -> Result<Vec<String>, Failure> {
    let mut lines = Vec::new();
    for Pause {
        address,
        node,
        routes,
        ..
    } in &pauses.begin
    {
        let router = if *routes {
            "its router hands over and stops, "
        } else {
            ""
        };
        lines.push(format!(
            "take {node} ({address}) out of service: {router}its Service addresses and pods go elsewhere"
        ));
        let losses = api.losses(node, Drain::ComesBack).await?;
        lines.extend(losses.iter().map(|loss| format!("  lost: {loss}")));
    }
    for Pause {
        address,
        node,
        since,
        routes,
    } in &pauses.end
    {
        let router = if *routes {
            ", its router as a backup"
        } else {
            ""
        };
        let since = since.as_deref().unwrap_or("unknown");
        lines.push(format!(
            "take {node} ({address}) into service again{router}; it was in maintenance since {since}"
        ));
    }
    Ok(lines)
}

/// Routers that an earlier run has begun to stop end before anybody is asked who has the virtual IP, and before they begin
/// anew.
pub(super) async fn stop_what_was_begun(
    world: &World<'_>,
    fleet: &Fleet<'_>,
    cluster: &run::Cluster<'_>,
    pauses: &Pauses,
    facts: &mut BTreeMap<IpAddr, Facts>,
) -> Result<(), Failure> {
    let gone = |facts: &Facts| !facts.files.contains_key(&static_pod::VRRP.path());
    for pause in pauses.begin.iter().chain(&pauses.end) {
        if pause.routes && facts.get(&pause.address).is_some_and(gone) {
            stop_serving(world, fleet, cluster, pause, facts).await?;
        }
    }
    Ok(())
}

/// Those whose routers are well again get pods and Service addresses again.
pub(super) async fn end(
    world: &World<'_>,
    cluster: &run::Cluster<'_>,
    pauses: &Pauses,
) -> Result<(), Failure> {
    for Pause { node, .. } in &pauses.end {
        world.interrupt.check()?;
        cluster.api()?.maintain(node, Maintain::End).await?;
        world.ui.note(&format!("{node} is in service again"));
    }
    Ok(())
}

/// One node after the other goes out of service, whoever has the virtual IP last.
pub(super) async fn begin(
    world: &World<'_>,
    fleet: &Fleet<'_>,
    cluster: &mut run::Cluster<'_>,
    pauses: &Pauses,
    facts: &mut BTreeMap<IpAddr, Facts>,
) -> Result<(), Failure> {
    let mut begin = pauses.begin.clone();
    let routers = begin.iter().filter(|pause| pause.routes);
    let routers: Vec<IpAddr> = routers.map(|pause| pause.address).collect();
    if routers.len() > 1 {
        let known = balancers(fleet, cluster.api()?, facts, &routers).await?;
        let active = |pause: &Pause| {
            let balancer = known.get(&pause.address);
            balancer.is_some_and(|balancer| balancer.is_active())
        };
        begin.sort_by_key(active);
    }
    for pause in &begin {
        retire(world, cluster, pause).await?;
        if pause.routes {
            stop_serving(world, fleet, cluster, pause, facts).await?;
            roll_out(world, fleet, cluster, facts).await?;
        }
        empty(world, cluster, pause).await?;
    }
    Ok(())
}
