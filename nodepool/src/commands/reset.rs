//! `lbctl reset cluster` and `reset nodes`: take everything off machines that `create cluster` put there.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use futures::StreamExt as _;
use futures::stream;

use cluster_config::Cluster;

use super::Outcome;
use super::software::Artefacts;
use super::target::Target;
use super::update::{Consent, Leave, Update};
use crate::cli;
use crate::core::desired::Desired;
use crate::core::facts::Facts;
use crate::core::from_config;
use crate::core::preflight::Reach;
use crate::error::{Exit, Failure};
use crate::run::{self, CONCURRENCY, Fleet, Interrupt, World, lock, reset_machine};
use crate::ui::{Progress, Ui};
use crate::workspace::Workspace;

/// Name of the command in logs and locks.
const COMMAND: &str = "reset cluster";

pub(super) async fn run(args: &cli::ResetCluster, ui: Ui) -> Result<(), Failure> {
    let target = Target::open(&args.target, COMMAND, ui)?;
    may_delete(&target.cluster)?;
    let desired = &target.desired;
    let question = format!(
        "Remove the cluster {} with all its data from {} machines?",
        desired.name,
        desired.machines.len()
    );
    if !args.yes && !ui.confirm(&question) {
        return Err(
            Failure::new(Exit::Usage, "not confirmed; nothing was changed")
                .hint("`--yes` resets without asking"),
        );
    }
    let interrupt = Interrupt::install(ui);
    let world = target.world(ui, &interrupt);
    let failures = reset(&world, desired).await?;
    if failures.is_empty() {
        target.workspace.forget_kubeconfig();
        return ui.result(&format!(
            "cluster {}: removed from {} machines\n",
            desired.name,
            desired.machines.len()
        ));
    }
    let text: Vec<String> = failures
        .iter()
        .map(|(address, why)| format!("{address}: {why}"))
        .collect();
    let exit = if failures.len() < desired.machines.len() {
        Exit::Partial
    } else {
        Exit::Failed
    };
    Err(Failure::new(
        exit,
        format!("not removed from every machine\n  {}", text.join("\n  ")),
    )
    .hint(format!(
        "correct the cause and run the same command again; logs are in {}",
        target.log.path().display()
    )))
}

/// Removes the cluster from every machine and says where something is left, and what.
///
/// # Errors
/// When another `lbctl` is at work.
pub(super) async fn reset(
    world: &World<'_>,
    desired: &Desired,
) -> Result<Vec<(IpAddr, String)>, Failure> {
    let fleet = Fleet::connect(world, desired).await?;
    let _locks = lock(world, &fleet, COMMAND).await?;
    let progress = Progress::begin(world.ui, "remove the cluster from its machines");
    let vips: Vec<IpAddr> = desired.own_vips().collect();
    let resetting = fleet.machines.values().map(|session| async {
        let address = session.address;
        let outcome = reset_machine(world, session, &address.to_string(), &vips, &progress).await;
        outcome.err().map(|why| (address, why))
    });
    let outcomes: Vec<_> = stream::iter(resetting)
        .buffer_unordered(CONCURRENCY)
        .collect()
        .await;
    progress.end();
    world.interrupt.check()?;
    let mut failures: Vec<_> = outcomes.into_iter().flatten().collect();
    failures.sort();
    Ok(failures)
}

/// An error when the file forbids it.
fn may_delete(cluster: &Cluster) -> Result<(), Failure> {
    if !cluster.prevents_deletion() {
        return Ok(());
    }
    let text = "the file's annotation `baremetal.cluster.gke.io/prevent-deletion: \"true\"` forbids it; nothing was changed";
    Err(Failure::new(Exit::Config, text).hint("remove the annotation from the Cluster first"))
}

