//! What must be so before anything is touched, with what to do about it.

use std::net::IpAddr;

use serde_json::Value;

use super::{has_router, holders, in_the_way, name, routers_in_the_way};
use crate::core::cluster_view::ClusterView;
use crate::core::desired::{Desired, Machine};
use crate::core::facts::Facts;
use crate::core::plan::Situation;
use crate::core::update::{Refused, unlisted};

/// Label that kubeadm gives to control planes.
const CONTROL_PLANE: &str = "node-role.kubernetes.io/control-plane";

/// Everything that is refused, all at once. `situation`: with the facts as they were read; `made`: kubeadm's
/// `ClusterConfiguration` in the cluster.
pub fn refusals(situation: &Situation<'_>, view: &ClusterView, made: &Value) -> Vec<Refused> {
    let desired = situation.desired;
    let mut all = Vec::new();
    if desired.external {
        all.push(refused(
            "the file has `loadBalancer.mode: manual`: there is nothing to install",
            "write `mode: bundled`",
        ));
    }
    if made.is_null() {
        all.push(refused(
            "the cluster has no ConfigMap kube-system/kubeadm-config: kubeadm did not make it",
            "only clusters that kubeadm made are taken over; for Service addresses alone apply deploy/bundled-lb.yaml",
        ));
    } else {
        fixed(situation, made, &mut all);
    }
    for machine in &desired.machines {
        if let Some(facts) = situation.facts.get(&machine.address) {
            member(desired, machine, facts, view, &mut all);
            if machine.is_control_plane() {
                api_server(desired, machine, facts, &mut all);
            }
            others(desired, facts, &mut all);
        }
        if machine.maintenance {
            all.push(refused(
                format!(
                    "{} is in maintenance",
                    name(situation.facts, machine.address)
                ),
                "take it out of `maintenanceBlocks`: every machine takes part",
            ));
        }
    }
    holder(situation, &mut all);
    // A machine that is not noted yet has its node all the same.
    let named = |node: Option<&String>| {
        let mut machines = desired.machines.iter();
        machines.any(|machine| {
            let facts = situation.facts.get(&machine.address);
            facts.is_some_and(|facts| Some(&facts.hostname) == node)
        })
    };
    let strangers = unlisted(situation).into_iter();
    for stranger in strangers.filter(|one| !named(one.node.as_ref())) {
        all.push(refused(
            format!("the node {} is not in the file", stranger.name()),
            "put it into a NodePool (or among the control planes): `lbctl update cluster` removes nodes that the file does not have",
        ));
    }
    all
}

fn refused(what: impl Into<String>, hint: impl Into<String>) -> Refused {
    Refused {
        what: what.into(),
        hint: hint.into(),
    }
}

/// What the cluster was made with.
fn fixed(situation: &Situation<'_>, made: &Value, all: &mut Vec<Refused>) {
    let desired = situation.desired;
    let cluster = made["clusterName"].as_str().unwrap_or("kubernetes");
    if cluster != desired.name {
        all.push(refused(
            format!(
                "the cluster is called {cluster}, `metadata.name` of the file is {}",
                desired.name
            ),
            format!("write `name: {cluster}`"),
        ));
    }
    let joined = |cidrs: &[ipnet::IpNet]| {
        let cidrs = cidrs.iter().map(ToString::to_string);
        cidrs.collect::<Vec<_>>().join(",")
    };
    let network = &made["networking"];
    for (key, is, wanted) in [
        ("pods", &network["podSubnet"], joined(&desired.pod_cidrs)),
        (
            "services",
            &network["serviceSubnet"],
            joined(&desired.service_cidrs),
        ),
    ] {
        let is = is.as_str().unwrap_or_default();
        if !is.is_empty() && is != wanted {
            all.push(refused(
                format!("`clusterNetwork.{key}`: the cluster has {is}, the file {wanted}"),
                format!("write {is} into the file"),
            ));
        }
    }
    endpoint(desired, made["controlPlaneEndpoint"].as_str(), all);
    for vip in desired
        .own_vips()
        .filter(|vip| !certified(situation, made, *vip))
    {
        all.push(refused(
            format!("the API servers' certificates do not carry the virtual IP {vip}"),
            format!("add {vip} to `apiServer.certSANs` of the ConfigMap kube-system/kubeadm-config, then on one control plane after the other: save that text as FILE, remove /etc/kubernetes/pki/apiserver.crt and .key, run `kubeadm init phase certs apiserver --config FILE` and restart the API server (move its manifest away and back)"),
        ));
    }
}

