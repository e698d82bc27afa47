//! Addresses of Services: controller, speakers, Services, pools, and who else serves them.

use super::{Check, Evidence, Notes, Place};
use crate::core::desired::LBNODE_LABEL;
use crate::core::service_view::{PoolState, ServiceState, ServiceView, SpeakerState, Usage};
use crate::core::status::NodeState;

/// A pool that is fuller than this, in hundredths, is soon exhausted.
const NEARLY_FULL: f64 = 90.0;
/// What lets speakers hear each other.
const PORT: &str = "UDP 7946 must pass between the nodes in both directions, and their speakers must run (`kubectl -n lb-system get pods -o wide`)";

pub(super) fn check(evidence: &Evidence<'_>, notes: &mut Notes) {
    let Some(view) = &evidence.picture.data_plane else {
        // That the API does not answer is a row of its own.
        return;
    };
    if !evidence.desired.data_plane.nodes.is_empty() {
        controller(view, notes.at(Place::CLUSTER));
        for (machine, node) in evidence.in_service() {
            if machine.lbnode && node.node.is_some() {
                speaker(view, node, notes.at(Place::of(node)));
                heartbeats(evidence, view, node, notes.at(Place::of(node)));
            }
        }
        history(evidence, view, notes.at(Place::CLUSTER));
        services(view, notes.at(Place::CLUSTER));
        pools(view, notes.at(Place::CLUSTER));
    }
    for rival in &view.rivals {
        notes
            .at(Place::CLUSTER)
            .warn(Check::OtherBalancer, rival.to_string(), rival.hint());
    }
    if view.rivals.is_empty() {
        notes
            .at(Place::CLUSTER)
            .pass(Check::OtherBalancer, "no other program serves Services");
    }
}

fn controller(view: &ServiceView, notes: &mut Notes) {
    let (pods, hint) = (
        &view.controllers,
        "`kubectl -n lb-system get pods -l app=lb-controller` and their logs say more; what is given stays and is served, new Services wait",
    );
    let ready = pods.iter().filter(|pod| pod.ready).count();
    if ready > 0 {
        let detail = format!("{ready} of {} pods are ready", pods.len());
        notes.pass(Check::Controller, detail);
    } else if let Some(pod) = pods.first() {
        let why = pod.why.as_deref().unwrap_or("no reason given");
        let detail = format!("no controller is ready: {why}");
        notes
            .fail(Check::Controller, detail, hint)
            .since(pod.since.as_deref());
    } else {
        notes.fail(Check::Controller, "no controller runs", hint);
    }
}

fn of_node<'a>(view: &'a ServiceView, node: &NodeState) -> Option<&'a SpeakerState> {
    let mut speakers = view.speakers.iter();
    speakers.find(|speaker| node.is_called(&speaker.node))
}

fn speaker(view: &ServiceView, node: &NodeState, notes: &mut Notes) {
    let hint = format!(
        "`kubectl -n lb-system get pods -o wide` shows the speakers; one runs on every node with the label {LBNODE_LABEL}=true"
    );
    let Some(speaker) = of_node(view, node) else {
        notes.fail(Check::Speaker, "no speaker runs on it", hint);
        return;
    };
    let since = speaker.since.as_deref();
    if speaker.ready == Some(false) {
        let why = speaker.why.as_deref().unwrap_or("no reason given");
        let detail = format!("its speaker is not ready: {why}");
        let hint = "its log says more; one that waits for a key of the heartbeats gets it from the controller that leads (Secret `lb-speaker-keys`)";
        notes.fail(Check::Speaker, detail, hint).since(since);
        return;
    }
    match speaker.phase.as_str() {
        "Serving" => {
            let detail = format!("serves, with {} addresses", speaker.addresses);
            notes.pass(Check::Speaker, detail).since(since);
        }
        "Leaving" => {
            let detail = "its speaker hands its addresses over: the node is cordoned or not labelled any more, or it ends";
            let hint = "`kubectl uncordon NODE` lets it serve again";
            notes.warn(Check::Speaker, detail, hint).since(since);
        }
        "" => {
            notes.fail(Check::Speaker, "its speaker has not reported", hint);
        }
        other => {
            let detail = format!("its speaker is in the phase {other}: it has just started");
            let hint = "look again in a few seconds; one that stays so does not hear the others";
            notes.warn(Check::Speaker, detail, hint).since(since);
        }
    }
}

