//! Nodes, pools of nodes, kubelet settings.

use super::{Field, Format, Rule, Shape, Touch, int, list, some, word};
use crate::code::Code;

/// `spec` of a NodePool.
pub(super) const NODE_POOL_SPEC: &[Field] = &[
    Field::new(
        "clusterName",
        Shape::Text(Format::Label),
        "The Cluster's `metadata.name`.",
    )
    .required()
    .fixed(Code::F11),
    Field::new(
        "nodes",
        list(&Shape::Map(NODE)),
        "The machines of the pool.",
    )
    .rule(Rule::Special(
        "nodes can be added and removed; a machine cannot move between pools in one step",
    )),
    LABELS,
    TAINTS,
    KUBELET_CONFIG,
    Field::new(
        "upgradeStrategy",
        Shape::Map(&[Field::new(
            "parallelUpgrade",
            Shape::Map(PARALLEL_UPGRADE),
            "How many nodes are upgraded at the same time.",
        )]),
        "How the pool is upgraded.",
    ),
    Field::new(
        "anthosBareMetalVersion",
        Shape::Text(Format::Version),
        "Version of this pool, where it lags behind the cluster.",
    )
    .rule(Rule::Upgrade),
    Field::unused("cloudProviderConfig", "Cloud provider of the pool."),
    Field::unused("operatingSystem", "Operating system of the pool."),
    Field::unused("privateRegistries", "Registries of the pool by Secret."),
];

/// `controlPlane.nodePoolSpec`.
pub(super) const CONTROL_PLANE_POOL: &[Field] = &[
    Field::new(
        "nodes",
        some(&Shape::Map(NODE)),
        "The control-plane machines, usually one or three.",
    )
    .required()
    .rule(Rule::Special(
        "nodes can be added; they leave one at a time, so that etcd keeps its majority",
    )),
    KUBELET_CONFIG,
    UPGRADE_STRATEGY,
    CLUSTER_NAME,
    Field::unused("operatingSystem", "Operating system of the pool."),
];

/// `loadBalancer.nodePoolSpec`.
pub(super) const LOAD_BALANCER_POOL: &[Field] = &[
    Field::new(
        "nodes",
        some(&Shape::Map(NODE)),
        "The machines that carry the load balancers.",
    )
    .required()
    .rule(Rule::Special("nodes can be added and removed")),
    KUBELET_CONFIG,
    UPGRADE_STRATEGY,
    CLUSTER_NAME,
    LABELS.extension(),
    TAINTS.extension(),
    Field::unused("operatingSystem", "Operating system of the pool."),
];

const LABELS: Field = Field::new(
    "labels",
    Shape::Dictionary {
        key: Format::LabelKey,
        value: Format::LabelValue,
    },
    "Labels of the pool's nodes.",
)
.touches(Touch::Api);

const TAINTS: Field = Field::new(
    "taints",
    list(&Shape::Map(TAINT)),
    "Taints of the pool's nodes, such as `node-role.kubernetes.io/load-balancer:NoSchedule`.",
)
.touches(Touch::Api);

const KUBELET_CONFIG: Field = Field::new(
    "kubeletConfig",
    Shape::Map(KUBELET),
    "Kubelet settings of the pool's nodes.",
)
.touches(Touch::Pool);

/// Known so that rule V24 can explain itself; any use is refused.
const UPGRADE_STRATEGY: Field = Field::new(
    "upgradeStrategy",
    Shape::Unused,
    "Not allowed here (V24): these nodes are always upgraded one by one.",
);

const CLUSTER_NAME: Field = Field::new(
    "clusterName",
    Shape::Text(Format::Label),
    "Written by some generators; when present, the Cluster's `metadata.name`.",
)
.fixed(Code::F11);

const NODE: &[Field] = &[
    Field::new(
        "address",
        Shape::Text(Format::Ipv4),
        "IPv4 address for SSH, and for everything else unless `k8sIP` is set.",
    )
    .required()
    .rule(Rule::Special("the identity of a node")),
    Field::new(
        "k8sIP",
        Shape::Text(Format::Ipv4),
        "IPv4 address for Kubernetes and data traffic; `address` is then for SSH only.",
    )
    .default("`address`")
    .fixed(Code::V17),
    Field::new(
        "providerID",
        Shape::Text(Format::Text),
        "Identity of the machine for a cloud provider.",
    )
    .touches(Touch::Api),
];

const TAINT: &[Field] = &[
    Field::new("key", Shape::Text(Format::LabelKey), "Key.")
        .required()
        .touches(Touch::Api),
    Field::new("value", Shape::Text(Format::LabelValue), "Value.").touches(Touch::Api),
    Field::new(
        "effect",
        word(&["NoSchedule", "PreferNoSchedule", "NoExecute"]),
        "Effect.",
    )
    .required()
    .touches(Touch::Api),
];

const KUBELET: &[Field] = &[
    Field::new(
        "registryBurst",
        int(0, i32::MAX as i64),
        "Most image pulls queued in a burst.",
    )
    .default("10")
    .touches(Touch::Pool),
    Field::new(
        "registryPullQPS",
        int(0, i32::MAX as i64),
        "Image pulls per second; 0 = no limit.",
    )
    .default("5")
    .touches(Touch::Pool),
    Field::new(
        "serializeImagePulls",
        Shape::Bool,
        "Pull one image at a time.",
    )
    .default("true")
    .touches(Touch::Pool),
    Field::unused("featureGates", "Feature gates of the kubelet."),
];

const PARALLEL_UPGRADE: &[Field] = &[
    Field::new(
        "concurrentNodes",
        int(1, 15),
        "Nodes upgraded at the same time.",
    )
    .default("1"),
    Field::new(
        "minimumAvailableNodes",
        int(0, i32::MAX as i64),
        "Nodes that must stay available meanwhile.",
    ),
];
