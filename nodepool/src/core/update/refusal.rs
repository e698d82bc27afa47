//! What an update does not do, with the reason and what to do instead.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde_json::Value;

use super::order::members_with_balancer;
use super::removal::joiners;
use super::settings::NodeSettings;
use crate::core::desired::Desired;
use crate::core::facts::Facts;
use crate::core::plan::Situation;
use crate::core::skew::Programs;
use crate::core::takeover;
use crate::core::version::Version;
use crate::manifest::{VRRP_CONFIG, static_pod};

/// A change that is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// What is asked for, and what is.
    pub what: String,
    /// What to do.
    pub hint: String,
}

/// Everything that is refused, all at once. `made`: kubeadm's `ClusterConfiguration` in the cluster; `settings`: of
/// nodes whose load balancer differs from the file.
pub fn refusals(
    situation: &Situation<'_>,
    made: &Value,
    settings: &BTreeMap<IpAddr, NodeSettings>,
) -> Vec<Refused> {
    let mut all = fixed(situation, made);
    joining(situation, made, &mut all);
    others(situation, &mut all);
    members(situation, &mut all);
    moved(situation, &mut all);
    // The only router that stays has nobody to be a stranger to: leavers' routers have stopped, joiners' have not begun.
    let alone = members_with_balancer(situation).len() == 1;
    for (address, settings) in settings {
        let machine = situation.desired.machine(*address);
        let Some(wanted) = machine.and_then(|machine| machine.load_balancer.as_ref()) else {
            continue;
        };
        let facts = situation.facts.get(address);
        let runs = |facts: &Facts| facts.files.contains_key(&static_pod::VRRP.path());
        // A router that was stopped hears nobody and has nothing.
        if !facts.is_some_and(runs) {
            continue;
        }
        if settings.vrrp.is_none() {
            let name = facts.map_or_else(String::new, |facts| facts.hostname.clone());
            let path = static_pod::VRRP.path();
            if let Some(foreign) = &settings.foreign {
                all.push(Refused {
                    what: format!("{name} ({address}): its {VRRP_CONFIG} is of another release (`apiVersion: {foreign}`): whether the routers of this one would hear it is not known"),
                    hint: format!("run this command with the `lbctl` that wrote it, or a newer one; or stop this router (`rm {path}` on the node) and run this command again"),
                });
                continue;
            }
            all.push(Refused {
                what: format!("{name} ({address}): its router runs, and its settings cannot be read from {VRRP_CONFIG}: whether the others would hear it is not known"),
                hint: format!("put that file back as it was; or stop this router (`rm {path}` on the node) and run this command again"),
            });
        }
        if alone {
            continue;
        }
        for what in settings.strangers(wanted) {
            let hint = "routers with the old and with the new setting do not hear each other, and both would have the virtual IP: put it back; or stop all routers (`rm /etc/kubernetes/manifests/lb-vrrp.yaml` on every load-balancer node: the API has no virtual IP then) and run this command again";
            let refused = Refused {
                what,
                hint: hint.to_owned(),
            };
            if !all.contains(&refused) {
                all.push(refused);
            }
        }
    }
    all
}

