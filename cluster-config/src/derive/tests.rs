use std::net::Ipv4Addr;

use super::*;
use crate::load;
use crate::model::{Cluster, Node};

const SMALL: &str = include_str!("../../../examples/three-control-planes.yaml");
const POOL: &str =
    "    nodePoolSpec:\n      nodes:\n      - address: 10.10.0.22\n      - address: 10.10.0.21\n";

fn cluster(text: &str) -> Cluster {
    let loaded = load(text, "test.yaml");
    loaded
        .cluster
        .unwrap_or_else(|| panic!("{:#?}", loaded.diagnostics))
}

fn last_octets<'n>(nodes: impl Iterator<Item = &'n Node>) -> Vec<u8> {
    nodes.map(|node| node.data_address().octets()[3]).collect()
}

#[test]
fn each_row_of_the_placement_table() {
    let with_pool = SMALL.replace("    mode: bundled\n", &format!("    mode: bundled\n{POOL}"));
    let separate = |text: &str| {
        text.replace(
            "  controlPlane:\n",
            "  controlPlane:\n    loadBalancer: {mode: bundled}\n",
        )
    };
    let manual = |text: &str| {
        let (before, _) = text.split_once("    addressPools:").expect("pools");
        before.replace("    mode: bundled", "    mode: manual")
    };
    let own_manual = manual(SMALL).replace(
        "  controlPlane:\n",
        "  controlPlane:\n    loadBalancer: {mode: manual}\n",
    );
    let control_plane = vec![11, 12, 13];
    let pool = vec![21, 22];
    for (text, api, services) in [
        (SMALL.to_owned(), &control_plane, &control_plane),
        (with_pool.clone(), &pool, &pool),
        (separate(&with_pool), &control_plane, &pool),
        (separate(SMALL), &control_plane, &control_plane),
        (manual(SMALL), &vec![], &vec![]),
        (own_manual, &vec![], &vec![]),
    ] {
        let cluster = cluster(&text);
        let placement = placement(&cluster);
        assert_eq!(
            last_octets(placement.control_plane_load_balancers()),
            *api,
            "{text}"
        );
        assert_eq!(
            last_octets(placement.data_plane_load_balancers()),
            *services,
            "{text}"
        );
        for role in placement.roles() {
            let carries_api = api.contains(&role.node.data_address().octets()[3]);
            assert_eq!(vrrp(&cluster, &role.node).is_some(), carries_api);
            assert_eq!(proxy(&cluster, &role.node).is_some(), carries_api);
            let labelled = role
                .labels
                .get(LBNODE_LABEL)
                .is_some_and(|value| value == "true");
            assert_eq!(
                labelled,
                services.contains(&role.node.data_address().octets()[3])
            );
        }
    }
}

#[test]
fn priorities_are_distinct_and_far_apart() {
    let of = |count: usize| {
        (0..count)
            .map(|rank| priority(rank, count))
            .collect::<Vec<_>>()
    };
    assert_eq!(of(1), [240]);
    assert_eq!(of(2), [240, 120]);
    assert_eq!(of(3), [240, 160, 80]);
    assert_eq!(of(5), [240, 192, 144, 96, 48]);
    for count in 1..=MAX_ROUTERS {
        let all = of(count);
        assert!(all.is_sorted_by(|a, b| a > b), "{count}: {all:?}");
        assert!(all.iter().all(|priority| (1..=254).contains(priority)));
    }
}

#[test]
fn virtual_router_ids_are_stable_spread_and_never_a_common_default() {
    // Stable for ever: another value after an upgrade would split a live cluster in two.
    assert_eq!(virtual_router_id(&cluster(SMALL)), 30);
    let mut seen = std::collections::BTreeSet::new();
    for number in 0..1_000 {
        let text = SMALL.replace("name: lab\n", &format!("name: lab-{number}\n"));
        let id = virtual_router_id(&cluster(&text));
        assert!(!matches!(id, 0 | 1 | 51 | 255), "{id}");
        seen.insert(id);
    }
    assert!(seen.len() > 240, "only {} of 252 ids occur", seen.len());
    let written = SMALL.replace(
        "    mode: bundled\n",
        "    mode: bundled\n    vrrp: {virtualRouterID: 51}\n",
    );
    assert_eq!(virtual_router_id(&cluster(&written)), 51);
}

#[test]
fn nodes_outside_the_allowed_sources_are_added_to_them() {
    let text = SMALL.replace(
        "    mode: bundled\n",
        "    mode: bundled\n    proxy: {allowedSources: [192.0.2.0/24, 10.10.0.12/31]}\n",
    );
    let cluster = cluster(&text);
    let node = &cluster.control_plane().nodes()[0];
    let proxy = proxy(&cluster, node).expect("carries the VIP");
    let of = |name: &str| -> Vec<String> {
        let frontend = proxy
            .frontends
            .iter()
            .find(|frontend| frontend.name == name);
        let sources = &frontend.expect("front end").allowed_sources;
        sources.iter().map(ToString::to_string).collect()
    };
    assert_eq!(
        of("api"),
        ["192.0.2.0/24", "10.10.0.12/31", "10.10.0.11/32"]
    );
    assert!(of("loopback").is_empty());
}

#[test]
fn multicast_has_no_peers_and_two_networks_use_the_second() {
    let text = SMALL
        .replace(
            "    mode: bundled\n",
            "    mode: bundled\n    vrrp: {unicast: false}\n",
        )
        .replace(
            "      - address: 10.10.0.12\n",
            "      - address: 172.16.0.12\n        k8sIP: 10.10.0.12\n",
        );
    let cluster = cluster(&text);
    let node = &cluster.control_plane().nodes()[1];
    assert_eq!(node.address(), Ipv4Addr::new(172, 16, 0, 12));
    let router = vrrp(&cluster, node)
        .expect("carries the VIP")
        .routers
        .remove(0);
    assert!(router.peers.is_empty());
    assert_eq!(
        router.source_address,
        std::net::IpAddr::from([10, 10, 0, 12])
    );
    // Health of the others is asked over unicast all the same.
    assert_eq!(
        vrrp(&cluster, node)
            .and_then(|vrrp| vrrp.track)
            .map(|track| track.peer_ready_urls.len()),
        Some(2)
    );
}