/// `lbctl reset nodes`: the cluster goes on without some of its machines.
pub(super) async fn nodes(args: &cli::ResetNodes, ui: Ui) -> Result<(), Failure> {
    let target = Target::open(&args.target, "reset nodes", ui)?;
    let artefacts = Artefacts::load(&args.software)?;
    let interrupt = Interrupt::install(ui);
    let world = target.world(ui, &interrupt);
    let consent = if args.yes {
        Consent::Given
    } else {
        Consent::Asked
    };
    let input = Reset {
        cluster: &target.cluster,
        names: &args.node,
        forced: args.force,
        artefacts: &artefacts,
        workspace: &target.workspace,
        consent,
    };
    reset_nodes(&world, input).await?;
    ui.result(&format!(
        "cluster {}: {} removed\n",
        target.desired.name,
        args.node.join(", ")
    ))?;
    ui.note("take it out of the cluster file as well: `create cluster` and `update cluster` would bring it back");
    Ok(())
}

/// Machines that leave their cluster.
#[derive(Clone, Copy)]
pub struct Reset<'a> {
    /// The cluster file.
    pub cluster: &'a Cluster,
    /// Names of nodes, or addresses of machines.
    pub names: &'a [String],
    /// They go even if they do not answer, and whatever is left.
    pub forced: bool,
    /// What goes onto the machines that stay.
    pub artefacts: &'a Artefacts,
    /// Where the kubeconfig goes.
    pub workspace: &'a Workspace,
    /// Who says yes.
    pub consent: Consent,
}

/// Removes machines from their cluster, in order: the others' load balancers forget them, their pods go elsewhere, etcd
/// and the API forget them, and they are left as they were found.
///
/// # Errors
/// When it is refused or not agreed to (then nothing was changed), or something does not work; run again it goes on.
pub async fn reset_nodes(world: &World<'_>, input: Reset<'_>) -> Result<Outcome, Failure> {
    may_delete(input.cluster)?;
    let file = from_config::desired(input.cluster);
    let addresses = addresses(world, input, &file).await?;
    let desired = from_config::desired(&input.cluster.without(&addresses));
    if desired.control_planes().next().is_none() {
        let text = "no control plane would be left; nothing was changed";
        return Err(Failure::new(Exit::Config, text)
            .hint("`lbctl reset cluster` removes the whole cluster"));
    }
    let update = Update {
        cluster: input.cluster,
        desired: &desired,
        artefacts: input.artefacts,
        workspace: input.workspace,
        consent: input.consent,
        leave: Leave::Named {
            names: input.names,
            file: &file,
            forced: input.forced,
        },
    };
    super::update::update(world, update).await
}

/// Where SSH reaches the machine that has this address inside the cluster; of others the same.
fn by_node_ip(file: &Desired, address: Ipv4Addr) -> Ipv4Addr {
    let mut machines = file.machines.iter();
    let same = machines.find(|machine| machine.node_ip == IpAddr::V4(address));
    match same.map(|machine| machine.address) {
        Some(IpAddr::V4(reached)) => reached,
        _ => address,
    }
}

/// Addresses, as in the file, of the machines that are named.
async fn addresses(
    world: &World<'_>,
    input: Reset<'_>,
    file: &Desired,
) -> Result<Vec<Ipv4Addr>, Failure> {
    let mut addresses = Vec::new();
    let mut names = Vec::new();
    for name in input.names {
        match name.parse() {
            Ok(address) => addresses.push(by_node_ip(file, address)),
            Err(_) => names.push(name),
        }
    }
    if names.is_empty() {
        return Ok(addresses);
    }
    let fleet = Fleet::connect(world, file).await?;
    let answers = fleet.facts(false, &[]).await;
    let facts: BTreeMap<IpAddr, Facts> = answers
        .into_iter()
        .filter_map(|(address, reach)| match reach {
            Reach::Up(facts) => Some((address, *facts)),
            Reach::Down { .. } => None,
        })
        .collect();
    let mut cluster = run::Cluster::new(world, &fleet, file, input.artefacts, false, &facts);
    let view = cluster.view(&facts).await?.unwrap_or_default();
    for name in names {
        let node = view.nodes.get(name);
        let machine = file.machines.iter().find(|machine| {
            let known = facts.get(&machine.address);
            known.is_some_and(|facts| facts.hostname == *name)
                || node.is_some_and(|node| node.addresses.contains(&machine.node_ip))
        });
        if let Some(IpAddr::V4(address)) = machine.map(|machine| machine.address) {
            addresses.push(address);
        }
    }
    Ok(addresses)
}
