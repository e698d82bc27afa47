//! Who leaves the cluster, and what that costs.

use std::net::IpAddr;

use crate::api::ClusterApi;
use crate::core::cluster_view::{ClusterView, Drain};
use crate::core::desired::Desired;
use crate::core::plan::{Plan, Situation, Stage, StageName};
use crate::core::update::{self, Balancers, Leaver};
use crate::error::{Exit, Failure};
use crate::run::Departure;

/// Who leaves.
#[derive(Debug, Clone, Copy)]
pub enum Leave<'a> {
    /// Whoever the file does not have.
    Unlisted,
    /// These, and nobody else.
    Named {
        /// Names of nodes, or addresses of machines.
        names: &'a [String],
        /// The cluster with all machines of the file; what is asked for has it without those.
        file: &'a Desired,
        /// They go even if they do not answer, and whatever is left.
        forced: bool,
    },
}

impl Leave<'_> {
    /// Name of the command in logs and locks.
    pub(super) fn command(&self) -> &'static str {
        match self {
            Self::Unlisted => super::COMMAND,
            Self::Named { .. } => "reset nodes",
        }
    }

    pub(super) fn is_forced(&self) -> bool {
        matches!(self, Self::Named { forced: true, .. })
    }

    /// Machines that are not in the cluster yet join it.
    pub(super) fn lets_join(&self) -> bool {
        matches!(self, Self::Unlisted)
    }

    /// The plan without what others than the leavers would wait for.
    pub(super) fn limit(&self, mut plan: Plan) -> Plan {
        // Service addresses go to nodes that may have to join first.
        let waits = |stage: &Stage| {
            stage.name <= StageName::JoinWorkers || stage.name == StageName::Withdraw
        };
        plan.stages
            .retain(|stage| self.lets_join() || !waits(stage));
        plan
    }

    pub(super) fn leavers(&self, situation: &Situation<'_>) -> Result<Vec<Leaver>, Failure> {
        let unlisted = update::unlisted(situation);
        let Self::Named { names, file, .. } = self else {
            return Ok(unlisted);
        };
        let leavers = names.iter().map(|name| named(name, file, situation.view));
        let leavers = leavers.collect::<Result<Vec<_>, _>>()?;
        let other = unlisted
            .iter()
            .find(|other| leavers.iter().all(|leaver| leaver.node != other.node));
        if let Some(other) = other {
            let text = format!(
                "the node {} is not in the file either; nothing was changed",
                other.name()
            );
            return Err(Failure::new(Exit::Config, text)
                .hint("put it back, name it too, or let `lbctl update cluster` remove it first"));
        }
        Ok(leavers)
    }
}

/// The machine with this address, or of the node with this name.
fn named(name: &str, file: &Desired, view: Option<&ClusterView>) -> Result<Leaver, Failure> {
    let mut nodes = view.into_iter().flat_map(|view| &view.nodes);
    let address: Option<IpAddr> = name.parse().ok();
    let machine = address.and_then(|address| file.machine(address));
    let inside = machine.map(|machine| machine.node_ip).or(address);
    let found = nodes.find(|(node, view)| {
        *node == name || inside.is_some_and(|inside| view.addresses.contains(&inside))
    });
    let from_node = found.and_then(|(node, view)| {
        // SSH may reach it at another address than the cluster does.
        let mut machines = file.machines.iter();
        let same = machines.find(|machine| view.addresses.contains(&machine.node_ip));
        Leaver::of(node, view, same.map(|machine| machine.address))
    });
    let from_file = machine.map(|machine| Leaver {
        address: machine.address,
        node: None,
        node_ips: vec![machine.node_ip],
        control_plane: machine.is_control_plane(),
        lbnode: machine.lbnode,
    });
    from_node.or(from_file).ok_or_else(|| {
        let text = format!("there is no node `{name}` in the cluster; nothing was changed");
        Failure::new(Exit::Usage, text).hint(
            "`lbctl status` lists the nodes; a machine of the file that has not joined is named by its address",
        )
    })
}

/// An error when too little would be left.
pub(super) fn guard(
    situation: &Situation<'_>,
    leavers: &[Leaver],
    balancers: &Balancers,
) -> Result<(), Failure> {
    if let Some(view) = situation.view {
        keeps_quorum(leavers, view, "nothing was changed")?;
    }
    match update::last_balancer(situation, balancers) {
        None => Ok(()),
        Some(why) => Err(
            Failure::new(Exit::Config, format!("{why}; nothing was changed")).hint(
                "first add or repair another load-balancer node, then remove this one; `lbctl reset nodes --force` does it all the same",
            ),
        ),
    }
}

/// An error when the control planes that stay would have no majority.
pub(super) fn keeps_quorum(
    leavers: &[Leaver],
    view: &ClusterView,
    so_far: &str,
) -> Result<(), Failure> {
    match update::breaks_quorum(leavers, view) {
        None => Ok(()),
        Some(why) => Err(Failure::new(Exit::Config, format!("{why}; {so_far}")).hint(
            "first add or repair control planes; `lbctl reset cluster` removes the whole cluster",
        )),
    }
}

/// Lines about those who leave, with what is lost.
pub(super) async fn outline(
    api: &dyn ClusterApi,
    departure: &Departure<'_>,
) -> Result<Vec<String>, Failure> {
    let mut lines = Vec::new();
    for leaver in &departure.leavers {
        let (name, address) = (leaver.name(), leaver.address);
        let etcd = if leaver.control_plane {
            ", its member of etcd removed"
        } else {
            ""
        };
        lines.push(if departure.answers(leaver) {
            format!("remove {name} ({address}): its pods go elsewhere{etcd}, the machine is left as it was found")
        } else {
            format!("remove {name} ({address}), which does not answer{etcd}: keep it off the network until it has been cleaned, its router would take the virtual IP")
        });
        if let Some(node) = &leaver.node {
            let losses = api.losses(node, Drain::Leaves).await?;
            lines.extend(losses.iter().map(|loss| format!("  lost: {loss}")));
        }
    }
    Ok(lines)
}
