use std::collections::BTreeSet;

use super::*;

#[test]
fn a_clean_tree_breaks_nothing() {
    let mut tree = tree(&[
        (
            "vrrp/src/proto/router.rs",
            "use std::time::{Duration, Instant};\nuse std::net::IpAddr;\npub fn f(now: Instant) {}",
        ),
        (
            "vrrp/src/driver.rs",
            "use tokio::net::UdpSocket;\nfn f() { std::time::Instant::now(); }",
        ),
        ("vrrp/src/cli.rs", "use clap::Args;"),
        (
            "daemon/src/tls.rs",
            "fn f() { ClientConfig::builder_with_provider(p) }",
        ),
        (
            "cluster-config/src/lib.rs",
            "pub fn f(x: ipnet::IpNet) -> std::net::IpAddr {}\nfn g() -> serde_json::Value {}",
        ),
    ]);
    tree.members = vec![
        member("vrrp", &["daemon", "l2", "tokio"]),
        member("cluster-config", &["serde", "serde_json", "ipnet"]),
        member("nodepool", &["cluster-config", "kube", "openssh"]),
        member("lab-tests", &["nix", "rustls"]),
    ];
    tree.manifests = vec![manifest(
        "[dependencies]\ntokio.workspace = true\nclap = { workspace = true, features = [\"env\"] }\n",
    )];
    assert_eq!(check(&tree), []);
}

#[test]
fn r1_the_pure_crate_reaches_nothing_impure() {
    let mut tree = tree(&[(
        "cluster-config/src/load.rs",
        "use std::net::{IpAddr, TcpStream};",
    )]);
    let mut pure = member("cluster-config", &["jsonschema"]);
    pure.closure = BTreeSet::from(["jsonschema".into(), "reqwest".into(), "l2".into()]);
    tree.members = vec![pure, member("l2", &[])];
    assert_eq!(
        lines(&tree),
        [
            "cluster-config/Cargo.toml: R1: needs `reqwest`: async, network or Kubernetes",
            "cluster-config/Cargo.toml: R1: needs the workspace crate `l2`",
            "cluster-config/src/load.rs:1: R1: `std::net::TcpStream`: the cluster file is checked without a network",
        ]
    );
}

#[test]
fn r2_roles_do_not_import_each_other() {
    let tree = Tree {
        members: vec![
            member("vrrp", &["haproxy-lite"]),
            member("dataplane", &["vrrp"]),
        ],
        ..Tree::default()
    };
    assert_eq!(rules(&tree), ["R2", "R2"]);
}

#[test]
fn r3_lbctl_imports_no_role_and_nothing_of_linux() {
    let tree = Tree {
        members: vec![member("nodepool", &["vrrp", "l2", "cluster-config"])],
        ..Tree::default()
    };
    assert_eq!(rules(&tree), ["R3", "R3"]);
}

#[test]
fn r4_technical_crates_stay_at_home() {
    let mut tree = tree(&[
        ("vrrp/src/config.rs", "use clap::ValueEnum;"),
        ("nodepool/src/run.rs", "fn f(s: openssh::Session) {}"),
        ("nodepool/src/remote/openssh.rs", "use openssh::Session;"),
    ]);
    tree.members = vec![
        member(
            "vrrp",
            &[
                "kube",
                "rtnetlink",
                "nix",
                "hyper",
                "rustls",
                "openssh",
                "pnet",
            ],
        ),
        member("haproxy-lite", &["nix", "socket2"]),
        member("daemon", &["hyper", "rustls", "xtask"]),
    ];
    let places: Vec<String> = check(&tree)
        .iter()
        .map(|found| format!("{} {}", found.rule, found.place))
        .collect();
    assert_eq!(
        places
            .iter()
            .filter(|place| *place == "R4 vrrp/Cargo.toml")
            .count(),
        7
    );
    assert_eq!(
        places
            .iter()
            .filter(|place| *place == "R4 daemon/Cargo.toml")
            .count(),
        1
    );
    assert!(places.contains(&"R4 vrrp/src/config.rs".to_owned()));
    assert!(places.contains(&"R4 nodepool/src/run.rs".to_owned()));
    assert_eq!(places.len(), 10, "{places:?}");
}

#[test]
fn r5_cores_do_no_io_and_read_no_clock() {
    for code in [
        "use tokio::sync::mpsc;",
        "use std::net::UdpSocket;",
        "use std::{fmt, fs::File};",
        "fn f() { std::thread::spawn(g); }",
        "fn f() { Instant::now(); }",
        "use std::time::SystemTime;",
        "use crate::driver::Driver;",
        "use kube::Api;",
        "use k8s_openapi::api::core::v1::Service;",
        "use std::os::fd::OwnedFd;",
        "use daemon::probe;",
    ] {
        for path in [
            "vrrp/src/proto/router.rs",
            "haproxy-lite/src/core/balance.rs",
            "nodepool/src/core.rs",
            "l2/src/wire/arp.rs",
        ] {
            assert_eq!(rules(&tree(&[(path, code)])), ["R5"], "{path}: {code}");
        }
        let driver = rules(&tree(&[("dataplane/src/k8s/watch.rs", code)]));
        assert!(!driver.contains(&"R5"), "{code}");
    }
    let tested = "#[cfg(test)]\nmod tests { use tokio::time; }";
    assert_eq!(
        rules(&tree(&[("vrrp/src/proto/router.rs", tested)])),
        [""; 0]
    );
}

