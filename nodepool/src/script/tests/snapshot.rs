//! What a node says for a snapshot.

use super::*;
use crate::core::snapshot::parts;

#[test]
fn a_snapshot_is_told_whole_and_touches_nothing_with_keys() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |path: &str| folder.path().join(path);
    for (path, text) in [
        ("manifests/lb-vrrp.yaml", "pod of ours"),
        ("manifests/etcd.yaml", "image: etcd:1\nsecret: x"),
        ("lbnode/vrrp.yaml", "settings of ours"),
        ("lbnode/other.key", "a key"),
        ("pods/kube-system_lb-vrrp-m0_1/vrrp/0.log", "a line of ours"),
        ("pods/kube-system_etcd-m0_1/etcd/0.log", "a line of others"),
    ] {
        let path = at(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    }
    let mut script = snapshot("#mark");
    for path in [
        "/etc/kubernetes/pki",
        ".conf",
        "Secret\"",
        "secrets",
        "crictl inspect",
    ] {
        assert!(!script.body.contains(path), "it names {path}");
    }
    let moved =
        |body: &str, from: &str, to: &str| body.replace(from, &at(to).display().to_string());
    script.body = moved(&script.body, "/etc/kubernetes/manifests", "manifests");
    script.body = moved(&script.body, "/etc/lbnode", "lbnode");
    script.body = moved(&script.body, "/var/log/pods", "pods");
    // Of the machine that this runs on nothing is asked.
    script.body = script
        .body
        .replace("journalctl", "true")
        .replace("crictl ps -a", "false");
    let ran = run(&script, folder.path(), 0);
    assert_eq!(ran.status, 0, "{}", ran.output);
    let told = parts("n", "#mark", &ran.output);
    let text = |path: &str| {
        let entry = told.iter().find(|entry| entry.path == path);
        entry
            .unwrap_or_else(|| panic!("no {path}: {}", ran.output))
            .text
            .clone()
    };
    assert!(told.iter().all(|entry| entry.path != "n/incomplete"));
    assert!(text("n/files/lb-vrrp.yaml").contains("pod of ours"));
    assert!(text("n/files/vrrp.yaml").contains("settings of ours"));
    assert!(text("n/logs/kube-system_lb-vrrp-m0_1/vrrp/0.log").contains("a line of ours"));
    assert!(text("n/manifests").contains("etcd:1"));
    for others in ["secret: x", "a key", "a line of others"] {
        assert!(!ran.output.contains(others), "{others}: {}", ran.output);
    }
}
