//! What `lbctl status` shows to people.

use crate::core::service_view::{self, PodState, ServiceView, SpeakerState};
use crate::core::status::{Component, NodeState, Picture, VersionOn};
use crate::ui::Table;

/// The tables.
pub(in crate::commands) fn text(picture: &Picture) -> String {
    let mut table = Table::new([
        "NODE", "ADDRESS", "ROLE", "READY", "SINCE", "ROUTER", "SINCE", "SERVERS", "KUBELET",
        "LBNODE", "DRIFT",
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
            match node.drift.as_deref() {
                None => dash(),
                Some([]) => "none".to_owned(),
                Some(lines) => format!("{} to change", lines.len()),
            },
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
    match &picture.data_plane {
        Some(view) => text.push_str(&data_plane(view)),
        None => text.push_str(&speakers_themselves(&picture.nodes)),
    }
    text.push_str(&versions(&picture.versions));
    text.push_str(&drift(picture));
    let problems = picture.problems();
    if !problems.is_empty() {
        text.push_str("\nproblems:\n");
        for problem in problems {
            text.push_str(&format!("  {problem}\n"));
        }
    }
    text
}

fn or_dash(text: Option<String>) -> String {
    text.filter(|text| !text.is_empty())
        .unwrap_or_else(|| "-".to_owned())
}

fn joined(names: &[String]) -> String {
    or_dash(Some(names.join(",")))
}

/// Speakers, pools and Services, each as a table if there are some.
fn data_plane(view: &ServiceView) -> String {
    let mut text = String::new();
    if !view.speakers.is_empty() {
        text.push_str(&format!("\n{}", speakers(&view.speakers)));
    }
    if let Some(line) = controllers(&view.controllers) {
        text.push_str(&line);
    }
    if !view.pools.is_empty() {
        let mut table = Table::new([
            "POOL", "IPV4", "USED", "FREE", "IPV6", "USED", "FREE", "READY", "SINCE", "WHY",
        ]);
        for pool in &view.pools {
            let ready = if pool.ready { "yes" } else { "no" };
            let number = |text: &String| or_dash(Some(text.clone()));
            table.row([
                pool.pool.clone(),
                number(&pool.ipv4.total),
                number(&pool.ipv4.assigned),
                number(&pool.ipv4.available),
                number(&pool.ipv6.total),
                number(&pool.ipv6.assigned),
                number(&pool.ipv6.available),
                ready.to_owned(),
                or_dash(pool.since.clone()),
                pool.why.clone(),
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

fn speakers(speakers: &[SpeakerState]) -> Table {
    let mut table = Table::new([
        "SPEAKER",
        "READY",
        "SINCE",
        "PHASE",
        "ADDRESSES",
        "HEARS",
        "SILENT",
        "VERSION",
        "WHY",
    ]);
    for speaker in speakers {
        let ready = match speaker.ready {
            _ if speaker.lost => "not heard",
            Some(true) => "yes",
            Some(false) => "no",
            None => "unknown",
        };
        table.row([
            speaker.node.clone(),
            ready.to_owned(),
            or_dash(speaker.since.clone()),
            or_dash(Some(speaker.phase.clone())),
            speaker.addresses.to_string(),
            joined(&speaker.hears),
            joined(&speaker.silent),
            or_dash(Some(speaker.version.clone())),
            or_dash(speaker.why.clone()),
        ]);
    }
    table
}

/// The same from their own pages, while the API does not answer.
fn speakers_themselves(nodes: &[NodeState]) -> String {
    let mut table = Table::new(["SPEAKER", "PHASE", "ADDRESSES", "SILENT"]);
    let mut some = false;
    for node in nodes {
        if let Some(speaker) = &node.speaker {
            some = true;
            table.row([
                node.name(),
                or_dash(Some(speaker.phase.clone())),
                speaker.count.to_string(),
                joined(&speaker.silent),
            ]);
        }
    }
    if some {
        format!("\n{table}")
    } else {
        String::new()
    }
}

fn controllers(pods: &[PodState]) -> Option<String> {
    let words = pods.iter().map(|pod| {
        let node = or_dash(Some(pod.node.clone()));
        match (pod.ready, &pod.why) {
            (false, Some(why)) => format!("{node} (not ready: {why})"),
            (false, None) => format!("{node} (not ready)"),
            (true, _) => node,
        }
    });
    let words: Vec<String> = words.collect();
    (!words.is_empty()).then(|| format!("controllers on {}\n", words.join(", ")))
}

fn versions(components: &[Component]) -> String {
    let mut table = Table::new(["COMPONENT", "VERSION", "NODES"]);
    for component in components {
        for one in &component.versions {
            let nodes = if component.mixed {
                one.nodes.join(", ")
            } else {
                format!("all {} that say it", one.nodes.len())
            };
            let version = VersionOn::short(one).to_owned();
            table.row([component.component.to_owned(), version, nodes]);
        }
    }
    if components.is_empty() {
        String::new()
    } else {
        format!("\n{table}")
    }
}

const OTHER_RELEASE: &str = "\nthis `lbctl` is of another release than the nodes: what that only words otherwise was not compared; `--lbnode FILE` says what they should have\n";

/// What an update would change: a line a node.
fn drift(picture: &Picture) -> String {
    let differs = |node: &&NodeState| node.drift.as_ref().is_some_and(|lines| !lines.is_empty());
    let nodes = picture.nodes.iter().filter(differs).map(|node| {
        let lines = node.drift.as_deref().unwrap_or_default();
        format!("  {}: {}\n", node.name(), lines.join("; "))
    });
    let cluster = picture.drift.iter().map(|line| format!("  {line}\n"));
    let lines: String = nodes.chain(cluster).collect();
    let mut text = String::new();
    if !lines.is_empty() {
        text.push_str("\n`lbctl update cluster` would change:\n");
        text.push_str(&lines);
    }
    if picture.other_release {
        text.push_str(OTHER_RELEASE);
    }
    text
}
