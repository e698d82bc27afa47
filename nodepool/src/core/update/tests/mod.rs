mod drift;
mod releases;
mod removal;
mod standing;
mod versions;

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde_json::json;

use super::*;
use crate::core::cluster_view::{BalancerPod, ClusterView, NodeView};
use crate::core::desired::Desired;
use crate::core::facts::{Facts, FileFact, Membership};
use crate::core::from_config;
use crate::core::plan::Situation;
use crate::core::status::{Pages, RouterHealth, RouterState};
use crate::core::step::Step;
use crate::lbnode::{self, Lbnode};
use crate::manifest::{self, NodeFile};
use crate::oci::Archive;

const EXAMPLE: &str = include_str!("../../../../../examples/three-control-planes.yaml");
const DIGEST: &str = "sha256:image";

/// A cluster that is as its file says, to be spoilt.
struct Scene {
    desired: Desired,
    lbnode: Lbnode,
    facts: BTreeMap<IpAddr, Facts>,
    view: ClusterView,
    balancers: Balancers,
}

fn desired(text: &str) -> Desired {
    let loaded = cluster_config::load(text, "x");
    from_config::desired(&loaded.cluster.expect("the file is valid"))
}

fn at(index: usize) -> IpAddr {
    [10, 10, 0, 11 + u8::try_from(index).expect("few")].into()
}

fn put(facts: &mut Facts, file: &NodeFile) {
    let fact = FileFact {
        sha256: file.sha256(),
        mode: file.mode.to_owned(),
        inode: 1,
    };
    facts.files.insert(file.path.clone(), fact);
}

fn scene() -> Scene {
    let desired = desired(EXAMPLE);
    let lbnode = Lbnode {
        path: "lbnode".into(),
        architecture: "amd64".to_owned(),
        sha256: "sum".to_owned(),
        version: Some("0.1.0 (commit a)".to_owned()),
        image: Archive {
            bytes: [].into(),
            digest: DIGEST.to_owned(),
        },
    };
    let mut scene = Scene {
        desired,
        lbnode,
        facts: BTreeMap::new(),
        view: ClusterView::default(),
        balancers: Balancers::new(),
    };
    for (index, machine) in scene.desired.machines.iter().enumerate() {
        let mut facts = Facts {
            hostname: format!("m{index}"),
            architecture: "amd64".to_owned(),
            member: Some(Membership {
                cluster: "lab".to_owned(),
                role: "control-plane".to_owned(),
            }),
            ..Facts::default()
        };
        let program = FileFact {
            sha256: "sum".to_owned(),
            mode: "755".to_owned(),
            inode: 1,
        };
        facts.files.insert(lbnode::INSTALLED.to_owned(), program);
        facts
            .images
            .insert(lbnode::IMAGE.to_owned(), DIGEST.to_owned());
        for file in manifest::load_balancer_configs(machine)
            .iter()
            .chain(&manifest::load_balancer_pods(machine, DIGEST))
        {
            put(&mut facts, file);
        }
        let node = NodeView {
            ready: true,
            addresses: vec![machine.node_ip],
            ..NodeView::default()
        };
        scene.view.nodes.insert(facts.hostname.clone(), node);
        let pods = manifest::load_balancer_configs(machine);
        let pods = pods.iter().zip(["lb-vrrp", "lb-proxy"]);
        let balancer = Balancer {
            pages: Ok(Pages {
                vrrp: Some(router(if index == 0 { "active" } else { "backup" })),
                ..Pages::default()
            }),
            pods: pods
                .map(|(config, name)| BalancerPod {
                    node: facts.hostname.clone(),
                    name: name.to_owned(),
                    config_sha256: config.sha256(),
                    image_digest: DIGEST.to_owned(),
                    ready: true,
                })
                .collect(),
        };
        scene.balancers.insert(machine.address, balancer);
        scene.facts.insert(machine.address, facts);
    }
    scene
}

fn router(state: &str) -> RouterState {
    RouterState {
        state: state.to_owned(),
        since: String::new(),
        why: "why".to_owned(),
        routers: Vec::new(),
        health: RouterHealth::default(),
    }
}

impl Scene {
    fn situation(&self) -> Situation<'_> {
        Situation {
            desired: &self.desired,
            bundle: None,
            packages: None,
            lbnode: &self.lbnode,
            routed_network: true,
            facts: &self.facts,
            view: Some(&self.view),
        }
    }

    fn next(&self) -> Next {
        let situation = self.situation();
        next(&situation, &turns(&situation), &self.balancers)
    }

    /// The file has another image since.
    fn with_work(mut self) -> Self {
        self.lbnode.image.digest = "sha256:new".to_owned();
        self
    }

    fn spoil(&mut self, index: usize, state: &str) {
        let balancer = self.balancers.get_mut(&at(index)).expect("a balancer");
        balancer.pages = Ok(Pages {
            vrrp: Some(router(state)),
            ..Pages::default()
        });
    }
}