/// What a cluster keeps for its life, and the version, which changes in another way.
fn fixed(situation: &Situation<'_>, made: &Value) -> Vec<Refused> {
    let desired = situation.desired;
    let joined = |cidrs: &[ipnet::IpNet]| {
        let cidrs = cidrs.iter().map(ToString::to_string);
        cidrs.collect::<Vec<_>>().join(",")
    };
    let new_cluster = "it is fixed for the life of a cluster: put it back, or make another cluster";
    let mut all = Vec::new();
    let mut same = |key: &str, is: &Value, wanted: &str, hint: &str| {
        let is = is.as_str().unwrap_or_default();
        if !is.is_empty() && is != wanted {
            all.push(Refused {
                what: format!("{key}: the cluster has {is}, the file asks for {wanted}"),
                hint: hint.to_owned(),
            });
        }
    };
    same(
        "`metadata.name`",
        &made["clusterName"],
        &desired.name,
        new_cluster,
    );
    if !reached_otherwise(desired, made) {
        same(
            "`loadBalancer.vips.controlPlaneVIP` with `ports.controlPlaneLBPort`",
            &made["controlPlaneEndpoint"],
            &desired.endpoint(),
            new_cluster,
        );
    }
    let network = &made["networking"];
    same(
        "`clusterNetwork.pods`",
        &network["podSubnet"],
        &joined(&desired.pod_cidrs),
        new_cluster,
    );
    same(
        "`clusterNetwork.services`",
        &network["serviceSubnet"],
        &joined(&desired.service_cidrs),
        new_cluster,
    );
    if let Some(bundle) = situation.bundle {
        same(
            "Kubernetes",
            &made["kubernetesVersion"],
            &bundle.kubernetes_version,
            "`update cluster` does not change the version of Kubernetes: pass the bundle of the version that the cluster has",
        );
    }
    let version = made["kubernetesVersion"].as_str().and_then(Version::parse);
    let packages = situation.packages.filter(|_| situation.bundle.is_none());
    if let (Some(is), Some(packages)) = (version, packages)
        && is != packages.version
    {
        all.push(Refused {
            what: format!(
                "Kubernetes: the cluster has {is}, packages of {} are asked for",
                packages.version
            ),
            hint: format!("`update cluster` does not change the version of Kubernetes: pass `--kubernetes-version {is}`"),
        });
    }
    let names = made["apiServer"]["certSANs"].as_array();
    let certified = |name: &&String| {
        let mut names = names.into_iter().flatten();
        names.any(|known| known.as_str() == Some(name.as_str()))
    };
    let missing = desired.extra_sans.iter().filter(|name| !certified(name));
    let missing: Vec<&str> = missing.map(String::as_str).collect();
    if names.is_some() && !missing.is_empty() {
        all.push(Refused {
            what: format!(
                "`controlPlane.apiServerCertExtraSANs`: {} is in no API server's certificate",
                missing.join(", ")
            ),
            hint: "`update cluster` makes no certificates: on one control plane after the other add the name to `certSANs` of the ConfigMap kube-system/kubeadm-config, remove /etc/kubernetes/pki/apiserver.*, run `kubeadm init phase certs apiserver` and restart the API server".to_owned(),
        });
    }
    all
}

/// What is installed on machines that are to join must go together with the cluster; a bundle and packages bring its version.
fn joining(situation: &Situation<'_>, made: &Value, all: &mut Vec<Refused>) {
    let cluster = made["kubernetesVersion"].as_str().and_then(Version::parse);
    let brought = situation.bundle.is_some() || situation.packages.is_some();
    let Some(cluster) = cluster.filter(|_| !brought) else {
        return;
    };
    for machine in joiners(situation.desired, situation.facts) {
        let Some(facts) = situation.facts.get(&machine.address) else {
            continue;
        };
        let violations = Programs::installed(facts).violations(cluster);
        for violation in violations.into_iter().filter(|one| one.fatal) {
            all.push(Refused {
                what: format!("{} ({}): {}", facts.hostname, machine.address, violation.what),
                hint: format!("install {cluster} on the machine, or have it installed with `--bundle DIR` or `--kubernetes-version {cluster}`"),
            });
        }
    }
}

/// Nodes of a cluster that was taken over may know the API by a name, or by the address of a control plane of before, beside
/// the virtual IP.
fn reached_otherwise(desired: &Desired, made: &Value) -> bool {
    let endpoint = made["controlPlaneEndpoint"].as_str().unwrap_or_default();
    let (host, port) = endpoint.rsplit_once(':').unwrap_or((endpoint, ""));
    match host.trim_matches(['[', ']']).parse::<IpAddr>() {
        Ok(address) => desired.has_api_server_at(address),
        Err(_) => port == desired.vip_port.to_string(),
    }
}

