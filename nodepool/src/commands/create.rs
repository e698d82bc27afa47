//! `lbctl create cluster`: look, plan, do the first stage that has work, look again.

#![expect(clippy::disallowed_methods, reason = "driver: reads the clock")]

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Mutex;
use std::time::Instant;

use cluster_config::Cluster;

use super::preflight::{Look, look, refuse};
use super::software::Artefacts;
use super::target::Target;
use super::update::correct_members;
use crate::cli;
use crate::core::desired::Desired;
use crate::core::facts::Facts;
use crate::core::plan::{self, Stage, StageName};
use crate::core::preflight::network::Listening;
use crate::core::preflight::{Reach, software};
use crate::core::skew::Programs;
use crate::core::step::ApiStep;
use crate::error::Failure;
use crate::run::{self, Failed, Fleet, Interrupt, World, follow_joins, lock, run_stage};
use crate::ui::{Ui, seconds};
use crate::workspace::Workspace;

/// Name of the command in logs and locks.
const COMMAND: &str = "create cluster";

/// A cluster to make.
#[derive(Clone, Copy)]
pub struct Create<'a> {
    /// The cluster file.
    pub cluster: &'a Cluster,
    /// What it asks for.
    pub desired: &'a Desired,
    /// What goes onto the machines.
    pub artefacts: &'a Artefacts,
    /// Where the kubeconfig goes.
    pub workspace: &'a Workspace,
    /// Replace a containerd configuration that somebody edited.
    pub replace_edited: bool,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Everything was as it should be.
    NothingToDo,
    /// Something was changed.
    Changed,
}

pub(super) async fn run(args: &cli::CreateCluster, ui: Ui) -> Result<(), Failure> {
    let begun = Instant::now();
    let target = Target::open(&args.target, COMMAND, ui)?;
    let artefacts = Artefacts::load(&args.software)?;
    let interrupt = Interrupt::install(ui);
    let world = target.world(ui, &interrupt);
    let input = Create {
        cluster: &target.cluster,
        desired: &target.desired,
        artefacts: &artefacts,
        workspace: &target.workspace,
        replace_edited: args.yes,
    };
    let outcome = create(&world, input).await?;
    let took = seconds(begun.elapsed());
    let (name, server) = (&target.desired.name, target.desired.server_url());
    let text = match outcome {
        Outcome::NothingToDo => format!("cluster {name}: nothing to do ({took})\n"),
        Outcome::Changed => format!(
            "cluster {name}: {} nodes are Ready, the API answers at {server} ({took})\n",
            target.desired.machines.len()
        ),
    };
    ui.result(&text)?;
    if outcome == Outcome::Changed {
        if target.desired.control_planes_take_workloads() {
            ui.note("there are no workers: the control planes run workloads too");
        }
        ui.note(&format!(
            "kubectl --kubeconfig {} get nodes",
            target.workspace.kubeconfig().display()
        ));
    }
    Ok(())
}

/// Makes the cluster, or goes on where an earlier run stopped.
///
/// # Errors
/// When preflight refuses (then nothing was changed), a step fails, or the operator interrupts.
pub async fn create(world: &World<'_>, input: Create<'_>) -> Result<Outcome, Failure> {
    let Create {
        desired, artefacts, ..
    } = input;
    let fleet = Fleet::connect(world, desired).await?;
    let locks = lock(world, &fleet, COMMAND).await?;
    let input_of_look = Look {
        cluster: input.cluster,
        desired,
        artefacts,
        replace_edited: input.replace_edited,
        listening: Listening::Briefly,
        adopting: None,
    };
    let looked = look(world, &fleet, input_of_look).await?;
    refuse(&looked, desired, world.ui)?;
    if artefacts.bundle.is_none() {
        for line in software::lines(&looked.machines) {
            world.ui.note(&format!("found on {line}"));
        }
    }
    let mut facts: BTreeMap<IpAddr, Facts> = looked
        .machines
        .into_iter()
        .filter_map(|(address, reach)| match reach {
            Reach::Up(facts) => Some((address, *facts)),
            Reach::Down { .. } => None,
        })
        .collect();

    let routed = artefacts.cni.is_none();
    let mut cluster = run::Cluster::new(world, &fleet, desired, artefacts, routed, &facts);
    // Those who serve the API are not all restarted at the same time.
    let mut changed = correct_members(world, &fleet, &mut cluster, &mut facts).await?;
    let mut last: Option<Stage> = None;
    loop {
        world.interrupt.check()?;
        let view = cluster.view(&facts).await?;
        let plan = plan::plan(&cluster.situation(&facts, view.as_ref()));
        let Some(stage) = plan.stages.into_iter().next() else {
            break;
        };
        must_move_on(world, last.as_ref(), &stage)?;
        changed = true;
        do_stage(world, &fleet, &mut cluster, &stage, &mut facts).await?;
        last = Some(stage);
    }
    changed |= cluster.finish(input.workspace, &facts).await?;
    drop(locks);
    Ok(if changed {
        Outcome::Changed
    } else {
        Outcome::NothingToDo
    })
}

