//! Load balancers of others stop in order and are kept; an API server leaves a port to the proxy.

use std::net::IpAddr;
use std::path::PathBuf;

use super::*;
use crate::core::facts::{OtherBalancer, OtherProgram, RunsAs};

struct Node {
    folder: tempfile::TempDir,
}

const SERVER: &str = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: kube-apiserver\nspec:\n  containers:\n  - command:\n    - kube-apiserver\n    - --secure-port=6443\n";

impl Node {
    /// One with keepalived as a unit, HAProxy as a static pod, and an API server.
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let node = Self { folder };
        for directory in ["manifests", "etc/keepalived", "units", "pods"] {
            std::fs::create_dir_all(node.path(directory)).expect("a folder");
        }
        for (file, text) in [
            (
                "manifests/haproxy.yaml",
                "metadata:\n  name: haproxy\nspec: {}\n",
            ),
            ("manifests/kube-apiserver.yaml", SERVER),
            ("etc/keepalived/keepalived.conf", "vrrp_instance api {}\n"),
            ("units/keepalived", ""),
            ("pods/haproxy-m0", ""),
            ("address", "10.10.0.100/32"),
        ] {
            std::fs::write(node.path(file), text).expect("a file");
        }
        node
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn has(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).expect("a file")
    }

    /// Its systemd and its kubelet do what they are told; `systemctl stop keepalived` takes the address along if `takes`.
    fn run(&self, mut script: Script, takes: bool) -> Ran {
        let at = self.folder.path().display().to_string();
        let address = if takes {
            format!("rm -f {at}/address")
        } else {
            ":".to_owned()
        };
        let stubs = format!(
            "systemctl() {{ case $1 in is-active) [ -e {at}/units/$3 ] ;; disable) echo \"disable $3\" ;; stop) echo \"stop $2\"; rm -f {at}/units/$2; {address} ;; esac; }}\n\
             ip() {{ case $2 in addr) [ ! -e {at}/address ] || echo \"2: eth0 inet $(cat {at}/address) scope global eth0\" ;; del) rm -f {at}/address ;; esac; }}\n\
             hostname() {{ echo M0; }}\n\
             sleep() {{ :; }}\n\
             ctr() {{ [ -e {at}/manifests/haproxy.yaml ] || rm -f {at}/pods/haproxy-m0; case $3 in tasks) for f in {at}/pods/*; do [ -e \"$f\" ] && echo \"${{f##*/}} 7 RUNNING\"; done ;; containers) name=${{6#*==}}; name=${{name#?}}; echo \"${{name%?}}\" ;; esac; return 0; }}\n\
             ss() {{ if grep -q bind-address {at}/manifests/kube-apiserver.yaml; then echo 'LISTEN 0 9 10.10.0.11:6443 0.0.0.0:*'; else echo 'LISTEN 0 9 *:6443 *:*'; fi; }}\n\
             lbnode() {{ :; }}\n"
        );
        script.body = format!("{stubs}{}", script.body)
            .replace("/etc/kubernetes/manifests", &format!("{at}/manifests"))
            .replace("/etc/kubernetes/.lbctl", &format!("{at}/.lbctl"))
            .replace("/var/backups/lbctl-takeover", &format!("{at}/kept"))
            .replace("\"/etc/$unit\"", &format!("\"{at}/etc/$unit\""));
        run(&script, self.folder.path(), 0)
    }
}

fn others() -> Vec<OtherBalancer> {
    let other = |program, runs| OtherBalancer {
        program,
        runs,
        addresses: std::collections::BTreeSet::new(),
        virtual_router_id: None,
        services: false,
    };
    vec![
        other(
            OtherProgram::Keepalived,
            RunsAs::Unit("keepalived".to_owned()),
        ),
        other(
            OtherProgram::Haproxy,
            RunsAs::Pod("haproxy.yaml".to_owned()),
        ),
    ]
}

fn vip() -> IpAddr {
    [10, 10, 0, 100].into()
}

#[test]
fn they_stop_in_order_and_what_they_were_is_kept() {
    let node = Node::new();
    let ran = node.run(stop_others(&others(), &[vip()], true), true);
    assert_eq!(ran.status, 0, "{}", ran.output);
    let lines: Vec<&str> = ran.output.lines().collect();
    assert_eq!(lines[..2], ["disable keepalived", "stop keepalived"]);
    assert!(lines[2].contains("is kept in"), "{lines:?}");
    for gone in [
        "units/keepalived",
        "manifests/haproxy.yaml",
        "pods/haproxy-m0",
        "address",
    ] {
        assert!(!node.has(gone), "{gone}");
    }
    assert!(node.has("kept/manifests/haproxy.yaml") && node.has("kept/keepalived/keepalived.conf"));
    assert_eq!(node.text("kept/units"), "keepalived\n");
    // Again, as after an interruption: nothing is lost of what was kept.
    let again = node.run(stop_others(&others(), &[vip()], true), true);
    assert_eq!(again.status, 0, "{}", again.output);
    assert!(node.has("kept/manifests/haproxy.yaml"));
    assert_eq!(node.text("kept/units"), "keepalived\n");
}

#[test]
fn an_address_that_was_left_behind_goes_too() {
    let node = Node::new();
    let ran = node.run(stop_others(&others(), &[vip()], true), false);
    assert_eq!(ran.status, 0, "{}", ran.output);
    assert!(ran.output.contains("removed 10.10.0.100/32 from eth0"));
    assert!(!node.has("address"));
}

#[test]
fn nobody_stops_where_the_virtual_ip_has_come_to_meanwhile() {
    let node = Node::new();
    let ran = node.run(stop_others(&others(), &[vip()], false), true);
    assert_eq!(ran.status, 75, "{}", ran.output);
    assert!(ran.output.contains("error: the virtual address has come"));
    assert!(node.has("units/keepalived") && node.has("manifests/haproxy.yaml"));
    // Another address does not matter.
    std::fs::write(node.path("address"), "10.10.0.99/32").expect("a file");
    let ran = node.run(stop_others(&others(), &[vip()], false), false);
    assert_eq!(ran.status, 0, "{}", ran.output);
    assert!(node.has("address") && !node.has("units/keepalived"));
}

#[test]
fn an_api_server_keeps_to_its_address_once() {
    let node = Node::new();
    let keep = || keep_to_address(([10, 10, 0, 11], 6443).into());
    for _ in 0..2 {
        let ran = node.run(keep(), true);
        assert_eq!(ran.status, 0, "{}", ran.output);
        let expected = SERVER.replace(
            "    - kube-apiserver\n",
            "    - kube-apiserver\n    - --bind-address=10.10.0.11\n",
        );
        assert_eq!(node.text("manifests/kube-apiserver.yaml"), expected);
        assert_eq!(node.text("kept/manifests/kube-apiserver.yaml"), SERVER);
    }
    std::fs::write(node.path("manifests/kube-apiserver.yaml"), "odd\n").expect("a file");
    let ran = node.run(keep(), true);
    assert_eq!(ran.status, 65, "{}", ran.output);
    assert_eq!(node.text("manifests/kube-apiserver.yaml"), "odd\n");
}

#[test]
fn a_machine_is_noted_as_a_member() {
    let folder = tempfile::tempdir().expect("a folder");
    let ran = run(&adopt("lab", "worker"), folder.path(), 0);
    assert_eq!(ran.status, 0, "{}", ran.output);
    let member = std::fs::read_to_string(folder.path().join("state/member"));
    assert_eq!(member.expect("a record"), "lab\nworker\n");
}
