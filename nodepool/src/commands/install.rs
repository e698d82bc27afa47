//! `lbctl install`: only the load balancers, onto a cluster that kubeadm made, in place of whoever serves its virtual IP.

#![expect(clippy::disallowed_methods, reason = "driver: reads the clock")]

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use cluster_config::Cluster;

use super::Outcome;
use super::create::report;
use super::preflight::{self, Look, Looked};
use super::software::Artefacts;
use super::target::Target;
use super::update::{Consent, Leave, agree, halted, refuse, roll_out, stages};
use crate::cli;
use crate::core::cluster_view::ClusterView;
use crate::core::desired::Desired;
use crate::core::facts::Facts;
use crate::core::plan::{self, Situation, Stage};
use crate::core::preflight::network::Listening;
use crate::core::preflight::{Finding, Reach};
use crate::core::step::Step;
use crate::core::takeover;
use crate::core::update::{self, Refused};
use crate::error::{Exit, Failure};
use crate::manifest::static_pod;
use crate::run::{self, Fleet, Interrupt, World, lock, read_settings, run_stage, take_over};
use crate::ui::{Ui, seconds};
use crate::workspace::{Workspace, expand_home};

/// Name of the command in logs and locks.
const COMMAND: &str = "install";
/// Longest wait for one call of the API before anything is changed.
const PATIENCE: Duration = Duration::from_secs(15);

/// Load balancers for a cluster that exists.
#[derive(Clone, Copy)]
pub struct Install<'a> {
    /// The cluster file.
    pub cluster: &'a Cluster,
    /// What it asks for.
    pub desired: &'a Desired,
    /// What goes onto the machines: nothing but `lbnode`.
    pub artefacts: &'a Artefacts,
    /// Where the kubeconfig goes.
    pub workspace: &'a Workspace,
    /// Credentials of the cluster's administrator.
    pub kubeconfig: &'a str,
    /// Who says yes.
    pub consent: Consent,
}

pub(super) async fn run(args: &cli::Install, ui: Ui) -> Result<(), Failure> {
    let begun = Instant::now();
    let target = Target::open(&args.target, COMMAND, ui)?;
    let kubeconfig = read_kubeconfig(&args.kubeconfig)?;
    let artefacts = Artefacts::balancers_alone(args.lbnode.as_deref())?;
    let interrupt = Interrupt::install(ui);
    let world = target.world(ui, &interrupt);
    let input = Install {
        cluster: &target.cluster,
        desired: &target.desired,
        artefacts: &artefacts,
        workspace: &target.workspace,
        kubeconfig: &kubeconfig,
        consent: match (args.dry_run, args.yes) {
            (true, _) => Consent::Withheld,
            (false, true) => Consent::Given,
            (false, false) => Consent::Asked,
        },
    };
    let outcome = install(&world, input).await?;
    let took = seconds(begun.elapsed());
    let (name, server) = (&target.desired.name, target.desired.server_url());
    ui.result(&match outcome {
        Outcome::NothingToDo => format!("cluster {name}: nothing to do ({took})\n"),
        Outcome::Changed => {
            format!("cluster {name}: its load balancers serve the API at {server} ({took})\n")
        }
    })
}

fn read_kubeconfig(path: &Path) -> Result<String, Failure> {
    let path = expand_home(&path.display().to_string());
    std::fs::read_to_string(&path).map_err(|error| {
        let text = format!("cannot read `{}`: {error}", path.display());
        Failure::new(Exit::Usage, text)
            .hint("`--kubeconfig` takes the administrator's; control planes have it as /etc/kubernetes/admin.conf")
    })
}

