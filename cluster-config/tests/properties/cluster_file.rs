//! Cluster files with any choice of keys.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use proptest::collection::{btree_set, vec};
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;

/// A valid one.
pub(super) fn cluster_file() -> impl Strategy<Value = String> {
    (shape(), settings(), pools(), workers(), extras()).prop_map(
        |(shape, settings, pools, workers, extras)| {
            file(&shape, &settings, &pools, &workers, &extras)
        },
    )
}

#[derive(Debug, Clone)]
struct Shape {
    control_planes: usize,
    second_network: bool,
    load_balancers: Option<usize>,
    separate: bool,
    manual: bool,
    kind: &'static str,
    header: bool,
    namespace: bool,
}

fn shape() -> impl Strategy<Value = Shape> {
    (
        1..6_usize,
        any::<bool>(),
        of(1..4_usize),
        any::<bool>(),
        prop::bool::weighted(0.1),
        select(vec!["user", "hybrid", "standalone", "admin"]),
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(
            |(
                control_planes,
                second_network,
                load_balancers,
                separate,
                manual,
                kind,
                header,
                namespace,
            )| Shape {
                control_planes,
                second_network,
                load_balancers,
                separate,
                manual,
                kind,
                header,
                namespace,
            },
        )
}

/// Optional settings: path below `spec.loadBalancer` and text of the value.
fn settings() -> impl Strategy<Value = Vec<(&'static str, &'static str, String)>> {
    let number = |low: u32, high: u32| (low..=high).prop_map(|n| n.to_string()).boxed();
    let flag = || any::<bool>().prop_map(|b| b.to_string()).boxed();
    let keys: Vec<(&'static str, &'static str, BoxedStrategy<String>)> = vec![
        ("vrrp", "virtualRouterID", number(1, 255)),
        (
            "vrrp",
            "advertisementIntervalMillis",
            (1..4_096_u32)
                .prop_map(|n| (n * 10).min(40_950).to_string())
                .boxed(),
        ),
        ("vrrp", "unicast", flag()),
        ("vrrp", "preempt", flag()),
        (
            "vrrp",
            "interface",
            select(vec!["eth0", "bond0.100", "\"123\"", "br-lan"])
                .prop_map(str::to_owned)
                .boxed(),
        ),
        ("vrrp", "garpRefreshSeconds", number(0, 86_400)),
        ("proxy", "maxConnections", number(16, 10_000_000)),
        (
            "proxy",
            "allowedSources",
            select(vec!["[10.0.0.0/8]", "[\"fd00::/8\", 192.0.2.0/24]"])
                .prop_map(str::to_owned)
                .boxed(),
        ),
        ("proxy", "checkFall", number(1, 100)),
        ("proxy", "finTimeoutSeconds", number(1, 3_600)),
        ("dataPlane", "failoverMillis", number(600, 60_000)),
    ];
    keys.into_iter()
        .map(|(section, key, value)| {
            of(value).prop_map(move |value| value.map(|value| (section, key, value)))
        })
        .collect::<Vec<_>>()
        .prop_map(|chosen| chosen.into_iter().flatten().collect())
}

#[derive(Debug, Clone)]
struct PoolText {
    blocks: BTreeSet<u8>,
    extra: String,
}

fn pools() -> impl Strategy<Value = Vec<PoolText>> {
    let extra = vec(
        select(vec![
            "avoidBuggyIPs: true",
            "manualAssign: true",
            "priority: 5",
            "interfaces: [eth0, \"/^e.*$/\"]",
            "serviceSelector: {matchLabels: {app: web, \"x.example/y\": \"\"}}",
            "namespaceSelector: {}",
        ]),
        0..3,
    );
    let pool = (btree_set(any::<u8>(), 1..4), extra).prop_map(|(blocks, extra)| PoolText {
        blocks,
        extra: extra
            .into_iter()
            .collect::<BTreeSet<_>>()
            .into_iter()
            .map(|line| format!("      {line}\n"))
            .collect(),
    });
    vec(pool, 0..4)
}

fn workers() -> impl Strategy<Value = Vec<(usize, bool, bool)>> {
    vec((0..4_usize, any::<bool>(), any::<bool>()), 0..3)
}

/// Optional keys: where, and the text that goes there.
const EXTRAS: &[(&str, &str)] = &[
    (
        "header",
        "privateRegistries: [{host: \"r:5000\", caCertPath: ca.pem, pullCredentialConfigPath: ~/c.json}]\n",
    ),
    (
        "mirror",
        ", caCertPath: \"a: \\tb #\", pullCredentialConfigPath: \"null\", hosts: [docker.io, \"1\"]",
    ),
    (
        "metadata",
        ", annotations: {\"a.example/b\": \"# no comment\", c: \"\"}",
    ),
    ("spec", "  profile: edge\n"),
    ("spec", "  anthosBareMetalVersion: 1.33.0-gke.799\n"),
    ("spec", "  bypassPreflightCheck: true\n"),
    (
        "spec",
        "  maintenanceBlocks: {cidrBlocks: [10.0.0.10, 10.0.2.0-10.0.2.9]}\n",
    ),
    ("spec", "  nodeAccess: {loginUser: ubuntu}\n"),
    (
        "spec",
        "  nodeConfig: {containerRuntime: containerd, podDensity: {maxPodsPerNode: 64}}\n",
    ),
    (
        "spec",
        "  nodePoolUpgradeStrategy: {concurrentNodePools: 0, pause: true}\n",
    ),
    ("spec", "  osEnvironmentConfig: {addPackageRepo: false}\n"),
    ("spec", "  periodicHealthCheck: {enable: false}\n"),
    (
        "spec",
        "  proxy: {url: \"http://p.example:3128\", noProxy: [a.example, 10.0.0.0/8]}\n",
    ),
    ("spec", "  storage: {lvpShare: {numPVUnderSharedPath: 5}}\n"),
    (
        "controlPlane",
        "    apiServerCertExtraSANs: [api.example, 192.0.2.9, \"fd00::9\"]\n",
    ),
    ("network", ", advancedNetworking: true"),
    ("network", ", bundledIngress: false"),
    ("network", ", flatIPv4: true"),
    ("network", ", forwardMode: dsr"),
    ("loadBalancer", "    type: layer2\n"),
    ("loadBalancer", "    localASN: \"65001\"\n"),
    (
        "loadBalancer",
        "    bgpPeers: [{ip: 192.0.2.1, asn: 65002, controlPlaneNodes: [10.0.0.10]}, {ip: 192.0.2.2, asn: \"1\"}]\n",
    ),
    ("vips", ", controlPlaneVIPv6: \"fd00::100\""),
    ("ingress", ", ingressVIP: "),
    (
        "own pool",
        "      kubeletConfig: {registryBurst: 7, registryPullQPS: 0, serializeImagePulls: false}\n",
    ),
    ("own pool", "      clusterName: c\n"),
    (
        "pool",
        "      kubeletConfig: {registryBurst: 7, registryPullQPS: 0, serializeImagePulls: false}\n",
    ),
    ("pool", "      labels: {rack: \"1\", tier: \"\"}\n"),
    (
        "pool",
        "      taints: [{key: node-role.kubernetes.io/load-balancer, effect: NoExecute}]\n",
    ),
    ("workers", "  kubeletConfig: {registryBurst: 0}\n"),
    (
        "workers",
        "  upgradeStrategy: {parallelUpgrade: {concurrentNodes: 15, minimumAvailableNodes: 2}}\n",
    ),
    ("workers", "  anthosBareMetalVersion: 1.32.0\n"),
];

fn extras() -> impl Strategy<Value = BTreeSet<usize>> {
    btree_set(0..EXTRAS.len(), 0..12)
}

fn file(
    shape: &Shape,
    settings: &[(&str, &str, String)],
    pools: &[PoolText],
    workers: &[(usize, bool, bool)],
    extras: &BTreeSet<usize>,
) -> String {
    let admin = shape.kind == "admin";
    let pools = if admin { &[] } else { pools };
    let workers = if admin { &[] } else { workers };
    let extra = |place: &str| -> String {
        let chosen = extras.iter().map(|index| EXTRAS[*index]);
        chosen
            .filter(|(of, _)| *of == place)
            .map(|(_, text)| text)
            .collect()
    };
    let mut text = String::new();
    if shape.header {
        let _ = write!(
            text,
            "sshPrivateKeyPath: \"~/my keys/id: rsa\"\nregistryMirrors: [{{endpoint: \"https://m:5000\"{}}}]\n{}---\n",
            extra("mirror"),
            extra("header")
        );
    }
    if shape.namespace {
        text.push_str("apiVersion: v1\nkind: Namespace\nmetadata: {name: ns}\n---\n");
    }
    let _ = write!(
        text,
        "apiVersion: baremetal.cluster.gke.io/v1\nkind: Cluster\nmetadata: {{name: c, namespace: ns{}}}\nspec:\n{}  type: {}\n  controlPlane:\n{}",
        extra("metadata"),
        extra("spec"),
        shape.kind,
        extra("controlPlane"),
    );
    if shape.separate && !shape.manual {
        text.push_str("    loadBalancer: {mode: bundled, keepalivedVRRPGARPMasterRepeat: 3}\n");
    }
    let _ = write!(
        text,
        "    nodePoolSpec:\n{}      nodes:\n",
        extra("own pool")
    );
    for node in 0..shape.control_planes {
        let _ = writeln!(text, "      - address: 10.0.0.{}", 10 + node);
        if shape.second_network {
            let _ = writeln!(
                text,
                "        k8sIP: 10.0.1.{}\n        providerID: \"no\"",
                10 + node
            );
        }
    }
    let _ = writeln!(
        text,
        "  clusterNetwork: {{pods: {{cidrBlocks: [192.168.0.0/16, \"fd01::/48\"]}}, services: {{cidrBlocks: [172.16.0.0/16]}}{}}}",
        extra("network")
    );
    let first = pools.first().and_then(|pool| pool.blocks.first());
    let ingress = match (extra("ingress"), first) {
        (key, Some(block)) if !key.is_empty() && !shape.manual => format!("{key}10.10.{block}.5"),
        _ => String::new(),
    };
    let _ = writeln!(
        text,
        "  loadBalancer:\n    mode: {}\n    ports: {{controlPlaneLBPort: 443}}\n    vips: {{controlPlaneVIP: 10.0.1.200{}{ingress}}}",
        if shape.manual { "manual" } else { "bundled" },
        extra("vips"),
    );
    text.push_str(&extra("loadBalancer"));
    for section in ["vrrp", "proxy", "dataPlane"] {
        let keys: Vec<_> = settings.iter().filter(|(of, ..)| *of == section).collect();
        if !keys.is_empty() {
            let _ = writeln!(text, "    {section}:");
        }
        for (_, key, value) in keys {
            let _ = writeln!(text, "      {key}: {value}");
        }
    }
    if !shape.manual {
        if let Some(count) = shape.load_balancers {
            let _ = write!(text, "    nodePoolSpec:\n{}      nodes:\n", extra("pool"));
            for node in 0..count {
                let _ = writeln!(text, "      - address: 10.0.0.{}", 50 + node);
            }
        }
        if !pools.is_empty() {
            text.push_str("    addressPools:\n");
        }
        for (index, pool) in pools.iter().enumerate() {
            let _ = writeln!(text, "    - name: pool-{index}\n      addresses:");
            for block in &pool.blocks {
                let _ = writeln!(
                    text,
                    "      - 10.{}.{block}.0-10.{}.{block}.77",
                    10 + index,
                    10 + index
                );
            }
            text.push_str(&pool.extra);
        }
    }
    for (index, (nodes, labels, taints)) in workers.iter().enumerate() {
        let _ = write!(
            text,
            "---\napiVersion: baremetal.cluster.gke.io/v1\nkind: NodePool\nmetadata: {{name: w{index}, namespace: ns}}\nspec:\n  clusterName: c\n{}",
            extra("workers")
        );
        if *nodes > 0 {
            text.push_str("  nodes:\n");
        }
        for node in 0..*nodes {
            let _ = writeln!(text, "  - address: 10.0.2.{}", index * 10 + node + 1);
        }
        if *labels {
            text.push_str("  labels: {rack: \"1\", tier: \"true\"}\n");
        }
        if *taints {
            text.push_str("  taints: [{key: a/b, value: x, effect: NoSchedule}]\n");
        }
    }
    text
}
