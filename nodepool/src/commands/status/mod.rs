//! `lbctl status`: nodes, the virtual IP's owner, proxies and their servers, speakers, pools and Services, versions, and what
//! differs from the file.

mod table;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream;

use super::software;
use super::target::Target;
use crate::cli;
use crate::core::cluster_view::{BalancerPod, ClusterView};
use crate::core::desired::Desired;
use crate::core::service_view::Objects;
use crate::core::status::{Pages, Picture, picture};
use crate::core::update::Inspected;
use crate::error::{Exit, Failure};
use crate::lbnode::Lbnode;
use crate::run::{CONCURRENCY, Fleet, Interrupt, World, inspect};
use crate::ui::{Ui, listed};
use crate::workspace::Workspace;

pub(super) use table::text;

/// Longest wait for the API.
const PATIENCE: Duration = Duration::from_secs(3);
/// Longest wait for one node while somebody watches.
const GLANCE: Duration = Duration::from_secs(5);
/// Pause between two looks of somebody who watches.
const PAUSE: Duration = Duration::from_secs(2);
/// So many of these looks compare the nodes with the file once: it costs more than the rest.
const COMPARED: u32 = 30;

/// What is looked at.
#[derive(Clone, Copy)]
pub struct Sight<'a> {
    /// What the file asks for.
    pub desired: &'a Desired,
    /// Where the kubeconfig is.
    pub workspace: &'a Workspace,
    /// The node binary that the nodes should have; without it, what most of them have.
    pub lbnode: Option<&'a Lbnode>,
}

/// What looking has shown.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The state of the cluster.
    pub picture: Picture,
    /// What is on the machines.
    pub inspected: Inspected,
}

pub(super) async fn run(args: &cli::Status, ui: Ui) -> Result<(), Failure> {
    let target = Target::open(&args.target, "status", ui)?;
    let lbnode = software::reference(args.reference.lbnode.as_deref())?;
    let interrupt = Interrupt::default();
    let world = target.world(ui, &interrupt);
    let mut fleet = Fleet::connect(&world, &target.desired).await?;
    let sight = Sight {
        desired: &target.desired,
        workspace: &target.workspace,
        lbnode: lbnode.as_ref(),
    };
    if args.watch {
        let watching = watch(&world, &mut fleet, sight, args.output);
        return tokio::select! {
            failed = watching => failed,
            _ = tokio::signal::ctrl_c() => Ok(()),
        };
    }
    let picture = see(&world, &fleet, sight).await.picture;
    show(&picture, args.output, ui)?;
    let unreachable = picture.nodes.iter().filter(|node| node.is_missed()).count();
    match unreachable {
        0 => Ok(()),
        all if all == picture.nodes.len() => Err(Failure::silent(Exit::Failed)),
        _ => Err(Failure::silent(Exit::Partial)),
    }
}

/// Looks again and again, until it is dropped or nobody reads any more.
async fn watch(
    world: &World<'_>,
    fleet: &mut Fleet<'_>,
    sight: Sight<'_>,
    form: cli::Output,
) -> Result<(), Failure> {
    let mut inspected: Option<Inspected> = None;
    let mut round = 0u32;
    loop {
        let all: &Fleet<'_> = fleet;
        let wanted = inspected.is_none() || round.is_multiple_of(COMPARED);
        let comparing = async {
            if !wanted {
                return None;
            }
            let looking = inspect(all, sight.desired, sight.lbnode);
            tokio::time::timeout(GLANCE, looking).await.ok()
        };
        let asked = futures::join!(glance(all), shown(world, sight.workspace), comparing);
        round = round.wrapping_add(1);
        inspected = asked.2.or(inspected);
        let silent: Vec<IpAddr> = asked
            .0
            .iter()
            .filter_map(|(address, answer)| answer.is_err().then_some(*address))
            .collect();
        let picture = compose(sight.desired, &asked.0, &asked.1, inspected.as_ref());
        let page = match form {
            cli::Output::Table => format!("{}{}", world.ui.page_break(), text(&picture)),
            cli::Output::Yaml => format!("---\n{}", listed(form, &picture)?),
            cli::Output::Json => listed(form, &picture)?,
        };
        if !world.ui.page(&page)? {
            return Ok(());
        }
        // Who was away may be back.
        let again = fleet.reconnect(world, &silent, GLANCE);
        futures::join!(again, tokio::time::sleep(PAUSE));
    }
}

fn show(picture: &Picture, form: cli::Output, ui: Ui) -> Result<(), Failure> {
    match form {
        cli::Output::Table => ui.result(&text(picture)),
        form => ui.listing(form, picture),
    }
}

/// The state of a cluster at this moment. Machines or an API that do not answer are noted in it.
pub async fn see(world: &World<'_>, fleet: &Fleet<'_>, sight: Sight<'_>) -> Seen {
    let (answers, shown, inspected) = futures::join!(
        pages(fleet),
        shown(world, sight.workspace),
        inspect(fleet, sight.desired, sight.lbnode),
    );
    Seen {
        picture: compose(sight.desired, &answers, &shown, Some(&inspected)),
        inspected,
    }
}

type Answers = BTreeMap<IpAddr, Result<Pages, String>>;

/// What the API shows.
struct Shown {
    view: ClusterView,
    objects: Objects,
    pods: Vec<BalancerPod>,
}

fn compose(
    desired: &Desired,
    answers: &Answers,
    shown: &Result<Shown, String>,
    inspected: Option<&Inspected>,
) -> Picture {
    let view = shown.as_ref().map(|shown| &shown.view);
    let mut picture = picture(desired, view.map_err(Clone::clone), |machine| {
        answers
            .get(&machine.address)
            .cloned()
            .unwrap_or_else(|| Err("not asked".to_owned()))
    });
    if let Ok(shown) = shown {
        picture.add_objects(&shown.objects, &shown.pods);
    }
    if let Some(inspected) = inspected {
        let drift = inspected.drift(desired, view.ok());
        picture.add_inspection(inspected, drift);
    }
    picture
}

async fn pages(fleet: &Fleet<'_>) -> Answers {
    let asking = fleet
        .machines
        .values()
        .map(|machine| async move { (machine.address, machine.pages().await) });
    stream::iter(asking)
        .buffer_unordered(CONCURRENCY)
        .collect()
        .await
}

/// The same, without a trace in the logs, and not waiting for who is dying.
async fn glance(fleet: &Fleet<'_>) -> Answers {
    let asking = fleet.machines.values().map(|machine| async move {
        let answer = tokio::time::timeout(GLANCE, machine.pages_unlogged()).await;
        let late = |_| Err(format!("no answer within {} s", GLANCE.as_secs()));
        (machine.address, answer.unwrap_or_else(late))
    });
    stream::iter(asking)
        .buffer_unordered(CONCURRENCY)
        .collect()
        .await
}

async fn shown(world: &World<'_>, workspace: &Workspace) -> Result<Shown, String> {
    let path = workspace.kubeconfig();
    let kubeconfig = std::fs::read_to_string(&path)
        .map_err(|error| format!("no kubeconfig `{}`: {error}", path.display()))?;
    let api = world.api.connect(&kubeconfig, None, PATIENCE).await;
    let api = api.map_err(|failure| failure.to_string())?;
    let all = futures::try_join!(api.view(), api.service_objects(), api.balancer_pods());
    let (view, objects, pods) = all.map_err(|failure| failure.to_string())?;
    Ok(Shown {
        view,
        objects,
        pods,
    })
}

#[cfg(test)]
mod tests;
