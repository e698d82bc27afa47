//! Pools, Services and speakers as the API holds them, made into what people ask: who has which address, and why not.

mod explain;
mod pods;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

pub use pods::PodState;

use serde::Serialize;
use serde_json::Value;

use super::rivals::{self, Rival};

/// Objects as the API gave them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Objects {
    /// AddressPools; `None`: the API does not know the kind.
    pub pools: Option<Vec<Value>>,
    /// Speakers; `None`: the API does not know the kind.
    pub speakers: Option<Vec<Value>>,
    /// Services of every type.
    pub services: Vec<Value>,
    /// Pods of our controller and speakers.
    pub pods: Vec<Value>,
    /// Deployments and DaemonSets of all namespaces.
    pub workloads: Vec<Value>,
    /// Cilium's pools, policies and settings, where it runs.
    pub cilium: Vec<Value>,
}

/// What the data plane does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceView {
    /// Pools by name.
    pub pools: Vec<PoolState>,
    /// Pods of the controller by node; one of them leads.
    pub controllers: Vec<PodState>,
    /// Speakers by node.
    pub speakers: Vec<SpeakerState>,
    /// Services of `type: LoadBalancer` by namespace and name, one entry for each address.
    pub services: Vec<ServiceState>,
    /// Other programs that serve the same Services, in words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rivals: Vec<Rival>,
}

/// How full a pool is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PoolState {
    /// Its name.
    pub pool: String,
    /// Only who asks for it gets an address of it.
    pub manual: bool,
    /// Addresses in use and in all.
    pub ipv4: Usage,
    /// The same of the other family.
    pub ipv6: Usage,
    /// Whether it gives addresses.
    pub ready: bool,
    /// Since when it does, or does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Why not, or what else there is to know.
    pub why: String,
}

/// Decimal numbers: pools of IPv6 are larger than 64 bits can count.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// Addresses that Services have.
    pub assigned: String,
    /// Addresses in all.
    pub total: String,
    /// Addresses that are left.
    pub available: String,
}

/// A speaker as it reports itself, and its pod.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SpeakerState {
    /// Its node.
    pub node: String,
    /// Where it is in its life; empty while it has not reported.
    pub phase: String,
    /// Whether its pod is ready: it has a key for the heartbeats and knows its addresses. Absent: there is no pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready: Option<bool>,
    /// Since when it is, or is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Why it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Addresses that it answers for.
    pub addresses: u64,
    /// Other speakers whose heartbeats it hears.
    pub hears: Vec<String>,
    /// Other speakers it does not hear.
    pub silent: Vec<String>,
    /// Most of the others do not hear it: what it reported last is history.
    pub lost: bool,
    /// Networks of its interfaces that are up.
    pub networks: Vec<String>,
    /// Its version.
    pub version: String,
}

/// A Service and one of its addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceState {
    /// `namespace/name`.
    pub service: String,
    /// The address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// `TCP/80` and so on.
    pub ports: Vec<String>,
    /// Who answers for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
    /// Why nobody gets in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// No other program serves it by its class.
    #[serde(skip)]
    pub ours: bool,
}

/// A speaker's hold on an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Owner {
    /// The node.
    pub node: String,
    /// Its interface.
    pub interface: String,
    /// The hardware address it answers with.
    pub mac: String,
    /// Since when.
    pub since: String,
    /// How the address came there.
    pub why: String,
    /// Of two claims the higher one counts: the other is of a node that is gone.
    pub term: u64,
    /// Another machine that answers as well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conflict: Option<String>,
}

/// The class of Services that are ours in any case.
const CLASS: &str = "bundledlb.io/l2";

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn name(object: &Value) -> String {
    text(&object["metadata"]["name"])
}

/// Makes the view.
pub fn view(objects: &Objects) -> ServiceView {
    let mut pools: Vec<PoolState> = objects.pools.iter().flatten().map(pool).collect();
    pools.sort_by(|a, b| a.pool.cmp(&b.pool));
    let speakers = objects.speakers.as_deref().unwrap_or_default();
    let (lost, heard): (Vec<&Value>, Vec<&Value>) = speakers
        .iter()
        .partition(|one| is_silent(&name(one), speakers));
    let mut services: Vec<ServiceState> = objects
        .services
        .iter()
        .filter(|service| service["spec"]["type"] == "LoadBalancer")
        .flat_map(|service| states(service, &heard))
        .collect();
    services.sort_by(|a, b| (&a.service, a.address).cmp(&(&b.service, b.address)));
    let speakers = speakers_beside_pods(&heard, &lost, pods::pods(&objects.pods, "lb-speaker"));
    ServiceView {
        pools,
        controllers: pods::pods(&objects.pods, "lb-controller"),
        speakers,
        services,
        rivals: rivals::rivals(&objects.workloads, &objects.cilium),
    }
}

fn pool(object: &Value) -> PoolState {
    let status = &object["status"];
    let usage = |family: &str| Usage {
        assigned: text(&status[family]["assigned"]),
        total: text(&status[family]["total"]),
        available: text(&status[family]["available"]),
    };
    let ready = list(&status["conditions"])
        .iter()
        .find(|one| one["type"] == "Ready");
    PoolState {
        pool: name(object),
        manual: object["spec"]["manualAssign"] == true,
        ipv4: usage("ipv4"),
        ipv6: usage("ipv6"),
        ready: ready.is_some_and(|one| one["status"] == "True"),
        since: ready.and_then(|one| one["lastTransitionTime"].as_str().map(str::to_owned)),
        why: ready.map_or_else(
            || "no controller has described it yet".to_owned(),
            |one| format!("{}: {}", text(&one["reason"]), text(&one["message"])),
        ),
    }
}

