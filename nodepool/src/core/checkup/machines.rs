//! Machines by themselves and beside each other: reach, readiness, versions, certificates, clocks, maintenance, drift.

use super::{Check, Evidence, Notes, Place};
use crate::core::certificate::Certificate;
use crate::core::desired::Machine;
use crate::core::status::NodeState;
use crate::manifest::{self, static_pod};

const DAY: i64 = 86_400;
/// A certificate that ends sooner is renewed now; kubeadm's live for a year.
const SOON: i64 = 30 * DAY;
/// Less than a maintenance window.
const URGENT: i64 = 7 * DAY;
/// The machines are not asked at the very same moment.
const APART: u64 = 10;
/// Clocks further apart break leases and new certificates.
const FAR_APART: u64 = 30;

const UPDATE: &str = "`lbctl update cluster --dry-run` shows all of it, `lbctl update cluster` puts it right; what is to stay belongs into the cluster file";

pub(super) fn check(evidence: &Evidence<'_>, notes: &mut Notes) {
    for (machine, node) in evidence.all() {
        maintenance(machine, node, notes.at(Place::of(node)));
        drift(node, notes.at(Place::of(node)));
    }
    for (machine, node) in evidence.in_service() {
        ssh(node, notes.at(Place::of(node)));
        ready(evidence, node, notes.at(Place::of(node)));
        if node.unreachable.is_none() {
            certificates(evidence, machine, notes.at(Place::of(node)));
        }
    }
    clocks(evidence, notes);
    versions(evidence, notes.at(Place::CLUSTER));
    applied(evidence, notes.at(Place::CLUSTER));
}

fn ssh(node: &NodeState, notes: &mut Notes) {
    match &node.unreachable {
        None => notes.pass(Check::Ssh, "answers"),
        Some(why) => notes.fail(
            Check::Ssh,
            why.trim(),
            "check that the machine is on and that the key is accepted; one that somebody works on belongs into `maintenanceBlocks`",
        ),
    };
}

fn ready(evidence: &Evidence<'_>, node: &NodeState, notes: &mut Notes) {
    if evidence.picture.api_error.is_some() {
        return;
    }
    match node.ready {
        Some(true) => notes
            .pass(Check::Ready, "its node is Ready")
            .since(node.ready_since.as_deref()),
        Some(false) => {
            let why = node.why.as_deref().unwrap_or("no reason given");
            notes
                .fail(
                    Check::Ready,
                    format!("its node is not Ready: {why}"),
                    "`journalctl -u kubelet` on the machine says more",
                )
                .since(node.ready_since.as_deref());
        }
        None => {
            notes.fail(
                Check::Ready,
                "the cluster has no node of it",
                "`lbctl update cluster` lets it join",
            );
        }
    }
}

fn certificates(evidence: &Evidence<'_>, machine: &Machine, notes: &mut Notes) {
    let Some(all) = evidence.certificates.get(&machine.address) else {
        let detail = "its certificates could not be looked at";
        let hint = "look again; the machine's log in the cluster's workspace folder says why";
        notes.warn(Check::Certificates, detail, hint);
        return;
    };
    trust(machine, all, notes);
    let mut first: Option<(i64, &Certificate)> = None;
    for certificate in all {
        let path = &certificate.path;
        let Some(end) = certificate.not_after else {
            let detail = format!("{path} holds no certificate that can be read");
            let hint = "it was written by hand, or its disk is damaged: take it from another control plane, or `kubeadm init phase certs`";
            notes.fail(Check::Certificates, detail, hint);
            continue;
        };
        if first.is_none_or(|(earlier, _)| end < earlier) {
            first = Some((end, certificate));
        }
    }
    let Some((end, Certificate { path, .. })) = first else {
        return;
    };
    let left = end - evidence.now;
    let (date, days) = (date(end), left / DAY);
    let hint = "`kubeadm certs renew all` on every control plane, then restart its static pods; an upgrade of Kubernetes renews them too";
    if left <= 0 {
        let detail = format!("{path} has ended on {date}");
        notes.fail(Check::Certificates, detail, hint);
    } else if left < URGENT {
        let detail = format!("{path} ends on {date}, in {days} days");
        notes.fail(Check::Certificates, detail, hint);
    } else if left < SOON {
        let detail = format!("{path} ends on {date}, in {days} days");
        notes.warn(Check::Certificates, detail, hint);
    } else {
        let detail = format!("the first to end is {path}, on {date}");
        notes.pass(Check::Certificates, detail);
    }
}

/// Router and proxy run as nobody and ask the API servers with the CA's certificate.
fn trust(machine: &Machine, all: &[Certificate], notes: &mut Notes) {
    if machine.load_balancer.is_none() {
        return;
    }
    let path = if machine.is_dedicated_balancer() {
        manifest::BALANCER_CA
    } else {
        static_pod::CA
    };
    let detail = match all.iter().find(|certificate| certificate.path == path) {
        None => format!("{path} is missing: the proxy cannot check the API servers"),
        Some(known) if !known.is_public() => format!(
            "{path} has the mode {:o}: the proxy, which is not root, cannot read it",
            known.mode
        ),
        Some(_) => return,
    };
    let hint = if machine.is_dedicated_balancer() {
        "`lbctl update cluster` writes it anew".to_owned()
    } else {
        format!("put the cluster's CA there with `chmod 644 {path}`: it is no secret")
    };
    notes.fail(Check::Certificates, detail, hint);
}

