//! The way to the API: virtual IP, routers, proxies.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::{Check, Evidence, Notes, Place};
use crate::core::desired::Machine;
use crate::core::status::{NodeState, RouterState, ServerState};

/// For who wants to know more of a router.
const ROUTER: &str = "`crictl logs` of `lb-vrrp` on the node, and `lbnode get http://127.0.0.1:11003/record` there, say more";

pub(super) fn check(evidence: &Evidence<'_>, notes: &mut Notes) {
    api(evidence, notes.at(Place::CLUSTER));
    if evidence.picture.vip.external {
        return;
    }
    owner(evidence, notes.at(Place::CLUSTER));
    let owners = sources(evidence);
    let balancers: Vec<_> = evidence
        .in_service()
        .filter(|(machine, node)| machine.load_balancer.is_some() && node.unreachable.is_none())
        .collect();
    for (machine, node) in &balancers {
        router(node, notes.at(Place::of(node)));
        if balancers.len() > 1 {
            adverts(node, &owners, notes.at(Place::of(node)));
        }
        proxy(evidence, machine, node, notes.at(Place::of(node)));
    }
}

fn api(evidence: &Evidence<'_>, notes: &mut Notes) {
    let picture = evidence.picture;
    match &picture.api_error {
        Some(why) => notes.fail(
            Check::Api,
            format!("the API does not answer: {why}"),
            "the checks of routers and proxies below say which part is missing; `crictl ps -a` on a control plane shows its API server and etcd",
        ),
        None => notes.pass(Check::Api, format!("{} answers", picture.server)),
    };
}

fn owner(evidence: &Evidence<'_>, notes: &mut Notes) {
    let vip = &evidence.picture.vip;
    match vip.owners.as_slice() {
        [owner] => {
            let why = vip.why.as_deref().unwrap_or_default();
            let detail = format!("{} is on {owner}: {why}", vip.address);
            notes
                .pass(Check::VipOwner, detail)
                .since(vip.since.as_deref());
        }
        [] => {
            let detail = format!("nobody has the virtual IP {}", vip.address);
            let hint = "the routers say below why they cannot take it";
            notes.fail(Check::VipOwner, detail, hint);
        }
        several => {
            let detail = format!(
                "the virtual IP {} has more than one owner: {}",
                vip.address,
                several.join(", ")
            );
            let hint = "they do not hear each other: IP protocol 112 must pass between the nodes in both directions (`lbctl check preflight` tries it), with the same `vrrp.yaml` values on both";
            notes.fail(Check::VipOwner, detail, hint);
        }
    }
}

/// The addresses from which owners of the virtual IP speak.
fn sources(evidence: &Evidence<'_>) -> BTreeSet<IpAddr> {
    let routers = evidence.picture.nodes.iter();
    let routers = routers.filter_map(|node| node.vrrp.as_ref());
    let owners = routers.filter(|router| router.is_active());
    let hearings = owners.flat_map(|router| &router.routers);
    hearings.filter_map(|hearing| hearing.source).collect()
}

fn router(node: &NodeState, notes: &mut Notes) {
    let Some(router) = &node.vrrp else {
        notes.fail(Check::Router, "its router says nothing", ROUTER);
        return;
    };
    let RouterState {
        state, since, why, ..
    } = router;
    let detail = format!("{state}: {why}");
    if router.is_active() || router.is_backup() {
        notes.pass(Check::Router, detail).since(Some(since));
    } else if router.stands_back() {
        notes
            .fail(
                Check::Router,
                "it waits until nobody else has the virtual IP: a load balancer of somebody else was not taken over to the end",
                "`lbctl install` with this file goes on where it stopped",
            )
            .since(Some(since));
    } else {
        notes
            .fail(
                Check::Router,
                format!("it cannot take the virtual IP: {detail}"),
                ROUTER,
            )
            .since(Some(since));
    }
}

/// Only who has the virtual IP speaks: every other router must hear it.
fn adverts(node: &NodeState, owners: &BTreeSet<IpAddr>, notes: &mut Notes) {
    let Some(router) = node.vrrp.as_ref().filter(|router| !router.is_silent()) else {
        return;
    };
    if router.is_active() {
        notes.pass(Check::Adverts, "it is the one that speaks");
        return;
    }
    let hint = "IP protocol 112 must pass between the nodes in both directions: a firewall, a switch or a cable is in the way (`lbctl check preflight` tries it)";
    let heard: Vec<Option<IpAddr>> = router.routers.iter().map(|one| one.active_peer).collect();
    if router.routers.is_empty() || heard.contains(&None) {
        let detail = "it hears nobody who has the virtual IP";
        notes.fail(Check::Adverts, detail, hint);
        return;
    }
    let heard: BTreeSet<IpAddr> = heard.into_iter().flatten().collect();
    let words: Vec<String> = heard.iter().map(ToString::to_string).collect();
    let words = words.join(", ");
    if owners.is_empty() || heard.is_subset(owners) {
        notes.pass(Check::Adverts, format!("it hears {words}"));
    } else {
        let owners: Vec<String> = owners.iter().map(ToString::to_string).collect();
        notes.fail(
            Check::Adverts,
            format!(
                "it hears {words} as the owner of the virtual IP, which is {}",
                owners.join(", ")
            ),
            hint,
        );
    }
}

fn proxy(evidence: &Evidence<'_>, machine: &Machine, node: &NodeState, notes: &mut Notes) {
    let Some(proxy) = &node.proxy else {
        let hint = "`crictl logs` of `lb-proxy` on the node says more";
        notes.fail(Check::Proxy, "its status page does not answer", hint);
        return;
    };
    let files = machine.load_balancer.iter();
    let wanted = files.flat_map(|files| &files.proxy.backend.servers);
    let known = |name: &str| proxy.servers.iter().find(|server| server.name == name);
    let mut absent = Vec::new();
    let mut down: Vec<&ServerState> = Vec::new();
    let mut up = 0usize;
    for server in wanted.filter(|server| !evidence.rests(server.address)) {
        match known(&server.name) {
            None => absent.push(server.name.as_str()),
            Some(state) if state.is_up() => up += 1,
            Some(state) => down.push(state),
        }
    }
    if absent.is_empty() && down.is_empty() {
        notes.pass(Check::Proxy, format!("sees all {up} API servers"));
        return;
    }
    if !absent.is_empty() {
        notes.fail(
            Check::Proxy,
            format!("does not know the API server {}", absent.join(", ")),
            "`lbctl update cluster` writes its settings anew",
        );
    }
    let hint = if up == 0 {
        "no API server can be reached through it: see why they are not ready (etcd's quorum?), or what keeps this node from reaching them"
    } else {
        "see whether that API server runs (`crictl ps -a` on its node), and whether this node reaches its port (`apiServerPort`, 6444 unless the file says otherwise)"
    };
    for ServerState {
        name,
        state,
        since,
        why,
        ..
    } in down
    {
        let detail = format!("has the API server {name} {state}: {why}");
        notes.fail(Check::Proxy, detail, hint).since(Some(since));
    }
}
