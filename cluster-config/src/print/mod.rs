//! The model as a cluster file: every setting written out, defaults included, in the order of the reference.

mod load_balancer;
mod value;

pub(crate) use value::Value;

use std::collections::BTreeMap;

use crate::model::{Cluster, KubeletSettings, Node, Taint, WorkerPool};
use value::{flag, list, map, number, text, texts};

/// The documents of a cluster: header, Namespace, Cluster, NodePools.
pub(crate) struct Printed {
    pub(crate) header: Value,
    pub(crate) namespace: Option<Value>,
    pub(crate) cluster: Value,
    /// By name.
    pub(crate) node_pools: Vec<(String, Value)>,
}

impl Cluster {
    /// The cluster as a file that reads back as the same cluster.
    pub fn to_yaml(&self) -> String {
        let printed = print(self);
        let pools = printed.node_pools.into_iter().map(|(_, pool)| pool);
        let documents: Vec<String> = std::iter::once(printed.header)
            .filter(|header| !header.is_empty())
            .chain(printed.namespace)
            .chain([printed.cluster])
            .chain(pools)
            .map(|document| document.to_yaml())
            .collect();
        documents.join("---\n")
    }
}

/// The model as trees.
pub(crate) fn print(cluster: &Cluster) -> Printed {
    let namespace = map([
        ("apiVersion", text("v1")),
        ("kind", text("Namespace")),
        ("metadata", map([("name", text(cluster.namespace()))])),
    ]);
    Printed {
        header: header(cluster),
        namespace: cluster.has_namespace_document.then_some(namespace),
        cluster: object(
            "Cluster",
            cluster.name(),
            cluster.namespace(),
            dictionary(&cluster.annotations),
            spec(cluster),
        ),
        node_pools: cluster
            .worker_pools
            .iter()
            .map(|pool| {
                let name = pool.name().to_owned();
                (
                    name,
                    object(
                        "NodePool",
                        pool.name(),
                        &pool.namespace,
                        Value::Absent,
                        worker_pool(pool),
                    ),
                )
            })
            .collect(),
    }
}

fn object(kind: &str, name: &str, namespace: &str, annotations: Value, spec: Value) -> Value {
    map([
        ("apiVersion", text("baremetal.cluster.gke.io/v1")),
        ("kind", text(kind)),
        (
            "metadata",
            map([
                ("name", text(name)),
                ("namespace", text(namespace)),
                ("annotations", annotations),
            ]),
        ),
        ("spec", spec),
    ])
}

fn header(cluster: &Cluster) -> Value {
    let header = cluster.header();
    let optional = |value: &Option<String>| value.as_deref().map_or(Value::Absent, text);
    map([
        (
            "sshPrivateKeyPath",
            header.ssh_private_key_path().map_or(Value::Absent, text),
        ),
        (
            "registryMirrors",
            list(header.registry_mirrors().iter().map(|mirror| {
                map([
                    ("endpoint", text(&mirror.endpoint)),
                    ("caCertPath", optional(&mirror.ca_cert_path)),
                    (
                        "pullCredentialConfigPath",
                        optional(&mirror.pull_credential_config_path),
                    ),
                    ("hosts", texts(&mirror.hosts)),
                ])
            })),
        ),
        (
            "privateRegistries",
            list(header.private_registries().iter().map(|registry| {
                map([
                    ("host", text(&registry.host)),
                    ("caCertPath", optional(&registry.ca_cert_path)),
                    (
                        "pullCredentialConfigPath",
                        optional(&registry.pull_credential_config_path),
                    ),
                ])
            })),
        ),
    ])
}