fn heartbeats(evidence: &Evidence<'_>, view: &ServiceView, node: &NodeState, notes: &mut Notes) {
    let Some(speaker) = of_node(view, node).filter(|speaker| !speaker.phase.is_empty()) else {
        return;
    };
    if speaker.lost {
        let detail =
            "most of the other speakers do not hear its own: what it reported last is history";
        notes.fail(Check::Heartbeats, detail, PORT);
        return;
    }
    let expected = |name: &&String| {
        let mut nodes = evidence.picture.nodes.iter();
        let rests = nodes.any(|other| other.is_called(name) && other.rests());
        let mut speakers = view.speakers.iter();
        let lost = speakers.any(|other| other.lost && other.node == **name);
        !rests && !lost
    };
    let silent = speaker.silent.iter().filter(expected);
    let silent: Vec<&str> = silent.map(String::as_str).collect();
    if !silent.is_empty() {
        let detail = format!("its speaker does not hear {}", silent.join(", "));
        notes.fail(Check::Heartbeats, detail, PORT);
    } else if speaker.hears.is_empty() {
        notes.pass(Check::Heartbeats, "there is no other speaker to hear");
    } else {
        let detail = format!("its speaker hears {}", speaker.hears.join(", "));
        notes.pass(Check::Heartbeats, detail);
    }
}

/// Speakers of nodes that the file does not have, and that nobody hears.
fn history(evidence: &Evidence<'_>, view: &ServiceView, notes: &mut Notes) {
    for speaker in view.speakers.iter().filter(|speaker| speaker.lost) {
        let mut nodes = evidence.picture.nodes.iter();
        if !nodes.any(|node| node.is_called(&speaker.node)) {
            let name = &speaker.node;
            notes.warn(
                Check::Speaker,
                format!(
                    "the speaker of {name}, which the file does not have, is not heard any more"
                ),
                format!("`kubectl delete speaker {name}` forgets a node that is gone for good"),
            );
        }
    }
}

fn services(view: &ServiceView, notes: &mut Notes) {
    let ours: Vec<&ServiceState> = view.services.iter().filter(|one| one.ours).collect();
    let mut well = true;
    for service in &ours {
        let name = &service.service;
        let hint = match service.address {
            Some(address) => format!(
                "`lbctl check service {name}` tries its ports, `lbctl explain owner {address}` has each speaker's reason"
            ),
            None => format!("`kubectl describe service` and the pools say more about {name}"),
        };
        let Some(trouble) = trouble(service) else {
            continue;
        };
        well = false;
        let detail = match service.address {
            Some(address) => format!("Service {name} ({address}): {trouble}"),
            None => format!("Service {name}: {trouble}"),
        };
        // Its pods are not the load balancer's business.
        let idle = service.owner.is_some() && trouble.starts_with("NoEndpoints");
        let row = if idle {
            notes.warn(Check::Services, detail, hint)
        } else {
            notes.fail(Check::Services, detail, hint)
        };
        row.since(service.since.as_deref());
    }
    if well {
        let given = ours.iter().filter(|one| one.address.is_some()).count();
        let detail =
            format!("{given} addresses are announced, and nothing is known to be in the way");
        notes.pass(Check::Services, detail);
    }
}

/// Why nobody gets in, and what else is wrong with its address.
fn trouble(service: &ServiceState) -> Option<String> {
    let conflict = service.owner.as_ref().and_then(|owner| {
        let mac = owner.conflict.as_ref()?;
        Some(format!("{mac} answers for it as well as {}", owner.node))
    });
    let unclaimed = || {
        let claimed = service.address.is_none() || service.owner.is_some();
        (!claimed).then(|| "no speaker that is heard answers for it".to_owned())
    };
    service.problem.clone().or(conflict).or_else(unclaimed)
}

fn pools(view: &ServiceView, notes: &mut Notes) {
    // Somebody waits for an address that no pool has.
    let waits = view.services.iter().any(|service| {
        let problem = service.problem.as_deref();
        service.ours && problem.is_some_and(|problem| problem.starts_with("PoolExhausted"))
    });
    let mut well = true;
    for pool in &view.pools {
        let name = &pool.pool;
        if !pool.ready {
            well = false;
            let detail = format!("pool {name} gives no addresses: {}", pool.why);
            let hint = "`kubectl describe addresspool` says which field is wrong; the pools of the cluster file come back with `lbctl update cluster`";
            notes
                .fail(Check::Pools, detail, hint)
                .since(pool.since.as_deref());
        } else if let Some(full) = fullness(pool) {
            well = false;
            let detail = format!("pool {name}: {full}");
            let hint = "add addresses to the pool in the cluster file, or a pool, and run `lbctl update cluster`";
            if waits {
                notes.fail(Check::Pools, detail, hint);
            } else {
                notes.warn(Check::Pools, detail, hint);
            }
        }
    }
    if well {
        let detail = format!("{} pools give addresses", view.pools.len());
        notes.pass(Check::Pools, detail);
    }
}

/// What of a pool is used up, or nearly; one whose addresses are given by name only may be.
fn fullness(pool: &PoolState) -> Option<String> {
    if pool.manual {
        return None;
    }
    let families = [("IPv4", &pool.ipv4), ("IPv6", &pool.ipv6)];
    families.into_iter().find_map(|(family, usage)| {
        let Usage {
            assigned, total, ..
        } = usage;
        let (used, all): (f64, f64) = (assigned.parse().ok()?, total.parse().ok()?);
        let percent = if all > 0.0 { used / all * 100.0 } else { 0.0 };
        (percent >= NEARLY_FULL)
            .then(|| format!("{assigned} of {total} {family} addresses are taken"))
    })
}
