//! What holds for any text as a cluster file or a node file. Shared with the fuzz target `config`.

/// Never a panic; places lie inside the file; a valid file prints and reads back.
pub(crate) fn hold(text: &str) {
    let loaded = cluster_config::load(text, "fuzz.yaml");
    let lines = text.split('\n').count();
    for found in &loaded.diagnostics {
        assert!((1..=lines).contains(&found.place.line), "{found:?}");
        for related in &found.related {
            assert!((1..=lines).contains(&related.place.line), "{found:?}");
        }
    }
    let _ = cluster_config::render_text(&loaded.diagnostics, true);
    let _ = cluster_config::render_json(&loaded.diagnostics);
    if let Some(cluster) = loaded.cluster {
        let printed = cluster.to_yaml();
        let again = cluster_config::load(&printed, "printed.yaml");
        assert!(again.cluster.as_ref() == Some(&cluster), "{printed}");
        assert!(cluster_config::changes(&cluster, &cluster).is_empty());
        for node in cluster.nodes() {
            let _ = cluster_config::derive::vrrp(&cluster, node);
            let _ = cluster_config::derive::proxy(&cluster, node);
        }
    }
    let _ = cluster_config::node::VrrpConfig::from_yaml(text, "fuzz.yaml");
    let _ = cluster_config::node::ProxyConfig::from_yaml(text, "fuzz.yaml");
}
