//! Who may leave.

use super::*;

#[test]
fn roles_and_lists_are_compared_with_the_cluster() {
    let mut scene = scene();
    let member = scene.facts.get_mut(&at(1)).expect("facts").member.as_mut();
    member.expect("a member").role = "worker".to_owned();
    scene.facts.get_mut(&at(2)).expect("facts").member = None;
    let stranger = NodeView {
        addresses: vec![[10, 10, 0, 50].into()],
        ..NodeView::default()
    };
    scene.view.nodes.insert("m9".to_owned(), stranger);
    let situation = scene.situation();
    let refused = refusals(&situation, &json!({}), &BTreeMap::new());
    let what: Vec<&str> = refused
        .iter()
        .map(|refused| refused.what.as_str())
        .collect();
    assert_eq!(
        what,
        ["m1 is a worker of this cluster, the file makes it a control-plane"]
    );
    let joining: Vec<IpAddr> = joiners(&scene.desired, &scene.facts)
        .map(|machine| machine.address)
        .collect();
    assert_eq!(joining, [at(2)]);
    let mut leaving = unlisted(&situation);
    let names: Vec<String> = leaving.iter().map(Leaver::name).collect();
    assert_eq!(names, ["m9"]);
    assert_eq!(replaces(&situation, &leaving), None, "a worker leaves");
    leaving[0].control_plane = true;
    assert!(replaces(&situation, &leaving).is_some());
}

pub(super) fn leaver(name: &str) -> Leaver {
    Leaver {
        address: [10, 10, 0, 99].into(),
        node: Some(name.to_owned()),
        node_ips: Vec::new(),
        control_plane: true,
        lbnode: false,
    }
}

#[test]
fn control_planes_leave_only_while_the_others_have_a_majority() {
    let mut view = ClusterView::default();
    let key = "node-role.kubernetes.io/control-plane".to_owned();
    for name in ["a", "b", "c"] {
        let node = NodeView {
            ready: true,
            labels: BTreeMap::from([(key.clone(), String::new())]),
            ..NodeView::default()
        };
        view.nodes.insert(name.to_owned(), node);
    }
    let leave = |view: &ClusterView, names: &[&str]| {
        let leavers: Vec<Leaver> = names.iter().copied().map(leaver).collect();
        breaks_quorum(&leavers, view)
    };
    assert_eq!(leave(&view, &["a"]), None);
    assert_eq!(leave(&view, &["a", "b"]), None, "one is a majority of one");
    let last = "c is the last control plane".to_owned();
    assert_eq!(leave(&view, &["a", "b", "c"]), Some(last));
    view.nodes.get_mut("a").expect("a node").ready = false;
    assert_eq!(leave(&view, &["a"]), None, "the others are a majority");
    let why = leave(&view, &["b"]).expect("two would be left, one Ready");
    assert_eq!(
        why,
        "without b only 1 of 2 control planes would be Ready, no majority"
    );
    view.nodes.get_mut("b").expect("a node").ready = false;
    let why = leave(&view, &["a"]).expect("etcd has no majority");
    assert_eq!(
        why,
        "a cannot leave etcd: only 1 of 3 control planes are Ready, no majority"
    );
}

#[test]
fn somebody_who_is_well_must_stay() {
    let mut scene = scene();
    assert_eq!(last_balancer(&scene.situation(), &scene.balancers), None);
    for index in 0..3 {
        scene.spoil(index, "fault");
    }
    let why = last_balancer(&scene.situation(), &scene.balancers).expect("all are ill");
    assert!(why.contains("m2: its router is in state fault"), "{why}");
    let nobody = last_balancer(&scene.situation(), &Balancers::new());
    assert_eq!(
        nobody.as_deref(),
        Some("no load-balancer node that is well would be left")
    );
}

#[test]
fn only_the_machine_that_is_meant_leaves() {
    let scene = scene();
    let facts = &scene.facts[&at(0)];
    assert_eq!(mistaken(&leaver("m0"), "lab", facts), None);
    assert!(mistaken(&leaver("m1"), "lab", facts).is_some());
    assert!(mistaken(&leaver("m0"), "other", facts).is_some());
    let mut by_hand = facts.clone();
    by_hand.member = None;
    assert_eq!(
        mistaken(&leaver("m0"), "lab", &by_hand),
        None,
        "it was reset"
    );
    by_hand.pki = true;
    assert_eq!(
        mistaken(&leaver("m0"), "lab", &by_hand).as_deref(),
        Some("m0 has joined the cluster without lbctl")
    );
}
