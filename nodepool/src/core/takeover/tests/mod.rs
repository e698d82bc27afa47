mod order;
mod refusal;

use super::*;
use crate::core::cluster_view::{ClusterView, NodeView};
use crate::core::facts::{ApiServer, FileFact, Listener, Membership, RunsAs};
use crate::core::from_config;
use crate::core::plan::{Situation, Stage, StageName};
use crate::core::preflight::{Check, Finding, Reach, Severity};
use crate::core::status::{Pages, ProxyState, RouterHealth, RouterState, ServerState};
use crate::core::step::Step;
use crate::core::update::{Balancer, Balancers, Refused};
use crate::lbnode::Lbnode;
use crate::manifest::{self, kubeadm};
use crate::oci::Archive;

const EXAMPLE: &str = include_str!("../../../../../examples/three-control-planes.yaml");
const VIP: [u8; 4] = [10, 10, 0, 100];

/// A cluster of kubeadm's, to be furnished with load balancers of others.
struct Scene {
    desired: Desired,
    lbnode: Lbnode,
    facts: BTreeMap<IpAddr, Facts>,
    view: ClusterView,
    balancers: Balancers,
}

fn at(index: usize) -> IpAddr {
    [10, 10, 0, 11 + u8::try_from(index).expect("few")].into()
}

fn desired(text: &str) -> Desired {
    let loaded = cluster_config::load(text, "x");
    from_config::desired(&loaded.cluster.expect("the file is valid"))
}

/// The API servers and the virtual IP have the same port.
fn shared() -> String {
    let text = EXAMPLE.replace(
        "controlPlaneLBPort: 443",
        "controlPlaneLBPort: 6443\n      apiServerPort: 6443",
    );
    assert_ne!(text, EXAMPLE);
    text
}

fn scene(text: &str) -> Scene {
    let desired = desired(text);
    let mut scene = Scene {
        lbnode: Lbnode {
            path: "lbnode".into(),
            architecture: "amd64".to_owned(),
            sha256: "sum".to_owned(),
            version: None,
            image: Archive {
                bytes: [].into(),
                digest: "sha256:image".to_owned(),
            },
        },
        facts: BTreeMap::new(),
        view: ClusterView::default(),
        balancers: Balancers::new(),
        desired,
    };
    for (index, machine) in scene.desired.machines.iter().enumerate() {
        let port = scene.desired.api_port;
        let facts = Facts {
            hostname: format!("m{index}"),
            addresses: vec![(
                "eth0".to_owned(),
                format!("{}/24", machine.node_ip)
                    .parse()
                    .expect("a network"),
            )],
            api_server: Some(ApiServer {
                port,
                address: None,
            }),
            ..Facts::default()
        };
        let node = NodeView {
            ready: true,
            addresses: vec![machine.node_ip],
            labels: BTreeMap::from([(
                "node-role.kubernetes.io/control-plane".to_owned(),
                String::new(),
            )]),
            ..NodeView::default()
        };
        scene.view.nodes.insert(facts.hostname.clone(), node);
        scene.facts.insert(machine.address, facts);
    }
    scene
}

fn other(program: OtherProgram, runs: RunsAs) -> OtherBalancer {
    let keeps = program.keeps_addresses();
    OtherBalancer {
        program,
        runs,
        addresses: keeps.then(|| VIP.into()).into_iter().collect(),
        virtual_router_id: None,
        services: false,
    }
}

fn unit(program: OtherProgram) -> OtherBalancer {
    other(program, RunsAs::Unit(program.name().to_owned()))
}

impl Scene {
    /// keepalived and HAProxy everywhere; the virtual IP is on one of them.
    fn keepalived(text: &str, holder: usize) -> Self {
        let mut scene = scene(text);
        let port = scene.desired.vip_port;
        for facts in scene.facts.values_mut() {
            facts.others = vec![unit(OtherProgram::Haproxy), unit(OtherProgram::Keepalived)];
            facts.listeners.push(Listener {
                address: None,
                port,
                process: Some(("haproxy".to_owned(), 7)),
            });
        }
        scene.give(holder);
        scene.note();
        scene
    }

