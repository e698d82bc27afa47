//! Networks.

use ipnet::IpNet;

use super::located::Located;
use super::word::words;

words! {
    /// How a load balancer node forwards to pods on other nodes.
    ForwardMode {
        /// With its own source address.
        Snat = "snat",
        /// With the client's address; answers go around the load balancer.
        Dsr = "dsr",
    }
}

/// Pod and Service networks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterNetwork {
    pub(crate) pods: Vec<Located<IpNet>>,
    pub(crate) services: Vec<Located<IpNet>>,
    pub(crate) advanced_networking: Located<bool>,
    pub(crate) bundled_ingress: bool,
    pub(crate) flat_ipv4: bool,
    pub(crate) forward_mode: ForwardMode,
}

impl ClusterNetwork {
    /// Ranges of pod addresses, without host bits.
    pub fn pod_cidrs(&self) -> impl Iterator<Item = IpNet> + '_ {
        self.pods.iter().map(|net| **net)
    }

    /// Ranges of Service addresses, without host bits.
    pub fn service_cidrs(&self) -> impl Iterator<Item = IpNet> + '_ {
        self.services.iter().map(|net| **net)
    }

    /// Needed by BGP.
    pub fn advanced_networking(&self) -> bool {
        *self.advanced_networking
    }

    /// Whether an ingress uses the ingress VIP.
    pub const fn bundled_ingress(&self) -> bool {
        self.bundled_ingress
    }

    /// Pods without overlay network.
    pub const fn flat_ipv4(&self) -> bool {
        self.flat_ipv4
    }

    /// How a load balancer node forwards to pods on other nodes.
    pub const fn forward_mode(&self) -> ForwardMode {
        self.forward_mode
    }
}

/// HTTP proxy of the site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpProxy {
    pub(crate) url: String,
    pub(crate) no_proxy: Vec<String>,
}

impl HttpProxy {
    /// `http://host:port`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What is reached directly, as written; VIPs, nodes and cluster ranges belong in it too.
    pub fn no_proxy(&self) -> &[String] {
        &self.no_proxy
    }
}
