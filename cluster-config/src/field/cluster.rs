//! `spec` of a Cluster, but for `loadBalancer`.

use super::load_balancer::LOAD_BALANCER;
use super::nodes::CONTROL_PLANE_POOL;
use super::{Field, Format, Rule, Shape, Touch, int, list, some, word};
use crate::code::Code;

/// `spec` of a Cluster.
pub(super) const CLUSTER_SPEC: &[Field] = &[
    Field::new(
        "type",
        word(&["admin", "user", "hybrid", "standalone"]),
        "`admin` manages user clusters and has no workloads; `user` has workloads; `hybrid` both; \
         `standalone` manages itself only.",
    )
    .required()
    .fixed(Code::V22),
    Field::new(
        "profile",
        word(&["default", "edge"]),
        "`edge` saves resources on standalone clusters.",
    )
    .default("default")
    .fixed(Code::F11),
    Field::new(
        "anthosBareMetalVersion",
        Shape::Text(Format::Version),
        "Version of the original product, kept for its files. The bundle decides which Kubernetes is installed.",
    )
    .rule(Rule::Upgrade),
    Field::new(
        "bypassPreflightCheck",
        Shape::Bool,
        "Skip the machine checks when an existing cluster is updated.",
    )
    .default("false"),
    Field::new(
        "controlPlane",
        Shape::Map(CONTROL_PLANE),
        "The control-plane nodes.",
    )
    .required(),
    Field::new(
        "loadBalancer",
        Shape::Map(LOAD_BALANCER),
        "VIPs, pools, and who carries them.",
    )
    .required(),
    Field::new(
        "clusterNetwork",
        Shape::Map(NETWORK),
        "Pod and Service networks.",
    )
    .required(),
    Field::new(
        "maintenanceBlocks",
        Shape::Map(&[Field::new(
            "cidrBlocks",
            list(&Shape::Text(Format::Range)),
            "Addresses or ranges of nodes in maintenance.",
        )
        .touches(Touch::Api)
        .code(Code::V11)]),
        "Nodes out of service: `update cluster` moves their roles and pods away, changes nothing on them, and takes them back when they leave this list.",
    )
    .touches(Touch::Api),
    Field::new(
        "nodeAccess",
        Shape::Map(&[Field::new(
            "loginUser",
            Shape::Text(Format::User),
            "User for SSH; needs passwordless sudo unless root.",
        )
        .default("root")
        .code(Code::V27)]),
        "How nodes are reached.",
    ),
    Field::new(
        "nodeConfig",
        Shape::Map(&[
            Field::new(
                "podDensity",
                Shape::Map(&[Field::new(
                    "maxPodsPerNode",
                    int(32, 250),
                    "Pods on one node; at least 64 on self-managed clusters with one control-plane node.",
                )
                .default("110")
                .fixed(Code::F11)]),
                "Pods per node.",
            ),
            Field::new("containerRuntime", word(&["containerd"]), "Only `containerd`.")
                .default("containerd")
                .rule(Rule::Upgrade),
            Field::unused("privateRegistries", "Registries by Secret."),
        ]),
        "Settings of all nodes.",
    ),
    Field::new(
        "nodePoolUpgradeStrategy",
        Shape::Map(&[
            Field::new(
                "concurrentNodePools",
                int(0, 1),
                "1: worker pools are upgraded one after the other, 0: all at once.",
            )
            .default("1"),
            Field::new("pause", Shape::Bool, "Pause a running upgrade.").default("false"),
        ]),
        "How worker pools are upgraded.",
    ),
    Field::new(
        "osEnvironmentConfig",
        Shape::Map(&[Field::new(
            "addPackageRepo",
            Shape::Bool,
            "Whether `lbctl --kubernetes-version` adds Kubernetes' package repository to nodes; `false`: only what is configured there is used.",
        )
        .default("true")
        .fixed(Code::F11)]),
        "Operating system of the nodes.",
    ),
    Field::new(
        "periodicHealthCheck",
        Shape::Map(&[
            Field::new("enable", Shape::Bool, "Check the cluster's health regularly.")
                .default("true")
                .touches(Touch::Api),
        ]),
        "Regular health checks.",
    ),
    Field::new(
        "proxy",
        Shape::Map(&[
            Field::new("url", Shape::Text(Format::Url), "`http://host:port` of the proxy.")
                .touches(Touch::AllNodes),
            Field::new(
                "noProxy",
                Shape::ListOrCommas(Format::Text),
                "Hosts, domains and ranges reached directly; VIPs, nodes and cluster ranges are added.",
            )
            .fixed(Code::F11),
        ]),
        "HTTP proxy of the site, for pulling software. Load balancers and health checks never use it.",
    ),
    Field::unused("authentication", "Identity providers."),
    Field::unused("binaryAuthorization", "Google Binary Authorization."),
    Field::unused("cloudAuditLogging", "Google audit logs."),
    Field::unused("clusterOperations", "Google logging and monitoring."),
    Field::unused("clusterSecurity", "Security settings of Google's system containers."),
    Field::unused("gkeConnect", "Google fleet membership."),
    Field::unused("gkeOnPremAPI", "Google's cluster API."),
    Field::unused("kubevirt", "Google's VM runtime."),
    Field::unused("metricsAdapter", "Google's metrics adapter."),
    Field::unused("storage", "Local volumes."),
    Field::unused("verticalPodAutoscaling", "Google's autoscaling."),
];

