//! Load balancers of a pool of their own, before there is a cluster: `kubeadm init` already goes by way of the virtual IP.
//!
//! Their kubelets run the static pods without an API server. Everything that the pods need is there by then, the CA's
//! certificate too: kubeadm makes the CA first, on the machine that makes the cluster. `script/kubeadm_join.sh`
//! hands such a kubelet over when the machine joins; the containers go on meanwhile.

use super::prepare::missing;
use super::{Planner, Situation, Stage, StageName};
use crate::core::desired::Machine;
use crate::core::facts::Facts;
use crate::core::step::Step;
use crate::manifest::{self, NodeFile, kubelet, static_pod};

impl Situation<'_> {
    /// The CA's certificate for load balancers of a pool of their own, once it is known.
    pub(super) fn authority(&self) -> Option<NodeFile> {
        let planes = self.desired.control_planes();
        let mut facts = planes.filter_map(|machine| self.facts.get(&machine.address));
        let ca = facts.find_map(|facts| facts.ca.clone())?;
        Some(NodeFile::public(manifest::BALANCER_CA, ca))
    }

    fn stand(&self, machine: &Machine, facts: &Facts, authority: NodeFile) -> Vec<Step> {
        let mut steps = Vec::new();
        let pods = manifest::load_balancer_pods(machine, &self.lbnode.image.digest);
        let runs = facts.files.contains_key(&static_pod::VRRP.path());
        let authority = missing(facts, [authority]);
        if runs && !authority.is_empty() {
            // A pod keeps the file that it was started with.
            steps.push(Step::StopBalancer);
            steps.extend(authority);
            steps.extend(pods.into_iter().map(Step::PutFile));
        } else {
            steps.extend(authority);
            steps.extend(missing(facts, pods));
        }
        let cgroup_v1 = facts.cgroup == 1;
        let kubelet = [
            kubelet::standalone_config(cgroup_v1),
            kubelet::standalone_drop_in(),
        ];
        steps.extend(missing(facts, kubelet));
        let files = [kubelet::STANDALONE_CONFIG, kubelet::STANDALONE_DROP_IN];
        let unread = files.iter().any(|path| facts.unread(path));
        if !steps.is_empty() || unread || !facts.kubelet_unit.active {
            steps.push(Step::StandAlone);
        }
        steps
    }
}

impl Planner<'_> {
    fn somebody_stands_alone(&self) -> bool {
        let mut machines = self.situation.desired.machines.iter();
        machines.any(Machine::is_dedicated_balancer)
    }

    pub(super) fn authority(&self) -> Stage {
        let known = self.situation.authority().is_some();
        let maker = self
            .maker()
            .filter(|_| !known && self.somebody_stands_alone());
        self.machines(StageName::Authority, |machine, _| {
            if maker == Some(machine.address) {
                vec![Step::MakeAuthority]
            } else {
                Vec::new()
            }
        })
    }

    pub(super) fn stand(&self) -> Stage {
        let authority = self.situation.authority().filter(|_| !self.lives);
        self.machines(StageName::Stand, |machine, facts| match &authority {
            Some(authority) if machine.is_dedicated_balancer() && facts.member.is_none() => {
                self.situation.stand(machine, facts, authority.clone())
            }
            _ => Vec::new(),
        })
    }
}
