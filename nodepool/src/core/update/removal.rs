//! Nodes that leave: who they are, and what forbids it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::health::Balancers;
use super::refusal::Refused;
use crate::core::cluster_view::{ClusterView, NodeView};
use crate::core::desired::{Desired, LBNODE_LABEL, Machine};
use crate::core::facts::Facts;
use crate::core::plan::Situation;

/// A machine that is to leave the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaver {
    /// Where SSH reaches it.
    pub address: IpAddr,
    /// Its node, when the cluster has one.
    pub node: Option<String>,
    /// Addresses of the node inside the cluster.
    pub node_ips: Vec<IpAddr>,
    /// It runs an API server and etcd.
    pub control_plane: bool,
    /// It carries Service addresses, and in a pool of their own the virtual IP as well.
    pub lbnode: bool,
}

/// Label that kubeadm gives to control planes.
const CONTROL_PLANE: &str = "node-role.kubernetes.io/control-plane";

impl Leaver {
    /// The node `name` of the cluster. `address`: where SSH reaches it, when that is known.
    pub fn of(name: &str, node: &NodeView, address: Option<IpAddr>) -> Option<Self> {
        Some(Self {
            address: address.or_else(|| node.addresses.first().copied())?,
            node: Some(name.to_owned()),
            node_ips: node.addresses.clone(),
            control_plane: node.labels.contains_key(CONTROL_PLANE),
            lbnode: node.labels.contains_key(LBNODE_LABEL),
        })
    }

    /// For messages: the node's name, or the address.
    pub fn name(&self) -> String {
        self.node
            .clone()
            .unwrap_or_else(|| self.address.to_string())
    }
}

/// Nodes of the cluster that the file does not have.
pub fn unlisted(situation: &Situation<'_>) -> Vec<Leaver> {
    let listed = |name: &str, node: &NodeView| {
        situation.desired.machines.iter().any(|machine| {
            let facts = situation.facts.get(&machine.address);
            // A new machine may have the host name of the one that it replaces.
            facts.is_some_and(|facts| facts.hostname == name && facts.member.is_some())
                || node.addresses.contains(&machine.node_ip)
        })
    };
    let nodes = situation.view.into_iter().flat_map(|view| &view.nodes);
    let gone = nodes.filter(|(name, node)| !listed(name, node));
    gone.filter_map(|(name, node)| Leaver::of(name, node, None))
        .collect()
}

/// Machines of the file that are not in the cluster yet.
pub fn joiners<'a>(
    desired: &'a Desired,
    facts: &'a BTreeMap<IpAddr, Facts>,
) -> impl Iterator<Item = &'a Machine> {
    desired.machines.iter().filter(|machine| {
        let known = facts.get(&machine.address);
        known.is_some_and(|facts| facts.member.is_none())
    })
}

/// Why these cannot leave while others join; `None`: they can. A router that its file does not have looks like a stranger's
/// to those who come, and a name is that of one node.
pub fn replaces(situation: &Situation<'_>, leavers: &[Leaver]) -> Option<Refused> {
    let namesake = |machine: &&Machine| {
        let facts = situation.facts.get(&machine.address);
        let name = facts.map(|facts| facts.hostname.as_str());
        leavers.iter().any(|leaver| leaver.node.as_deref() == name)
    };
    let mut namesakes = joiners(situation.desired, situation.facts).filter(namesake);
    if let Some(joiner) = namesakes.next() {
        return Some(Refused {
            what: format!(
                "{} joins under the name of a node that is not in the file and leaves",
                joiner.address
            ),
            hint: "update twice: first without the new machine, then with it; or give it another host name"
                .to_owned(),
        });
    }
    let mut machines = situation.desired.machines.iter();
    let dedicated = machines.any(Machine::is_dedicated_balancer);
    let carries = |leaver: &&Leaver| {
        if dedicated {
            leaver.lbnode
        } else {
            leaver.control_plane
        }
    };
    let leaver = leavers.iter().find(carries)?;
    let mut joiners = joiners(situation.desired, situation.facts);
    let joiner = joiners.find(|machine| machine.load_balancer.is_some())?;
    Some(Refused {
        what: format!(
            "{} leaves and {} joins, and both have the API load balancer",
            leaver.name(),
            joiner.address
        ),
        hint: "update twice: first with both of them in the file, then without the one that leaves"
            .to_owned(),
    })
}