const CONTROL_PLANE: &[Field] = &[
    Field::new(
        "nodePoolSpec",
        Shape::Map(CONTROL_PLANE_POOL),
        "The pool of control-plane nodes.",
    )
    .required(),
    Field::new(
        "apiServerCertExtraSANs",
        list(&Shape::Text(Format::San)),
        "More names and addresses in the API servers' certificate. Node addresses and VIPs are in it anyway.",
    )
    .touches(Touch::ControlPlane),
    Field::new(
        "loadBalancer",
        Shape::Map(&[
            Field::new(
                "mode",
                word(&["bundled", "manual"]),
                "`bundled`: the control-plane load balancer runs on the control-plane nodes even when \
                 `loadBalancer.nodePoolSpec` is set.",
            )
            .rule(Rule::Special(
                "can be set to `bundled` once: before `loadBalancer.nodePoolSpec` is added, or in the same update",
            ))
            .code(Code::V03),
            Field::new(
                "keepalivedVRRPGARPMasterRepeat",
                int(1, 255),
                "Gratuitous ARP messages in the burst after a take-over.",
            )
            .default("5")
            .touches(Touch::LoadBalancers),
        ]),
        "Where the control-plane load balancer runs.",
    ),
    Field::unused("apiServerArgs", "Arguments of the API server."),
    Field::unused("schedulerConfiguration", "Settings of the scheduler."),
];

const NETWORK: &[Field] = &[
    Field::new(
        "pods",
        Shape::Map(&[Field::new(
            "cidrBlocks",
            some(&Shape::Text(Format::Cidr)),
            "Ranges of pod addresses, /18 to /8.",
        )
        .required()
        .fixed(Code::F11)]),
        "Pod network.",
    )
    .required(),
    Field::new(
        "services",
        Shape::Map(&[Field::new(
            "cidrBlocks",
            some(&Shape::Text(Format::Cidr)),
            "Ranges of Service addresses, /24 to /12.",
        )
        .required()
        .rule(Rule::Special("can only grow"))]),
        "Service network.",
    )
    .required(),
    Field::new(
        "advancedNetworking",
        Shape::Bool,
        "Needed by `loadBalancer.type: bgp`.",
    )
    .default("false")
    .fixed(Code::F11),
    Field::new(
        "bundledIngress",
        Shape::Bool,
        "Whether an ingress uses `ingressVIP`.",
    )
    .default("true")
    .touches(Touch::Api),
    Field::new("flatIPv4", Shape::Bool, "Pods without overlay network.")
        .default("false")
        .fixed(Code::F11),
    Field::new(
        "forwardMode",
        word(&["snat", "dsr"]),
        "How a load balancer node forwards to pods on other nodes.",
    )
    .default("snat")
    .fixed(Code::F11),
    Field::unused("multipleNetworkInterfaces", "Several interfaces per pod."),
    Field::unused("sriovOperator", "SR-IOV."),
];
