//! The planner: what is, what should be → stages of steps. The same input gives the same plan; where
//! everything is as it should be the plan is empty.
//!
//! ```text
//! clean ─► software ─► prepare ─► (authority ─► stand) ─► init ─► join control planes ─► join workers ─► network ─► mark ─► withdraw
//! ```
//!
//! A stage is complete before the next begins; inside a stage machines are independent of each other, and the
//! steps of one machine are in order. The driver does the first stage that has work, looks again, and asks for
//! a new plan: an interrupted run is continued by the same rule as any other.
//!
//! `kubeadm init` waits more than it works. Where there is no cluster yet, only the machine that makes it is prepared
//! before; the others are prepared beside it, in its stage.
//!
//! Packages of the distribution come first, to all machines together; what they have brought is looked at before anything
//! else is planned (`software`).
//!
//! Load balancers of a pool of their own must run before that: with the CA, which is made first, their kubelets *stand* alone
//! until they join as workers (`stand`).

mod nodes;
mod prepare;
mod software;
mod stand;

pub use prepare::containerd_suits;

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::cluster_view::{ClusterView, NodeView};
use super::desired::{Desired, Machine, Role};
use super::facts::Facts;
use super::step::{ApiStep, Step};
use crate::bundle::Bundle;
use crate::lbnode::{self, Lbnode};
use crate::manifest::{self, cni, containerd, kubeadm, kubelet, packages};
use crate::packages::Packages;

/// Everything the planner looks at.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// What should be.
    pub desired: &'a Desired,
    /// Software for the machines; absent: packages, or what is installed there.
    pub bundle: Option<&'a Bundle>,
    /// Packages of the machines' distribution to install where they are missing.
    pub packages: Option<&'a Packages>,
    /// The node binary.
    pub lbnode: &'a Lbnode,
    /// Whether the routed pod network is ours to set up.
    pub routed_network: bool,
    /// What is, per machine.
    pub facts: &'a BTreeMap<IpAddr, Facts>,
    /// What is, in the cluster; absent while it has no API.
    pub view: Option<&'a ClusterView>,
}

/// Stages with work, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// Stages with work.
    pub stages: Vec<Stage>,
}

/// Steps that belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// Which one.
    pub name: StageName,
    /// Steps through the API, before those of the machines.
    pub first: Vec<ApiStep>,
    /// Steps by machine.
    pub machines: BTreeMap<IpAddr, Vec<Step>>,
    /// Steps through the API, after those of the machines.
    pub api: Vec<ApiStep>,
}

impl Stage {
    /// One without work.
    pub(super) const fn empty(name: StageName) -> Self {
        Self {
            name,
            first: Vec::new(),
            machines: BTreeMap::new(),
            api: Vec::new(),
        }
    }

    fn has_work(&self) -> bool {
        !(self.first.is_empty() && self.machines.is_empty() && self.api.is_empty())
    }
}

/// Stages in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StageName {
    /// Take back what did not end well.
    Clean,
    /// Packages of the distribution.
    Software,
    /// Software, configuration, images, static pods.
    Prepare,
    /// The certificate authority, for load balancers that run before the cluster.
    Authority,
    /// Those load balancers.
    Stand,
    /// The first control plane.
    Init,
    /// The other control planes.
    JoinControlPlanes,
    /// Everyone else.
    JoinWorkers,
    /// Pod network.
    Network,
    /// Labels and taints.
    Mark,
    /// Service addresses leave nodes that do not carry them any more.
    Withdraw,
    /// The node binary and its image, on members.
    Bring,
    /// New settings of one node's API load balancer.
    Turn,
    /// Machines of a cluster that others made are noted as ours.
    Adopt,
    /// Load balancers of others stop where the virtual IP is not.
    StandDown,
    /// A node makes room for our API load balancer.
    Place,
    /// Whoever has the virtual IP lets go of it.
    HandOver,
}

impl StageName {
    /// In words, for progress.
    pub fn title(self) -> &'static str {
        match self {
            Self::Clean => "clean up after an earlier attempt",
            Self::Software => "install packages",
            Self::Prepare => "prepare machines",
            Self::Authority => "certificate authority",
            Self::Stand => "load balancers before the cluster",
            Self::Init => "first control plane",
            Self::JoinControlPlanes => "join control planes",
            Self::JoinWorkers => "join workers",
            Self::Network => "pod network",
            Self::Mark => "labels and taints",
            Self::Withdraw => "Service addresses leave their old nodes",
            Self::Bring => "bring lbnode",
            Self::Turn => "settings of the API load balancer",
            Self::Adopt => "note the cluster's machines",
            Self::StandDown => "stop the backups of the other load balancer",
            Self::Place => "put the API load balancer in place",
            Self::HandOver => "take the virtual IP over",
        }
    }
}

impl Plan {
    /// Nothing to do.
    pub fn is_empty(&self) -> bool {
        self.stages.is_empty()
    }
}

/// Paths whose checksums the planner wants to know of every machine.
pub fn watched_paths(bundle: Option<&Bundle>) -> Vec<String> {
    let ours = [
        containerd::PATH,
        kubelet::UNIT,
        kubelet::DROP_IN,
        cni::CONFLIST,
        cni::ROUTES,
        lbnode::INSTALLED,
        manifest::SYSCTL,
        manifest::VRRP_CONFIG,
        manifest::PROXY_CONFIG,
        manifest::BALANCER_CA,
        kubelet::STANDALONE_CONFIG,
        kubelet::STANDALONE_DROP_IN,
        packages::APT_SOURCE,
        packages::APT_KEY,
        packages::DNF_SOURCE,
        packages::DNF_KEY,
        kubeadm::API_SERVER_PATCH,
    ];
    let pods = [
        manifest::static_pod::VRRP.path(),
        manifest::static_pod::PROXY.path(),
    ];
    let bundled = bundle.into_iter().flat_map(|bundle| &bundle.files);
    let bundled = bundled.flat_map(|file| std::iter::once(&file.install).chain(&file.links));
    ours.into_iter()
        .map(str::to_owned)
        .chain(pods)
        .chain(bundled.cloned())
        .collect()
}

