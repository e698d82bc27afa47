//! Every example: checked, derived, rendered, compared with its snapshot; printed and read back; valid for
//! editors (`schema.rs`).

mod files;

use std::fmt::Write as _;
use std::net::IpAddr;

use cluster_config::node::{ProxyConfig, VrrpConfig};
use cluster_config::{Cluster, derive, load, render_text};

#[test]
fn every_example_is_checked_derived_and_rendered_as_reviewed() {
    for (name, text) in files::yaml_files("../examples") {
        let loaded = load(&text, &name);
        let mut out = render_text(&loaded.diagnostics, false);
        assert_eq!(
            loaded.cluster.is_none(),
            name == "bgp.yaml",
            "{name}\n{out}"
        );
        if let Some(cluster) = &loaded.cluster {
            describe(cluster, &mut out);
        }
        insta::with_settings!({snapshot_suffix => name.trim_end_matches(".yaml"), omit_expression => true}, {
            insta::assert_snapshot!("example", out);
        });
    }
}

#[test]
fn node_files_read_back_as_they_were_derived() {
    for (name, cluster) in valid_examples() {
        for node in cluster.nodes() {
            if let Some(vrrp) = derive::vrrp(&cluster, node) {
                let text = serde_yaml::to_string(&vrrp).expect("serialisable");
                assert_eq!(
                    VrrpConfig::from_yaml(&text, "vrrp.yaml"),
                    Ok(vrrp),
                    "{name}"
                );
            }
            if let Some(proxy) = derive::proxy(&cluster, node) {
                let text = serde_yaml::to_string(&proxy).expect("serialisable");
                assert_eq!(
                    ProxyConfig::from_yaml(&text, "proxy.yaml"),
                    Ok(proxy),
                    "{name}"
                );
            }
        }
    }
}

#[test]
fn printed_examples_read_back_as_the_same_cluster() {
    for (name, cluster) in valid_examples() {
        let printed = cluster.to_yaml();
        let again = load(&printed, "printed.yaml");
        assert!(
            again.cluster.as_ref() == Some(&cluster),
            "{name}\n{printed}\n{}",
            render_text(&again.diagnostics, false)
        );
    }
}

#[test]
fn what_follows_does_not_depend_on_the_order_of_nodes() {
    for (name, text) in files::yaml_files("../examples") {
        let Some(cluster) = load(&text, &name).cluster else {
            continue;
        };
        let Some(turned) = load(&turn_node_lists(&text), &name).cluster else {
            panic!("{name} turned is no longer valid");
        };
        for node in cluster.nodes() {
            assert_eq!(
                derive::vrrp(&cluster, node),
                derive::vrrp(&turned, node),
                "{name}"
            );
            assert_eq!(
                derive::proxy(&cluster, node),
                derive::proxy(&turned, node),
                "{name}"
            );
        }
        assert_eq!(
            derive::placement(&cluster),
            derive::placement(&turned),
            "{name}"
        );
        assert!(
            cluster_config::changes(&cluster, &turned).is_empty(),
            "{name}"
        );
    }
}

/// Addresses that tutorials on the web use for such clusters: nodes, VIPs, Services, clients.
#[test]
fn well_known_addressing_appears_in_the_examples() {
    const ADDRESSES: &[&str] = &[
        "10.1.4.150",
        "10.10.12.40",
        "10.10.12.43",
        "10.10.12.47",
        "211.10.3.160",
        "211.10.3.165",
        "211.10.3.190",
        "10.104.156.217",
        "10.40.0.0",
        "10.96.0.1",
        "10.96.105.251",
        "10.96.194.169",
        "10.109.42.211",
        "192.168.219.190",
        "192.168.219.191",
        "192.168.219.195",
        "192.168.219.199",
        "1.2.3.4",
        "10.0.0.0",
        "10.0.0.32",
        "10.0.0.33",
        "198.51.100.0",
        "198.51.100.10",
        "198.51.100.255",
        "21.0.104.4",
        "192.168.10.0",
        "192.168.10.101",
        "192.168.10.211",
        "192.168.10.212",
        "192.168.10.215",
        "10.103.72.5",
        "10.109.20.161",
        "10.109.209.87",
        "10.111.173.209",
        "192.168.35.100",
        "192.168.35.101",
        "192.168.35.102",
        "192.168.35.103",
        "192.168.35.110",
    ];
    let clusters = valid_examples();
    for text in ADDRESSES {
        let address: IpAddr = text.parse().expect(text);
        let known = clusters
            .iter()
            .any(|(_, cluster)| mentions(cluster, address));
        assert!(known, "{text}");
    }
}