fn spec(cluster: &Cluster) -> Value {
    let network = cluster.network();
    let maintenance: Vec<String> = cluster
        .maintenance()
        .map(|range| range.to_string())
        .collect();
    map([
        ("type", text(cluster.cluster_type().as_str())),
        ("profile", text(cluster.profile().as_str())),
        (
            "anthosBareMetalVersion",
            cluster.version().map_or(Value::Absent, text),
        ),
        ("bypassPreflightCheck", flag(cluster.bypass_preflight_check)),
        ("controlPlane", control_plane(cluster)),
        (
            "loadBalancer",
            load_balancer::print(cluster.load_balancer()),
        ),
        (
            "clusterNetwork",
            map([
                (
                    "pods",
                    blocks(network.pod_cidrs().map(|net| net.to_string())),
                ),
                (
                    "services",
                    blocks(network.service_cidrs().map(|net| net.to_string())),
                ),
                ("advancedNetworking", flag(network.advanced_networking())),
                ("bundledIngress", flag(network.bundled_ingress())),
                ("flatIPv4", flag(network.flat_ipv4())),
                ("forwardMode", text(network.forward_mode().as_str())),
            ]),
        ),
        (
            "maintenanceBlocks",
            map([("cidrBlocks", texts(&maintenance))]),
        ),
        (
            "nodeAccess",
            map([("loginUser", text(cluster.login_user()))]),
        ),
        (
            "nodeConfig",
            map([(
                "podDensity",
                map([("maxPodsPerNode", number(cluster.max_pods_per_node()))]),
            )]),
        ),
        (
            "nodePoolUpgradeStrategy",
            map([
                (
                    "concurrentNodePools",
                    number(u32::from(cluster.upgrade.pools_in_turn)),
                ),
                ("pause", flag(cluster.upgrade.pause)),
            ]),
        ),
        (
            "osEnvironmentConfig",
            map([("addPackageRepo", flag(cluster.add_package_repo))]),
        ),
        (
            "periodicHealthCheck",
            map([("enable", flag(cluster.periodic_health_check))]),
        ),
        (
            "proxy",
            cluster.http_proxy().map_or(Value::Absent, |proxy| {
                map([
                    ("url", text(proxy.url())),
                    ("noProxy", texts(proxy.no_proxy())),
                ])
            }),
        ),
    ])
}

fn blocks(nets: impl Iterator<Item = String>) -> Value {
    let nets: Vec<String> = nets.collect();
    map([("cidrBlocks", texts(&nets))])
}

fn control_plane(cluster: &Cluster) -> Value {
    let control_plane = cluster.control_plane();
    map([
        (
            "nodePoolSpec",
            map([
                ("nodes", nodes(control_plane.nodes())),
                ("kubeletConfig", kubelet(control_plane.kubelet())),
                (
                    "clusterName",
                    control_plane
                        .cluster_name
                        .as_ref()
                        .map_or(Value::Absent, |name| text(name)),
                ),
            ]),
        ),
        ("apiServerCertExtraSANs", texts(control_plane.extra_sans())),
        (
            "loadBalancer",
            map([
                (
                    "mode",
                    control_plane
                        .load_balancer_mode()
                        .map_or(Value::Absent, |mode| text(mode.as_str())),
                ),
                (
                    "keepalivedVRRPGARPMasterRepeat",
                    number(u32::from(control_plane.garp_repeat())),
                ),
            ]),
        ),
    ])
}

fn worker_pool(pool: &WorkerPool) -> Value {
    let upgrade = pool.parallel_upgrade();
    map([
        ("clusterName", text(&pool.cluster_name)),
        ("nodes", nodes(pool.nodes())),
        ("labels", dictionary(pool.labels())),
        ("taints", taints(pool.taints())),
        ("kubeletConfig", kubelet(pool.kubelet())),
        (
            "upgradeStrategy",
            map([(
                "parallelUpgrade",
                map([
                    ("concurrentNodes", number(upgrade.concurrent_nodes)),
                    (
                        "minimumAvailableNodes",
                        number(upgrade.minimum_available_nodes),
                    ),
                ]),
            )]),
        ),
        (
            "anthosBareMetalVersion",
            pool.version().map_or(Value::Absent, text),
        ),
    ])
}

fn nodes(nodes: &[Node]) -> Value {
    list(nodes.iter().map(|node| {
        map([
            ("address", text(&node.address().to_string())),
            (
                "k8sIP",
                node.k8s_ip()
                    .map_or(Value::Absent, |ip| text(&ip.to_string())),
            ),
            ("providerID", node.provider_id().map_or(Value::Absent, text)),
        ])
    }))
}

fn kubelet(kubelet: KubeletSettings) -> Value {
    map([
        ("registryBurst", number(kubelet.registry_burst)),
        ("registryPullQPS", number(kubelet.registry_pull_qps)),
        ("serializeImagePulls", flag(kubelet.serialize_image_pulls)),
    ])
}

fn taints(taints: &[Taint]) -> Value {
    list(taints.iter().map(|taint| {
        map([
            ("key", text(&taint.key)),
            ("value", text(&taint.value)),
            ("effect", text(taint.effect.as_str())),
        ])
    }))
}

fn dictionary(entries: &BTreeMap<String, String>) -> Value {
    Value::Map(
        entries
            .iter()
            .map(|(key, value)| (key.clone(), text(value)))
            .collect(),
    )
    .absent_if_empty()
}
