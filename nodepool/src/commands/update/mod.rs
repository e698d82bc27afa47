//! `lbctl update cluster`: compare the file with the cluster as it is, say what differs, ask, do it in order.

#![expect(clippy::disallowed_methods, reason = "driver: reads the clock")]

mod leave;
mod maintenance;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Instant;

use cluster_config::Cluster;

pub use self::leave::Leave;
use super::Outcome;
use super::create::{do_stage, must_move_on, report};
use super::preflight;
use super::software::Artefacts;
use super::target::Target;
use crate::cli;
use crate::core::desired::Desired;
use crate::core::facts::Facts;
use crate::core::plan::{self, Stage, StageName};
use crate::core::preflight::Reach;
use crate::core::preflight::network::Listening;
use crate::core::update::{self, Refused};
use crate::error::{Exit, Failure};
use crate::manifest::cni;
use crate::run::{
    self, Departure, Fleet, Halt, Interrupt, World, balancers, lock, read_settings, roll, run_stage,
};
use crate::ui::{Ui, seconds};
use crate::workspace::Workspace;

/// Name of the command in logs and locks.
const COMMAND: &str = "update cluster";

/// A cluster to change.
#[derive(Clone, Copy)]
pub struct Update<'a> {
    /// The cluster file.
    pub cluster: &'a Cluster,
    /// What its file asks for.
    pub desired: &'a Desired,
    /// What goes onto the machines.
    pub artefacts: &'a Artefacts,
    /// Where the kubeconfig goes.
    pub workspace: &'a Workspace,
    /// Who says yes.
    pub consent: Consent,
    /// Who leaves.
    pub leave: Leave<'a>,
}

/// Who agrees to what is going to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consent {
    /// It was given on the command line.
    Given,
    /// The operator is asked.
    Asked,
    /// Nobody: it is only shown.
    Withheld,
}

pub(super) async fn run(args: &cli::UpdateCluster, ui: Ui) -> Result<(), Failure> {
    let begun = Instant::now();
    let target = Target::open(&args.target, COMMAND, ui)?;
    let artefacts = Artefacts::load(&args.software)?;
    let interrupt = Interrupt::install(ui);
    let world = target.world(ui, &interrupt);
    let input = Update {
        cluster: &target.cluster,
        desired: &target.desired,
        artefacts: &artefacts,
        workspace: &target.workspace,
        consent: match (args.dry_run, args.yes) {
            (true, _) => Consent::Withheld,
            (false, true) => Consent::Given,
            (false, false) => Consent::Asked,
        },
        leave: Leave::Unlisted,
    };
    let outcome = update(&world, input).await?;
    let took = seconds(begun.elapsed());
    let name = &target.desired.name;
    ui.result(&match outcome {
        Outcome::NothingToDo => format!("cluster {name}: nothing to do ({took})\n"),
        Outcome::Changed => format!("cluster {name}: is as the file says ({took})\n"),
    })
}

