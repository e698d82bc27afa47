//! The picture of a cluster in which somebody works on a node.

use super::*;
use crate::core::cluster_view::NodeView;
use crate::core::from_config;

const EXAMPLE: &str = include_str!("../../../../examples/three-control-planes.yaml");

fn desired() -> Desired {
    let loaded = cluster_config::load(EXAMPLE, "x");
    from_config::desired(&loaded.cluster.expect("the file is valid"))
}

/// Nodes by the last part of their address; the second one in maintenance as given.
fn view(desired: &Desired, maintenance: Option<Maintenance>) -> ClusterView {
    let mut view = ClusterView::default();
    for (index, machine) in desired.machines.iter().enumerate() {
        let node = NodeView {
            ready: index != 1,
            since: Some("2026-01-01T00:00:00Z".to_owned()),
            addresses: vec![machine.node_ip],
            maintenance: maintenance.clone().filter(|_| index == 1),
            ..NodeView::default()
        };
        view.nodes.insert(format!("m{index}"), node);
    }
    view
}

fn pages(name: &str, router: &str) -> Pages {
    Pages::parse(&format!("hostname {name}\nvrrp {router}\n"))
}

const ACTIVE: &str = r#"{"state":"active","since":"s","why":"w"}"#;
const BACKUP: &str = r#"{"state":"backup"}"#;

#[test]
fn a_node_in_maintenance_is_shown_with_its_time_and_is_no_problem() {
    let desired = desired();
    let noted = Maintenance {
        since: "2026-02-03T04:05:06Z".to_owned(),
        drained: true,
    };
    let view = view(&desired, Some(noted.clone()));
    let last = |machine: &Machine| desired.machines.iter().position(|one| one == machine);
    for off in [false, true] {
        let picture = picture(&desired, Ok(&view), |machine| match last(machine) {
            Some(0) => Ok(pages("m0", ACTIVE)),
            Some(1) if off => Err("no route to host".to_owned()),
            Some(1) => Ok(pages("m1", "unreachable")),
            _ => Ok(pages("m2", BACKUP)),
        });
        assert_eq!(picture.problems(), Vec::<String>::new(), "off: {off}");
        let node = &picture.nodes[1];
        assert_eq!(node.node.as_deref(), Some("m1"), "known by its address");
        assert_eq!(node.maintenance, Some(noted.clone()));
        assert!(!node.is_missed());
        let router = node.vrrp.as_ref();
        let words = router.map(|router| (router.state.as_str(), router.since.as_str()));
        let stopped = ("stopped", "2026-02-03T04:05:06Z");
        assert_eq!(words, (!off).then_some(stopped));
        let json = serde_json::to_value(node).expect("JSON");
        assert_eq!(
            json["maintenance"],
            serde_json::json!({"since": "2026-02-03T04:05:06Z", "drained": true})
        );
    }
}

#[test]
fn a_node_that_is_not_emptied_yet_is_missed() {
    let desired = desired();
    let noted = Maintenance {
        since: "2026-02-03T04:05:06Z".to_owned(),
        drained: false,
    };
    let view = view(&desired, Some(noted));
    let picture = picture(&desired, Ok(&view), |machine| {
        if *machine == desired.machines[1] {
            Err("no route to host".to_owned())
        } else {
            Ok(pages("m0", ACTIVE))
        }
    });
    assert!(picture.nodes[1].is_missed());
    let problems = picture.problems().join("\n");
    assert!(problems.contains("m1: no route to host"), "{problems}");
    assert!(problems.contains("m1 is not Ready"), "{problems}");
    assert_eq!(
        picture.nodes[0].ready_since.as_deref(),
        Some("2026-01-01T00:00:00Z")
    );
}