/// Takes the cluster over, or goes on where an earlier run stopped.
///
/// # Errors
/// When something is refused or not agreed to (then nothing was changed), a step fails, something does not become well, or
/// the operator interrupts.
pub async fn install(world: &World<'_>, input: Install<'_>) -> Result<Outcome, Failure> {
    let Install {
        desired, artefacts, ..
    } = input;
    let fleet = Fleet::connect(world, desired).await?;
    let locks = lock(world, &fleet, COMMAND).await?;
    let api = world.api.connect(input.kubeconfig, None, PATIENCE).await?;
    let view = api.view().await.map_err(|failure| {
        let hint = "`--kubeconfig` must lead to an API server that answers; a `server:` of one control plane will do";
        Failure::from(failure).hint(hint)
    })?;
    let made = api.cluster_configuration().await?;
    let look = Look {
        cluster: input.cluster,
        desired,
        artefacts,
        replace_edited: false,
        listening: Listening::Briefly,
        adopting: Some(&view),
    };
    let looked = preflight::look(world, &fleet, look).await?;
    let mut facts = examine(world, desired, artefacts, looked, &view, &made)?;

    let adopt = takeover::adopt(desired, &facts);
    note(&adopt, &mut facts);
    let mut cluster = run::Cluster::new(world, &fleet, desired, artefacts, false, &facts);
    let Some(view) = cluster.view(&facts).await? else {
        let text = "no control plane of the file is in this cluster; nothing was changed";
        return Err(Failure::new(Exit::Config, text));
    };
    let situation = cluster.situation(&facts, Some(&view));
    let (bring, turns) = (update::bring(&situation), update::turns(&situation));
    let rest = plan::plan_beside_members(&situation);
    refuse(&strangers(&fleet, &situation, &turns).await)?;
    let mut lines = takeover::outline(&situation, &adopt);
    lines.extend(update::outline(
        &situation,
        &bring,
        &turns,
        &BTreeMap::new(),
        &rest,
    ));
    lines.extend(cluster.rehearse().await?);
    agree(world.ui, input.consent, &lines)?;
    if lines.is_empty() {
        if input.consent != Consent::Withheld {
            cluster.conclude(input.workspace, &facts).await?;
        }
        return Ok(Outcome::NothingToDo);
    }

    for stage in [&adopt, &bring] {
        do_machines(world, &fleet, &cluster, stage, &mut facts).await?;
    }
    let paths = plan::watched_paths(None);
    take_over(world, &fleet, &mut cluster, &mut facts, &paths)
        .await
        .map_err(halted)?;
    roll_out(world, &fleet, &mut cluster, &mut facts).await?;
    stages(world, &fleet, &mut cluster, &mut facts, Leave::Unlisted).await?;
    cluster.finish(input.workspace, &facts).await?;
    drop(locks);
    Ok(Outcome::Changed)
}

/// What was found must allow to go on; the facts of all machines.
fn examine(
    world: &World<'_>,
    desired: &Desired,
    artefacts: &Artefacts,
    mut looked: Looked,
    view: &ClusterView,
    made: &serde_json::Value,
) -> Result<BTreeMap<IpAddr, Facts>, Failure> {
    let up = looked.machines.iter();
    let facts: BTreeMap<IpAddr, Facts> = up
        .filter_map(|(address, reach)| match reach {
            Reach::Up(facts) => Some((*address, (**facts).clone())),
            Reach::Down { .. } => None,
        })
        .collect();
    if facts.len() == desired.machines.len() {
        let situation = Situation {
            desired,
            bundle: None,
            packages: None,
            lbnode: &artefacts.lbnode,
            routed_network: false,
            facts: &facts,
            view: Some(view),
        };
        refuse(&takeover::refusals(&situation, view, made))?;
    }
    let concerns = |finding: &Finding| takeover::concerns(desired, &facts, finding);
    looked.findings.retain(concerns);
    preflight::refuse(&looked, desired, world.ui)?;
    Ok(facts)
}

/// The facts as they are once the machines are noted.
fn note(adopt: &Stage, facts: &mut BTreeMap<IpAddr, Facts>) {
    for (address, steps) in &adopt.machines {
        if let Some(facts) = facts.get_mut(address) {
            for step in steps {
                step.applied(facts);
            }
        }
    }
}

/// Routers of ours that run and would not hear those of the file: an update says what to do about that.
async fn strangers(
    fleet: &Fleet<'_>,
    situation: &Situation<'_>,
    turns: &BTreeMap<IpAddr, Vec<Step>>,
) -> Vec<Refused> {
    let runs = |address: &IpAddr| {
        let facts = situation.facts.get(address);
        facts.is_some_and(|facts| facts.files.contains_key(&static_pod::VRRP.path()))
    };
    let running = turns.keys().copied().filter(runs);
    let settings = read_settings(fleet, running).await;
    let mut all = Vec::new();
    for (address, settings) in &settings {
        let machine = situation.desired.machine(*address);
        let Some(wanted) = machine.and_then(|machine| machine.load_balancer.as_ref()) else {
            continue;
        };
        for what in settings.strangers(wanted) {
            all.push(Refused {
                what: format!("{address} runs a router of ours already; {what}"),
                hint: "put the file back as it was when `lbctl install` was begun".to_owned(),
            });
        }
    }
    all
}

async fn do_machines(
    world: &World<'_>,
    fleet: &Fleet<'_>,
    cluster: &run::Cluster<'_>,
    stage: &Stage,
    facts: &mut BTreeMap<IpAddr, Facts>,
) -> Result<(), Failure> {
    if stage.machines.is_empty() {
        return Ok(());
    }
    let failures = run_stage(world, fleet, &cluster.work(), stage, facts).await;
    world.interrupt.check()?;
    if failures.is_empty() {
        Ok(())
    } else {
        Err(report(stage.name, &failures))
    }
}