/// Brings the cluster to what its file says, or goes on where an earlier run stopped.
///
/// # Errors
/// When a change is refused or not agreed to (then nothing was changed), a step fails, a node does not become well, or the
/// operator interrupts.
pub async fn update(world: &World<'_>, input: Update<'_>) -> Result<Outcome, Failure> {
    let Update {
        desired, artefacts, ..
    } = input;
    let command = input.leave.command();
    let fleet = Fleet::connect(world, desired).await?;
    let locks = lock(world, &fleet, command).await?;
    let Seen {
        mut facts,
        absent,
        dark,
    } = look(world, &fleet, input).await?;
    for why in &absent {
        world.ui.note(&format!("warning: {why}; it is left out"));
    }
    let routed = facts
        .values()
        .any(|facts| facts.files.contains_key(cni::CONFLIST));
    let mut cluster = run::Cluster::new(world, &fleet, desired, artefacts, routed, &facts);
    let Some(view) = cluster.view(&facts).await? else {
        return Err(Failure::failed(format!(
            "there is no cluster {} on these machines yet; nothing was changed",
            desired.name
        ))
        .hint("`lbctl create cluster` with this file makes it"));
    };

    maintenance::all_rest(desired, &view, &dark)?;
    for (address, cause) in &dark {
        let text = format!("{address}: {cause}; it is in maintenance and left out");
        world.ui.note(&text);
    }

    let situation = cluster.situation(&facts, Some(&view));
    let leavers = input.leave.leavers(&situation)?;
    let (bring, turns) = (update::bring(&situation), update::turns(&situation));
    let rest = input.leave.limit(plan::plan_beside_members(&situation));
    let changing: BTreeSet<IpAddr> = turns.keys().chain(bring.machines.keys()).copied().collect();
    let settings = read_settings(&fleet, changing.into_iter()).await;
    let made = cluster.api()?.cluster_configuration().await?;
    let mut refused = update::refusals(&situation, &made, &settings);
    refused.extend(update::replaces(&situation, &leavers));
    refused.extend(update::forgotten(&situation, &settings, &leavers));
    let pauses = update::pauses(&situation);
    refused.extend(update::in_maintenance(&situation, &bring, &turns, &pauses));
    refuse(&refused)?;
    maintenance::guard(&situation, &fleet, cluster.api()?, &pauses).await?;
    let forced = input.leave.is_forced();
    let departure = Departure::meet(world, &desired.name, leavers, &view, forced, command).await?;
    // What the machines themselves say of their roles is known only now.
    let refused = update::replaces(&situation, &departure.leavers);
    refuse(refused.as_slice())?;
    if !departure.leavers.is_empty() && !forced {
        let members = update::members_with_balancer(&situation);
        let balancers = balancers(&fleet, cluster.api()?, &facts, &members).await?;
        leave::guard(&situation, &departure.leavers, &balancers)?;
    }
    let mut lines = update::outline(&situation, &bring, &turns, &settings, &rest);
    lines.extend(maintenance::outline(cluster.api()?, &pauses).await?);
    lines.extend(leave::outline(cluster.api()?, &departure).await?);
    lines.extend(cluster.rehearse().await?);
    agree(world.ui, input.consent, &lines)?;

    if !bring.machines.is_empty() {
        let failures = run_stage(world, &fleet, &cluster.work(), &bring, &mut facts).await;
        world.interrupt.check()?;
        if !failures.is_empty() {
            return Err(report(StageName::Bring, &failures));
        }
    }
    let vips: Vec<IpAddr> = desired.own_vips().collect();
    departure.stop_routers(world, &vips).await?;
    maintenance::stop_what_was_begun(world, &fleet, &cluster, &pauses, &mut facts).await?;
    // Those who have the virtual IP know of the new routers before these begin.
    roll_out(world, &fleet, &mut cluster, &mut facts).await?;
    maintenance::end(world, &cluster, &pauses).await?;
    let members = facts.len() - update::joiners(desired, &facts).count();
    stages(world, &fleet, &mut cluster, &mut facts, input.leave).await?;
    if facts.len() > members {
        // Whoever has joined becomes well before anybody goes.
        roll_out(world, &fleet, &mut cluster, &mut facts).await?;
    }
    maintenance::begin(world, &fleet, &mut cluster, &pauses, &mut facts).await?;
    for leaver in &departure.leavers {
        if let Some(view) = cluster.view(&facts).await?.filter(|_| !forced) {
            let one = std::slice::from_ref(leaver);
            leave::keeps_quorum(one, &view, "nothing more was changed")?;
        }
        departure
            .remove(world, &cluster, leaver, &facts, &vips)
            .await?;
    }
    if !departure.leavers.is_empty() {
        // Nobody needs the routes to their pods any more.
        stages(world, &fleet, &mut cluster, &mut facts, input.leave).await?;
    }
    let changed = match (lines.is_empty(), input.consent) {
        (true, Consent::Withheld) => false,
        (true, _) => cluster.conclude(input.workspace, &facts).await?,
        (false, _) => {
            cluster.finish(input.workspace, &facts).await?;
            true
        }
    };
    drop(locks);
    if !absent.is_empty() {
        let text = format!("everybody is served but\n  {}", absent.join("\n  "));
        return Err(Failure::new(Exit::Partial, text)
            .hint("run the same command again when these machines answer"));
    }
    Ok(if changed {
        Outcome::Changed
    } else {
        Outcome::NothingToDo
    })
}

/// Corrects the API load balancers of members, one at a time, for a cluster that is only to be completed. True when there was
/// something to correct.
///
/// # Errors
/// As [`update()`] does.
pub(super) async fn correct_members(
    world: &World<'_>,
    fleet: &Fleet<'_>,
    cluster: &mut run::Cluster<'_>,
    facts: &mut BTreeMap<IpAddr, Facts>,
) -> Result<bool, Failure> {
    let view = cluster.view(facts).await?;
    let situation = cluster.situation(facts, view.as_ref());
    let (bring, turns) = (update::bring(&situation), update::turns(&situation));
    let pauses = update::pauses(&situation);
    let maintained = update::in_maintenance(&situation, &bring, &turns, &pauses);
    refuse(&maintained)?;
    if view.is_none() || turns.is_empty() {
        return Ok(false);
    }
    let settings = read_settings(fleet, turns.keys().copied()).await;
    let made = cluster.api()?.cluster_configuration().await?;
    let mut refused = update::refusals(&situation, &made, &settings);
    refused.extend(update::would_forget(&situation));
    refused.extend(update::forgotten(&situation, &settings, &[]));
    refuse(&refused)?;
    let failures = run_stage(world, fleet, &cluster.work(), &bring, facts).await;
    world.interrupt.check()?;
    if !failures.is_empty() {
        return Err(report(StageName::Bring, &failures));
    }
    roll_out(world, fleet, cluster, facts).await?;
    Ok(true)
}