#[test]
fn a_cluster_that_is_as_its_file_says_has_no_work() {
    let scene = scene();
    let situation = scene.situation();
    assert_eq!(bring(&situation).machines, BTreeMap::new());
    assert_eq!(turns(&situation), BTreeMap::new());
    assert_eq!(scene.next(), Next::Done);
    assert_eq!(refusals(&situation, &json!({}), &BTreeMap::new()), []);
}

#[test]
fn the_image_comes_first_and_the_pods_last() {
    let scene = scene().with_work();
    let situation = scene.situation();
    let brought = bring(&situation);
    assert_eq!(brought.machines.len(), 3);
    let digest = "sha256:new".to_owned();
    assert_eq!(brought.machines[&at(0)], [Step::ImportLbnode { digest }]);
    let paths = |steps: &[Step]| {
        let titles = steps.iter().map(Step::title);
        titles.collect::<Vec<_>>()
    };
    // The settings are the same: only the pods change.
    assert_eq!(
        paths(&turns(&situation)[&at(0)]),
        [
            "write /etc/kubernetes/manifests/lb-vrrp.yaml",
            "write /etc/kubernetes/manifests/lb-proxy.yaml"
        ]
    );
}

#[test]
fn backups_come_first_lowest_priority_before_all_and_the_owner_last() {
    let mut scene = scene().with_work();
    let mut order = Vec::new();
    while let Next::Turn(address) = scene.next() {
        order.push(address);
        let machine = scene.desired.machine(address).expect("a machine").clone();
        let facts = scene.facts.get_mut(&address).expect("facts");
        for file in manifest::load_balancer_pods(&machine, "sha256:new") {
            put(facts, &file);
        }
        assert!(
            matches!(scene.next(), Next::Wait(waiting) if waiting.machines == [address]),
            "the pods are not restarted yet"
        );
        let balancer = scene.balancers.get_mut(&address).expect("a balancer");
        for pod in &mut balancer.pods {
            pod.image_digest = "sha256:new".to_owned();
        }
    }
    assert_eq!(order, [at(2), at(1), at(0)]);
    assert_eq!(scene.next(), Next::Done);
}

#[test]
fn who_is_ill_and_has_a_turn_is_first_and_who_has_none_is_waited_for() {
    let mut scene = scene().with_work();
    scene.spoil(1, "fault");
    assert_eq!(scene.next(), Next::Turn(at(1)));
    // The same without work for it.
    let machine = scene.desired.machines[1].clone();
    let facts = scene.facts.get_mut(&at(1)).expect("facts");
    for file in manifest::load_balancer_pods(&machine, "sha256:new") {
        put(facts, &file);
    }
    for pod in &mut scene.balancers.get_mut(&at(1)).expect("a balancer").pods {
        pod.image_digest = "sha256:new".to_owned();
    }
    let Next::Wait(waiting) = scene.next() else {
        panic!("{:?}", scene.next());
    };
    assert_eq!(waiting.machines, [at(1)]);
    assert_eq!(waiting.why, "m1: its router is in state fault: why");
}

#[test]
fn without_an_owner_or_with_two_nothing_is_touched() {
    for (states, words) in [
        (
            ["backup", "backup"],
            "nobody has the virtual IP 10.10.0.100",
        ),
        (
            ["active", "active"],
            "the virtual IP 10.10.0.100 has more than one owner: m0, m1",
        ),
    ] {
        let mut scene = scene().with_work();
        scene.spoil(0, states[0]);
        scene.spoil(1, states[1]);
        let Next::Wait(waiting) = scene.next() else {
            panic!("{:?}", scene.next());
        };
        assert_eq!(waiting.why, words);
    }
}

#[test]
fn without_a_majority_of_control_planes_nothing_is_touched() {
    let mut scene = scene().with_work();
    scene.view.nodes.get_mut("m1").expect("a node").ready = false;
    assert_eq!(
        scene.next(),
        Next::Turn(at(2)),
        "two of three are a majority"
    );
    scene.view.nodes.get_mut("m2").expect("a node").ready = false;
    let Next::Stop(why) = scene.next() else {
        panic!("{:?}", scene.next());
    };
    assert_eq!(
        why,
        "only 1 of 3 control planes are Ready, no majority: m1, m2 must be well first"
    );
}