/// Why the machine with these facts is not the one that is to leave; `None`: it is.
pub fn mistaken(leaver: &Leaver, cluster: &str, facts: &Facts) -> Option<String> {
    let address = leaver.address;
    if let Some(node) = &leaver.node
        && *node != facts.hostname
    {
        return Some(format!(
            "the machine at {address} is called {}, not {node}",
            facts.hostname
        ));
    }
    if !facts.is_ours() && facts.half_done() {
        return Some(format!(
            "{} has joined the cluster without lbctl",
            leaver.name()
        ));
    }
    let member = facts.member.as_ref()?;
    (member.cluster != cluster).then(|| {
        format!(
            "the machine at {address} belongs to the cluster `{}`",
            member.cluster
        )
    })
}

/// Why this leaver is not dead, though SSH does not answer; `None`: nothing speaks against it.
pub fn lives(leaver: &Leaver, view: &ClusterView) -> Option<String> {
    let node = leaver.node.as_ref()?;
    let ready = view.nodes.get(node).is_some_and(|node| node.ready);
    ready.then(|| format!("the node {node} is Ready: its kubelet is alive"))
}

/// Why the leavers cannot go, one after the other, without the cluster losing its majority; `None`: they can.
pub fn breaks_quorum(leavers: &[Leaver], view: &ClusterView) -> Option<String> {
    let planes = view.nodes.iter();
    let planes = planes.filter(|(_, node)| node.labels.contains_key(CONTROL_PLANE));
    let mut planes: Vec<(&str, bool)> = planes
        .map(|(name, node)| (name.as_str(), node.ready))
        .collect();
    for leaver in leavers.iter().filter(|leaver| leaver.control_plane) {
        let name = leaver.name();
        let count = |planes: &[(&str, bool)]| {
            let ready = planes.iter().filter(|(_, ready)| *ready).count();
            (ready, planes.len())
        };
        // To leave etcd its members must agree; after that those who stay must be able to.
        let (ready, all) = count(&planes);
        if ready * 2 <= all {
            return Some(format!(
                "{name} cannot leave etcd: only {ready} of {all} control planes are Ready, no majority"
            ));
        }
        planes.retain(|(other, _)| *other != name);
        let (ready, all) = count(&planes);
        if all == 0 {
            return Some(format!("{name} is the last control plane"));
        }
        if ready * 2 <= all {
            return Some(format!(
                "without {name} only {ready} of {all} control planes would be Ready, no majority"
            ));
        }
    }
    None
}

/// Why nobody would be left for the virtual IP; `None`: somebody is. `balancers`: of those who stay.
pub fn last_balancer(situation: &Situation<'_>, balancers: &Balancers) -> Option<String> {
    if situation.desired.external {
        return None;
    }
    let mut troubles = Vec::new();
    for machine in &situation.desired.machines {
        let Some(balancer) = balancers.get(&machine.address) else {
            continue;
        };
        match balancer.trouble(machine, None) {
            None => return None,
            Some(why) => {
                let facts = situation.facts.get(&machine.address);
                let name = facts.map_or_else(
                    || machine.address.to_string(),
                    |facts| facts.hostname.clone(),
                );
                troubles.push(format!("{name}: {why}"));
            }
        }
    }
    let why = if troubles.is_empty() {
        String::new()
    } else {
        format!(" ({})", troubles.join("; "))
    };
    Some(format!(
        "no load-balancer node that is well would be left{why}"
    ))
}