pub(super) async fn roll_out(
    world: &World<'_>,
    fleet: &Fleet<'_>,
    cluster: &mut run::Cluster<'_>,
    facts: &mut BTreeMap<IpAddr, Facts>,
) -> Result<(), Failure> {
    let rolled = roll(world, fleet, cluster, facts).await;
    rolled.map(drop).map_err(halted)
}

pub(super) fn halted(halt: Halt) -> Failure {
    match halt {
        Halt::Steps(stage, failures) => report(stage, &failures),
        Halt::Other(failure) => failure,
    }
}

/// Does what is planned beside the members' load balancers, stage by stage.
pub(super) async fn stages(
    world: &World<'_>,
    fleet: &Fleet<'_>,
    cluster: &mut run::Cluster<'_>,
    facts: &mut BTreeMap<IpAddr, Facts>,
    leave: Leave<'_>,
) -> Result<(), Failure> {
    let mut last: Option<Stage> = None;
    loop {
        world.interrupt.check()?;
        let view = cluster.view(facts).await?;
        let plan = plan::plan_beside_members(&cluster.situation(facts, view.as_ref()));
        let Some(stage) = leave.limit(plan).stages.into_iter().next() else {
            return Ok(());
        };
        must_move_on(world, last.as_ref(), &stage)?;
        do_stage(world, fleet, cluster, &stage, facts).await?;
        last = Some(stage);
    }
}

/// What is known of the machines.
struct Seen {
    facts: BTreeMap<IpAddr, Facts>,
    /// Workers that do not answer, in words.
    absent: Vec<String>,
    /// Machines in maintenance that do not answer.
    dark: Vec<maintenance::Dark>,
}

/// The facts of all machines; who does not answer must be a worker or in maintenance. Where some are to join, everything
/// is looked at as it is before a cluster is made.
async fn look(world: &World<'_>, fleet: &Fleet<'_>, input: Update<'_>) -> Result<Seen, Failure> {
    let bundle = input.artefacts.bundle.as_ref();
    let paths = plan::watched_paths(bundle);
    let seen = known(input.desired, fleet.facts(bundle.is_none(), &paths).await)?;
    let joins = update::joiners(input.desired, &seen.facts).next().is_some()
        && plan::cluster_lives(input.desired, &seen.facts);
    if !joins || !input.leave.lets_join() {
        return Ok(seen);
    }
    let look = preflight::Look {
        cluster: input.cluster,
        desired: input.desired,
        artefacts: input.artefacts,
        replace_edited: input.consent == Consent::Given,
        listening: Listening::Briefly,
        adopting: None,
    };
    let looked = preflight::look(world, fleet, look).await?;
    preflight::refuse(&looked, input.desired, world.ui)?;
    known(input.desired, looked.machines)
}

fn known(desired: &Desired, machines: BTreeMap<IpAddr, Reach>) -> Result<Seen, Failure> {
    let mut seen = Seen {
        facts: BTreeMap::new(),
        absent: Vec::new(),
        dark: Vec::new(),
    };
    for (address, reach) in machines {
        let machine = desired.machine(address);
        let worker = machine.is_some_and(|machine| !machine.serves());
        match reach {
            Reach::Up(known) => drop(seen.facts.insert(address, *known)),
            Reach::Down { cause, .. } if machine.is_some_and(|machine| machine.maintenance) => {
                seen.dark.push((address, cause));
            }
            Reach::Down { cause, .. } if worker => {
                seen.absent.push(format!("{address}: {cause}"));
            }
            Reach::Down { cause, fix, .. } => {
                let text = format!("{address}: {cause}; nothing was changed");
                return Err(Failure::failed(text).hint(fix));
            }
        }
    }
    Ok(seen)
}

pub(super) fn refuse(refused: &[Refused]) -> Result<(), Failure> {
    let Some(first) = refused.first() else {
        return Ok(());
    };
    if refused.len() == 1 {
        let message = format!("{}; nothing was changed", first.what);
        return Err(Failure::new(Exit::Config, message).hint(first.hint.clone()));
    }
    let mut text = format!("{} things are refused; nothing was changed", refused.len());
    for refused in refused {
        text.push_str(&format!("\n  {}\n    hint: {}", refused.what, refused.hint));
    }
    Err(Failure::new(Exit::Config, text))
}

/// Shows what is going to be done, and asks unless there is nothing.
pub(super) fn agree(ui: Ui, consent: Consent, lines: &[String]) -> Result<(), Failure> {
    if lines.is_empty() {
        return Ok(());
    }
    let text = lines.join("\n");
    match consent {
        Consent::Given => {
            ui.note(&text);
            Ok(())
        }
        Consent::Withheld => {
            ui.result(&format!("{text}\n"))?;
            Err(Failure::silent(Exit::Drift))
        }
        Consent::Asked => {
            ui.say(&text);
            if ui.confirm("Do that?") {
                return Ok(());
            }
            let text = "not confirmed; nothing was changed";
            Err(Failure::new(Exit::Usage, text).hint("`--yes` goes on without asking"))
        }
    }
}
