//! Load balancers move, and their settings change.

use cluster_config::{Cluster, Verdict, changes};

use super::{
    Expect::{Api, Nodes, Refused},
    LIVE, cluster, refusals,
};

#[test]
fn an_own_load_balancer_keeps_its_type() {
    let manual = LIVE
        .replace("mode: bundled", "mode: manual")
        .replace("    addressPools:\n    - name: main\n      addresses:\n      - 10.0.1.200-10.0.1.239\n      avoidBuggyIPs: false\n      manualAssign: false\n", "");
    let bgp = manual.replace("type: layer2", "type: bgp");
    let all = changes(&cluster(&manual), &cluster(&bgp));
    assert_eq!(refusals(&all), ["V22"]);
    assert_eq!(all[0].path, "spec.loadBalancer.type");
}

#[test]
fn settings_of_a_load_balancer_pool_touch_its_nodes() {
    let pool = "      - address: 10.0.1.32\n";
    let live = with_pool(LIVE).replace(
        pool,
        "      - address: 10.0.0.32\n        k8sIP: 10.0.1.32\n        providerID: one\n      kubeletConfig: {registryBurst: 10, registryPullQPS: 5, serializeImagePulls: true}\n      labels: {rack: a}\n      taints: [{key: a, effect: NoSchedule}]\n",
    );
    let old = cluster(&live);
    let both: &[u8] = &[31, 32];
    for (from, to, key, expect) in [
        (
            "k8sIP: 10.0.1.32",
            "k8sIP: 10.0.1.42",
            "nodes[10.0.0.32].k8sIP",
            Refused("V17"),
        ),
        (
            "providerID: one",
            "providerID: two",
            "nodes[10.0.0.32].providerID",
            Api(&[]),
        ),
        (
            "{registryBurst: 10,",
            "{registryBurst: 20,",
            "kubeletConfig.registryBurst",
            Nodes(both),
        ),
        (
            "PullQPS: 5, ser",
            "PullQPS: 6, ser",
            "kubeletConfig.registryPullQPS",
            Nodes(both),
        ),
        (
            "serializeImagePulls: true}",
            "serializeImagePulls: false}",
            "kubeletConfig.serializeImagePulls",
            Nodes(both),
        ),
        ("{rack: a}", "{rack: b}", "labels", Api(&[])),
        (
            "a, effect: NoSchedule",
            "a, effect: NoExecute",
            "taints",
            Api(&[]),
        ),
    ] {
        assert_eq!(live.matches(from).count(), 1, "{from}");
        let all = changes(&old, &cluster(&live.replace(from, to)));
        let [change] = all.as_slice() else {
            panic!("{key}: {all:#?}");
        };
        assert_eq!(change.path, format!("spec.loadBalancer.nodePoolSpec.{key}"));
        let nodes: Vec<u8> = change.nodes.iter().map(|node| node.octets()[3]).collect();
        match (&change.verdict, expect) {
            (Verdict::Refused { code, .. }, Refused(wanted)) => assert_eq!(code.as_str(), wanted),
            (Verdict::Allowed, Nodes(wanted)) => {
                assert_eq!((nodes.as_slice(), change.api), (wanted, false), "{key}");
            }
            (Verdict::Allowed, Api(wanted)) => {
                assert_eq!((nodes.as_slice(), change.api), (wanted, true), "{key}");
            }
            (verdict, _) => panic!("{key}: {verdict:?}"),
        }
    }
}

const POOL: &str =
    "    nodePoolSpec:\n      nodes:\n      - address: 10.0.1.31\n      - address: 10.0.1.32\n";

#[test]
fn service_addresses_move_to_a_pool_in_one_update() {
    let old = cluster(LIVE);
    let new = separate(LIVE);
    let all = changes(&old, &new);
    assert!(all.iter().all(|change| !change.is_refused()), "{all:#?}");
    let paths: Vec<&str> = all.iter().map(|change| change.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "spec.controlPlane.loadBalancer.mode",
            "spec.loadBalancer.nodePoolSpec",
            "spec.loadBalancer.nodePoolSpec.nodes[10.0.1.31]",
            "spec.loadBalancer.nodePoolSpec.nodes[10.0.1.32]",
        ]
    );
    // The old carriers hand the addresses over, the new ones take them; no API load balancer is touched.
    let touched: Vec<Vec<u8>> = all
        .iter()
        .map(|change| change.nodes.iter().map(|node| node.octets()[3]).collect())
        .collect();
    assert_eq!(
        touched,
        [vec![], vec![11, 12, 13, 31, 32], vec![31], vec![32]]
    );
    // Also when the mode was written before, which changes nothing by itself.
    let bundled = cluster(&with_mode(LIVE));
    assert!(
        changes(&bundled, &new)
            .iter()
            .all(|change| !change.is_refused())
    );
}

#[test]
fn other_moves_of_the_load_balancers_are_refused() {
    let pool = cluster(&with_pool(LIVE));
    let separate = separate(LIVE);
    let plain = cluster(LIVE);
    let bundled = cluster(&with_mode(LIVE));
    for (old, new, codes) in [
        (&plain, &pool, vec!["V23"]),
        (&pool, &plain, vec!["V23"]),
        (&pool, &separate, vec!["V23"]),
        (&separate, &pool, vec!["V22"]),
        (&separate, &bundled, vec!["V23"]),
        (&separate, &plain, vec!["V22", "V23"]),
        (&bundled, &plain, vec!["V22"]),
    ] {
        assert_eq!(refusals(&changes(old, new)), codes);
    }
}

#[test]
fn changed_load_balancer_nodes_touch_every_router() {
    let old = cluster(&with_pool(LIVE));
    let new = cluster(&with_pool(LIVE).replace("- address: 10.0.1.32\n", "- address: 10.0.1.33\n"));
    let all = changes(&old, &new);
    let nodes: Vec<Vec<u8>> = all
        .iter()
        .map(|change| change.nodes.iter().map(|node| node.octets()[3]).collect())
        .collect();
    assert_eq!(nodes, [vec![31, 32, 33], vec![31, 33]]);
}

fn with_pool(text: &str) -> String {
    text.replace("    type: layer2\n", POOL)
}

fn with_mode(text: &str) -> String {
    text.replace(
        "    loadBalancer:\n      keep",
        "    loadBalancer:\n      mode: bundled\n      keep",
    )
}

fn separate(text: &str) -> Cluster {
    cluster(&with_mode(&with_pool(text)))
}
