//! What nodes need once they have joined: routes to each other's pods, labels and taints; and what they must not keep.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::prepare::missing;
use super::{Planner, Situation, Stage, StageName};
use crate::core::cluster_view::NodeView;
use crate::core::desired::{LBNODE_LABEL, Machine};
use crate::core::facts::Facts;
use crate::core::step::{ApiStep, Mark, Step};
use crate::manifest::cni;

impl Planner<'_> {
    /// Needs every machine's pod ranges; before they are known there is nothing to plan.
    pub(super) fn network(&self) -> Stage {
        let desired = self.situation.desired;
        let cidrs: BTreeMap<IpAddr, _> = desired
            .machines
            .iter()
            .filter_map(|machine| {
                let node = self.node_of(self.situation.facts.get(&machine.address)?)?;
                Some((machine.address, (machine.node_ip, node.pod_cidrs.clone())))
            })
            .collect();
        let known = cidrs.len() == desired.machines.len()
            && cidrs.values().all(|(_, cidrs)| !cidrs.is_empty());
        self.machines(StageName::Network, |machine, facts| {
            if !known || !self.situation.routed_network {
                return Vec::new();
            }
            let peers = cidrs
                .iter()
                .filter(|(address, _)| **address != machine.address);
            let peers = peers
                .map(|(_, (node_ip, cidrs))| (*node_ip, cidrs.clone()))
                .chain(self.unlisted())
                .collect();
            let mut steps = missing(facts, [cni::conflist(&cidrs[&machine.address].1)]);
            let routes = missing(facts, [cni::routes(&peers)]);
            if !routes.is_empty() || facts.unread(cni::ROUTES) {
                steps.extend(routes);
                steps.push(Step::StartRoutes);
            }
            steps
        })
    }

    /// Nodes that the file does not have: as long as they are there, so are their pods. One with an address of the file is
    /// what an earlier machine left.
    fn unlisted(&self) -> impl Iterator<Item = (IpAddr, Vec<ipnet::IpNet>)> {
        let listed = |name: &str, node: &NodeView| {
            let mut facts = self.situation.facts.values();
            let mut machines = self.situation.desired.machines.iter();
            facts.any(|facts| facts.hostname == name)
                || machines.any(|machine| node.addresses.contains(&machine.node_ip))
        };
        let nodes = self.situation.view.into_iter().flat_map(|view| &view.nodes);
        let others = nodes.filter(move |(name, node)| !listed(name, node));
        others.filter_map(|(_, node)| Some((*node.addresses.first()?, node.pod_cidrs.clone())))
    }

    pub(super) fn mark(&self) -> Stage {
        let mut api = Vec::new();
        for machine in &self.situation.desired.machines {
            let Some(facts) = self.situation.facts.get(&machine.address) else {
                continue;
            };
            let Some(node) = self.node_of(facts) else {
                continue;
            };
            let mut labels = machine.labels.clone();
            if machine.lbnode {
                labels.insert(LBNODE_LABEL.to_owned(), "true".to_owned());
            }
            labels.retain(|key, value| node.labels.get(key) != Some(value));
            let add_taints: Vec<_> = machine
                .taints
                .iter()
                .filter(|taint| !node.taints.contains(taint))
                .cloned()
                .collect();
            let control_plane_taint = "node-role.kubernetes.io/control-plane";
            let free = machine.is_control_plane()
                && self.situation.desired.control_planes_take_workloads();
            let remove_taints: Vec<_> = node
                .taints
                .iter()
                .filter(|taint| free && taint.key == control_plane_taint)
                .map(|taint| taint.key.clone())
                .collect();
            if !labels.is_empty() || !add_taints.is_empty() || !remove_taints.is_empty() {
                let node = facts.hostname.clone();
                api.push(ApiStep::Mark(Mark {
                    node,
                    labels,
                    add_taints,
                    remove_taints,
                }));
            }
        }
        Stage {
            api,
            ..Stage::empty(StageName::Mark)
        }
    }

    /// Whoever is in maintenance has handed over already, and somebody works on it.
    pub(super) fn withdraw(&self) -> Stage {
        let mut api = Vec::new();
        for machine in &self.situation.desired.machines {
            let Some(facts) = self.situation.facts.get(&machine.address) else {
                continue;
            };
            if !machine.maintenance && self.situation.carries_no_more(machine, facts) {
                let node = facts.hostname.clone();
                api.push(ApiStep::Withdraw { node });
            }
        }
        Stage {
            api,
            ..Stage::empty(StageName::Withdraw)
        }
    }
}

impl Situation<'_> {
    /// Its node has the label of those that carry Service addresses, which the file gives to others. Where nobody is to carry
    /// them nothing of ours is installed.
    pub(super) fn carries_no_more(&self, machine: &Machine, facts: &Facts) -> bool {
        let others = self.desired.machines.iter().any(|machine| machine.lbnode);
        let node = self.view.and_then(|view| view.nodes.get(&facts.hostname));
        let value = node.and_then(|node| node.labels.get(LBNODE_LABEL));
        others
            && !machine.lbnode
            && value.is_some_and(|value| value == "true")
            && !machine.labels.contains_key(LBNODE_LABEL)
    }
}
