//! Old file against new file: every field that may appear in a live cluster's file, with what may happen to it.

mod load_balancers;
mod machines;
mod matrix;

use cluster_config::{Change, Cluster, Verdict, changes, load, render_text};

const LIVE: &str = include_str!("live.yaml");

/// What is expected of a change: the SSH addresses it touches (last octets), or the rule that refuses it.
enum Expect {
    Nodes(&'static [u8]),
    Api(&'static [u8]),
    Refused(&'static str),
}

#[test]
fn writing_a_default_or_turning_a_list_is_no_change() {
    let old = cluster(LIVE);
    for (from, to) in [
        ("    type: layer2\n", ""),
        (
            "    type: layer2\n",
            "    vrrp: {unicast: true, advertisementIntervalMillis: 100}\n",
        ),
        (
            "- 10.0.1.200-10.0.1.239",
            "- 10.0.1.220-10.0.1.239\n      - 10.0.1.200-10.0.1.219",
        ),
        ("noProxy: localhost", "noProxy: [localhost]"),
        (
            "  - address: 10.0.0.21\n  - address: 10.0.0.22\n",
            "  - address: 10.0.0.22\n  - address: 10.0.0.21\n",
        ),
    ] {
        assert_eq!(LIVE.matches(from).count(), 1, "{from}");
        assert_eq!(changes(&old, &cluster(&LIVE.replace(from, to))), [], "{to}");
    }
}

#[test]
fn another_cluster_is_not_an_update() {
    let old = cluster(LIVE);
    let name = LIVE
        .replace("name: live\n", "name: other\n")
        .replace("clusterName: live", "clusterName: other");
    assert_eq!(refusals(&changes(&old, &cluster(&name))), ["F11", "F11"]);
    let namespace = LIVE.replace("cluster-live", "cluster-other");
    assert_eq!(
        refusals(&changes(&old, &cluster(&namespace))),
        ["V31", "V31"]
    );
    let manual = LIVE
        .replace("mode: bundled", "mode: manual")
        .replace("    addressPools:\n    - name: main\n      addresses:\n      - 10.0.1.200-10.0.1.239\n      avoidBuggyIPs: false\n      manualAssign: false\n", "");
    assert_eq!(refusals(&changes(&old, &cluster(&manual))), ["V21", "V22"]);
}

fn refusals(changes: &[Change]) -> Vec<&'static str> {
    changes
        .iter()
        .filter_map(|change| match &change.verdict {
            Verdict::Refused { code, .. } => Some(code.as_str()),
            Verdict::Allowed => None,
        })
        .collect()
}

fn cluster(text: &str) -> Cluster {
    let loaded = load(text, "live.yaml");
    loaded
        .cluster
        .unwrap_or_else(|| panic!("{}", render_text(&loaded.diagnostics, false)))
}
