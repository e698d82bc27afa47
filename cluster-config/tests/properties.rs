//! Properties over random clusters, random damage and random ranges: 10 000 cases each.

mod editor;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use cluster_config::net::{AddressSet, IpRange, IpSet};
use cluster_config::{changes, derive, load, render_json, render_text};
use proptest::collection::{btree_set, vec};
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;

fn cases() -> ProptestConfig {
    ProptestConfig {
        cases: 10_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn a_printed_cluster_reads_back_as_itself(text in cluster_file()) {
        let loaded = load(&text, "random.yaml");
        let cluster = loaded.cluster.unwrap_or_else(|| {
            panic!("{text}\n{}", render_text(&loaded.diagnostics, false))
        });
        let printed = cluster.to_yaml();
        let again = load(&printed, "printed.yaml");
        prop_assert!(again.cluster.as_ref() == Some(&cluster), "{}\n{}\n{}", text, printed,
            render_text(&again.diagnostics, false));
        prop_assert!(changes(&cluster, &cluster).is_empty());
        // What is derived is what a node accepts.
        let placement = derive::placement(&cluster);
        let mut priorities = BTreeSet::new();
        for node in placement.control_plane_load_balancers() {
            let vrrp = derive::vrrp(&cluster, node).expect("carries the VIP");
            prop_assert!(priorities.insert(vrrp.routers[0].priority));
            prop_assert!(!vrrp.routers[0].peers.contains(&IpAddr::from(node.data_address())));
        }
        let id = derive::virtual_router_id(&cluster);
        let written = cluster.load_balancer().vrrp().virtual_router_id();
        prop_assert!(written == Some(id) || (id != 0 && id != 1 && id != 51 && id != 255));
    }

    #[test]
    fn damage_never_panics_and_places_lie_inside_the_file(
        text in cluster_file(),
        damage in vec((any::<prop::sample::Index>(), splice(), 0..40_usize), 1..6),
    ) {
        let mut text: Vec<char> = text.chars().collect();
        for (at, splice, removed) in damage {
            let start = at.index(text.len() + 1);
            let end = (start + removed).min(text.len());
            text.splice(start..end, splice.chars());
        }
        let text: String = text.into_iter().collect();
        let loaded = load(&text, "damaged.yaml");
        let lines: Vec<&str> = text.split('\n').collect();
        for found in &loaded.diagnostics {
            let places = std::iter::once(&found.place).chain(found.related.iter().map(|also| &also.place));
            for place in places {
                prop_assert!((1..=lines.len()).contains(&place.line), "{:?}", place);
                let width = lines[place.line - 1].chars().count();
                prop_assert!((1..=width + 1).contains(&place.column), "{:?}", place);
                prop_assert!(place.width >= 1);
            }
        }
        // Editors are never stricter.
        if loaded.cluster.is_some() {
            let errors = editor::errors(&text);
            prop_assert!(errors.is_empty(), "{}\n{:?}", text, errors);
        }
        let _ = render_text(&loaded.diagnostics, true);
        let _ = render_json(&loaded.diagnostics);
    }

    #[test]
    fn sets_agree_with_lists_of_addresses(
        first in vec(small_range(), 0..8),
        second in vec(small_range(), 0..8),
        steps in vec((any::<bool>(), small_range()), 0..8),
    ) {
        let (a, b): (IpSet, IpSet) = (first.iter().copied().collect(), second.iter().copied().collect());
        let (naive_a, naive_b) = (listed(&first), listed(&second));
        prop_assert!(all(&a) == naive_a);
        prop_assert_eq!(all(&a.union(&b)), &naive_a | &naive_b);
        prop_assert_eq!(all(&a.subtract(&b)), &naive_a - &naive_b);
        prop_assert_eq!(all(&a.intersection(&b)), &naive_a & &naive_b);
        prop_assert_eq!(a.overlaps(&b), !naive_a.is_disjoint(&naive_b));
        let (mut set, mut naive) = (a, naive_a);
        for (insert, range) in steps {
            if insert {
                set.insert(range);
                naive.extend(listed(&[range]));
            } else {
                set.remove(range);
                for address in listed(&[range]) {
                    naive.remove(&address);
                }
            }
            prop_assert_eq!(all(&set), naive.clone());
            let ranges: Vec<IpRange> = set.ranges().collect();
            // Normal form: however a set came about, equal sets are equal.
            prop_assert_eq!(&set, &ranges.into_iter().collect::<IpSet>());
        }
        for address in universe() {
            prop_assert_eq!(set.contains(address), naive.contains(&address));
        }
        let usable = AddressSet::new(set, true);
        let kept: Vec<IpAddr> = naive.into_iter().filter(|address| match address {
            IpAddr::V4(v4) => !matches!(v4.octets()[3], 0 | 255),
            IpAddr::V6(_) => true,
        }).collect();
        prop_assert_eq!(usable.size(), kept.len() as u128);
        for (index, address) in kept.iter().enumerate() {
            prop_assert_eq!(usable.nth(index as u128), Some(*address));
            prop_assert!(usable.contains(*address));
        }
        prop_assert_eq!(usable.nth(kept.len() as u128), None);
    }

    #[test]
    fn a_printed_range_reads_back((a, b) in prop_oneof![
        (any::<Ipv4Addr>(), any::<Ipv4Addr>()).prop_map(|(a, b)| (IpAddr::from(a), IpAddr::from(b))),
        (any::<Ipv6Addr>(), any::<Ipv6Addr>()).prop_map(|(a, b)| (IpAddr::from(a), IpAddr::from(b))),
    ]) {
        let range = IpRange::new(a.min(b), a.max(b)).expect("in order");
        prop_assert_eq!(range.to_string().parse::<IpRange>(), Ok(range));
    }

    #[test]
    fn any_text_is_read_or_refused_as_a_range(text in "[-0-9a-f.:/ ]{0,40}") {
        if let Ok(range) = text.parse::<IpRange>() {
            prop_assert!(range.first() <= range.last());
        }
    }
}

proptest! {
    // The validator is slow in a debug build.
    #![proptest_config(ProptestConfig { cases: 500, ..cases() })]

    #[test]
    fn editors_accept_what_the_check_accepts(text in cluster_file()) {
        let cluster = load(&text, "random.yaml").cluster.expect("valid");
        for text in [text, cluster.to_yaml()] {
            let errors = editor::errors(&text);
            prop_assert!(errors.is_empty(), "{}\n{:?}", text, errors);
        }
    }
}

/// Around a block border, so that .0 and .255 are inside; and the same for IPv6.
fn universe() -> impl Iterator<Item = IpAddr> {
    let v4 = (0..80_u32).map(|n| IpAddr::from(Ipv4Addr::from(0x0a00_00d8 + n)));
    let v6 = (0..20_u128).map(|n| IpAddr::from(Ipv6Addr::from((0xfd_u128 << 120) + n)));
    v4.chain(v6)
}

fn small_range() -> impl Strategy<Value = IpRange> {
    let addresses: Vec<IpAddr> = universe().collect();
    let count = addresses.len();
    (0..count, 0..30_usize).prop_map(move |(start, length)| {
        let first = addresses[start];
        let last = (start..=(start + length).min(count - 1))
            .rev()
            .map(|index| addresses[index])
            .find(|last| last.is_ipv4() == first.is_ipv4())
            .expect("itself");
        IpRange::new(first, last).expect("in order")
    })
}

fn listed(ranges: &[IpRange]) -> BTreeSet<IpAddr> {
    universe()
        .filter(|address| {
            ranges.iter().any(|range| {
                range.first() <= *address
                    && *address <= range.last()
                    && address.is_ipv4() == range.is_ipv4()
            })
        })
        .collect()
}

fn all(set: &IpSet) -> BTreeSet<IpAddr> {
    (0..set.size()).filter_map(|index| set.nth(index)).collect()
}

/// Bits of YAML that change the meaning of what surrounds them.
fn splice() -> impl Strategy<Value = String> {
    prop_oneof![
        select(vec![
            "",
            "\n",
            "\t",
            ": ",
            "- ",
            "---\n",
            "...\n",
            "#",
            "\"",
            "'",
            "{",
            "}",
            "[",
            "]",
            "&a ",
            "*a",
            "!x ",
            "? ",
            "| ",
            "> ",
            "%",
            ",",
            "<<: ",
            "null",
            "~",
            "yes",
            "0777",
            "-",
            "10.0.0.1",
            "/33",
            "nodes:\n",
            "spec:",
            "kind: Cluster\n",
            "\u{feff}",
            "\r\n",
            "\0",
            "é",
            "\u{2028}",
            "\u{85}",
        ])
        .prop_map(str::to_owned),
        ".{0,12}",
        "[ \\n:a-z-]{0,30}",
    ]
}

/// A valid cluster file with any choice of keys.
fn cluster_file() -> impl Strategy<Value = String> {
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
