//! Old file against new file: every field that may appear in a live cluster's file, with what may happen to it.

use std::collections::{BTreeMap, BTreeSet};

use cluster_config::{Change, Cluster, Verdict, changes, load, reference_markdown, render_text};

const LIVE: &str = include_str!("changes/live.yaml");

/// What is expected of a change: the SSH addresses it touches (last octets), or the rule that refuses it.
enum Expect {
    Nodes(&'static [u8]),
    Api(&'static [u8]),
    Refused(&'static str),
}
use Expect::{Api, Nodes, Refused};

const ALL: &[u8] = &[11, 12, 13, 21, 22];
const CONTROL_PLANE: &[u8] = &[11, 12, 13];

/// Text in the file, its replacement, path of the change, expectation.
const MATRIX: &[(&str, &str, &str, Expect)] = &[
    (
        "id_ed25519",
        "id_rsa",
        "header.sshPrivateKeyPath",
        Nodes(&[]),
    ),
    (
        "10.0.0.2:5000",
        "10.0.0.3:5000",
        "header.registryMirrors[https://10.0.0.3:5000]",
        Nodes(ALL),
    ),
    (
        "10.0.0.4:5000",
        "10.0.0.5:5000",
        "header.privateRegistries[10.0.0.5:5000]",
        Nodes(ALL),
    ),
    (
        "ca.pem",
        "new.pem",
        "header.privateRegistries[10.0.0.4:5000].caCertPath",
        Nodes(ALL),
    ),
    (
        "type: hybrid",
        "type: standalone",
        "spec.type",
        Refused("V22"),
    ),
    (
        "profile: default",
        "profile: edge",
        "spec.profile",
        Refused("F11"),
    ),
    (
        "1.33.0-gke.799",
        "1.34.100-gke.15",
        "spec.anthosBareMetalVersion",
        Refused("F11"),
    ),
    (
        "bypassPreflightCheck: false",
        "bypassPreflightCheck: true",
        "spec.bypassPreflightCheck",
        Nodes(&[]),
    ),
    (
        "- api.example.com",
        "- api.example.com\n    - k8s.example.com",
        "spec.controlPlane.apiServerCertExtraSANs",
        Nodes(CONTROL_PLANE),
    ),
    (
        "MasterRepeat: 5",
        "MasterRepeat: 10",
        "spec.controlPlane.loadBalancer.keepalivedVRRPGARPMasterRepeat",
        Nodes(CONTROL_PLANE),
    ),
    (
        "    loadBalancer:\n      keep",
        "    loadBalancer:\n      mode: bundled\n      keep",
        "spec.controlPlane.loadBalancer.mode",
        Nodes(&[]),
    ),
    (
        "      - address: 10.0.0.13\n        k8sIP: 10.0.1.13\n",
        "",
        "spec.controlPlane.nodePoolSpec.nodes[10.0.0.13]",
        Api(CONTROL_PLANE),
    ),
    (
        "        k8sIP: 10.0.1.13\n",
        "        k8sIP: 10.0.1.13\n      - address: 10.0.0.14\n        k8sIP: 10.0.1.14\n",
        "spec.controlPlane.nodePoolSpec.nodes[10.0.0.14]",
        Api(&[11, 12, 13, 14]),
    ),
    (
        "k8sIP: 10.0.1.13",
        "k8sIP: 10.0.1.23",
        "spec.controlPlane.nodePoolSpec.nodes[10.0.0.13].k8sIP",
        Refused("V17"),
    ),
    (
        "rack-1",
        "rack-2",
        "spec.controlPlane.nodePoolSpec.nodes[10.0.0.11].providerID",
        Api(&[]),
    ),
    (
        "      kubeletConfig:\n        registryBurst: 10",
        "      kubeletConfig:\n        registryBurst: 20",
        "spec.controlPlane.nodePoolSpec.kubeletConfig.registryBurst",
        Nodes(CONTROL_PLANE),
    ),
    (
        "registryPullQPS: 5",
        "registryPullQPS: 10",
        "spec.controlPlane.nodePoolSpec.kubeletConfig.registryPullQPS",
        Nodes(CONTROL_PLANE),
    ),
    (
        "serializeImagePulls: true",
        "serializeImagePulls: false",
        "spec.controlPlane.nodePoolSpec.kubeletConfig.serializeImagePulls",
        Nodes(CONTROL_PLANE),
    ),
    (
        "- 192.168.0.0/16",
        "- 192.168.0.0/15",
        "spec.clusterNetwork.pods.cidrBlocks",
        Refused("F11"),
    ),
    (
        "- 10.96.0.0/20",
        "- 10.96.0.0/16",
        "spec.clusterNetwork.services.cidrBlocks",
        Api(CONTROL_PLANE),
    ),
    (
        "- 10.96.0.0/20",
        "- 10.96.0.0/21",
        "spec.clusterNetwork.services.cidrBlocks",
        Refused("V19"),
    ),
    (
        "- 10.96.0.0/20",
        "- 10.98.0.0/16",
        "spec.clusterNetwork.services.cidrBlocks",
        Refused("V19"),
    ),
    (
        "advancedNetworking: false",
        "advancedNetworking: true",
        "spec.clusterNetwork.advancedNetworking",
        Refused("F11"),
    ),
    (
        "bundledIngress: true",
        "bundledIngress: false",
        "spec.clusterNetwork.bundledIngress",
        Api(&[]),
    ),
    (
        "flatIPv4: false",
        "flatIPv4: true",
        "spec.clusterNetwork.flatIPv4",
        Refused("F11"),
    ),
    (
        "forwardMode: snat",
        "forwardMode: dsr",
        "spec.clusterNetwork.forwardMode",
        Refused("F11"),
    ),
    (
        "controlPlaneLBPort: 443",
        "controlPlaneLBPort: 6443",
        "spec.loadBalancer.ports.controlPlaneLBPort",
        Refused("V22"),
    ),
    (
        "controlPlaneVIP: 10.0.1.100",
        "controlPlaneVIP: 10.0.1.101",
        "spec.loadBalancer.vips.controlPlaneVIP",
        Refused("V22"),
    ),
    (
        "controlPlaneVIP: 10.0.1.100",
        "controlPlaneVIP: 10.0.1.100\n      controlPlaneVIPv6: fd00::100",
        "spec.loadBalancer.vips.controlPlaneVIPv6",
        Refused("V22"),
    ),
    (
        "ingressVIP: 10.0.1.200",
        "ingressVIP: 10.0.1.201",
        "spec.loadBalancer.vips.ingressVIP",
        Refused("V22"),
    ),
    (
        "      ingressVIP: 10.0.1.200\n",
        "",
        "spec.loadBalancer.vips.ingressVIP",
        Refused("V22"),
    ),
    (
        "    addressPools:\n",
        "    addressPools:\n    - name: more\n      addresses:\n      - 10.0.1.240/29\n",
        "spec.loadBalancer.addressPools[more]",
        Api(&[]),
    ),
    (
        "- name: main\n",
        "- name: other\n",
        "spec.loadBalancer.addressPools[main]",
        Refused("V21"),
    ),
    (
        "10.0.1.200-10.0.1.239",
        "10.0.1.200-10.0.1.240",
        "spec.loadBalancer.addressPools[main].addresses",
        Refused("V21"),
    ),
    (
        "avoidBuggyIPs: false",
        "avoidBuggyIPs: true",
        "spec.loadBalancer.addressPools[main].avoidBuggyIPs",
        Api(&[]),
    ),
    (
        "manualAssign: false",
        "manualAssign: true",
        "spec.loadBalancer.addressPools[main].manualAssign",
        Api(&[]),
    ),
    (
        "manualAssign: false",
        "priority: 7",
        "spec.loadBalancer.addressPools[main].priority",
        Api(&[]),
    ),
    (
        "manualAssign: false",
        "serviceSelector: {matchLabels: {a: b}}",
        "spec.loadBalancer.addressPools[main].serviceSelector",
        Api(&[]),
    ),
    (
        "manualAssign: false",
        "namespaceSelector: {matchLabels: {a: b}}",
        "spec.loadBalancer.addressPools[main].namespaceSelector",
        Api(&[]),
    ),
    (
        "manualAssign: false",
        "interfaces: [eth1]",
        "spec.loadBalancer.addressPools[main].interfaces",
        Api(&[]),
    ),
    (
        "    type: layer2\n",
        "    nodePoolSpec:\n      nodes:\n      - address: 10.0.1.31\n",
        "spec.loadBalancer.nodePoolSpec",
        Refused("V23"),
    ),
    (
        "    type: layer2\n",
        "    localASN: 65001\n",
        "spec.loadBalancer.localASN",
        Nodes(CONTROL_PLANE),
    ),
    (
        "    type: layer2\n",
        "    bgpPeers: [{ip: 10.0.0.1, asn: 65002}]\n",
        "spec.loadBalancer.bgpPeers[10.0.0.1]",
        Refused("F11"),
    ),
    (
        "    type: layer2\n",
        "    vrrp: {virtualRouterID: 7}\n",
        "spec.loadBalancer.vrrp.virtualRouterID",
        Nodes(CONTROL_PLANE),
    ),
    (
        "    type: layer2\n",
        "    vrrp: {advertisementIntervalMillis: 10}\n",
        "spec.loadBalancer.vrrp.advertisementIntervalMillis",
        Nodes(CONTROL_PLANE),
    ),
    (
        "    type: layer2\n",
        "    vrrp: {unicast: false}\n",
        "spec.loadBalancer.vrrp.unicast",
        Nodes(CONTROL_PLANE),
    ),
    (
        "    type: layer2\n",
        "    vrrp: {interface: eth0.1}\n",
        "spec.loadBalancer.vrrp.interface",
        Nodes(CONTROL_PLANE),
    ),
    (
        "    type: layer2\n",
        "    vrrp: {preempt: true}\n",
        "spec.loadBalancer.vrrp.preempt",
        Nodes(CONTROL_PLANE),
    ),
    (
        "    type: layer2\n",
        "    vrrp: {garpRefreshSeconds: 0}\n",
        "spec.loadBalancer.vrrp.garpRefreshSeconds",
        Nodes(CONTROL_PLANE),
    ),
    (
        "    type: layer2\n",
        "    proxy: {maxConnections: 100}\n",
        "spec.loadBalancer.proxy.maxConnections",
        Nodes(CONTROL_PLANE),
    ),
    (
        "    type: layer2\n",
        "    proxy: {allowedSources: [10.0.0.0/8]}\n",
        "spec.loadBalancer.proxy.allowedSources",
        Nodes(CONTROL_PLANE),
    ),
    (
        "    type: layer2\n",
        "    proxy: {connectTimeoutMillis: 100}\n",
        "spec.loadBalancer.proxy.connectTimeoutMillis",
        Nodes(CONTROL_PLANE),
    ),
    (
        "    type: layer2\n",
        "    proxy: {tunnelTimeoutSeconds: 100}\n",
        "spec.loadBalancer.proxy.tunnelTimeoutSeconds",
        Nodes(CONTROL_PLANE),
    ),
    (
        "    type: layer2\n",
        "    proxy: {finTimeoutSeconds: 100}\n",
        "spec.loadBalancer.proxy.finTimeoutSeconds",
        Nodes(CONTROL_PLANE),
    ),
    (
        "    type: layer2\n",
        "    proxy: {checkIntervalMillis: 500}\n",
        "spec.loadBalancer.proxy.checkIntervalMillis",
        Nodes(CONTROL_PLANE),
    ),
    (
        "    type: layer2\n",
        "    proxy: {checkFall: 5}\n",
        "spec.loadBalancer.proxy.checkFall",
        Nodes(CONTROL_PLANE),
    ),
    (
        "    type: layer2\n",
        "    proxy: {checkRise: 1}\n",
        "spec.loadBalancer.proxy.checkRise",
        Nodes(CONTROL_PLANE),
    ),
    (
        "    type: layer2\n",
        "    dataPlane: {heartbeatIntervalMillis: 100}\n",
        "spec.loadBalancer.dataPlane.heartbeatIntervalMillis",
        Api(&[]),
    ),
    (
        "    type: layer2\n",
        "    dataPlane: {failoverMillis: 1000}\n",
        "spec.loadBalancer.dataPlane.failoverMillis",
        Api(&[]),
    ),
    (
        "- 10.0.0.13\n  nodeAccess",
        "- 10.0.0.12\n  nodeAccess",
        "spec.maintenanceBlocks.cidrBlocks",
        Api(&[]),
    ),
    (
        "loginUser: root",
        "loginUser: ubuntu",
        "spec.nodeAccess.loginUser",
        Nodes(&[]),
    ),
    (
        "maxPodsPerNode: 110",
        "maxPodsPerNode: 250",
        "spec.nodeConfig.podDensity.maxPodsPerNode",
        Refused("F11"),
    ),
    (
        "concurrentNodePools: 1",
        "concurrentNodePools: 0",
        "spec.nodePoolUpgradeStrategy.concurrentNodePools",
        Nodes(&[]),
    ),
    (
        "pause: false",
        "pause: true",
        "spec.nodePoolUpgradeStrategy.pause",
        Nodes(&[]),
    ),
    (
        "addPackageRepo: true",
        "addPackageRepo: false",
        "spec.osEnvironmentConfig.addPackageRepo",
        Refused("F11"),
    ),
    (
        "    enable: true",
        "    enable: false",
        "spec.periodicHealthCheck.enable",
        Api(&[]),
    ),
    (
        "proxy.example.com:3128",
        "proxy.example.com:8080",
        "spec.proxy.url",
        Nodes(ALL),
    ),
    (
        "noProxy: localhost",
        "noProxy: localhost,10.0.0.0/8",
        "spec.proxy.noProxy",
        Refused("F11"),
    ),
    (
        "rack: one",
        "rack: two",
        "nodePool[workers].spec.labels",
        Api(&[]),
    ),
    (
        "effect: NoSchedule",
        "effect: NoExecute",
        "nodePool[workers].spec.taints",
        Api(&[]),
    ),
    (
        "  - address: 10.0.0.22\n",
        "",
        "nodePool[workers].spec.nodes[10.0.0.22]",
        Api(&[22]),
    ),
    (
        "  - address: 10.0.0.22\n",
        "  - address: 10.0.0.22\n  - address: 10.0.0.23\n",
        "nodePool[workers].spec.nodes[10.0.0.23]",
        Api(&[23]),
    ),
    (
        "  kubeletConfig:\n    registryBurst: 10",
        "  kubeletConfig:\n    registryBurst: 20",
        "nodePool[workers].spec.kubeletConfig.registryBurst",
        Nodes(&[21, 22]),
    ),
    (
        "concurrentNodes: 1",
        "concurrentNodes: 2",
        "nodePool[workers].spec.upgradeStrategy.parallelUpgrade.concurrentNodes",
        Nodes(&[]),
    ),
    (
        "minimumAvailableNodes: 1",
        "minimumAvailableNodes: 0",
        "nodePool[workers].spec.upgradeStrategy.parallelUpgrade.minimumAvailableNodes",
        Nodes(&[]),
    ),
    (
        "  - address: 10.0.0.22\n",
        "  - address: 10.0.0.22\n    k8sIP: 10.0.1.22\n",
        "nodePool[workers].spec.nodes[10.0.0.22].k8sIP",
        Refused("V17"),
    ),
    (
        "  - address: 10.0.0.22\n",
        "  - address: 10.0.0.22\n    providerID: one\n",
        "nodePool[workers].spec.nodes[10.0.0.22].providerID",
        Api(&[]),
    ),
    (
        "  kubeletConfig:\n    registryBurst: 10",
        "  kubeletConfig:\n    registryPullQPS: 9\n    registryBurst: 10",
        "nodePool[workers].spec.kubeletConfig.registryPullQPS",
        Nodes(&[21, 22]),
    ),
    (
        "  kubeletConfig:\n    registryBurst: 10",
        "  kubeletConfig:\n    serializeImagePulls: false\n    registryBurst: 10",
        "nodePool[workers].spec.kubeletConfig.serializeImagePulls",
        Nodes(&[21, 22]),
    ),
    (
        "  clusterName: live\n",
        "  clusterName: live\n  anthosBareMetalVersion: 1.32.0-gke.1\n",
        "nodePool[workers].spec.anthosBareMetalVersion",
        Refused("F11"),
    ),
];

#[test]
fn every_field_changes_as_documented() {
    let old = cluster(LIVE);
    for (from, to, path, expect) in MATRIX {
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
    let tested: BTreeSet<String> = MATRIX
        .iter()
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
    for (_, _, path, expect) in MATRIX {
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

#[test]
fn writing_a_default_or_turning_a_list_is_no_change() {
    let old = cluster(LIVE);
    for (from, to) in [
        ("    type: layer2\n", ""),
        (
            "    type: layer2\n",
            "    vrrp: {unicast: true, advertisementIntervalMillis: 100}\n",
        ),
        (
            "- 10.0.1.200-10.0.1.239",
            "- 10.0.1.220-10.0.1.239\n      - 10.0.1.200-10.0.1.219",
        ),
        ("noProxy: localhost", "noProxy: [localhost]"),
        (
            "  - address: 10.0.0.21\n  - address: 10.0.0.22\n",
            "  - address: 10.0.0.22\n  - address: 10.0.0.21\n",
        ),
    ] {
        assert_eq!(LIVE.matches(from).count(), 1, "{from}");
        assert_eq!(changes(&old, &cluster(&LIVE.replace(from, to))), [], "{to}");
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

#[test]
fn machines_do_not_move_between_pools_and_control_planes_leave_one_by_one() {
    let old = cluster(LIVE);
    let moved = LIVE
        .replace("      - address: 10.0.0.13\n        k8sIP: 10.0.1.13\n", "")
        .replace(
            "  - address: 10.0.0.21\n",
            "  - address: 10.0.0.21\n  - address: 10.0.0.13\n    k8sIP: 10.0.1.13\n",
        );
    assert_eq!(refusals(&changes(&old, &cluster(&moved))), ["V16"]);
    let two = LIVE
        .replace("      - address: 10.0.0.13\n        k8sIP: 10.0.1.13\n", "")
        .replace("      - address: 10.0.0.12\n        k8sIP: 10.0.1.12\n", "");
    assert_eq!(refusals(&changes(&old, &cluster(&two))), ["E09", "E09"]);
}

#[test]
fn an_address_is_free_after_its_node_has_left() {
    let without = "      - address: 10.0.0.13\n        k8sIP: 10.0.1.13\n";
    let other = "      - address: 10.0.0.14\n        k8sIP: 10.0.1.13\n";
    let old = cluster(LIVE);
    assert_eq!(
        refusals(&changes(&old, &cluster(&LIVE.replace(without, other)))),
        ["V16"]
    );
    let left = cluster(&LIVE.replace(without, ""));
    let again = cluster(&LIVE.replace(without, other));
    for (old, new) in [(&old, &left), (&left, &again)] {
        assert_eq!(refusals(&changes(old, new)), [""; 0]);
    }
}

#[test]
fn another_cluster_is_not_an_update() {
    let old = cluster(LIVE);
    let name = LIVE
        .replace("name: live\n", "name: other\n")
        .replace("clusterName: live", "clusterName: other");
    assert_eq!(refusals(&changes(&old, &cluster(&name))), ["F11", "F11"]);
    let namespace = LIVE.replace("cluster-live", "cluster-other");
    assert_eq!(
        refusals(&changes(&old, &cluster(&namespace))),
        ["V31", "V31"]
    );
    let manual = LIVE
        .replace("mode: bundled", "mode: manual")
        .replace("    addressPools:\n    - name: main\n      addresses:\n      - 10.0.1.200-10.0.1.239\n      avoidBuggyIPs: false\n      manualAssign: false\n", "");
    assert_eq!(refusals(&changes(&old, &cluster(&manual))), ["V21", "V22"]);
}

fn refusals(changes: &[Change]) -> Vec<&'static str> {
    changes
        .iter()
        .filter_map(|change| match &change.verdict {
            Verdict::Refused { code, .. } => Some(code.as_str()),
            Verdict::Allowed => None,
        })
        .collect()
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

fn cluster(text: &str) -> Cluster {
    let loaded = load(text, "live.yaml");
    loaded
        .cluster
        .unwrap_or_else(|| panic!("{}", render_text(&loaded.diagnostics, false)))
}
