//! Keys of node pools.

use super::{
    Expect::{Api, Nodes, Refused},
    Row,
};

pub(super) const ROWS: &[Row] = &[
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