/// Makes the plan.
pub fn plan(situation: &Situation<'_>) -> Plan {
    stages(situation, Members::Prepared)
}

/// The plan without what prepares members: they have their software, and what disturbs them has an order of its own
/// (`crate::core::update`).
pub fn plan_beside_members(situation: &Situation<'_>) -> Plan {
    stages(situation, Members::LeftAlone)
}

fn stages(situation: &Situation<'_>, members: Members) -> Plan {
    let planner = Planner {
        situation,
        members,
        lives: cluster_lives(situation.desired, situation.facts),
    };
    let stages = [
        planner.clean(),
        planner.software(),
        planner.prepare(),
        planner.authority(),
        planner.stand(),
        planner.init(),
        planner.join(StageName::JoinControlPlanes, true),
        planner.join(StageName::JoinWorkers, false),
        planner.network(),
        planner.mark(),
        planner.withdraw(),
    ];
    let stages = stages.into_iter();
    Plan {
        stages: stages.filter(Stage::has_work).collect(),
    }
}

/// Whether some control plane of the file has finished its kubeadm run.
pub fn cluster_lives(desired: &Desired, facts: &BTreeMap<IpAddr, Facts>) -> bool {
    desired.control_planes().any(|machine| {
        let member = facts
            .get(&machine.address)
            .and_then(|facts| facts.member.as_ref());
        member.is_some_and(|member| member.role == Role::ControlPlane.membership())
    })
}

/// What is prepared of machines that belong to the cluster.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Members {
    /// The same as of all others.
    Prepared,
    /// Nothing.
    LeftAlone,
}

struct Planner<'a> {
    situation: &'a Situation<'a>,
    members: Members,
    lives: bool,
}

impl Planner<'_> {
    fn machines(&self, name: StageName, steps: impl Fn(&Machine, &Facts) -> Vec<Step>) -> Stage {
        let mut machines = BTreeMap::new();
        for machine in &self.situation.desired.machines {
            let Some(facts) = self.situation.facts.get(&machine.address) else {
                continue;
            };
            let steps = steps(machine, facts);
            if !steps.is_empty() {
                machines.insert(machine.address, steps);
            }
        }
        Stage {
            machines,
            ..Stage::empty(name)
        }
    }

    fn node_of(&self, facts: &Facts) -> Option<&NodeView> {
        self.situation.view?.nodes.get(&facts.hostname)
    }

    /// A member of etcd goes while its etcd still runs: two members with one gone have no majority to remove it.
    fn clean(&self) -> Stage {
        let mut stage = self.machines(StageName::Clean, |_, facts| {
            if facts.half_done() {
                vec![Step::CleanKubeadm]
            } else {
                Vec::new()
            }
        });
        for machine in self.situation.desired.control_planes() {
            let node_ip = machine.node_ip;
            let facts = self.situation.facts.get(&machine.address);
            let joins = facts.is_some_and(|facts| facts.member.is_none());
            if joins
                && self
                    .situation
                    .view
                    .is_some_and(|view| view.etcd.contains(&node_ip))
            {
                stage.first.push(ApiStep::RemoveEtcdMember { node_ip });
            }
        }
        for facts in self.situation.facts.values() {
            if facts.member.is_none() && self.node_of(facts).is_some() {
                let node = facts.hostname.clone();
                stage.api.push(ApiStep::DeleteNode { node });
            }
        }
        stage
    }

    /// The machine whose `kubeadm init` makes the cluster, while there is none.
    fn maker(&self) -> Option<IpAddr> {
        let first = self.situation.desired.control_planes().next();
        first.filter(|_| !self.lives).map(|machine| machine.address)
    }

    fn prepare(&self) -> Stage {
        let maker = self.maker();
        self.machines(StageName::Prepare, |machine, facts| {
            let alone = self.members == Members::LeftAlone || machine.maintenance;
            let left_alone = alone && facts.member.is_some();
            let first = maker.is_none_or(|maker| maker == machine.address);
            if !left_alone && (first || machine.is_dedicated_balancer()) {
                self.situation.prepare(machine, facts)
            } else {
                Vec::new()
            }
        })
    }

    fn init(&self) -> Stage {
        let Some(maker) = self.maker() else {
            return Stage::empty(StageName::Init);
        };
        self.machines(StageName::Init, |machine, facts| {
            if machine.address != maker {
                return self.situation.prepare(machine, facts);
            }
            let cluster = self.situation.desired.name.clone();
            if facts.member.is_none() {
                vec![Step::Init { cluster }]
            } else {
                Vec::new()
            }
        })
    }

    fn join(&self, name: StageName, control_planes: bool) -> Stage {
        self.machines(name, |machine, facts| {
            // While there is no cluster the first control plane makes it; everyone else joins.
            let makes = self.maker() == Some(machine.address);
            let wanted = machine.is_control_plane() == control_planes && !makes;
            let cluster = self.situation.desired.name.clone();
            let join = Step::Join {
                cluster,
                role: machine.role.membership(),
            };
            if wanted && facts.member.is_none() {
                vec![join]
            } else {
                Vec::new()
            }
        })
    }
}
