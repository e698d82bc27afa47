//! The documents of a file and their top-level keys.

use super::cluster::CLUSTER_SPEC;
use super::nodes::NODE_POOL_SPEC;
use super::{Field, Format, Rule, Shape, Touch, list, word};
use crate::code::Code;

/// One kind of document.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Document {
    pub(crate) kind: &'static str,
    pub(crate) fields: &'static [Field],
    pub(crate) about: &'static str,
}

/// The document without `kind`.
pub(crate) const HEADER: Document = Document {
    kind: "header",
    fields: HEADER_FIELDS,
    about: "Settings of the operator's tool: the first document, without `apiVersion` and `kind`.",
};

/// Documents with a `kind`.
pub(crate) const DOCUMENTS: &[Document] = &[
    Document {
        kind: "Namespace",
        fields: NAMESPACE,
        about: "The namespace of the cluster's objects, by habit `cluster-NAME`.",
    },
    Document {
        kind: "Cluster",
        fields: CLUSTER,
        about: "The cluster; exactly one.",
    },
    Document {
        kind: "NodePool",
        fields: NODE_POOL,
        about: "A pool of worker nodes; any number.",
    },
];

const BAREMETAL: &[&str] = &["baremetal.cluster.gke.io/v1"];

const HEADER_FIELDS: &[Field] = &[
    Field::new(
        "sshPrivateKeyPath",
        Shape::Text(Format::PrivateKeyPath),
        "Private SSH key for all nodes; relative to the working directory, `~` is the home directory.",
    )
    .code(Code::V28),
    Field::new(
        "registryMirrors",
        list(&Shape::Map(REGISTRY_MIRROR)),
        "Registries asked before the original ones.",
    )
    .touches(Touch::AllNodes),
    Field::new(
        "privateRegistries",
        list(&Shape::Map(PRIVATE_REGISTRY)),
        "Registries for workloads that need credentials or a private CA.",
    )
    .touches(Touch::AllNodes),
    Field::unused("gcrKeyPath", "Google registry key."),
    Field::unused("gkeConnectAgentServiceAccountKeyPath", "Google Connect key."),
    Field::unused(
        "gkeConnectRegisterServiceAccountKeyPath",
        "Google Connect key.",
    ),
    Field::unused(
        "cloudOperationsServiceAccountKeyPath",
        "Google Cloud operations key.",
    ),
];

const REGISTRY_MIRROR: &[Field] = &[
    Field::new(
        "endpoint",
        Shape::Text(Format::Url),
        "`https://host:port`, optionally with `/v2/NAMESPACE`.",
    )
    .required()
    .touches(Touch::AllNodes),
    Field::new(
        "caCertPath",
        Shape::Text(Format::Text),
        "CA certificate of the mirror, on the operator's machine.",
    )
    .touches(Touch::AllNodes),
    Field::new(
        "pullCredentialConfigPath",
        Shape::Text(Format::Text),
        "Docker `config.json` with credentials, on the operator's machine.",
    )
    .touches(Touch::AllNodes),
    Field::new(
        "hosts",
        list(&Shape::Text(Format::Text)),
        "Registries that this mirror stands for.",
    )
    .touches(Touch::AllNodes),
];

const PRIVATE_REGISTRY: &[Field] = &[
    Field::new(
        "host",
        Shape::Text(Format::Text),
        "`host:port`, without scheme.",
    )
    .required()
    .touches(Touch::AllNodes),
    Field::new(
        "caCertPath",
        Shape::Text(Format::Text),
        "CA certificate of the registry, on the operator's machine.",
    )
    .touches(Touch::AllNodes),
    Field::new(
        "pullCredentialConfigPath",
        Shape::Text(Format::Text),
        "Docker `config.json` with credentials, on the operator's machine.",
    )
    .touches(Touch::AllNodes),
];

const NAMESPACE: &[Field] = &[
    Field::new("apiVersion", word(&["v1"]), "").required(),
    Field::new("kind", word(&["Namespace"]), "").required(),
    Field::new(
        "metadata",
        Shape::Map(NAMESPACE_METADATA),
        "Name, labels, annotations.",
    )
    .required(),
    Field::unused("spec", "Written by Kubernetes."),
    Field::unused("status", "Written by Kubernetes."),
];

const NAMESPACE_METADATA: &[Field] = &[
    Field::new(
        "name",
        Shape::Text(Format::Label),
        "The Cluster's `metadata.namespace`.",
    )
    .required()
    .fixed(Code::V31),
    LABELS,
    ANNOTATIONS,
    WRITTEN_BY_API[0],
    WRITTEN_BY_API[1],
    WRITTEN_BY_API[2],
    WRITTEN_BY_API[3],
    WRITTEN_BY_API[4],
    WRITTEN_BY_API[5],
    WRITTEN_BY_API[6],
];

const CLUSTER: &[Field] = &[
    Field::new("apiVersion", word(BAREMETAL), "").required(),
    Field::new("kind", word(&["Cluster"]), "").required(),
    Field::new(
        "metadata",
        Shape::Map(METADATA),
        "Name, labels, annotations.",
    )
    .required(),
    Field::new(
        "spec",
        Shape::Map(CLUSTER_SPEC),
        "What the cluster is to be.",
    )
    .required(),
    Field::unused("status", "Written by Kubernetes."),
];

const METADATA: &[Field] = &[
    Field::new(
        "name",
        Shape::Text(Format::Label),
        "A DNS label. Clusters: best with at most 45 characters. Pools: not the cluster's name, also not with `-lb` behind it.",
    )
    .required()
    .rule(Rule::Fixed(Code::F11)),
    Field::new(
        "namespace",
        Shape::Text(Format::Label),
        "Namespace of all objects of the cluster.",
    )
    .required()
    .fixed(Code::V31),
    LABELS,
    ANNOTATIONS,
    WRITTEN_BY_API[0],
    WRITTEN_BY_API[1],
    WRITTEN_BY_API[2],
    WRITTEN_BY_API[3],
    WRITTEN_BY_API[4],
    WRITTEN_BY_API[5],
    WRITTEN_BY_API[6],
];

const NODE_POOL: &[Field] = &[
    Field::new("apiVersion", word(BAREMETAL), "").required(),
    Field::new("kind", word(&["NodePool"]), "").required(),
    Field::new(
        "metadata",
        Shape::Map(METADATA),
        "Name, labels, annotations.",
    )
    .required(),
    Field::new(
        "spec",
        Shape::Map(NODE_POOL_SPEC),
        "What the pool is to be.",
    )
    .required(),
    Field::unused("status", "Written by Kubernetes."),
];

const LABELS: Field = Field::new(
    "labels",
    Shape::Dictionary {
        key: Format::LabelKey,
        value: Format::LabelValue,
    },
    "Labels of the object.",
);

const ANNOTATIONS: Field = Field::new(
    "annotations",
    Shape::Dictionary {
        key: Format::LabelKey,
        value: Format::Anything,
    },
    "Annotations of the object.",
);

/// What `kubectl get -o yaml` adds.
const WRITTEN_BY_API: [Field; 7] = [
    Field::unused("creationTimestamp", "Written by Kubernetes."),
    Field::unused("finalizers", "Written by Kubernetes."),
    Field::unused("generation", "Written by Kubernetes."),
    Field::unused("managedFields", "Written by Kubernetes."),
    Field::unused("ownerReferences", "Written by Kubernetes."),
    Field::unused("resourceVersion", "Written by Kubernetes."),
    Field::unused("uid", "Written by Kubernetes."),
];
