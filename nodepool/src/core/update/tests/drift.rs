//! What an update would change, without one.

use super::*;

/// What was read of the machines of a scene.
fn inspected(scene: &Scene, lbnode: Option<&Lbnode>) -> Inspected {
    Inspected::new(scene.facts.clone(), lbnode)
}

fn lines(scene: &Scene) -> Drift {
    let inspected = inspected(scene, Some(&scene.lbnode));
    inspected.drift(&scene.desired, Some(&scene.view))
}

#[test]
fn a_cluster_that_is_as_its_file_says_does_not_differ() {
    let mut scene = scene();
    for node in scene.view.nodes.values_mut() {
        label(node);
    }
    let drift = lines(&scene);
    assert!(drift.is_empty(), "{drift:?}");
    assert_eq!(drift.machines.len(), 3);
}

fn label(node: &mut NodeView) {
    let key = crate::core::desired::LBNODE_LABEL.to_owned();
    node.labels.insert(key, "true".to_owned());
}

#[test]
fn an_edited_node_is_said_key_by_key_where_that_is_known() {
    let mut scene = scene();
    let machine = scene.desired.machines[1].clone();
    let edited = |content: String| NodeFile::public(manifest::VRRP_CONFIG, content);
    let right = manifest::load_balancer_configs(&machine)[0].content.clone();
    let other = right.replace("priority: 160", "priority: 200");
    assert_ne!(right, other);
    put(
        scene.facts.get_mut(&at(1)).expect("facts"),
        &edited(other.clone()),
    );
    let mut inspected = inspected(&scene, Some(&scene.lbnode));
    let of = |inspected: &Inspected| {
        let drift = inspected.drift(&scene.desired, None);
        assert!(drift.machines[&at(0)].is_empty(), "{drift:?}");
        drift.machines[&at(1)].join("\n")
    };
    let title = "write /etc/lbnode/vrrp.yaml";
    assert_eq!(of(&inspected), format!("{title}: its content differs"));
    for (content, words) in [
        (&other, "vrrp routers[0].priority: 200 becomes 160"),
        (&right, "the same settings in other words"),
    ] {
        let text: String = content
            .lines()
            .map(|line| format!("vrrp|{line}\n"))
            .collect();
        let settings = NodeSettings::parse(&text);
        inspected.settings.insert(at(1), settings);
        assert_eq!(of(&inspected), format!("{title}: {words}"));
    }
}

#[test]
fn a_file_that_is_gone_or_hidden_is_said_to_be_so() {
    let mut scene = scene();
    let facts = scene.facts.get_mut(&at(0)).expect("facts");
    facts.files.remove(manifest::PROXY_CONFIG);
    let file = facts.files.get_mut(manifest::VRRP_CONFIG).expect("a file");
    file.mode = "600".to_owned();
    let drift = inspected(&scene, Some(&scene.lbnode)).drift(&scene.desired, None);
    assert_eq!(
        drift.machines[&at(0)],
        [
            "write /etc/lbnode/vrrp.yaml: its mode is 600, not 644",
            "write /etc/lbnode/proxy.yaml: it is missing",
        ]
    );
}

#[test]
fn without_a_program_to_compare_with_the_odd_one_out_differs() {
    let mut scene = scene();
    scene.lbnode.image.digest = "sha256:newer".to_owned();
    let with = inspected(&scene, Some(&scene.lbnode)).drift(&scene.desired, None);
    assert!(
        with.machines.values().all(|lines| !lines.is_empty()),
        "{with:?}"
    );
    let without = |scene: &Scene| inspected(scene, None).drift(&scene.desired, None);
    assert!(without(&scene).is_empty());
    let facts = scene.facts.get_mut(&at(2)).expect("facts");
    let program = facts.files.get_mut(lbnode::INSTALLED).expect("a program");
    program.sha256 = "other".to_owned();
    let drift = without(&scene);
    assert_eq!(drift.machines[&at(2)], ["copy /usr/local/bin/lbnode"]);
    assert!(drift.machines[&at(0)].is_empty(), "{drift:?}");
}

/// The static pods of every node in other words, under another image's name.
fn of_another_release(scene: &mut Scene) {
    for machine in &scene.desired.machines {
        let facts = scene.facts.get_mut(&machine.address).expect("facts");
        facts.images.clear();
        let name = format!("{}0.0.9", lbnode::REPOSITORY);
        facts.images.insert(name, DIGEST.to_owned());
        for file in manifest::load_balancer_pods(machine, DIGEST) {
            let older = format!("{}# of an older release\n", file.content);
            put(facts, &NodeFile::private(file.path, older));
        }
    }
}

