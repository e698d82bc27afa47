//! R1–R4 and R7 as far as manifests show them.

use super::{Tree, Violation};

pub(super) fn check(tree: &Tree, found: &mut Vec<Violation>) {
    for member in &tree.members {
        let mut refuse = |rule, reason| {
            let place = format!("{}/Cargo.toml", member.name);
            found.push(Violation {
                rule,
                place,
                line: 0,
                reason,
            });
        };
        for dependency in &member.dependencies {
            if ROLES.contains(&&*member.name) && ROLES.contains(&&**dependency) {
                refuse(
                    "R2",
                    format!(
                        "roles meet through config, kernel and loopback HTTP, not by importing `{dependency}`"
                    ),
                );
            }
            if member.name == "nodepool" && (ROLES.contains(&&**dependency) || dependency == "l2") {
                refuse(
                    "R3",
                    format!("lbctl must not import `{dependency}`: it runs where no node is"),
                );
            }
            for home in HOMES
                .iter()
                .filter(|home| home.crates.contains(&&**dependency))
            {
                if !home.members.contains(&&*member.name) && !TEST_MEMBERS.contains(&&*member.name)
                {
                    refuse(
                        "R4",
                        format!("`{dependency}` belongs in {}", home.members.join(", ")),
                    );
                }
            }
            if dependency == "xtask" {
                refuse("R4", "nothing depends on xtask".to_owned());
            }
        }
        if member.name == "cluster-config" {
            for name in &member.closure {
                if tree.members.iter().any(|other| other.name == *name) {
                    refuse("R1", format!("needs the workspace crate `{name}`"));
                } else if IMPURE.contains(&&**name) {
                    refuse(
                        "R1",
                        format!("needs `{name}`: async, network or Kubernetes"),
                    );
                }
            }
        }
        for name in member
            .closure
            .iter()
            .filter(|name| OTHER_PROVIDERS.contains(&&***name))
        {
            refuse(
                "R7",
                format!("needs `{name}`: ring is the only TLS provider"),
            );
        }
    }
}

/// Where a family of crates may be used.
struct Home {
    crates: &'static [&'static str],
    members: &'static [&'static str],
}

/// Roles of lbnode.
const ROLES: &[&str] = &["vrrp", "haproxy-lite", "dataplane"];

/// Members that are tests or run them.
const TEST_MEMBERS: &[&str] = &["lab-tests", "xtask"];

const HOMES: &[Home] = &[
    Home {
        crates: &[
            "kube",
            "kube-client",
            "kube-core",
            "kube-runtime",
            "k8s-openapi",
        ],
        members: &["dataplane", "nodepool"],
    },
    Home {
        crates: &["openssh", "indicatif"],
        members: &["nodepool"],
    },
    Home {
        crates: &[
            "rtnetlink",
            "netlink-packet-route",
            "netlink-packet-core",
            "netlink-packet-netfilter",
            "netlink-packet-sock-diag",
            "netlink-sys",
            "netlink-proto",
        ],
        members: &["l2"],
    },
    // The proxy's engine has an event loop of its own; R9 keeps its raw calls in one file.
    Home {
        crates: &["nix", "libc", "socket2", "rustix"],
        members: &["l2", "haproxy-lite"],
    },
    Home {
        crates: &["hyper", "hyper-util", "http-body-util"],
        members: &["daemon"],
    },
    Home {
        crates: &["rustls", "tokio-rustls"],
        members: &["daemon"],
    },
    Home {
        crates: &["pnet", "smoltcp", "pnet_datalink", "pnet_transport"],
        members: &[],
    },
];

/// Crates that the pure crate must not reach.
const IMPURE: &[&str] = &[
    "async-std",
    "futures-executor",
    "h2",
    "hyper",
    "hyper-util",
    "k8s-openapi",
    "kube",
    "kube-client",
    "kube-core",
    "mio",
    "nix",
    "openssh",
    "reqwest",
    "rtnetlink",
    "rustls",
    "smol",
    "socket2",
    "tokio",
    "tokio-rustls",
    "tokio-util",
];

/// TLS providers beside ring.
const OTHER_PROVIDERS: &[&str] = &[
    "aws-lc-rs",
    "aws-lc-sys",
    "openssl",
    "openssl-sys",
    "native-tls",
];
