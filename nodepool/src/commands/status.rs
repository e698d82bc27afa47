//! `lbctl status`: nodes, the virtual IP's owner, proxies and their servers, pools and Services.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream;

use super::target::Target;
use crate::cli;
use crate::core::cluster_view::ClusterView;
use crate::core::desired::Desired;
use crate::core::service_view::{self, Objects, ServiceView, Usage};
use crate::core::status::{Pages, Picture, picture};
use crate::error::{Exit, Failure};
use crate::run::{CONCURRENCY, Fleet, Interrupt, World};
use crate::ui::{Table, Ui, listed};
use crate::workspace::Workspace;

/// Longest wait for the API.
const PATIENCE: Duration = Duration::from_secs(3);
/// Longest wait for one node while somebody watches.
const GLANCE: Duration = Duration::from_secs(5);
/// Pause between two looks of somebody who watches.
const PAUSE: Duration = Duration::from_secs(2);

pub(super) async fn run(args: &cli::Status, ui: Ui) -> Result<(), Failure> {
    let target = Target::open(&args.target, "status", ui)?;
    let interrupt = Interrupt::default();
    let world = target.world(ui, &interrupt);
    let mut fleet = Fleet::connect(&world, &target.desired).await?;
    if args.watch {
        let watching = watch(&world, &mut fleet, &target, args.output);
        return tokio::select! {
            failed = watching => failed,
            _ = tokio::signal::ctrl_c() => Ok(()),
        };
    }
    let picture = look(&world, &fleet, &target.desired, &target.workspace).await;
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
    target: &Target,
    form: cli::Output,
) -> Result<(), Failure> {
    loop {
        let asked = futures::join!(glance(fleet), view(world, &target.workspace));
        let silent: Vec<IpAddr> = asked
            .0
            .iter()
            .filter_map(|(address, answer)| answer.is_err().then_some(*address))
            .collect();
        let picture = compose(&target.desired, &asked.0, asked.1);
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

/// The state of a cluster at this moment.
pub(super) async fn look(
    world: &World<'_>,
    fleet: &Fleet<'_>,
    desired: &Desired,
    workspace: &Workspace,
) -> Picture {
    let (answers, view) = futures::join!(pages(fleet), view(world, workspace));
    compose(desired, &answers, view)
}

type Answers = BTreeMap<IpAddr, Result<Pages, String>>;

fn compose(
    desired: &Desired,
    answers: &Answers,
    view: Result<(ClusterView, Objects), String>,
) -> Picture {
    let (view, objects) = view.map_or_else(
        |error| (Err(error), None),
        |(view, objects)| (Ok(view), Some(objects)),
    );
    let mut picture = picture(desired, view.as_ref().map_err(Clone::clone), |machine| {
        answers
            .get(&machine.address)
            .cloned()
            .unwrap_or_else(|| Err("not asked".to_owned()))
    });
    picture.data_plane = objects.as_ref().map(service_view::view);
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

async fn view(world: &World<'_>, workspace: &Workspace) -> Result<(ClusterView, Objects), String> {
    let path = workspace.kubeconfig();
    let kubeconfig = std::fs::read_to_string(&path)
        .map_err(|error| format!("no kubeconfig `{}`: {error}", path.display()))?;
    let api = world.api.connect(&kubeconfig, None, PATIENCE).await;
    let api = api.map_err(|failure| failure.to_string())?;
    let both = futures::try_join!(api.view(), api.service_objects());
    both.map_err(|failure| failure.to_string())
}

/// The tables.
pub(super) fn text(picture: &Picture) -> String {
    let mut table = Table::new([
        "NODE", "ADDRESS", "ROLE", "READY", "SINCE", "ROUTER", "SINCE", "SERVERS", "KUBELET",
        "LBNODE",
    ]);
    let dash = || "-".to_owned();
    for node in &picture.nodes {
        let ready = match (node.ready, &node.unreachable) {
            _ if node.maintenance.is_some() => "maintenance",
            (Some(true), _) => "yes",
            (Some(false), _) => "no",
            (None, Some(_)) => "unreachable",
            (None, None) => "unknown",
        };
        let since = node.maintenance.as_ref().map(|noted| &noted.since);
        let since = since.or(node.ready_since.as_ref());
        let servers = node.proxy.as_ref().map_or_else(dash, |proxy| {
            let up = proxy.servers.iter().filter(|server| server.is_up()).count();
            format!("{up}/{} up", proxy.servers.len())
        });
        table.row([
            node.node.clone().unwrap_or_else(dash),
            node.address.to_string(),
            node.role.to_owned(),
            ready.to_owned(),
            since.cloned().unwrap_or_else(dash),
            node.vrrp
                .as_ref()
                .map_or_else(dash, |router| router.state.clone()),
            node.vrrp
                .as_ref()
                .map_or_else(dash, |router| router.since.clone()),
            servers,
            node.kubelet.clone().unwrap_or_else(dash),
            node.lbnode
                .as_deref()
                .and_then(|words| words.split(' ').nth(1))
                .map_or_else(dash, str::to_owned),
        ]);
    }
    let mut text = format!("cluster {}, API {}\n", picture.cluster, picture.server);
    if let [owner] = picture.vip.owners.as_slice() {
        let since = picture.vip.since.as_deref().unwrap_or("unknown");
        let why = picture.vip.why.as_deref().unwrap_or_default();
        text.push_str(&format!(
            "virtual IP {} is on {owner} since {since}: {why}\n",
            picture.vip.address
        ));
    }
    if picture.vip.external {
        text.push_str(&format!(
            "virtual IP {} is on a load balancer that is not ours (`loadBalancer.mode: manual`)\n",
            picture.vip.address
        ));
    }
    text.push_str(&format!("\n{table}"));
    if let Some(view) = &picture.data_plane {
        text.push_str(&data_plane(view));
    }
    let problems = picture.problems();
    if !problems.is_empty() {
        text.push_str("\nproblems:\n");
        for problem in problems {
            text.push_str(&format!("  {problem}\n"));
        }
    }
    text
}

/// Pools and Services, each as a table if there are some.
fn data_plane(view: &ServiceView) -> String {
    let mut text = String::new();
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let used = |usage: &Usage| format!("{}/{} used", usage.assigned, usage.total);
    if !view.pools.is_empty() {
        let mut table = Table::new(["POOL", "IPV4", "IPV6", "READY", "SINCE"]);
        for pool in &view.pools {
            let ready = if pool.ready { "yes" } else { "no" };
            table.row([
                pool.pool.clone(),
                used(&pool.ipv4),
                used(&pool.ipv6),
                ready.to_owned(),
                or_dash(pool.since.clone()),
            ]);
        }
        text.push_str(&format!("\n{table}"));
    }
    if !view.services.is_empty() {
        let mut table = Table::new([
            "SERVICE",
            "ADDRESS",
            "NODE",
            "INTERFACE",
            "MAC",
            "SINCE",
            "WHY",
        ]);
        for service in &view.services {
            let owner = service.owner.as_ref();
            let cell = |of: fn(&service_view::Owner) -> &String| {
                owner.map_or_else(|| "-".to_owned(), |owner| of(owner).clone())
            };
            table.row([
                service.service.clone(),
                service
                    .address
                    .map_or_else(|| "<pending>".to_owned(), |address| address.to_string()),
                cell(|owner| &owner.node),
                cell(|owner| &owner.interface),
                cell(|owner| &owner.mac),
                cell(|owner| &owner.since),
                cell(|owner| &owner.why),
            ]);
        }
        text.push_str(&format!("\n{table}"));
    }
    text
}