#[test]
fn without_a_program_to_compare_with_another_release_is_no_drift_and_an_edit_is() {
    let mut scene = scene();
    for node in scene.view.nodes.values_mut() {
        label(node);
    }
    let right = scene.facts[&at(0)].clone();
    of_another_release(&mut scene);
    let without = |scene: &Scene| inspected(scene, None).drift(&scene.desired, Some(&scene.view));
    let drift = without(&scene);
    assert!(drift.is_empty() && drift.other_release, "{drift:?}");
    let with = lines(&scene);
    let mut all = with.machines.values();
    assert!(all.all(|lines| lines.len() == 3), "{with:?}");
    assert!(!with.other_release);

    let facts = scene.facts.get_mut(&at(2)).expect("facts");
    let program = facts.files.get_mut(lbnode::INSTALLED).expect("a program");
    program.sha256 = "other".to_owned();
    let machine = scene.desired.machines[1].clone();
    let settings = manifest::load_balancer_configs(&machine)[0].content.clone();
    let settings = settings.replace("priority: 160", "priority: 200");
    let edited = NodeFile::public(manifest::VRRP_CONFIG, settings.clone());
    put(scene.facts.get_mut(&at(1)).expect("facts"), &edited);
    let mut inspected = inspected(&scene, None);
    let printed = settings.lines().map(|line| format!("vrrp|{line}\n"));
    let settings = NodeSettings::parse(&printed.collect::<String>());
    inspected.settings.insert(at(1), settings);
    let drift = inspected.drift(&scene.desired, Some(&scene.view));
    assert_eq!(drift.machines[&at(2)], ["copy /usr/local/bin/lbnode"]);
    assert_eq!(
        drift.machines[&at(1)][0],
        "write /etc/lbnode/vrrp.yaml: vrrp routers[0].priority: 200 becomes 160"
    );
    assert!(drift.machines[&at(0)].is_empty(), "{drift:?}");

    // A node alone, and one of several, of this release.
    let pods = [0, 1].map(|node| {
        let pods = manifest::load_balancer_pods(&scene.desired.machines[node], DIGEST);
        NodeFile::private(pods[0].path.clone(), "by hand\n")
    });
    let mut alone = scene;
    alone.facts = BTreeMap::from([(at(0), right)]);
    alone.desired.machines.truncate(1);
    put(alone.facts.get_mut(&at(0)).expect("facts"), &pods[0]);
    let drift = without(&alone);
    assert_eq!(drift.machines[&at(0)].len(), 1, "{drift:?}");
    let mut several = super::scene();
    for node in several.view.nodes.values_mut() {
        label(node);
    }
    put(several.facts.get_mut(&at(1)).expect("facts"), &pods[1]);
    let drift = without(&several);
    assert_eq!(
        drift.machines[&at(1)],
        ["write /etc/kubernetes/manifests/lb-vrrp.yaml: its content differs"]
    );
    assert!(!drift.other_release);
}

#[test]
fn who_is_to_join_to_leave_or_to_come_back_is_named() {
    let mut scene = scene();
    for node in scene.view.nodes.values_mut() {
        label(node);
    }
    scene.facts.get_mut(&at(2)).expect("facts").member = None;
    scene.view.nodes.remove("m2");
    let stranger = NodeView {
        addresses: vec![[10, 10, 0, 50].into()],
        ..NodeView::default()
    };
    scene.view.nodes.insert("m9".to_owned(), stranger);
    let node = scene.view.nodes.get_mut("m1").expect("a node");
    node.labels.clear();
    node.maintenance = Some(crate::core::cluster_view::Maintenance {
        since: "2026-02-03T04:05:06Z".to_owned(),
        drained: true,
    });
    let drift = lines(&scene);
    assert_eq!(drift.machines[&at(0)], Vec::<String>::new());
    assert_eq!(
        drift.machines[&at(1)],
        [
            "set label baremetal.cluster.gke.io/lbnode=true",
            "take it into service again; in maintenance since 2026-02-03T04:05:06Z",
        ]
    );
    assert_eq!(
        drift.machines[&at(2)],
        ["join the cluster as control-plane"]
    );
    let gone = "remove the node m9: the file does not have it";
    assert_eq!(drift.cluster, [gone]);
}

#[test]
fn who_carries_service_addresses_no_more_is_to_hand_them_over() {
    let mut scene = scene();
    for node in scene.view.nodes.values_mut() {
        label(node);
    }
    scene.desired.machines[2].lbnode = false;
    scene.desired.machines[2].labels.clear();
    let drift = lines(&scene);
    assert_eq!(
        drift.machines[&at(2)],
        ["hand its Service addresses over"],
        "{drift:?}"
    );
    assert_eq!(drift.cluster, Vec::<String>::new());
}

#[test]
fn a_machine_that_does_not_answer_has_no_drift_that_is_known() {
    let mut scene = scene();
    scene.facts.remove(&at(1));
    let drift = inspected(&scene, None).drift(&scene.desired, Some(&scene.view));
    assert!(!drift.machines.contains_key(&at(1)), "{drift:?}");
    assert_eq!(drift.cluster, Vec::<String>::new());
}
