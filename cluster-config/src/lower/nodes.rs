//! Nodes and pools out of the tree.

use super::read::{
    address, boolean, dictionary, items, located_text, number, optional_number, text, texts, word,
    written,
};
use crate::model::{
    ControlPlane, Effect, KubeletSettings, LoadBalancerPool, Mode, Node, ParallelUpgrade, Taint,
    WorkerPool,
};
use crate::yaml;

pub(super) fn control_plane(node: Option<&yaml::Node>) -> ControlPlane {
    let at = |path: &[&str]| node.and_then(|node| node.at(path));
    let pool = at(&["nodePoolSpec"]);
    ControlPlane {
        nodes: machines(pool),
        kubelet: kubelet(pool),
        cluster_name: pool
            .and_then(|pool| pool.get("clusterName"))
            .map(|name| located_text(Some(name))),
        upgrade_strategy: written(pool, "upgradeStrategy"),
        load_balancer_mode: at(&["loadBalancer", "mode"])
            .map(|mode| word(Some(mode), Mode::from_word, Mode::Bundled)),
        garp_repeat: number(at(&["loadBalancer", "keepalivedVRRPGARPMasterRepeat"]), 5),
        extra_sans: texts(at(&["apiServerCertExtraSANs"])),
    }
}

pub(super) fn load_balancer_pool(parent: &yaml::Node) -> Option<LoadBalancerPool> {
    let pool = parent.get("nodePoolSpec")?;
    Some(LoadBalancerPool {
        key: written(Some(parent), "nodePoolSpec"),
        nodes: machines(Some(pool)),
        kubelet: kubelet(Some(pool)),
        cluster_name: pool.get("clusterName").map(|name| located_text(Some(name))),
        upgrade_strategy: written(Some(pool), "upgradeStrategy"),
        labels: dictionary(pool.get("labels")),
        taints: taints(pool.get("taints")),
    })
}

pub(super) fn worker_pool(document: &yaml::Node) -> WorkerPool {
    let spec = document.get("spec");
    let at = |key: &str| spec.and_then(|spec| spec.get(key));
    let upgrade =
        |key: &str| spec.and_then(|spec| spec.at(&["upgradeStrategy", "parallelUpgrade", key]));
    WorkerPool {
        name: located_text(document.at(&["metadata", "name"])),
        namespace: located_text(document.at(&["metadata", "namespace"])),
        cluster_name: located_text(at("clusterName")),
        nodes: machines(spec),
        labels: dictionary(at("labels")),
        taints: taints(at("taints")),
        kubelet: kubelet(spec),
        version: text(at("anthosBareMetalVersion")),
        parallel_upgrade: ParallelUpgrade {
            concurrent_nodes: *number(upgrade("concurrentNodes"), 1),
            minimum_available_nodes: *number(upgrade("minimumAvailableNodes"), 0),
        },
    }
}

fn machines(pool: Option<&yaml::Node>) -> Vec<Node> {
    items(pool.and_then(|pool| pool.get("nodes")))
        .iter()
        .filter_map(|node| {
            Some(Node {
                address: address(node.get("address"))?,
                k8s_ip: address(node.get("k8sIP")),
                provider_id: text(node.get("providerID")),
            })
        })
        .collect()
}

fn kubelet(pool: Option<&yaml::Node>) -> KubeletSettings {
    let at = |key: &str| pool.and_then(|pool| pool.at(&["kubeletConfig", key]));
    let default = KubeletSettings::default();
    KubeletSettings {
        registry_burst: optional_number(at("registryBurst")).map_or(default.registry_burst, |n| *n),
        registry_pull_qps: optional_number(at("registryPullQPS"))
            .map_or(default.registry_pull_qps, |n| *n),
        serialize_image_pulls: *boolean(at("serializeImagePulls"), default.serialize_image_pulls),
    }
}

fn taints(node: Option<&yaml::Node>) -> Vec<Taint> {
    items(node)
        .iter()
        .map(|taint| Taint {
            key: text(taint.get("key")).unwrap_or_default(),
            value: text(taint.get("value")).unwrap_or_default(),
            effect: *word(taint.get("effect"), Effect::from_word, Effect::NoSchedule),
        })
        .collect()
}
