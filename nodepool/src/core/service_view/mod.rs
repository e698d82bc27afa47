//! Pools, Services and speakers as the API holds them, made into what people ask: who has which address, and why not.

mod explain;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

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
}

/// A speaker as it reports itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SpeakerState {
    /// Its node.
    pub node: String,
    /// Where it is in its life.
    pub phase: String,
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
    let mut speakers: Vec<SpeakerState> = heard
        .into_iter()
        .map(|one| speaker(one, false))
        .chain(lost.into_iter().map(|one| speaker(one, true)))
        .collect();
    speakers.sort_by(|a, b| a.node.cmp(&b.node));
    ServiceView {
        pools,
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
    };
    let ready = list(&status["conditions"])
        .iter()
        .find(|one| one["type"] == "Ready");
    PoolState {
        pool: name(object),
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

fn speaker(object: &Value, lost: bool) -> SpeakerState {
    let status = &object["status"];
    let interfaces = list(&status["interfaces"]).iter();
    let up = interfaces.filter(|one| one["up"] == true);
    SpeakerState {
        node: name(object),
        phase: text(&status["phase"]),
        silent: list(&status["silent"]).iter().map(text).collect(),
        lost,
        networks: up
            .flat_map(|one| list(&one["networks"]))
            .map(text)
            .collect(),
        version: text(&status["version"]),
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
        problem: problem(service),
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
    match service["spec"]["loadBalancerClass"].as_str() {
        Some(class) if class != CLASS => format!(
            "no address yet: its loadBalancerClass is `{class}`, which is another program's (ours is `{CLASS}`, or none)"
        ),
        _ => "no address yet, and no controller has said why: `kubectl -n lb-system get pods -l app=lb-controller` shows whether one runs".to_owned(),
    }
}

/// The first condition of ours that does not hold.
fn problem(service: &Value) -> Option<String> {
    let conditions = list(&service["status"]["conditions"]).iter();
    let ours = conditions.filter(|one| text(&one["type"]).starts_with("bundledlb.io/"));
    let mut unmet = ours.filter(|one| one["status"] == "False");
    let one = unmet.next()?;
    Some(format!(
        "{}: {}",
        text(&one["reason"]),
        text(&one["message"])
    ))
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