    fn kube_vip(holder: usize) -> Self {
        let mut scene = scene(&shared());
        let pod = RunsAs::Pod("kube-vip.yaml".to_owned());
        for facts in scene.facts.values_mut() {
            facts.others = vec![other(OtherProgram::KubeVip, pod.clone())];
        }
        scene.give(holder);
        scene.note();
        scene
    }

    fn give(&mut self, holder: usize) {
        let address = format!("{}/32", IpAddr::from(VIP));
        let address = address.parse().expect("an address");
        let facts = self.facts.get_mut(&at(holder)).expect("a machine");
        facts.addresses.push(("eth0".to_owned(), address));
    }

    fn note(&mut self) {
        for facts in self.facts.values_mut() {
            facts.member = Some(Membership {
                cluster: self.desired.name.clone(),
                role: "control-plane".to_owned(),
            });
        }
    }

    fn with<T>(&self, look: impl FnOnce(&Situation<'_>) -> T) -> T {
        let standing = self.desired.standing_back();
        look(&Situation {
            desired: &standing,
            bundle: None,
            packages: None,
            lbnode: &self.lbnode,
            routed_network: false,
            facts: &self.facts,
            view: Some(&self.view),
        })
    }

    fn next(&self) -> Next {
        self.with(|situation| next(situation, &self.balancers))
    }

    fn stage(&self, next: &Next) -> Stage {
        self.with(|situation| match next {
            Next::StandDown(machines) => stand_down(situation, machines),
            Next::Place(address) => placing(situation, *address),
            Next::HandOver(address) => hand_over(situation, *address),
            other => panic!("no stage for {other:?}"),
        })
    }

    fn holder(&self) -> Option<IpAddr> {
        holder(&self.desired, &self.facts)
    }

    /// One of ours that runs is well by now; it stands back, or has the virtual IP when nobody else does.
    fn settle(&mut self) {
        let held = self.holder().is_some();
        let mut active = false;
        for (address, facts) in &self.facts {
            if !has_router(facts) {
                continue;
            }
            let state = match (held, active) {
                (true, _) => "initialize",
                (false, false) => "active",
                (false, true) => "backup",
            };
            active |= !held;
            self.balancers.insert(*address, balancer(state, held, "up"));
        }
    }

    /// Does all of it; what was done, in order.
    fn play(&mut self) -> Vec<(StageName, IpAddr, Vec<Step>)> {
        let mut done = Vec::new();
        for _ in 0..20 {
            let next = self.next();
            if next == Next::Done {
                return done;
            }
            let stage = self.stage(&next);
            for (address, steps) in stage.machines {
                assert!(!steps.is_empty(), "{next:?} does nothing");
                let facts = self.facts.get_mut(&address).expect("a machine");
                for step in &steps {
                    step.applied(facts);
                }
                done.push((stage.name, address, steps));
            }
            self.settle();
        }
        panic!("it does not end: {done:#?}");
    }
}

fn balancer(state: &str, stands_back: bool, server: &str) -> Balancer {
    let server = ServerState {
        name: "10.10.0.11".to_owned(),
        state: server.to_owned(),
        since: String::new(),
        why: "connection refused".to_owned(),
        sessions: 0,
    };
    Balancer {
        pages: Ok(Pages {
            vrrp: Some(RouterState {
                state: state.to_owned(),
                since: String::new(),
                why: "why".to_owned(),
                routers: Vec::new(),
                health: RouterHealth {
                    verdict: stands_back.then(|| "standing-back".to_owned()),
                },
            }),
            proxy: Some(ProxyState {
                servers: vec![server],
            }),
            ..Pages::default()
        }),
        pods: Vec::new(),
    }
}

fn titles(steps: &[Step]) -> Vec<String> {
    steps.iter().map(Step::title).collect()
}
