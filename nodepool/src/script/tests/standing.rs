//! A kubelet that stands alone is handed over by a join, and stands alone again when that fails.

use std::path::PathBuf;

use super::*;

struct Node {
    folder: tempfile::TempDir,
}

impl Node {
    /// One whose kubelet stands alone.
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let node = Self { folder };
        for directory in [
            "etc/lbnode",
            "etc/kubernetes/manifests",
            "kubelet",
            "units",
            "state",
        ] {
            std::fs::create_dir_all(node.path(directory)).expect("a folder");
        }
        for file in [
            "etc/lbnode/kubelet.yaml",
            "etc/kubernetes/manifests/lb-vrrp.yaml",
        ] {
            std::fs::write(node.path(file), file).expect("a file");
        }
        std::fs::write(node.path(DROP_IN), "alone").expect("a file");
        node
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn has(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    /// Runs it on this node; `kubeadm` is the body of a stub.
    fn run(&self, mut script: Script, kubeadm: &str) -> Ran {
        let at = self.folder.path().display().to_string();
        let stubs = format!(
            "kubeadm() {{ {kubeadm}; }}\nsystemctl() {{ echo \"systemctl $*\"; }}\ntimeout() {{ shift; \"$@\"; }}\n"
        );
        script.body = format!("{stubs}{}", script.body)
            .replace(
                "/etc/systemd/system/kubelet.service.d",
                &format!("{at}/units"),
            )
            .replace("/etc/lbnode", &format!("{at}/etc/lbnode"))
            .replace("/etc/kubernetes", &format!("{at}/etc/kubernetes"))
            .replace("/var/lib/kubelet", &format!("{at}/kubelet"));
        run(&script, self.folder.path(), 0)
    }
}

const DROP_IN: &str = "units/20-lbctl-standalone.conf";
const ASIDE: &str = "etc/lbnode/standalone.conf";
const POD: &str = "etc/kubernetes/manifests/lb-vrrp.yaml";

fn join() -> Script {
    kubeadm_join("config", "discovery", "lab", "worker")
}

#[test]
fn a_join_takes_the_kubelet_over_and_leaves_its_pods() {
    let node = Node::new();
    // kubeadm sees a kubelet that will not stand alone when it is restarted.
    let drop_in = node.path(DROP_IN).display().to_string();
    let ran = node.run(join(), &format!("[ ! -e {drop_in} ] && echo joined"));
    assert_eq!(
        (ran.status, ran.output.as_str()),
        (0, "systemctl daemon-reload\njoined\n")
    );
    assert!(!node.has(DROP_IN) && !node.has(ASIDE) && !node.has("etc/lbnode/kubelet.yaml"));
    assert!(node.has(POD) && node.has("state/member"));
}

#[test]
fn a_join_that_fails_leaves_a_kubelet_that_stands_alone() {
    let node = Node::new();
    let conf = "/etc/kubernetes/kubelet.conf";
    let ran = node.run(join(), &format!("echo x >{conf}; return 3"));
    assert_eq!(ran.status, 3, "{}", ran.output);
    assert!(
        ran.output.ends_with("the kubelet stands alone again\n"),
        "{}",
        ran.output
    );
    assert!(node.has(DROP_IN) && node.has("etc/lbnode/kubelet.yaml") && node.has(POD));
    assert!(!node.has(ASIDE) && !node.has("etc/kubernetes/kubelet.conf"));
    assert!(!node.has("state/member"));
}

/// The power went in the middle of a join.
#[test]
fn an_unfinished_join_is_taken_back_without_kubeadm() {
    let node = Node::new();
    std::fs::rename(node.path(DROP_IN), node.path(ASIDE)).expect("moved");
    std::fs::write(node.path("etc/kubernetes/kubelet.conf"), "x").expect("a file");
    let ran = node.run(clean_kubeadm(), "echo reset");
    assert_eq!(ran.status, 0, "{}", ran.output);
    assert!(!ran.output.contains("reset"), "{}", ran.output);
    assert!(node.has(DROP_IN) && node.has(POD) && !node.has("etc/kubernetes/kubelet.conf"));
    // Elsewhere kubeadm does it.
    std::fs::remove_file(node.path(DROP_IN)).expect("removed");
    let ran = node.run(clean_kubeadm(), "echo \"reset $*\"");
    assert!(ran.output.contains("reset reset -f"), "{}", ran.output);
}
