//! Machines of a cluster that others made, as ours.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::{in_the_way, routers_in_the_way};
use crate::core::cluster_view::ClusterView;
use crate::core::desired::{Desired, Machine};
use crate::core::facts::{Facts, Membership};
use crate::core::plan::{Stage, StageName};
use crate::core::preflight::{Check, Finding, Reach};
use crate::core::step::Step;

/// Notes those that are not noted yet; `facts` as they were read.
pub fn adopt(desired: &Desired, facts: &BTreeMap<IpAddr, Facts>) -> Stage {
    let new = desired.machines.iter().filter(|machine| {
        let facts = facts.get(&machine.address);
        facts.is_some_and(|facts| facts.member.is_none())
    });
    let step = |machine: &Machine| Step::Adopt {
        cluster: desired.name.clone(),
        role: machine.role.membership(),
    };
    Stage {
        machines: new
            .map(|machine| (machine.address, vec![step(machine)]))
            .collect(),
        ..Stage::empty(StageName::Adopt)
    }
}

/// The machines as they are once they are noted: nodes of the cluster have what belongs to its members.
pub fn adopted(
    desired: &Desired,
    machines: &BTreeMap<IpAddr, Reach>,
    view: &ClusterView,
) -> BTreeMap<IpAddr, Reach> {
    let mut machines = machines.clone();
    for (address, reach) in &mut machines {
        if let (Reach::Up(facts), Some(machine)) = (reach, desired.machine(*address))
            && view.nodes.contains_key(&facts.hostname)
        {
            // What somebody else keeps there is none of the machine's own addresses.
            if routers_in_the_way(desired, facts).next().is_some() {
                let vips: Vec<IpAddr> = desired.own_vips().collect();
                facts
                    .addresses
                    .retain(|(_, net)| !vips.contains(&net.addr()));
            }
            facts.ledger = true;
            facts.member.get_or_insert_with(|| Membership {
                cluster: desired.name.clone(),
                role: machine.role.membership().to_owned(),
            });
        }
    }
    machines
}

/// Whether a finding of the preflight says something about a cluster whose load balancer is taken over: that somebody has
/// the virtual IP, and announces it, is why this is done.
pub fn concerns(desired: &Desired, facts: &BTreeMap<IpAddr, Facts>, finding: &Finding) -> bool {
    let mut facts = facts.values();
    let taken_over = facts.any(|facts| !in_the_way(desired, facts).is_empty());
    match finding.check {
        Check::VipFree
        | Check::VipClaim
        | Check::VipGateway
        | Check::VirtualRouters
        | Check::OtherBalancer => !taken_over,
        // The cluster runs: it has what kubelets need, and its network is its own.
        Check::Cgroup
        | Check::Resources
        | Check::Swap
        | Check::Resolver
        | Check::Containerd
        | Check::ContainerdConfig
        | Check::Kubeadm
        | Check::VersionSkew
        | Check::CniPlugins => false,
        _ => true,
    }
}