fn mentions(cluster: &Cluster, address: IpAddr) -> bool {
    let load_balancer = cluster.load_balancer();
    let network = cluster.network();
    let node = cluster.nodes().any(|node| {
        [node.address(), node.data_address()]
            .map(IpAddr::from)
            .contains(&address)
    });
    let pool = load_balancer
        .address_pools()
        .iter()
        .any(|pool| pool.ranges().any(|range| range.contains(address)));
    let mut nets = network
        .pod_cidrs()
        .chain(network.service_cidrs())
        .chain(load_balancer.proxy().allowed_sources());
    node || pool || nets.any(|net| net.contains(&address))
}

fn valid_examples() -> Vec<(String, Cluster)> {
    files::yaml_files("../examples")
        .into_iter()
        .filter_map(|(name, text)| Some((name.clone(), load(&text, &name).cluster?)))
        .collect()
}

fn describe(cluster: &Cluster, out: &mut String) {
    let placement = derive::placement(cluster);
    let _ = writeln!(out, "# nodes");
    for role in placement.roles() {
        let _ = writeln!(
            out,
            "{} data {} pool {} {}{} labels {:?} taints {}",
            role.node.address(),
            role.node.data_address(),
            role.pool.name(cluster),
            if role.control_plane_load_balancer {
                "[API VIP] "
            } else {
                ""
            },
            if role.data_plane_load_balancer {
                "[Service addresses] "
            } else {
                ""
            },
            role.labels,
            role.taints.len(),
        );
    }
    let data_plane = derive::data_plane(cluster);
    let _ = writeln!(
        out,
        "\n# data plane\n{} ms, failover {} ms, ingress {:?}",
        data_plane.heartbeat_interval_millis, data_plane.failover_millis, data_plane.ingress_vip
    );
    for pool in &data_plane.pools {
        let ranges: Vec<String> = pool.ranges().map(|range| range.to_string()).collect();
        let _ = writeln!(
            out,
            "pool {}: {} ({} usable)",
            pool.name(),
            ranges.join(", "),
            pool.usable().size()
        );
    }
    // The files of all routers differ in a few lines only: the first is shown whole.
    let Some(node) = placement.control_plane_load_balancers().next() else {
        return;
    };
    let vrrp = derive::vrrp(cluster, node).expect("carries the VIP");
    let proxy = derive::proxy(cluster, node).expect("carries the VIP");
    for (file, text) in [
        (
            "vrrp.yaml",
            serde_yaml::to_string(&vrrp).expect("serialisable"),
        ),
        (
            "proxy.yaml",
            serde_yaml::to_string(&proxy).expect("serialisable"),
        ),
    ] {
        let _ = write!(out, "\n# {file} of {}\n{text}", node.address());
    }
    let _ = writeln!(out, "\n# priorities");
    for node in placement.control_plane_load_balancers() {
        let vrrp = derive::vrrp(cluster, node).expect("carries the VIP");
        let _ = writeln!(out, "{} {}", node.data_address(), vrrp.routers[0].priority);
    }
}

/// Reverses each run of lines that list nodes (with what belongs to them).
fn turn_node_lists(text: &str) -> String {
    let mut out: Vec<String> = Vec::new();
    let mut nodes: Vec<String> = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("- address: ") {
            nodes.push(line.to_owned());
        } else if line.trim_start().starts_with("k8sIP: ") {
            let last = nodes.last_mut().expect("below an address");
            last.push('\n');
            last.push_str(line);
        } else {
            out.extend(nodes.drain(..).rev());
            out.push(line.to_owned());
        }
    }
    out.extend(nodes.drain(..).rev());
    out.join("\n")
}
