//! Who would be a second owner: routers that nobody hears, nodes under other addresses and names.

use super::removal::leaver;
use super::*;

fn running(scene: &Scene) -> BTreeMap<IpAddr, NodeSettings> {
    let settings = NodeSettings::parse(&printed(&scene.desired));
    BTreeMap::from([(at(0), settings)])
}

#[test]
fn a_router_whose_settings_cannot_be_read_is_not_replaced() {
    let mut scene = scene();
    let unread = BTreeMap::from([(at(0), NodeSettings::default())]);
    let refused = refusals(&scene.situation(), &json!({}), &unread);
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert!(
        refused[0]
            .what
            .starts_with("m0 (10.10.0.11): its router runs")
    );
    let facts = scene.facts.get_mut(&at(0)).expect("facts");
    facts.files.remove("/etc/kubernetes/manifests/lb-vrrp.yaml");
    assert_eq!(refusals(&scene.situation(), &json!({}), &unread), []);
}

#[test]
fn a_node_keeps_its_address() {
    let mut scene = scene();
    let settings = running(&scene);
    let machine = &mut scene.desired.machines[0];
    machine.node_ip = [10, 20, 0, 11].into();
    let files = machine.load_balancer.as_mut().expect("files");
    files.vrrp.routers[0].source_address = machine.node_ip;
    let refused = refusals(&scene.situation(), &json!({}), &settings);
    let what: Vec<&str> = refused.iter().map(|one| one.what.as_str()).collect();
    assert_eq!(
        what,
        [
            "m0 has the address 10.10.0.11 in the cluster, the file says 10.20.0.11",
            "the address of the node in the cluster (`k8sIP`): 10.10.0.11 becomes 10.20.0.11",
        ]
    );
}

#[test]
fn peers_that_nobody_speaks_of_are_not_forgotten() {
    let mut scene = scene();
    let settings = running(&scene);
    assert_eq!(forgotten(&scene.situation(), &settings, &[]), []);
    let gone = scene.desired.machines.pop().expect("a machine");
    let refused = forgotten(&scene.situation(), &settings, &[]);
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert!(
        refused[0].what.contains("the peer 10.10.0.13"),
        "{refused:?}"
    );
    let mut leaver = leaver("m2");
    leaver.node_ips = vec![gone.node_ip];
    assert_eq!(forgotten(&scene.situation(), &settings, &[leaver]), []);
}

#[test]
fn a_control_plane_that_left_the_file_is_not_forgotten_by_the_way() {
    let mut scene = scene();
    assert_eq!(would_forget(&scene.situation()), []);
    scene.desired.machines.pop();
    scene.facts.remove(&at(2));
    assert_eq!(would_forget(&scene.situation()), [], "a worker");
    let key = "node-role.kubernetes.io/control-plane".to_owned();
    let node = scene.view.nodes.get_mut("m2").expect("a node");
    node.labels.insert(key, String::new());
    let refused = would_forget(&scene.situation());
    assert!(refused[0].what.starts_with("the control plane m2 is not"));
}

#[test]
fn a_new_machine_does_not_hide_the_node_whose_name_it_has() {
    let mut scene = scene();
    let node = scene.view.nodes.get_mut("m2").expect("a node");
    node.addresses = vec![[10, 10, 0, 50].into()];
    assert_eq!(unlisted(&scene.situation()), [], "it is that node");
    scene.facts.get_mut(&at(2)).expect("facts").member = None;
    let leavers = unlisted(&scene.situation());
    assert_eq!(leavers[0].node.as_deref(), Some("m2"));
    let refused = replaces(&scene.situation(), &leavers).expect("one name, two machines");
    assert!(refused.what.contains("under the name"), "{refused:?}");
}

#[test]
fn who_is_ready_is_not_dead() {
    let mut scene = scene();
    assert!(lives(&leaver("m1"), &scene.view).is_some());
    scene.view.nodes.get_mut("m1").expect("a node").ready = false;
    assert_eq!(lives(&leaver("m1"), &scene.view), None);
}
