//! What people see of a state.

use serde_json::json;

use super::*;
use crate::core::from_config;

fn desired() -> Desired {
    let text = include_str!("../../../../examples/three-control-planes.yaml");
    let loaded = cluster_config::load(text, "x");
    from_config::desired(&loaded.cluster.expect("the file is valid"))
}

/// Without an API; the machines say this.
fn alone(said: &str) -> Picture {
    picture(&desired(), Err("timed out".to_owned()), |_| {
        Ok(Pages::parse(said))
    })
}

#[test]
fn what_an_update_would_change_is_a_line_a_node() {
    let mut picture = alone("hostname m0\n");
    let row = |picture: &Picture| {
        let text = text(picture);
        let line = text.lines().find(|line| line.starts_with("m0 "));
        line.expect("a row").to_owned()
    };
    assert!(row(&picture).ends_with(" -"), "not known");
    assert!(!text(&picture).contains("would change"));
    let node = &mut picture.nodes[0];
    node.drift = Some(Vec::new());
    assert!(row(&picture).ends_with(" none"));
    picture.nodes[0].drift = Some(vec!["write a".to_owned(), "write b".to_owned()]);
    assert!(row(&picture).ends_with(" 2 to change"));
    picture.drift = vec!["remove the node m9".to_owned()];
    let lines =
        "`lbctl update cluster` would change:\n  m0: write a; write b\n  remove the node m9\n";
    assert!(text(&picture).contains(lines), "{}", text(&picture));
    assert!(!text(&picture).contains("another release"));
    picture.other_release = true;
    assert!(text(&picture).contains("another release than the nodes"));
}

#[test]
fn speakers_pools_and_versions_have_tables() {
    let mut picture = alone("hostname m0\nversion lbnode 0.1.0 (commit a, x)\n");
    let objects = Objects {
        speakers: Some(vec![
            json!({"metadata": {"name": "m0"}, "status": {"phase": "Serving", "count": 2, "version": "0.1.0"}}),
            json!({"metadata": {"name": "m1"}, "status": {"phase": "Serving", "silent": ["m0"]}}),
        ]),
        pools: Some(vec![json!({
            "metadata": {"name": "front"},
            "status": {"ipv4": {"total": "9", "assigned": "2", "available": "7"}},
        })]),
        ..Objects::default()
    };
    picture.add_objects(&objects, &[]);
    let text = text(&picture);
    let row = |begin: &str| {
        let mut lines = text.lines();
        let line = lines.find(|line| line.starts_with(begin));
        let line = line.unwrap_or_else(|| panic!("no {begin}: {text}"));
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert!(text.contains("SPEAKER"), "{text}");
    assert!(row("m1  ").contains("unknown - Serving 0 - m0"), "{text}");
    assert_eq!(
        row("front"),
        "front 9 2 7 - - - no - no controller has described it yet"
    );
    assert_eq!(row("lbnode"), "lbnode 0.1.0 (commit a) all 3 that say it");
}

#[test]
fn speakers_are_named_while_the_api_does_not_answer() {
    let said = "hostname m0\nspeaker {\"phase\":\"Serving\",\"count\":2,\"silent\":[\"m9\"]}\n";
    let text = text(&alone(said));
    assert!(
        text.contains("SPEAKER  PHASE    ADDRESSES  SILENT\nm0       Serving  2          m9\n"),
        "{text}"
    );
}
