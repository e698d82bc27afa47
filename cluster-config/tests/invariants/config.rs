//! What holds for any text as a cluster file or a node file. Shared with the fuzz target `config`.

use std::sync::LazyLock;

use cluster_config::{Cluster, Diagnostic, File};

const LIVE: &str = include_str!("../changes/live.yaml");

static LIVE_CLUSTER: LazyLock<Cluster> = LazyLock::new(|| {
    let loaded = cluster_config::load(LIVE, "live.yaml");
    loaded.cluster.expect("a valid file")
});

/// Never a panic; places lie inside the file; a valid file prints and reads back, and can be compared.
pub(crate) fn hold(text: &str) {
    let loaded = cluster_config::load(text, "fuzz.yaml");
    for found in &loaded.diagnostics {
        inside(found, text, text);
    }
    let _ = cluster_config::render_text(&loaded.diagnostics, true);
    let _ = cluster_config::render_json(&loaded.diagnostics);
    if let Some(cluster) = loaded.cluster {
        let printed = cluster.to_yaml();
        let again = cluster_config::load(&printed, "printed.yaml");
        assert!(again.cluster.as_ref() == Some(&cluster), "{printed}");
        assert!(cluster_config::changes(&cluster, &cluster).is_empty());
        update(&LIVE_CLUSTER, LIVE, &cluster, text);
        update(&cluster, text, &LIVE_CLUSTER, LIVE);
        for node in cluster.nodes() {
            let _ = cluster_config::derive::vrrp(&cluster, node);
            let _ = cluster_config::derive::proxy(&cluster, node);
        }
    }
    let _ = cluster_config::node::VrrpConfig::from_yaml(text, "fuzz.yaml");
    let _ = cluster_config::node::ProxyConfig::from_yaml(text, "fuzz.yaml");
}

/// Every refused change is one finding, with places in both files.
fn update(old: &Cluster, old_text: &str, new: &Cluster, new_text: &str) {
    let changes = cluster_config::changes(old, new);
    let file = |name, text| File { name, text };
    let found = cluster_config::refusals(
        &changes,
        file("old.yaml", old_text),
        file("new.yaml", new_text),
    );
    let refused = changes.iter().filter(|change| change.is_refused());
    assert_eq!(found.len(), refused.count());
    for found in &found {
        inside(found, new_text, old_text);
    }
}

fn inside(found: &Diagnostic, text: &str, of_related: &str) {
    let lines = |text: &str| text.split('\n').count();
    assert!((1..=lines(text)).contains(&found.place.line), "{found:?}");
    for related in &found.related {
        assert!(
            (1..=lines(of_related)).contains(&related.place.line),
            "{found:?}"
        );
    }
}
