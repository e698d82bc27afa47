//! Node files of other releases: understood, or refused with clear words.

use cluster_config::derive;
use cluster_config::node::{ProxyConfig, VrrpConfig};

const EXAMPLE: &str = include_str!("../../examples/three-control-planes.yaml");

/// The two files of the example's first node.
fn files() -> [String; 2] {
    let loaded = cluster_config::load(EXAMPLE, "cluster.yaml");
    let cluster = loaded.cluster.expect("the example is valid");
    let node = cluster.nodes().next().expect("a node");
    let vrrp = derive::vrrp(&cluster, node).expect("it runs routers");
    let proxy = derive::proxy(&cluster, node).expect("it runs a proxy");
    let yaml = |text: Result<String, _>| text.expect("YAML");
    [
        yaml(serde_yaml::to_string(&vrrp)),
        yaml(serde_yaml::to_string(&proxy)),
    ]
}

fn refusal([vrrp, proxy]: [&str; 2]) -> [String; 2] {
    let vrrp = VrrpConfig::from_yaml(vrrp, "vrrp.yaml").expect_err("it is refused");
    let proxy = ProxyConfig::from_yaml(proxy, "proxy.yaml").expect_err("it is refused");
    [vrrp.to_string(), proxy.to_string()]
}

#[test]
fn a_file_of_another_release_is_refused_by_its_version() {
    let files = files().map(|text| text.replace("bundledlb.io/v1", "bundledlb.io/v2"));
    for text in refusal(files.each_ref().map(String::as_str)) {
        let words = "`lbnode.bundledlb.io/v2` is of another release: this lbnode reads `lbnode.bundledlb.io/v1`";
        assert!(text.contains(words), "{text}");
        assert!(
            text.contains("`lbctl` and the `lbnode` of one release"),
            "{text}"
        );
    }
}

#[test]
fn a_key_of_a_newer_release_is_refused_by_its_name_and_place() {
    let files = files().map(|text| text.replacen("kind:", "quantum: 1\nkind:", 1));
    for text in refusal(files.each_ref().map(String::as_str)) {
        assert!(
            text.contains("quantum") && text.contains(".yaml:2:"),
            "{text}"
        );
        assert!(
            text.contains("a key of a newer release needs the `lbnode` of that release"),
            "{text}"
        );
    }
}

/// What the first release wrote; every later one reads it.
#[test]
fn files_without_the_keys_that_came_later_are_understood() {
    let vrrp = "apiVersion: lbnode.bundledlb.io/v1\nkind: VrrpConfig\nadmin: 127.0.0.1:11003\nrouters:\n\
        - name: a\n  virtualRouterID: 7\n  priority: 200\n  sourceAddress: 10.0.0.1\n  addresses: [10.0.0.9]\n\
        \x20 advertisementIntervalMillis: 100\n  garpRepeat: 5\n  garpRefreshSeconds: 60\n";
    let read = VrrpConfig::from_yaml(vrrp, "vrrp.yaml").expect("it is complete");
    assert_eq!(read.hand_over_grace_millis, 5000);
    assert!(!read.stand_back);
    let [vrrp, _] = files();
    for later in ["handOverGraceMillis", "standBack", "tuning"] {
        assert!(
            !vrrp.contains(later),
            "an older release could not read it: {vrrp}"
        );
    }
}