#[test]
fn r6_public_signatures_hold_no_third_party_type() {
    for code in [
        "use serde_saphyr::Spanned;\npub struct A { pub name: Spanned<String> }",
        "use serde_saphyr::Spanned;\npub enum A { C, D { e: u8 }, B(Spanned<u8>) }",
        "pub fn f() -> Result<(), serde_json::Error> {}",
        "pub use serde_json::Value;",
        "use serde_json::Value;\nimpl From<Value> for A {}",
        "pub type A = serde_json::Value;",
        "pub struct A(pub serde_json::Value);",
        "pub const fn f(x: serde_json::Value) {}",
        "pub trait A { fn f(&self) -> serde_json::Value; }",
    ] {
        assert_eq!(rules(&config(code)), ["R6"], "{code}");
    }
    for code in [
        "use serde_saphyr::Spanned;\npub(crate) struct A { name: Spanned<String> }",
        "use serde_saphyr::Spanned;\npub struct A { name: Spanned<String> }",
        "pub fn f() -> u8 { serde_json::to_string(x) }",
        "use serde::Serialize;\n#[derive(Serialize)]\npub struct A { pub b: ipnet::IpNet }",
        "use serde_json::Error;\npub struct A { pub b: my::Error }",
        "pub const A: u8 = serde_json::X;",
    ] {
        assert_eq!(rules(&config(code)), [""; 0], "{code}");
    }
}

#[test]
fn r7_tls_is_constructed_in_one_place_with_one_provider() {
    let mut tree = tree(&[
        (
            "haproxy-lite/src/check.rs",
            "fn f() { rustls::ClientConfig::builder() }",
        ),
        (
            "src/main.rs",
            "fn f() { rustls::crypto::ring::default_provider().install_default(); }",
        ),
        (
            "tests/src/prober.rs",
            "fn f() { rustls::ClientConfig::builder() }",
        ),
    ]);
    let mut role = member("dataplane", &["kube"]);
    role.closure = BTreeSet::from(["aws-lc-rs".into()]);
    tree.members = vec![role];
    assert_eq!(rules(&tree), ["R7", "R7", "R7"]);
}

#[test]
fn r8_versions_stand_in_the_workspace_table_with_reasons() {
    for text in [
        "[dependencies]\ntokio = \"1\"\n",
        "[dev-dependencies]\nrcgen = { version = \"0.14\" }\n",
        "[target.'cfg(unix)'.dependencies]\nnix = { git = \"x\" }\n",
        "[workspace.dependencies]\nrustls = \"=0.23.1\"\n",
        "[workspace.dependencies]\nrustls = { git = \"x\" }\n",
    ] {
        let tree = Tree {
            manifests: vec![manifest(text)],
            ..Tree::default()
        };
        assert_eq!(rules(&tree), ["R8"], "{text}");
    }
    for text in [
        "[workspace.dependencies]\n# 0.24 needs another hyper\nrustls = \"<0.24\"\nvrrp = { path = \"vrrp\" }\n",
        "[package]\nversion = \"1\"\n[dependencies]\n# x = \"1\"\n",
    ] {
        let tree = Tree {
            manifests: vec![manifest(text)],
            ..Tree::default()
        };
        assert_eq!(rules(&tree), [""; 0], "{text}");
    }
}

#[test]
fn r9_unsafe_stands_in_the_two_system_files() {
    let code = "fn f() { unsafe { g() } }";
    assert_eq!(rules(&tree(&[("vrrp/src/driver.rs", code)])), ["R9"]);
    assert_eq!(rules(&tree(&[("l2/src/linux/sys.rs", code)])), [""; 0]);
    assert_eq!(
        rules(&tree(&[("haproxy-lite/src/engine/sys.rs", code)])),
        [""; 0]
    );
    assert_eq!(
        rules(&tree(&[(
            "l2/src/lib.rs",
            "#![expect(unsafe_code)] // unsafe\n"
        )])),
        [""; 0]
    );
}

fn config(code: &str) -> Tree {
    let mut tree = tree(&[("cluster-config/src/model.rs", code)]);
    tree.members = vec![member(
        "cluster-config",
        &["serde", "serde_json", "serde-saphyr", "ipnet"],
    )];
    tree
}

fn tree(files: &[(&str, &str)]) -> Tree {
    let sources: Vec<SourceFile> = files
        .iter()
        .map(|(path, text)| SourceFile {
            path: (*path).to_owned(),
            text: (*text).to_owned(),
        })
        .collect();
    Tree {
        files: rust_files(&sources),
        ..Tree::default()
    }
}

fn member(name: &str, dependencies: &[&str]) -> Member {
    Member {
        name: name.to_owned(),
        dependencies: dependencies.iter().map(ToString::to_string).collect(),
        closure: BTreeSet::new(),
    }
}

fn manifest(text: &str) -> SourceFile {
    SourceFile {
        path: "x/Cargo.toml".to_owned(),
        text: text.to_owned(),
    }
}

fn rules(tree: &Tree) -> Vec<&'static str> {
    check(tree).iter().map(|found| found.rule).collect()
}

fn lines(tree: &Tree) -> Vec<String> {
    check(tree).iter().map(ToString::to_string).collect()
}
