//! What people see of a check.

use super::*;
use crate::core::from_config;
use crate::core::status::{self, NodeState, Pages};

fn picture() -> Picture {
    let text = include_str!("../../../../examples/three-control-planes.yaml");
    let loaded = cluster_config::load(text, "x");
    let desired = from_config::desired(&loaded.cluster.expect("the file is valid"));
    status::picture(&desired, Err("gone".to_owned()), |_| Ok(Pages::default()))
}

fn row(check: Check, node: Option<&NodeState>, result: Verdict) -> Row {
    Row {
        check,
        node: node.and_then(|node| node.node.clone()),
        address: node.map(|node| node.address),
        result,
        since: Some("2026-01-01T00:00:00Z".to_owned()),
        detail: "words".to_owned(),
        hint: (result != Verdict::Pass).then(|| "do it".to_owned()),
    }
}

#[test]
fn the_cluster_comes_first_then_the_nodes_then_what_to_do() {
    let mut picture = picture();
    for (node, name) in picture.nodes.iter_mut().zip(["cp1", "cp2", "cp3"]) {
        node.node = Some(name.to_owned());
    }
    let rows = vec![
        row(Check::Api, None, Verdict::Pass),
        row(Check::Ssh, picture.nodes.first(), Verdict::Pass),
        row(Check::Drift, picture.nodes.get(1), Verdict::Fail),
    ];
    let checked = Checked {
        picture,
        rows,
        judgement: Judgement::Differs,
    };
    assert_eq!(
        text(&checked),
        "CHECK   CLUSTER\n\
         api     PASS\n\
         RESULT  PASS\n\
         \n\
         CHECK   cp1   cp2   cp3\n\
         ssh     PASS  -     -\n\
         drift   -     FAIL  -\n\
         RESULT  PASS  FAIL  PASS\n\
         \n\
         FAIL: cp2: words (since 2026-01-01T00:00:00Z) [drift]\n  hint: do it\n\
         cluster lab serves, and is not as its file says\n"
    );
}

#[test]
fn of_many_machines_only_those_are_shown_that_need_a_look() {
    let mut picture = picture();
    let node = picture.nodes.first().cloned().expect("a node");
    picture.nodes = (1..=20u8)
        .map(|last| NodeState {
            address: [10, 10, 0, last].into(),
            node: Some(format!("w{last}")),
            ..node.clone()
        })
        .collect();
    let rows = vec![row(Check::Ssh, picture.nodes.get(6), Verdict::Fail)];
    let checked = Checked {
        picture,
        rows,
        judgement: Judgement::Partial,
    };
    let text = text(&checked);
    assert!(text.contains("CHECK   w7\n"), "{text}");
    assert!(text.contains("19 machines passed every check"), "{text}");
}
