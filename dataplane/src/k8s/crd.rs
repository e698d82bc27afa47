//! Our API group, `bundledlb.io/v1`.

#![expect(
    unreachable_pub,
    reason = "`KubeSchema` copies each type to where nobody can reach it"
)]
#![expect(
    clippy::duplicated_attributes,
    reason = "each printer column is written in the same words"
)]

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Addresses for Services of `type: LoadBalancer`.
#[derive(CustomResource, KubeSchema, Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "bundledlb.io",
    version = "v1",
    kind = "AddressPool",
    plural = "addresspools",
    shortname = "lbpool",
    category = "bundledlb",
    status = "AddressPoolStatus",
    derive = "PartialEq",
    doc = "Addresses for Services of type LoadBalancer.",
    printcolumn(
        name = "IPv4",
        type_ = "string",
        json_path = ".status.ipv4.total",
        description = "IPv4 addresses in all"
    ),
    printcolumn(
        name = "Used",
        type_ = "string",
        json_path = ".status.ipv4.assigned",
        description = "IPv4 addresses that Services have"
    ),
    printcolumn(
        name = "Free",
        type_ = "string",
        json_path = ".status.ipv4.available",
        description = "IPv4 addresses that are left"
    ),
    printcolumn(
        name = "IPv6 used",
        type_ = "string",
        json_path = ".status.ipv6.assigned",
        priority = 1
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].reason",
        priority = 1
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct AddressPoolSpec {
    /// CIDRs, ranges `first-last`, or single addresses; IPv4 and IPv6 may be mixed.
    #[schemars(length(min = 1, max = 256), inner(length(max = 90)))]
    #[x_kube(validation = Rule::new(RANGES).message("write CIDRs, `first-last` or single addresses"))]
    pub addresses: Vec<String>,
    /// Addresses inside `addresses` that are never given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(max = 90)))]
    #[x_kube(validation = Rule::new(RANGES).message("write CIDRs, `first-last` or single addresses"))]
    pub excluded: Vec<String>,
    /// Addresses kept for one Service each, whether it exists or not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1024))]
    pub reservations: Vec<Reservation>,
    /// Leave out IPv4 addresses that end in .0 or .255.
    #[serde(default, rename = "avoidBuggyIPs")]
    pub avoid_buggy_ips: bool,
    /// Give an address only to a Service that names the pool or the address.
    #[serde(default)]
    pub manual_assign: bool,
    /// Give nothing any more; what is given stays.
    #[serde(default)]
    pub disabled: bool,
    /// Lower comes first; 0 or absent comes last.
    #[serde(default)]
    #[schemars(range(max = 4_294_967_295_u32), extend("format" = "int64"))]
    pub priority: u32,
    /// Namespaces by name; together with `namespaceSelectors`; both absent: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<String>,
    /// Namespaces by label; one that matches suffices.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub namespace_selectors: Vec<LabelSelector>,
    /// Services by label; one that matches suffices; absent: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub service_selectors: Vec<LabelSelector>,
}

/// An address kept for one Service.
#[derive(KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reservation {
    /// The address.
    #[schemars(length(max = 45))]
    #[x_kube(validation = Rule::new("isIP(self)").message("write one IP address"))]
    pub address: String,
    /// Namespace of the Service.
    #[schemars(length(min = 1, max = 63))]
    pub namespace: String,
    /// Name of the Service.
    #[schemars(length(min = 1, max = 63))]
    pub service: String,
}

/// A list of ranges in CEL: a CIDR, two addresses with a dash between them, or one address.
const RANGES: &str = "self.all(a, a.contains('/') ? isCIDR(a) : \
    (a.contains('-') ? (a.split('-').size() == 2 && a.split('-').all(p, isIP(p))) : isIP(a)))";

/// How full a pool is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AddressPoolStatus {
    /// `metadata.generation` this status is about.
    #[serde(default)]
    pub observed_generation: i64,
    /// IPv4 addresses.
    #[serde(default)]
    pub ipv4: Usage,
    /// IPv6 addresses.
    #[serde(default)]
    pub ipv6: Usage,
    /// `Ready`: the pool is in force; reasons `InForce`, `Overlap`, `InvalidSpec`, `Disabled`.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// Counts of addresses, as decimal numbers: IPv6 pools are larger than 64 bits can count.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Usage {
    /// Addresses the pool can give in all.
    #[serde(default)]
    pub total: String,
    /// Addresses that Services have.
    #[serde(default)]
    pub assigned: String,
    /// Addresses that are left.
    #[serde(default)]
    pub available: String,
}

