//! MetalLB's objects (`metallb.io/v1beta1`), read as they are; never written.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::CustomResource;
use serde::{Deserialize, Serialize};

/// MetalLB's pool of addresses.
#[derive(CustomResource, Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "metallb.io",
    version = "v1beta1",
    kind = "IPAddressPool",
    plural = "ipaddresspools",
    namespaced,
    schema = "disabled",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct IPAddressPoolSpec {
    /// CIDRs and `first-last` ranges.
    #[serde(default)]
    pub addresses: Vec<String>,
    /// Absent means true.
    #[serde(default)]
    pub auto_assign: Option<bool>,
    /// Leaves out .0 and .255.
    #[serde(default, rename = "avoidBuggyIPs")]
    pub avoid_buggy_ips: bool,
    /// Whom the pool is for.
    #[serde(default)]
    pub service_allocation: Option<ServiceAllocation>,
}

/// Whom a pool is for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceAllocation {
    /// Lower comes first, 0 last.
    #[serde(default)]
    pub priority: i64,
    /// Namespaces by name.
    #[serde(default)]
    pub namespaces: Vec<String>,
    /// Namespaces by label.
    #[serde(default)]
    pub namespace_selectors: Vec<LabelSelector>,
    /// Services by label.
    #[serde(default)]
    pub service_selectors: Vec<LabelSelector>,
}

/// MetalLB's layer-2 advertisement.
#[derive(CustomResource, Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "metallb.io",
    version = "v1beta1",
    kind = "L2Advertisement",
    root = "MetalLbAdvertisement",
    plural = "l2advertisements",
    namespaced,
    schema = "disabled",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct MetalLbAdvertisementSpec {
    /// Pools by name.
    #[serde(default, rename = "ipAddressPools")]
    pub ip_address_pools: Vec<String>,
    /// Pools by label.
    #[serde(default, rename = "ipAddressPoolSelectors")]
    pub ip_address_pool_selectors: Vec<LabelSelector>,
    /// Nodes by label.
    #[serde(default)]
    pub node_selectors: Vec<LabelSelector>,
    /// Services by label.
    #[serde(default)]
    pub service_selectors: Vec<LabelSelector>,
    /// Interfaces by name.
    #[serde(default)]
    pub interfaces: Vec<String>,
}
