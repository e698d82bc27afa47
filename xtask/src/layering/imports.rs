//! R1, R4, R5, R7 and R9 as far as source files show them.

use super::{RustFile, Tree, Violation};
use crate::rust::{Mention, TokenKind};

pub(super) fn check(tree: &Tree, found: &mut Vec<Violation>) {
    for file in &tree.files {
        for mention in file.code.mentions() {
            if let Some((rule, reason)) = refusal(&file.path, &mention) {
                found.push(Violation {
                    rule,
                    place: file.path.clone(),
                    line: mention.line,
                    reason,
                });
            }
        }
        unsafe_code(file, found);
    }
}

fn refusal(path: &str, mention: &Mention) -> Option<(&'static str, String)> {
    let said = mention.path();
    if path.starts_with("cluster-config/src/") && any_prefix(mention, SOCKETS) {
        return Some((
            "R1",
            format!("`{said}`: the cluster file is checked without a network"),
        ));
    }
    if mention.starts_with("clap") && !is_command_line(path) {
        return Some((
            "R4",
            format!("`{said}`: clap belongs in `cli.rs` and mains"),
        ));
    }
    if mention.starts_with("openssh") && !path.starts_with("nodepool/src/remote") {
        return Some(("R4", format!("`{said}`: SSH belongs in nodepool::remote")));
    }
    if is_core(path) {
        if any_prefix(mention, DOING) || any_prefix(mention, SOCKETS) {
            return Some((
                "R5",
                format!("`{said}`: what decides does no I/O, runs no task and starts no thread"),
            ));
        }
        if CLOCKS.iter().any(|clock| mention.ends_with(clock)) {
            return Some(("R5", format!("`{said}`: time is an argument")));
        }
    }
    let constructs = CONSTRUCTORS.iter().any(|name| mention.ends_with(name));
    if constructs
        && path != "daemon/src/tls.rs"
        && !path.starts_with("tests/")
        && !path.starts_with("xtask/")
    {
        return Some(("R7", format!("`{said}`: TLS is constructed in daemon::tls")));
    }
    None
}

fn unsafe_code(file: &RustFile, found: &mut Vec<Violation>) {
    if UNSAFE_FILES.contains(&&*file.path) {
        return;
    }
    for token in &file.code.tokens {
        if token.kind == TokenKind::Word && token.text == "unsafe" {
            let reason = format!("`unsafe` belongs in {}", UNSAFE_FILES.join(" and "));
            found.push(Violation {
                rule: "R9",
                place: file.path.clone(),
                line: token.line,
                reason,
            });
        }
    }
}

fn any_prefix(mention: &Mention, prefixes: &[&str]) -> bool {
    prefixes.iter().any(|prefix| mention.starts_with(prefix))
}

fn is_command_line(path: &str) -> bool {
    path.ends_with("/cli.rs")
        || path.contains("/cli/")
        || path.ends_with("/main.rs")
        || path.starts_with("xtask/")
}

/// Folders of machines that decide and codecs that translate.
fn is_core(path: &str) -> bool {
    let folder = |name: &str| {
        path.contains(&format!("/src/{name}/")) || path.ends_with(&format!("/src/{name}.rs"))
    };
    folder("proto") || folder("core") || path.starts_with("l2/src/wire")
}

const SOCKETS: &[&str] = &[
    "std::net::TcpListener",
    "std::net::TcpStream",
    "std::net::ToSocketAddrs",
    "std::net::UdpSocket",
    "std::net::*",
    "std::os",
];

const DOING: &[&str] = &[
    "crate::cli",
    "crate::driver",
    "crate::linux",
    "daemon",
    "http_body_util",
    "hyper",
    "hyper_util",
    "k8s_openapi",
    "kube",
    "libc",
    "mio",
    "nix",
    "openssh",
    "rand",
    "rtnetlink",
    "rustls",
    "socket2",
    "std::env",
    "std::fs",
    "std::process",
    "std::thread",
    "tokio",
    "tokio_rustls",
    "tokio_util",
    "tracing_subscriber",
];

const CLOCKS: &[&str] = &[
    "Instant::now",
    "SystemTime::now",
    "SystemTime",
    "std::time::*",
];

const CONSTRUCTORS: &[&str] = &[
    "ClientConfig::builder",
    "ClientConfig::builder_with_provider",
    "ServerConfig::builder",
    "ServerConfig::builder_with_provider",
    "CryptoProvider::install_default",
    "ring::default_provider",
];

const UNSAFE_FILES: &[&str] = &["l2/src/linux/sys.rs", "haproxy-lite/src/engine/sys.rs"];