fn date(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).map_or_else(
        |_| "a day beyond all calendars".to_owned(),
        |time| time.strftime("%Y-%m-%d").to_string(),
    )
}

/// Whoever is with the majority is right.
fn clocks(evidence: &Evidence<'_>, notes: &mut Notes) {
    let mut sorted: Vec<i64> = evidence.clocks.values().copied().collect();
    sorted.sort_unstable();
    let Some(middle) = sorted.get(sorted.len() / 2) else {
        return;
    };
    for (machine, node) in evidence.in_service() {
        let Some(clock) = evidence.clocks.get(&machine.address) else {
            continue;
        };
        // Whatever a machine takes for the time.
        let apart = clock.saturating_sub(*middle);
        let detail = format!("its clock is {apart} s off those of the others");
        let hint =
            "set up time synchronisation (chrony or systemd-timesyncd) on all machines".to_owned();
        let notes = notes.at(Place::of(node));
        if apart.unsigned_abs() > FAR_APART {
            notes.fail(Check::Clock, detail, hint);
        } else if apart.unsigned_abs() > APART {
            notes.warn(Check::Clock, detail, hint);
        } else {
            notes.pass(Check::Clock, "agrees with the others");
        }
    }
}

fn versions(evidence: &Evidence<'_>, notes: &mut Notes) {
    let components = &evidence.picture.versions;
    for component in components.iter().filter(|component| component.mixed) {
        let detail = format!("{}: {}", component.component, component.words());
        notes.warn(Check::Versions, detail, component.remedy());
    }
    if !components.iter().any(|component| component.mixed) {
        let each = components.iter().filter_map(|component| {
            let version = component.versions.first()?.short();
            Some(format!("{} {version}", component.component))
        });
        let each: Vec<String> = each.collect();
        let detail = if each.is_empty() {
            "nobody has said its version".to_owned()
        } else {
            each.join(", ")
        };
        notes.pass(Check::Versions, detail);
    }
}

fn maintenance(machine: &Machine, node: &NodeState, notes: &mut Notes) {
    match (&node.maintenance, machine.maintenance) {
        (Some(noted), true) if noted.drained => notes
            .pass(Check::Maintenance, "it is out of service")
            .since(Some(&noted.since)),
        (Some(noted), true) => notes
            .warn(
                Check::Maintenance,
                "it was to go out of service, and something of it is still in use",
                "`lbctl update cluster` goes on with it; do not switch it off yet",
            )
            .since(Some(&noted.since)),
        (Some(noted), false) => notes
            .fail(
                Check::Maintenance,
                "it is still out of service, and not in the file's `maintenanceBlocks`",
                "`lbctl update cluster` takes it into service again",
            )
            .since(Some(&noted.since)),
        (None, true) => {
            notes.warn(
                Check::Maintenance,
                "it is in the file's `maintenanceBlocks`, and in service",
                "`lbctl update cluster` takes it out of service; do not switch it off yet",
            );
        }
        (None, false) if node.cordoned => {
            notes.warn(
                Check::Maintenance,
                "somebody has cordoned it: it gets no pods and no Service addresses",
                "`kubectl uncordon NODE` when that is done",
            );
        }
        (None, false) => {
            notes.pass(Check::Maintenance, "it is in service");
        }
    }
}

/// Nodes that the file does not have, programs and pools.
fn applied(evidence: &Evidence<'_>, notes: &mut Notes) {
    let picture = evidence.picture;
    for line in &picture.drift {
        notes.fail(Check::Drift, format!("an update would {line}"), UPDATE);
    }
    if picture.other_release {
        let detail = "this `lbctl` is of another release than the nodes: what that only words otherwise was not compared";
        let hint = "take the `lbctl` that goes with them, or name the node binary that they should have with `--lbnode FILE`";
        notes.warn(Check::Drift, detail, hint);
    }
    if let Some(why) = evidence.unknown {
        let detail = format!("what is applied could not be compared with the file: {why}");
        let hint = "`lbctl update cluster --dry-run` compares it too, and waits longer";
        notes.warn(Check::Drift, detail, hint);
    } else if picture.drift.is_empty() && picture.api_error.is_none() && !picture.other_release {
        let detail = "nodes, programs and pools are those of the file";
        notes.pass(Check::Drift, detail);
    }
}

fn drift(node: &NodeState, notes: &mut Notes) {
    match node.drift.as_deref() {
        None => {}
        Some([]) => {
            notes.pass(Check::Drift, "it is as the file says");
        }
        Some(lines) => {
            let detail = format!("an update would {}", lines.join("; "));
            notes.fail(Check::Drift, detail, UPDATE);
        }
    }
}
