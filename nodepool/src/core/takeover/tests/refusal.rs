//! What is refused, and what is said before anything is done.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::*;

fn made(desired: &Desired) -> Value {
    json!({
        "clusterName": desired.name,
        "controlPlaneEndpoint": desired.endpoint(),
        "networking": {"podSubnet": desired.pod_cidrs[0].to_string()},
    })
}

fn refused(scene: &Scene, made: &Value) -> Vec<Refused> {
    let situation = Situation {
        desired: &scene.desired,
        bundle: None,
        packages: None,
        lbnode: &scene.lbnode,
        routed_network: false,
        facts: &scene.facts,
        view: Some(&scene.view),
    };
    refusals(&situation, &scene.view, made)
}

#[test]
fn what_can_be_taken_over_is_not_refused() {
    for scene in [
        scene(EXAMPLE),
        scene(&shared()),
        Scene::keepalived(EXAMPLE, 2),
        Scene::kube_vip(0),
    ] {
        assert_eq!(refused(&scene, &made(&scene.desired)), []);
    }
}

/// One thing is not as it must be, and that is said with a hint.
#[test]
fn each_thing_that_must_hold_is_refused_by_itself() {
    type Spoil = fn(&mut Scene, &mut Value);
    let cases: [(Spoil, &str, &str); 20] = [
        (
            |_, made| *made = Value::Null,
            "no ConfigMap kube-system/kubeadm-config",
            "kubeadm",
        ),
        (
            |scene, _| scene.desired.external = true,
            "`loadBalancer.mode: manual`",
            "mode: bundled",
        ),
        (
            |_, made| made["clusterName"] = json!("kubernetes"),
            "the cluster is called kubernetes",
            "name: kubernetes",
        ),
        (
            |_, made| made["networking"]["podSubnet"] = json!("10.1.0.0/16"),
            "the cluster has 10.1.0.0/16",
            "write 10.1.0.0/16",
        ),
        (
            |_, made| made["controlPlaneEndpoint"] = json!("10.10.0.100:6443"),
            "the nodes reach the API at 10.10.0.100:6443",
            "controlPlaneLBPort: 6443",
        ),
        (
            |_, made| made["controlPlaneEndpoint"] = json!("api.example.com:443"),
            "certificates do not carry the virtual IP",
            "certSANs",
        ),
        (
            |_, made| made["controlPlaneEndpoint"] = json!("10.10.0.11:6443"),
            "certificates do not carry the virtual IP",
            "certSANs",
        ),
        (
            |_, made| {
                made["controlPlaneEndpoint"] = json!("10.10.0.99:443");
                made["apiServer"] = json!({"certSANs": ["10.10.0.100"]});
            },
            "the nodes reach the API at 10.10.0.99:443",
            "controlPlaneVIP: 10.10.0.99",
        ),
        (
            |scene, _| {
                facts(scene, 1).api_names.insert("kubernetes".to_owned());
            },
            "certificates do not carry the virtual IP",
            "kubeadm init phase certs",
        ),
        (
            |scene, _| facts(scene, 0).api_server = None,
            "m0 has no /etc/kubernetes/manifests/kube-apiserver.yaml",
            "static pods",
        ),
        (
            |scene, _| {
                facts(scene, 0).api_server = Some(ApiServer {
                    port: 6443,
                    address: None,
                });
            },
            "the API server of m0 listens on 6443, the file has 6444",
            "apiServerPort: 6443",
        ),
        (
            |scene, _| {
                facts(scene, 0).api_server = Some(ApiServer {
                    port: 6444,
                    address: Some([127, 0, 0, 1].into()),
                });
            },
            "listens on 127.0.0.1 alone",
            "10.10.0.11",
        ),
        (
            |scene, _| drop(scene.view.nodes.remove("m2")),
            "m2 (10.10.0.13) is no node of the cluster",
            "take it out",
        ),
        (
            |scene, _| scene.desired.machines.truncate(2),
            "the node m2 is not in the file",
            "removes nodes",
        ),
        (
            |scene, _| {
                scene
                    .view
                    .nodes
                    .get_mut("m1")
                    .expect("a node")
                    .labels
                    .clear();
            },
            "m1 is no control plane of the cluster",
            "NodePool",
        ),
        (
            |scene, _| {
                scene.view.nodes.get_mut("m1").expect("a node").addresses =
                    vec![[10, 20, 0, 1].into(), at(1)];
                scene.desired.machines[1].node_ip = [10, 30, 0, 1].into();
            },
            "m1 has the address 10.20.0.1, 10.10.0.12 in the cluster",
            "k8sIP",
        ),
        (
            |scene, _| {
                facts(scene, 1).member = Some(Membership {
                    cluster: "x".to_owned(),
                    role: "worker".to_owned(),
                });
            },
            "m1 belongs to the cluster `x`",
            "take it out",
        ),
        (
            |scene, _| scene.desired.machines[0].maintenance = true,
            "m0 is in maintenance",
            "maintenanceBlocks",
        ),
        (
            |scene, _| scene.give(1),
            "m1 has the virtual IP, and nothing known keeps it there",
            "keepalived",
        ),
        (
            |scene, _| facts(scene, 1).others = vec![unit(OtherProgram::Keepalived)],
            "no machine of the file has the virtual IP",
            "become well",
        ),
    ];
    for (spoil, what, hint) in cases {
        let mut scene = scene(EXAMPLE);
        let mut made = made(&scene.desired);
        spoil(&mut scene, &mut made);
        let all = refused(&scene, &made);
        assert_eq!(all.len(), 1, "{what}: {all:#?}");
        assert!(all[0].what.contains(what), "{what}: {all:#?}");
        assert!(all[0].hint.contains(hint), "{hint}: {all:#?}");
    }
}

