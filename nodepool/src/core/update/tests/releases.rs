//! Two releases meet: which takes the place of which, who hears whom, whose files are understood.

use super::*;
use crate::core::plan::Plan;
use crate::core::status::Hearing;

fn settings(scene: &Scene, lbnode: &str) -> BTreeMap<IpAddr, NodeSettings> {
    let text = format!("{}lbnode|{lbnode}\n", printed(&scene.desired));
    let settings = NodeSettings::parse(&text);
    scene
        .facts
        .keys()
        .map(|address| (*address, settings.clone()))
        .collect()
}

#[test]
fn the_versions_of_before_and_after_are_said() {
    let mut scene = scene().with_work();
    scene.lbnode.version = Some("0.2.0 (commit bbb)".to_owned());
    let mut known = settings(
        &scene,
        "lbnode 0.1.0 (commit aaa, x86_64-unknown-linux-gnu)",
    );
    known.insert(at(2), NodeSettings::default());
    let said = |scene: &Scene, known: &BTreeMap<_, _>| {
        let situation = scene.situation();
        let (bring, turns) = (bring(&situation), turns(&situation));
        outline(&situation, &bring, &turns, known, &Plan::default())
    };
    let lines = said(&scene, &known);
    assert_eq!(
        lines[..4],
        [
            "bring lbnode and its image to m0, m1, m2",
            "  lbnode 0.1.0 (commit aaa) -> 0.2.0 (commit bbb) (m0, m1)",
            "  lbnode none -> 0.2.0 (commit bbb) (m2)",
            "restart the API load balancer, one node at a time, on m0, m1, m2",
        ]
    );
    scene.lbnode.version = Some("0.1.0 (commit aaa)".to_owned());
    let lines = said(&scene, &known);
    assert_eq!(
        lines[1],
        "  lbnode 0.1.0 (commit aaa): another build of it (m0, m1)"
    );
}

#[test]
fn who_was_restarted_must_hear_the_owner_before_the_next() {
    let mut scene = scene().with_work();
    let address = at(2);
    assert_eq!(scene.next(), Next::Turn(address));
    let machine = scene.desired.machine(address).expect("a machine").clone();
    let facts = scene.facts.get_mut(&address).expect("facts");
    for file in manifest::load_balancer_pods(&machine, "sha256:new") {
        put(facts, &file);
    }
    let mut hears = |peer: Option<IpAddr>| {
        let balancer = scene.balancers.get_mut(&address).expect("a balancer");
        for pod in &mut balancer.pods {
            pod.image_digest = "sha256:new".to_owned();
        }
        let mut router = router("backup");
        router.routers = vec![Hearing {
            active_peer: peer,
            ..Hearing::default()
        }];
        balancer.pages = Ok(Pages {
            vrrp: Some(router),
            ..Pages::default()
        });
        scene.next()
    };
    let waiting = Waiting {
        machines: vec![address],
        why: "m2: its router is a backup and hears no owner of the virtual IP".to_owned(),
    };
    assert_eq!(hears(None), Next::Wait(waiting));
    assert_eq!(hears(Some(at(0))), Next::Turn(at(1)));
}

#[test]
fn a_page_says_whom_its_routers_hear() {
    let page = |peer: &str| {
        let text =
            format!(r#"vrrp {{"state":"backup","routers":[{{"name":"a","activePeer":{peer}}}]}}"#);
        Pages::parse(&text).vrrp.expect("a page")
    };
    assert!(page("null").hears_nobody());
    assert!(!page(r#""10.10.0.11""#).hears_nobody());
}

#[test]
fn a_file_with_keys_of_a_newer_release_is_understood() {
    let scene = scene();
    let text = printed(&scene.desired)
        .replace("vrrp|kind:", "vrrp|quantum: 1\nvrrp|kind:")
        .replace("vrrp|  priority:", "vrrp|  colour: red\nvrrp|  priority:");
    assert!(
        text.contains("quantum") && text.contains("colour"),
        "{text}"
    );
    let newer = NodeSettings::parse(&text);
    let wanted = scene.desired.machines[0]
        .load_balancer
        .as_ref()
        .expect("files");
    assert_eq!(newer.strangers(wanted), Vec::<String>::new());
    assert_eq!(
        differences(&newer, wanted),
        [
            "vrrp quantum: 1 becomes nothing",
            "vrrp routers[0].colour: red becomes nothing"
        ]
    );
    let known = BTreeMap::from([(at(0), newer)]);
    assert_eq!(refusals(&scene.situation(), &json!({}), &known), []);
}

#[test]
fn a_file_of_another_release_is_refused_with_both_versions_in_reach() {
    let scene = scene();
    let text = printed(&scene.desired).replace("bundledlb.io/v1", "bundledlb.io/v2");
    let known = BTreeMap::from([(at(0), NodeSettings::parse(&text))]);
    let refused = refusals(&scene.situation(), &json!({}), &known);
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert_eq!(
        refused[0].what,
        "m0 (10.10.0.11): its /etc/lbnode/vrrp.yaml is of another release (`apiVersion: lbnode.bundledlb.io/v2`): whether the routers of this one would hear it is not known"
    );
}