/// Two load balancers for one virtual IP are a fault, and ours would take it from the other at once.
fn others(situation: &Situation<'_>, all: &mut Vec<Refused>) {
    for facts in situation.facts.values() {
        for other in takeover::in_the_way(situation.desired, facts) {
            all.push(Refused {
                what: format!(
                    "{other} on {} serves the virtual IP as well",
                    facts.hostname
                ),
                hint: "`lbctl install` with this file takes over from it; or stop it".to_owned(),
            });
        }
    }
}

/// The API load balancers keep their place: two of them at two places would both have the virtual IP.
fn moved(situation: &Situation<'_>, all: &mut Vec<Refused>) {
    let hint = "the API load balancer keeps its place for a cluster's life: put `loadBalancer.mode`, `loadBalancer.nodePoolSpec` and `controlPlane.loadBalancer.mode` back as they were, or make another cluster";
    let facts = |address: &IpAddr| situation.facts.get(address);
    for machine in &situation.desired.machines {
        let Some(facts) = facts(&machine.address) else {
            continue;
        };
        let runs = facts.files.contains_key(&static_pod::VRRP.path());
        if runs && machine.load_balancer.is_none() {
            all.push(Refused {
                what: format!(
                    "the API load balancer runs on {}, and the file has it elsewhere",
                    facts.hostname
                ),
                hint: hint.to_owned(),
            });
        }
    }
    let members = members_with_balancer(situation);
    let configured = |address: &IpAddr| {
        facts(address).is_some_and(|facts| facts.files.contains_key(VRRP_CONFIG))
    };
    let lives = situation.view.is_some();
    let of_file = situation.desired.machines.iter();
    let mut of_file = of_file.filter(|machine| machine.load_balancer.is_some());
    let first = of_file.next().map(|machine| machine.address);
    if let Some(first) = first
        && lives
        && !members.iter().any(configured)
        && !configured(&first)
    {
        let name = facts(&first).map_or_else(|| first.to_string(), |facts| facts.hostname.clone());
        all.push(Refused {
            what: format!(
                "no API load balancer of ours serves this cluster, and the file has one on {name}"
            ),
            hint: hint.to_owned(),
        });
    }
}

fn members(situation: &Situation<'_>, all: &mut Vec<Refused>) {
    let desired = situation.desired;
    for machine in &desired.machines {
        let Some(facts) = situation.facts.get(&machine.address) else {
            continue;
        };
        let node = &facts.hostname;
        let view = situation.view.and_then(|view| view.nodes.get(node));
        if facts.member.is_some()
            && let Some(view) = view
            && !view.addresses.is_empty()
            && !view.addresses.contains(&machine.node_ip)
        {
            let has: Vec<String> = view.addresses.iter().map(ToString::to_string).collect();
            all.push(Refused {
                what: format!(
                    "{node} has the address {} in the cluster, the file says {}",
                    has.join(", "),
                    machine.node_ip
                ),
                hint: "a node keeps its address (`k8sIP`) for its life: put it back; or take the machine out of the file and update, then add it with the new one and update again".to_owned(),
            });
        }
        match &facts.member {
            Some(member) if member.cluster != desired.name => all.push(Refused {
                what: format!("{node} belongs to the cluster `{}`", member.cluster),
                hint: "take it out of the file, or reset it with the file of that cluster".to_owned(),
            }),
            Some(member) if member.role != machine.role.membership() => all.push(Refused {
                what: format!(
                    "{node} is a {} of this cluster, the file makes it a {}",
                    member.role,
                    machine.role.name()
                ),
                hint: "a machine changes its role in two steps: take it out of the file and update, then put it where it should be and update again".to_owned(),
            }),
            _ => {}
        }
    }
}