/// Whoever uses the endpoint of before must end at the virtual IP, or go on as before.
fn endpoint(desired: &Desired, endpoint: Option<&str>, all: &mut Vec<Refused>) {
    let Some(endpoint) = endpoint.filter(|endpoint| !endpoint.is_empty()) else {
        return;
    };
    let (host, port) = split(endpoint);
    let vip = |address: &IpAddr| desired.vips().any(|vip| vip == *address);
    match host.parse::<IpAddr>() {
        // Whoever knows an API server goes on with it.
        Ok(address) if desired.has_api_server_at(address) => {}
        Ok(address) if !vip(&address) => all.push(refused(
            format!("the nodes reach the API at {endpoint} (`controlPlaneEndpoint`), the file has {}", desired.endpoint()),
            format!("write `controlPlaneVIP: {address}`: nodes keep the address that they know for their life"),
        )),
        _ if port != desired.vip_port => all.push(refused(
            format!(
                "the nodes reach the API at {endpoint} (`controlPlaneEndpoint`), the file has port {} on the virtual IP",
                desired.vip_port
            ),
            format!("write `controlPlaneLBPort: {port}`"),
        )),
        _ => {}
    }
}

/// Host and port; kubeadm's default port when there is none.
fn split(endpoint: &str) -> (&str, u16) {
    let parts = endpoint.rsplit_once(':');
    let parts = parts.and_then(|(host, port)| Some((host, port.parse().ok()?)));
    let (host, port) = parts.unwrap_or((endpoint, 6443));
    (host.trim_matches(['[', ']']), port)
}

/// By the certificates themselves where they could be read, else by what they were made from.
fn certified(situation: &Situation<'_>, made: &Value, vip: IpAddr) -> bool {
    let is_vip = |name: &str| name.parse::<IpAddr>().is_ok_and(|address| address == vip);
    let planes = situation.desired.control_planes();
    let facts = planes.filter_map(|machine| situation.facts.get(&machine.address));
    let read: Vec<&Facts> = facts.filter(|facts| !facts.api_names.is_empty()).collect();
    if !read.is_empty() {
        return read
            .iter()
            .all(|facts| facts.api_names.iter().any(|name| is_vip(name)));
    }
    let names = made["apiServer"]["certSANs"].as_array();
    let mut names = names.into_iter().flatten().filter_map(Value::as_str);
    let endpoint = made["controlPlaneEndpoint"].as_str().unwrap_or_default();
    names.any(is_vip) || is_vip(split(endpoint).0)
}

fn member(
    desired: &Desired,
    machine: &Machine,
    facts: &Facts,
    view: &ClusterView,
    all: &mut Vec<Refused>,
) {
    let name = &facts.hostname;
    if let Some(member) = &facts.member
        && member.cluster != desired.name
    {
        all.push(refused(
            format!("{name} belongs to the cluster `{}`", member.cluster),
            "take it out of the file, or name that cluster in it",
        ));
    }
    let Some(node) = view.nodes.get(name) else {
        all.push(refused(
            format!("{name} ({}) is no node of the cluster", machine.address),
            "take it out of the file; when the load balancers are installed, `lbctl update cluster` lets it join",
        ));
        return;
    };
    if !node.addresses.is_empty() && !node.addresses.contains(&machine.node_ip) {
        let has: Vec<String> = node.addresses.iter().map(ToString::to_string).collect();
        all.push(refused(
            format!(
                "{name} has the address {} in the cluster, the file says {}",
                has.join(", "),
                machine.node_ip
            ),
            "write it as `k8sIP` of the node, or as its `address`",
        ));
    }
    if node.labels.contains_key(CONTROL_PLANE) != machine.is_control_plane() {
        let is = if machine.is_control_plane() {
            "no control plane"
        } else {
            "a control plane"
        };
        all.push(refused(
            format!("{name} is {is} of the cluster, the file says otherwise"),
            "put it where it belongs: `controlPlane.nodePoolSpec.nodes`, or a NodePool",
        ));
    }
}

