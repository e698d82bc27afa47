//! Every field, changed alone.

mod cluster;
mod load_balancer;
mod node_pools;

use std::collections::{BTreeMap, BTreeSet};

use cluster_config::{Verdict, changes, reference_markdown};

use super::{
    Expect::{self, Api, Nodes, Refused},
    LIVE, cluster,
};

/// Text in the file, its replacement, path of the change, expectation.
type Row = (&'static str, &'static str, &'static str, Expect);

const ALL: &[u8] = &[11, 12, 13, 21, 22];
const CONTROL_PLANE: &[u8] = &[11, 12, 13];

fn rows() -> impl Iterator<Item = &'static Row> {
    let parts = [cluster::ROWS, load_balancer::ROWS, node_pools::ROWS];
    parts.into_iter().flatten()
}

#[test]
fn every_field_changes_as_documented() {
    let old = cluster(LIVE);
    for (from, to, path, expect) in rows() {
        assert_eq!(LIVE.matches(from).count(), 1, "{from}");
        let new = cluster(&LIVE.replace(from, to));
        let all = changes(&old, &new);
        let change = all
            .iter()
            .find(|change| change.path == *path)
            .unwrap_or_else(|| panic!("{path}: {all:#?}"));
        let nodes: Vec<u8> = change.nodes.iter().map(|node| node.octets()[3]).collect();
        match (&change.verdict, expect) {
            (Verdict::Refused { code, why, hint }, Refused(wanted)) => {
                assert_eq!(code.as_str(), *wanted, "{path}");
                assert!(!why.is_empty() && !hint.is_empty(), "{path}");
                assert!(nodes.is_empty(), "{path}");
            }
            (Verdict::Allowed, Nodes(wanted)) => {
                assert_eq!((nodes.as_slice(), change.api), (*wanted, false), "{path}");
            }
            (Verdict::Allowed, Api(wanted)) => {
                assert_eq!((nodes.as_slice(), change.api), (*wanted, true), "{path}");
            }
            (verdict, _) => panic!("{path}: {verdict:?}"),
        }
        let others = all
            .iter()
            .filter(|other| !other.path.starts_with(path))
            .count();
        let twin = path.ends_with(":5000]") || path.ends_with("addressPools[main]");
        assert_eq!(others, usize::from(twin), "{path}: {all:#?}");
    }
}

/// Keys whose change is not in the matrix, with where it is judged or why there is none.
const NOT_IN_THE_MATRIX: &[&str] = &[
    // `another_cluster_is_not_an_update`.
    "spec.loadBalancer.mode",
    "metadata.name",
    "metadata.namespace",
    "nodePool.metadata.name",
    "nodePool.metadata.namespace",
    "nodePool.spec.clusterName",
    "spec.controlPlane.nodePoolSpec.clusterName",
    "spec.loadBalancer.nodePoolSpec.clusterName",
    "namespace.metadata.name",
    // `an_own_load_balancer_keeps_its_type`.
    "spec.loadBalancer.type",
    // `settings_of_a_load_balancer_pool_touch_its_nodes`.
    "spec.loadBalancer.nodePoolSpec.nodes",
    "spec.loadBalancer.nodePoolSpec.nodes.address",
    "spec.loadBalancer.nodePoolSpec.nodes.k8sIP",
    "spec.loadBalancer.nodePoolSpec.nodes.providerID",
    "spec.loadBalancer.nodePoolSpec.kubeletConfig.registryBurst",
    "spec.loadBalancer.nodePoolSpec.kubeletConfig.registryPullQPS",
    "spec.loadBalancer.nodePoolSpec.kubeletConfig.serializeImagePulls",
    "spec.loadBalancer.nodePoolSpec.labels",
    "spec.loadBalancer.nodePoolSpec.taints",
    // An address is a node: it comes or goes.
    "spec.controlPlane.nodePoolSpec.nodes.address",
    "nodePool.spec.nodes.address",
    // Words with one value only.
    "spec.nodeConfig.containerRuntime",
    // Labels and annotations of the objects mean nothing to the cluster.
    "metadata.labels",
    "metadata.annotations",
    "namespace.metadata.labels",
    "namespace.metadata.annotations",
    "nodePool.metadata.labels",
    "nodePool.metadata.annotations",
];

/// Lists and selectors that are compared as a whole: their keys need no rows of their own.
const WHOLE: &[&str] = &[
    "serviceSelector",
    "namespaceSelector",
    "taints",
    "bgpPeers",
    "registryMirrors",
    "privateRegistries",
    "addressPools.name",
];

#[test]
fn every_key_of_the_reference_has_a_row_in_the_matrix() {
    let tested: BTreeSet<String> = rows()
        .map(|(_, _, path, _)| without_items(&path.replace("nodePool[workers]", "nodePool")))
        .chain(NOT_IN_THE_MATRIX.iter().map(|path| (*path).to_owned()))
        .collect();
    let mut missing = Vec::new();
    let mut documented = BTreeMap::new();
    let reference = reference_markdown();
    let mut section = "";
    for line in reference.lines() {
        section = match line.strip_prefix("## ") {
            Some("Header") => "header.",
            Some("Namespace") => "namespace.",
            Some("Cluster") => "",
            Some("NodePool") => "nodePool.",
            Some(_) => break,
            None => section,
        };
        let cells: Vec<&str> = line.split(" | ").collect();
        let (Some(key), Some(change)) = (cells[0].strip_prefix("| `"), cells.get(3)) else {
            continue;
        };
        let path = format!("{section}{}", without_items(key.trim_end_matches('`')));
        let covered = tested.contains(&path)
            || WHOLE.iter().any(|whole| {
                path.split_once(whole).is_some_and(|(before, _)| {
                    let whole = format!("{before}{}", whole.trim_end_matches(".name"));
                    tested.contains(&whole)
                })
            });
        // `kind` and `apiVersion` have no second value.
        if !change.trim_matches(['|', ' ']).is_empty() && !covered {
            missing.push(path.clone());
        }
        documented.insert(path, (*change).to_owned());
    }
    assert!(missing.is_empty(), "{missing:#?}");
    for path in NOT_IN_THE_MATRIX {
        assert!(documented.contains_key(*path), "{path} is no key any more");
    }
    // What the reference promises is what happens; other words than these mean that it depends.
    for (_, _, path, expect) in rows() {
        let path = without_items(&path.replace("nodePool[workers]", "nodePool"));
        let change = documented.get(&path).map_or("", String::as_str);
        let refused = matches!(expect, Refused(_));
        if change.starts_with("no (") || change == "by upgrade" {
            assert!(refused, "{path}: {change}");
        } else if change.starts_with("yes") {
            assert!(!refused, "{path}: {change}");
        }
    }
}

/// `a[b].c` as `a.c`.
fn without_items(path: &str) -> String {
    path.split('[')
        .map(|part| part.split_once(']').map_or(part, |(_, after)| after))
        .collect()
}
