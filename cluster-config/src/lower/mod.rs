//! Tree to model. Runs after the structure checks: what was refused there is skipped here without a word,
//! because a model with errors is never handed out.

mod load_balancer;
mod nodes;
mod read;

use crate::documents::Documents;
use crate::model::{
    Cluster, ClusterNetwork, ClusterType, ForwardMode, Header, HttpProxy, Located, PrivateRegistry,
    Profile, RegistryMirror, UpgradeSettings,
};
use crate::yaml::Node;
use read::{boolean, cidrs, dictionary, located_text, number, ranges, text, texts, word};

/// The model of a file with a Cluster document.
pub(crate) fn lower(documents: &Documents<'_>, cluster: &Node) -> Cluster {
    let spec = cluster.get("spec");
    let metadata = cluster.get("metadata");
    let at = |path: &[&str]| spec.and_then(|spec| spec.at(path));
    Cluster {
        header: documents.header.map(header).unwrap_or_default(),
        has_namespace_document: documents.namespace.is_some(),
        name: located_text(metadata.and_then(|m| m.get("name"))),
        namespace: located_text(metadata.and_then(|m| m.get("namespace"))),
        annotations: dictionary(metadata.and_then(|m| m.get("annotations"))),
        cluster_type: word(
            at(&["type"]),
            ClusterType::from_word,
            ClusterType::Standalone,
        ),
        profile: word(at(&["profile"]), Profile::from_word, Profile::Default),
        version: at(&["anthosBareMetalVersion"]).map(|node| located_text(Some(node))),
        bypass_preflight_check: *boolean(at(&["bypassPreflightCheck"]), false),
        login_user: text(at(&["nodeAccess", "loginUser"])).unwrap_or_else(|| "root".to_owned()),
        control_plane: nodes::control_plane(at(&["controlPlane"])),
        load_balancer: load_balancer::load_balancer(at(&["loadBalancer"])),
        network: network(at(&["clusterNetwork"])),
        worker_pools: documents
            .node_pools
            .iter()
            .map(|pool| nodes::worker_pool(pool))
            .collect(),
        maintenance: ranges(at(&["maintenanceBlocks", "cidrBlocks"])),
        max_pods_per_node: number(at(&["nodeConfig", "podDensity", "maxPodsPerNode"]), 110),
        upgrade: UpgradeSettings {
            pools_in_turn: *number(at(&["nodePoolUpgradeStrategy", "concurrentNodePools"]), 1) != 0,
            pause: *boolean(at(&["nodePoolUpgradeStrategy", "pause"]), false),
        },
        add_package_repo: *boolean(at(&["osEnvironmentConfig", "addPackageRepo"]), true),
        periodic_health_check: *boolean(at(&["periodicHealthCheck", "enable"]), true),
        http_proxy: at(&["proxy"]).and_then(|proxy| {
            Some(HttpProxy {
                url: text(proxy.get("url"))?,
                no_proxy: no_proxy(proxy.get("noProxy")),
            })
        }),
    }
}

fn header(node: &Node) -> Header {
    let items = |key: &str| node.get(key).map(Node::items).unwrap_or_default();
    Header {
        ssh_private_key_path: node
            .get("sshPrivateKeyPath")
            .map(|path| located_text(Some(path))),
        registry_mirrors: items("registryMirrors")
            .iter()
            .map(|mirror| RegistryMirror {
                endpoint: text(mirror.get("endpoint")).unwrap_or_default(),
                ca_cert_path: text(mirror.get("caCertPath")),
                pull_credential_config_path: text(mirror.get("pullCredentialConfigPath")),
                hosts: texts(mirror.get("hosts")),
            })
            .collect(),
        private_registries: items("privateRegistries")
            .iter()
            .map(|registry| PrivateRegistry {
                host: text(registry.get("host")).unwrap_or_default(),
                ca_cert_path: text(registry.get("caCertPath")),
                pull_credential_config_path: text(registry.get("pullCredentialConfigPath")),
            })
            .collect(),
    }
}

fn network(node: Option<&Node>) -> ClusterNetwork {
    let at = |path: &[&str]| node.and_then(|node| node.at(path));
    ClusterNetwork {
        pods: cidrs(at(&["pods", "cidrBlocks"])),
        services: cidrs(at(&["services", "cidrBlocks"])),
        advanced_networking: boolean(at(&["advancedNetworking"]), false),
        bundled_ingress: *boolean(at(&["bundledIngress"]), true),
        flat_ipv4: *boolean(at(&["flatIPv4"]), false),
        forward_mode: *word(
            at(&["forwardMode"]),
            ForwardMode::from_word,
            ForwardMode::Snat,
        ),
    }
}

/// A list, or one text with commas.
fn no_proxy(node: Option<&Node>) -> Vec<String> {
    match node {
        Some(node) if node.text().is_some() => node
            .text()
            .unwrap_or_default()
            .split(',')
            .map(str::trim)
            .filter(|entry| !entry.is_empty())
            .map(str::to_owned)
            .collect(),
        other => texts(other),
    }
}

impl Located<String> {
    /// A name that is missing and was reported as such.
    fn missing() -> Self {
        Self::unwritten(String::new())
    }
}