/// Where the addresses of pools are announced by ARP and NDP.
#[derive(CustomResource, KubeSchema, Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "bundledlb.io",
    version = "v1",
    kind = "L2Advertisement",
    plural = "l2advertisements",
    shortname = "lbl2",
    category = "bundledlb",
    derive = "PartialEq",
    doc = "Where the addresses of pools are announced by ARP and NDP.",
    printcolumn(name = "Pools", type_ = "string", json_path = ".spec.pools"),
    printcolumn(name = "Interfaces", type_ = "string", json_path = ".spec.interfaces"),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct L2AdvertisementSpec {
    /// AddressPools by name; together with `poolSelectors`; both absent: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pools: Vec<String>,
    /// AddressPools by label; one that matches suffices.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pool_selectors: Vec<LabelSelector>,
    /// Services by label; one that matches suffices; absent: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub service_selectors: Vec<LabelSelector>,
    /// Nodes by label; one that matches suffices; absent: all load-balancer nodes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub node_selectors: Vec<LabelSelector>,
    /// Interfaces by name, or by a regular expression between slashes; absent: those the address is on-link at.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 256)))]
    #[x_kube(validation = Rule::new("self.all(i, i.startsWith('/') == i.endsWith('/') && i != '/')").message("write a name, or an expression as /…/"))]
    pub interfaces: Vec<String>,
}

/// A block of the ledger: which Service each address is given to. Written by the controller alone.
#[derive(CustomResource, Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "bundledlb.io",
    version = "v1",
    kind = "AddressBlock",
    plural = "addressblocks",
    category = "bundledlb",
    derive = "PartialEq",
    doc = "A block of the ledger: which Service each address is given to. Written by the controller alone.",
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct AddressBlockSpec {
    /// By address, the Services (`namespace/name`) that have it, each with the version of it that the address may be
    /// written on.
    // As a whole: the server would else account for the owner of each entry in `managedFields` with every write.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-map-type" = "atomic"))]
    pub allocations: BTreeMap<String, BTreeMap<String, String>>,
}

/// What the speaker of a node does. Written by that speaker alone.
#[derive(CustomResource, Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "bundledlb.io",
    version = "v1",
    kind = "Speaker",
    plural = "speakers",
    category = "bundledlb",
    status = "SpeakerStatus",
    derive = "PartialEq",
    doc = "What the speaker of a node does. Written by that speaker alone.",
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Addresses", type_ = "integer", json_path = ".status.count"),
    printcolumn(name = "Silent", type_ = "string", json_path = ".status.silent"),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct SpeakerSpec {}

/// What a speaker does.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SpeakerStatus {
    /// `Listening`, `Acquainted`, `Serving` or `Leaving`.
    #[serde(default)]
    pub phase: String,
    /// Addresses it answers for.
    #[serde(default)]
    #[schemars(extend("format" = "int64"))]
    pub count: u32,
    /// Those addresses; the first 5000.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["address"]))]
    pub addresses: Vec<SpeakerAddress>,
    /// Interfaces on which it could serve.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub interfaces: Vec<SpeakerInterface>,
    /// Other speakers it does not hear.
    #[serde(default)]
    pub silent: Vec<String>,
    /// Version of its program.
    #[serde(default)]
    pub version: String,
}

/// An address a speaker answers for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SpeakerAddress {
    /// The address.
    pub address: String,
    /// Term of its claim: of two claims the higher one counts.
    #[schemars(extend("format" = "int64"))]
    pub term: u64,
    /// Interface it is answered on.
    pub interface: String,
    /// Hardware address it is answered with.
    pub mac: String,
    /// Since when (RFC 3339).
    pub since: String,
    /// How it came here.
    pub why: String,
    /// Another machine that answers for it as well, by hardware address, or a speaker that is not heard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conflict: Option<String>,
}

/// An interface of a node.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SpeakerInterface {
    /// Its name.
    pub name: String,
    /// Its hardware address.
    pub mac: String,
    /// Switched on, with a carrier.
    pub up: bool,
    /// Its networks as CIDRs.
    #[serde(default)]
    pub networks: Vec<String>,
}
