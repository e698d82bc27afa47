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

#[test]
fn a_speaker_s_page_is_known_without_the_api() {
    let desired = desired();
    let picture = picture(&desired, Err("timed out".to_owned()), |_| {
        let text = r#"speaker {"phase":"Serving","count":2,"addresses":[],"silent":["m9"],"version":"0.1.0"}"#;
        Ok(Pages::parse(text))
    });
    let json = serde_json::to_value(&picture.nodes[0]).expect("JSON");
    let expected = serde_json::json!({"phase": "Serving", "addresses": 2, "silent": ["m9"]});
    assert_eq!(json["speaker"], expected);
    assert_eq!(Pages::parse("speaker unreachable").speaker, None);
}

#[test]
fn versions_are_counted_and_a_mixture_is_a_problem() {
    let desired = desired();
    let mut view = view(&desired, None);
    for node in view.nodes.values_mut() {
        node.ready = true;
        node.version = "v1.36.3".to_owned();
        node.runtime = Some("containerd://1.7.24".to_owned());
    }
    let shown = |view: &ClusterView| {
        picture(&desired, Ok(view), |machine| {
            let mut machines = desired.machines.iter();
            let at = machines.position(|one| one == machine);
            let at = at.expect("a machine of the file");
            Ok(pages(
                &format!("m{at}"),
                if at == 0 { ACTIVE } else { BACKUP },
            ))
        })
    };
    let alike = shown(&view);
    let names: Vec<_> = alike.versions.iter().map(|one| one.component).collect();
    assert_eq!(names, ["kubelet", "containerd"]);
    assert_eq!(alike.versions[1].versions[0].version, "1.7.24");
    view.nodes.get_mut("m2").expect("a node").version = "v1.35.0".to_owned();
    let mixed = shown(&view);
    assert!(mixed.versions[0].mixed && !mixed.versions[1].mixed);
    let problems = mixed.problems();
    assert_eq!(problems.len(), 1, "{problems:?}");
    let words = "kubelet is not the same everywhere: v1.35.0 on m2; v1.36.3 on m0, m1";
    assert!(problems[0].starts_with(words), "{problems:?}");
}

#[test]
fn the_images_of_a_node_s_pods_are_named_once() {
    let desired = desired();
    let view = view(&desired, None);
    let mut picture = picture(&desired, Ok(&view), |_| Ok(pages("m0", ACTIVE)));
    let pod = |name: &str, digest: &str| BalancerPod {
        node: "m0".to_owned(),
        name: name.to_owned(),
        image_digest: digest.to_owned(),
        ..BalancerPod::default()
    };
    let mut pods = vec![pod("lb-vrrp", "sha256:a"), pod("lb-proxy", "sha256:a")];
    picture.add_objects(&Objects::default(), &pods);
    assert_eq!(picture.nodes[0].images, ["sha256:a"]);
    pods.push(pod("lb-vrrp", "sha256:b"));
    picture.add_objects(&Objects::default(), &pods);
    assert_eq!(picture.nodes[0].images, ["sha256:a", "sha256:b"]);
}