#[test]
fn a_machine_that_cannot_be_asked_is_ill() {
    let mut scene = scene();
    let balancer = scene.balancers.get_mut(&at(2)).expect("a balancer");
    balancer.pages = Err("gone".to_owned());
    let Next::Wait(waiting) = scene.next() else {
        panic!("{:?}", scene.next());
    };
    assert_eq!(waiting.why, "m2: cannot be asked: gone");
    let balancer = scene.balancers.get_mut(&at(2)).expect("a balancer");
    balancer.pages = Ok(Pages::default());
    balancer.pods.pop();
    let Next::Wait(waiting) = scene.next() else {
        panic!("{:?}", scene.next());
    };
    assert_eq!(waiting.why, "m2: the API knows no pod lb-proxy of it");
}

/// What `script::read_settings` prints.
fn printed(desired: &Desired) -> String {
    let files = manifest::load_balancer_configs(&desired.machines[0]);
    let names = ["vrrp|", "proxy|"];
    let lines = files.iter().zip(names).flat_map(|(file, name)| {
        let lines = file.content.lines();
        lines.map(move |line| format!("{name}{line}\n"))
    });
    lines.collect()
}

fn with_settings(text: &str) -> Desired {
    desired(&EXAMPLE.replacen("  loadBalancer:\n", &format!("  loadBalancer:\n{text}"), 1))
}

#[test]
fn differences_are_said_key_by_key() {
    let old = NodeSettings::parse(&printed(&desired(EXAMPLE)));
    let new = with_settings(
        "    vrrp:\n      advertisementIntervalMillis: 200\n    proxy:\n      connectTimeoutMillis: 3000\n      allowedSources: [10.0.0.0/8]\n",
    );
    let wanted = new.machines[0].load_balancer.as_ref().expect("files");
    let said = differences(&old, wanted);
    assert_eq!(
        said,
        [
            "vrrp routers[0].advertisementIntervalMillis: 100 becomes 200",
            "proxy frontends[0].allowedSources: nothing becomes 10.0.0.0/8",
            "proxy timeouts.connectMillis: 2000 becomes 3000",
        ]
    );
    assert_eq!(old.strangers(wanted), Vec::<String>::new());
    let none = NodeSettings::parse("vrrp|: [\n");
    assert_eq!(
        differences(&none, wanted),
        [
            "vrrp: no settings that can be read",
            "proxy: no settings that can be read"
        ]
    );
}

#[test]
fn routers_that_would_not_hear_each_other_are_refused_while_one_runs() {
    for (text, words) in [
        ("    vrrp:\n      virtualRouterID: 77\n", "virtualRouterID"),
        ("    vrrp:\n      unicast: false\n", "unicast"),
    ] {
        let mut scene = scene();
        let settings = NodeSettings::parse(&printed(&scene.desired));
        let settings = BTreeMap::from([(at(0), settings)]);
        scene.desired = with_settings(text);
        let refused = refusals(&scene.situation(), &json!({}), &settings);
        assert_eq!(refused.len(), 1, "{refused:?}");
        assert!(refused[0].what.contains(words), "{refused:?}");
        let facts = scene.facts.get_mut(&at(0)).expect("facts");
        facts.files.remove("/etc/kubernetes/manifests/lb-vrrp.yaml");
        assert_eq!(refusals(&scene.situation(), &json!({}), &settings), []);
    }
}

#[test]
fn what_is_fixed_for_a_clusters_life_is_refused() {
    let mut scene = scene();
    scene.desired.extra_sans = vec!["api.example.org".to_owned()];
    let made = json!({
        "clusterName": "other",
        "controlPlaneEndpoint": "10.10.0.99:443",
        "networking": {"podSubnet": "10.0.0.0/16", "serviceSubnet": "10.1.0.0/16"},
        "apiServer": {"certSANs": ["10.10.0.100"]},
    });
    let refused = refusals(&scene.situation(), &made, &BTreeMap::new());
    let what: Vec<&str> = refused
        .iter()
        .map(|refused| refused.what.as_str())
        .collect();
    assert_eq!(
        what,
        [
            "`metadata.name`: the cluster has other, the file asks for lab",
            "`loadBalancer.vips.controlPlaneVIP` with `ports.controlPlaneLBPort`: the cluster has 10.10.0.99:443, the file asks for 10.10.0.100:443",
            "`clusterNetwork.pods`: the cluster has 10.0.0.0/16, the file asks for 10.244.0.0/16",
            "`clusterNetwork.services`: the cluster has 10.1.0.0/16, the file asks for 10.96.0.0/16",
            "`controlPlane.apiServerCertExtraSANs`: api.example.org is in no API server's certificate",
        ]
    );
}