/// Every speaker that has reported, and every pod of one that has not, by node.
fn speakers_beside_pods(
    heard: &[&Value],
    lost: &[&Value],
    pods: Vec<PodState>,
) -> Vec<SpeakerState> {
    let names: Vec<String> = heard.iter().map(|one| name(one)).collect();
    let living = heard.iter().map(|one| speaker(one, false, &names));
    let history = lost.iter().map(|one| speaker(one, true, &[]));
    let mut speakers: Vec<SpeakerState> = living.chain(history).collect();
    for pod in pods.into_iter().filter(|pod| !pod.node.is_empty()) {
        let place = speakers.iter().position(|one| one.node == pod.node);
        let place = place.unwrap_or_else(|| {
            speakers.push(SpeakerState {
                node: pod.node.clone(),
                ..SpeakerState::default()
            });
            speakers.len() - 1
        });
        if let Some(speaker) = speakers.get_mut(place) {
            speaker.ready = Some(pod.ready);
            speaker.since = pod.since;
            speaker.why = pod.why;
        }
    }
    speakers.sort_by(|a, b| a.node.cmp(&b.node));
    speakers
}

/// `others`: who could be heard.
fn speaker(object: &Value, lost: bool, others: &[String]) -> SpeakerState {
    let status = &object["status"];
    let interfaces = list(&status["interfaces"]).iter();
    let up = interfaces.filter(|one| one["up"] == true);
    let node = name(object);
    let silent: Vec<String> = list(&status["silent"]).iter().map(text).collect();
    let hears = others.iter().filter(|other| **other != node);
    let hears = hears.filter(|other| !silent.contains(other));
    SpeakerState {
        hears: hears.cloned().collect(),
        phase: text(&status["phase"]),
        addresses: status["count"]
            .as_u64()
            .unwrap_or_else(|| list(&status["addresses"]).len() as u64),
        lost,
        networks: up
            .flat_map(|one| list(&one["networks"]))
            .map(text)
            .collect(),
        version: text(&status["version"]),
        node,
        silent,
        ..SpeakerState::default()
    }
}

/// Whether more of the others miss the speaker of `node` than hear it; the controller judges the same way.
fn is_silent(node: &str, speakers: &[Value]) -> bool {
    let others = || speakers.iter().filter(|other| name(other) != node);
    let missed = others()
        .filter(|other| {
            list(&other["status"]["silent"])
                .iter()
                .any(|one| one == node)
        })
        .count();
    missed * 2 > others().count()
}

fn states(service: &Value, speakers: &[&Value]) -> Vec<ServiceState> {
    let state = ServiceState {
        service: format!(
            "{}/{}",
            text(&service["metadata"]["namespace"]),
            name(service)
        ),
        ports: list(&service["spec"]["ports"])
            .iter()
            .map(|port| {
                let protocol = port["protocol"].as_str().unwrap_or("TCP");
                format!("{protocol}/{}", port["port"])
            })
            .collect(),
        problem: unmet(service).map(|one| {
            let (reason, message) = (text(&one["reason"]), text(&one["message"]));
            format!("{reason}: {message}")
        }),
        since: unmet(service).and_then(|one| one["lastTransitionTime"].as_str().map(str::to_owned)),
        ours: class(service).is_none_or(|class| class == CLASS),
        ..ServiceState::default()
    };
    let ingress = list(&service["status"]["loadBalancer"]["ingress"]);
    let addresses: Vec<IpAddr> = ingress
        .iter()
        .filter_map(|entry| entry["ip"].as_str()?.parse().ok())
        .collect();
    if addresses.is_empty() {
        let problem = state.problem.clone().or_else(|| Some(waits(service)));
        return vec![ServiceState { problem, ..state }];
    }
    let with = |address: IpAddr| ServiceState {
        address: Some(address),
        owner: claims(address, speakers).into_iter().next(),
        ..state.clone()
    };
    addresses.into_iter().map(with).collect()
}

/// Why a Service about which nothing is said has no address.
fn waits(service: &Value) -> String {
    match class(service) {
        Some(class) if class != CLASS => format!(
            "no address yet: its loadBalancerClass is `{class}`, which is another program's (ours is `{CLASS}`, or none)"
        ),
        _ => "no address yet, and no controller has said why: `kubectl -n lb-system get pods -l app=lb-controller` shows whether one runs".to_owned(),
    }
}

fn class(service: &Value) -> Option<&str> {
    service["spec"]["loadBalancerClass"].as_str()
}

/// The first condition of ours that does not hold.
fn unmet(service: &Value) -> Option<&Value> {
    let conditions = list(&service["status"]["conditions"]).iter();
    let mut ours = conditions.filter(|one| text(&one["type"]).starts_with("bundledlb.io/"));
    ours.find(|one| one["status"] == "False")
}

/// Who claims `address`, the claim that counts first.
fn claims(address: IpAddr, speakers: &[&Value]) -> Vec<Owner> {
    let mut owners = Vec::new();
    for speaker in speakers {
        for held in list(&speaker["status"]["addresses"]) {
            if text(&held["address"]).parse() == Ok(address) {
                owners.push(Owner {
                    node: name(speaker),
                    interface: text(&held["interface"]),
                    mac: text(&held["mac"]),
                    since: text(&held["since"]),
                    why: text(&held["why"]),
                    term: held["term"].as_u64().unwrap_or_default(),
                    conflict: held["conflict"].as_str().map(str::to_owned),
                });
            }
        }
    }
    owners.sort_by_key(|owner| std::cmp::Reverse(owner.term));
    owners
}