/// An error when a stage that was done is planned once more.
pub(super) fn must_move_on(
    world: &World<'_>,
    last: Option<&Stage>,
    stage: &Stage,
) -> Result<(), Failure> {
    if last != Some(stage) {
        return Ok(());
    }
    let text = format!("{} was done, and is still not so", stage.name.title());
    let hint = format!("see the logs in {}", world.log.path().display());
    Err(Failure::failed(text).hint(hint))
}

pub(super) async fn do_stage(
    world: &World<'_>,
    fleet: &Fleet<'_>,
    cluster: &mut run::Cluster<'_>,
    stage: &Stage,
    facts: &mut BTreeMap<IpAddr, Facts>,
) -> Result<(), Failure> {
    cluster.check_archives(stage).await?;
    match stage.name {
        StageName::Authority | StageName::Init => cluster.secrets_for_init()?,
        StageName::JoinControlPlanes | StageName::JoinWorkers => {
            cluster.secrets_for_join(facts, stage.name).await?;
        }
        _ => {}
    }
    through_api(world, cluster, &stage.first).await?;
    let joins = matches!(
        stage.name,
        StageName::JoinControlPlanes | StageName::JoinWorkers
    );
    let written = Mutex::new(BTreeMap::new());
    let known = facts.clone();
    let work = cluster.work();
    let failures = if joins && cluster.routed_network() {
        let following = follow_joins(cluster.api()?, fleet, work.desired, &known, &written);
        tokio::select! {
            failures = run_stage(world, fleet, &work, stage, facts) => failures,
            () = following => Vec::new(),
        }
    } else {
        run_stage(world, fleet, &work, stage, facts).await
    };
    for (address, step) in written.into_inner().unwrap_or_default() {
        if let Some(facts) = facts.get_mut(&address) {
            step.applied(facts);
        }
    }
    world.interrupt.check()?;
    if !failures.is_empty() {
        return Err(report(stage.name, &failures));
    }
    if stage.name == StageName::Authority {
        cluster.learn_authority(facts).await?;
    }
    if stage.name == StageName::Software {
        look_again(fleet, stage, facts).await?;
    }
    through_api(world, cluster, &stage.api).await
}

/// What packages have brought is not known before it is there.
async fn look_again(
    fleet: &Fleet<'_>,
    stage: &Stage,
    facts: &mut BTreeMap<IpAddr, Facts>,
) -> Result<(), Failure> {
    let mut seen = fleet.facts(true, &plan::watched_paths(None)).await;
    for address in stage.machines.keys() {
        match seen.remove(address) {
            Some(Reach::Up(new)) => {
                unsuited(address, &new)?;
                facts.insert(*address, *new);
            }
            Some(Reach::Down { cause, fix, .. }) => {
                return Err(Failure::failed(format!("{address}: {cause}")).hint(fix));
            }
            None => {}
        }
    }
    Ok(())
}

/// An error when a repository had something that cannot be used; containerd has whatever version the distribution gave it.
fn unsuited(address: &IpAddr, facts: &Facts) -> Result<(), Failure> {
    let programs = Programs::installed(facts);
    let Some(kubeadm) = programs.kubeadm else {
        return Ok(());
    };
    let violations = programs.violations(kubeadm);
    let Some(first) = violations.into_iter().find(|one| one.fatal) else {
        return Ok(());
    };
    let name = &facts.hostname;
    let text = format!("{name} ({address}): {}", first.what);
    Err(Failure::failed(text).hint(
        "`lbctl reset cluster` takes the packages away again; then configure a repository with a newer version, or install it by hand",
    ))
}

async fn through_api(
    world: &World<'_>,
    cluster: &run::Cluster<'_>,
    steps: &[ApiStep],
) -> Result<(), Failure> {
    for step in steps {
        world.log.machine("api")?.note(&step.title());
        world.ui.note(&format!("  {}", step.title()));
        cluster.apply(step).await?;
    }
    Ok(())
}

pub(super) fn report(stage: StageName, failures: &[Failed]) -> Failure {
    let mut text = format!("{} did not work", stage.title());
    for failed in failures {
        let reason = failed.reason.replace('\n', "\n    ");
        text.push_str(&format!(
            "\n  {} ({}): {}: {reason}\n    log: {}",
            failed.node, failed.address, failed.step, failed.log
        ));
    }
    Failure::failed(text)
        .hint("correct the cause and run the same command again: it goes on where this one stopped")
}