fn facts(scene: &mut Scene, index: usize) -> &mut Facts {
    scene.facts.get_mut(&at(index)).expect("a machine")
}

#[test]
fn whoever_serves_something_else_too_is_not_stopped() {
    type Spoil = fn(&mut OtherBalancer, u8);
    let cases: [(Spoil, &str); 3] = [
        (
            |other, _| {
                other.addresses.insert([10, 10, 0, 99].into());
            },
            "keeps 10.10.0.99 as well",
        ),
        (
            |other, _| other.services = true,
            "answers for addresses of Services as well",
        ),
        (
            |other, own| other.virtual_router_id = Some(own),
            "that ours would have",
        ),
    ];
    for (spoil, what) in cases {
        let mut scene = Scene::keepalived(EXAMPLE, 0);
        let files = scene.desired.machines[0].load_balancer.as_ref();
        let own = files.expect("a load balancer").vrrp.routers[0].virtual_router_id;
        spoil(&mut facts(&mut scene, 1).others[1], own);
        let all = refused(&scene, &made(&scene.desired));
        assert_eq!(all.len(), 1, "{what}: {all:#?}");
        assert!(all[0].what.contains(what), "{what}: {all:#?}");
    }
    let mut scene = Scene::keepalived(EXAMPLE, 0);
    scene.give(1);
    let all = refused(&scene, &made(&scene.desired));
    assert!(
        all[0]
            .what
            .contains("m0 and m1 have the virtual IP at the same time")
    );
}

#[test]
fn an_endpoint_by_name_is_fine_when_the_certificates_carry_the_virtual_ip() {
    let scene = scene(EXAMPLE);
    let mut made = made(&scene.desired);
    for endpoint in ["api.example.com:443", "10.10.0.11:6444", ""] {
        made["controlPlaneEndpoint"] = json!(endpoint);
        made["apiServer"] = json!({"certSANs": ["10.10.0.100"]});
        assert_eq!(refused(&scene, &made), [], "{endpoint}");
    }
}

#[test]
fn others_that_serve_something_else_are_left_alone() {
    let mut scene = scene(EXAMPLE);
    scene.note();
    let facts = facts(&mut scene, 0);
    let mut keepalived = unit(OtherProgram::Keepalived);
    keepalived.addresses = BTreeSet::from([[10, 10, 0, 99].into()]);
    facts.others = vec![keepalived, unit(OtherProgram::Haproxy)];
    facts.listeners.push(Listener {
        address: None,
        port: 8080,
        process: Some(("haproxy".to_owned(), 7)),
    });
    assert_eq!(scene.next(), Next::Done);
}

#[test]
fn it_is_said_what_stops_where_and_what_ends_with_it() {
    let mut scene = Scene::keepalived(EXAMPLE, 1);
    let facts = facts(&mut scene, 1);
    facts.listeners.push(Listener {
        address: None,
        port: 8404,
        process: Some(("haproxy".to_owned(), 7)),
    });
    let empty = Stage::empty(StageName::Adopt);
    let lines = scene.with(|situation| outline(situation, &empty));
    let has = |line: &str| assert!(lines.iter().any(|one| one == line), "{lines:#?}");
    has("stop keepalived (unit keepalived) on m0");
    has("stop keepalived (unit keepalived) on m1, last: the virtual IP moves to one of ours");
    has("warning: haproxy of m1 serves port 8404 as well: that ends");
    has("what is stopped is kept in /var/backups/lbctl-takeover on each machine");
    let scene = Scene::kube_vip(0);
    let lines = scene.with(|situation| outline(situation, &empty));
    let restarts = lines
        .iter()
        .filter(|line| line.starts_with("restart the API server"));
    assert_eq!(restarts.count(), 3, "{lines:#?}");
}

#[test]
fn machines_are_noted_once() {
    let scene = scene(EXAMPLE);
    let stage = adopt(&scene.desired, &scene.facts);
    assert_eq!(stage.machines.len(), 3);
    assert_eq!(
        titles(&stage.machines[&at(0)]),
        [format!(
            "note that it is a control-plane of {}",
            scene.desired.name
        )]
    );
    let reached: BTreeMap<IpAddr, Reach> = scene
        .facts
        .iter()
        .map(|(address, facts)| (*address, Reach::Up(Box::new(facts.clone()))))
        .collect();
    for reach in adopted(&scene.desired, &reached, &scene.view).into_values() {
        let Reach::Up(facts) = reach else {
            panic!("it is up");
        };
        assert!(facts.ledger && facts.is_member_of(&scene.desired.name));
    }
    let mut noted = scene;
    noted.note();
    assert!(adopt(&noted.desired, &noted.facts).machines.is_empty());
}

#[test]
fn that_somebody_has_the_virtual_ip_is_why_it_is_taken_over() {
    let finding = |check| Finding {
        severity: Severity::Fail,
        address: Some(at(0)),
        node: None,
        check,
        cause: String::new(),
        fix: String::new(),
    };
    let alone = scene(EXAMPLE);
    let other = Scene::keepalived(EXAMPLE, 0);
    for (check, without, with) in [
        (Check::VipFree, true, false),
        (Check::VirtualRouters, true, false),
        (Check::Swap, false, false),
        (Check::Firewall, true, true),
        (Check::Ports, true, true),
    ] {
        let finding = finding(check);
        let matters = |scene: &Scene| concerns(&scene.desired, &scene.facts, &finding);
        assert_eq!(
            (matters(&alone), matters(&other)),
            (without, with),
            "{check:?}"
        );
    }
}