fn api_server(desired: &Desired, machine: &Machine, facts: &Facts, all: &mut Vec<Refused>) {
    let name = &facts.hostname;
    let Some(server) = facts.api_server else {
        all.push(refused(
            format!(
                "{name} has no /etc/kubernetes/manifests/kube-apiserver.yaml with a `--secure-port`"
            ),
            "only API servers that run as kubeadm's static pods are served",
        ));
        return;
    };
    if server.port != desired.api_port {
        all.push(refused(
            format!(
                "the API server of {name} listens on {}, the file has {}",
                server.port, desired.api_port
            ),
            format!(
                "write `apiServerPort: {}` under `loadBalancer.ports`",
                server.port
            ),
        ));
    }
    if let Some(address) = server.address.filter(|address| *address != machine.node_ip) {
        all.push(refused(
            format!("the API server of {name} listens on {address} alone"),
            format!(
                "have it listen on {} (`--bind-address` in its manifest): the proxies reach it there",
                machine.node_ip
            ),
        ));
    }
}

/// Whoever is stopped must serve nothing else.
fn others(desired: &Desired, facts: &Facts, all: &mut Vec<Refused>) {
    let name = &facts.hostname;
    let vips: Vec<IpAddr> = desired.own_vips().collect();
    let machine = desired.machines.iter().find_map(|machine| {
        let files = machine.load_balancer.as_ref()?;
        files.vrrp.routers.first()
    });
    let own_id = machine.map(|router| router.virtual_router_id);
    for other in routers_in_the_way(desired, facts) {
        let more = other.addresses.iter().filter(|one| !vips.contains(one));
        let more: Vec<String> = more.map(ToString::to_string).collect();
        if !more.is_empty() {
            all.push(refused(
                format!("{other} on {name} keeps {} as well", more.join(", ")),
                "it is going to be stopped: let somebody else keep those first",
            ));
        }
        if other.services {
            all.push(refused(
                format!("{other} on {name} answers for addresses of Services as well"),
                "it is going to be stopped: set `svc_enable` to \"false\" in its manifest when something else serves them, or when they may be without an address meanwhile",
            ));
        }
        if other.virtual_router_id.is_some() && other.virtual_router_id == own_id {
            all.push(refused(
                format!(
                    "{other} on {name} has the virtual router ID {} that ours would have",
                    own_id.unwrap_or_default()
                ),
                "choose another one with `loadBalancer.vrrp.virtualRouterID`: the two would take each other for one",
            ));
        }
    }
}

/// Who has the virtual IP must be known.
fn holder(situation: &Situation<'_>, all: &mut Vec<Refused>) {
    let desired = situation.desired;
    let holders: Vec<IpAddr> = holders(desired, situation.facts).collect();
    let names: Vec<String> = holders
        .iter()
        .map(|address| name(situation.facts, *address))
        .collect();
    if holders.len() > 1 {
        all.push(refused(
            format!(
                "{} have the virtual IP at the same time",
                names.join(" and ")
            ),
            "let the load balancer that is there become well first",
        ));
        return;
    }
    let facts = holders.first().and_then(|at| situation.facts.get(at));
    if let (Some(facts), Some(name)) = (facts, names.first())
        && routers_in_the_way(desired, facts).next().is_none()
    {
        all.push(refused(
            format!("{name} has the virtual IP, and nothing known keeps it there"),
            "keepalived (a unit or a static pod that reads /etc/keepalived/keepalived.conf) and kube-vip as a static pod are taken over; let somebody of these keep it, or take the address off the machine",
        ));
    }
    let others = situation.facts.values();
    let mut others = others.filter(|facts| !in_the_way(desired, facts).is_empty());
    let ours = situation.facts.values().any(has_router);
    if holders.is_empty()
        && !ours
        && let Some(facts) =
            others.find(|facts| routers_in_the_way(desired, facts).next().is_some())
    {
        all.push(refused(
            format!("a load balancer of others is on {}, and no machine of the file has the virtual IP", facts.hostname),
            "let it become well, or stop it on all machines: then ours is put in its place without a hand-over",
        ));
    }
}
