//! What the allocator and the speakers need to know of a Service, and nothing else.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::IpAddr,
};

use crate::core::{family::Family, labels::Labels, range::AddressRange, request::Request};

/// Namespace and name of a Service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceKey {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl ServiceKey {
    /// A key from its two parts.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
        }
    }

    /// Parses `namespace/name`.
    pub fn parse(text: &str) -> Option<Self> {
        let (namespace, name) = text.split_once('/')?;
        let sound = !namespace.is_empty() && !name.is_empty() && !name.contains('/');
        sound.then(|| Self::new(namespace, name))
    }
}

impl fmt::Display for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// `spec.ipFamilyPolicy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FamilyPolicy {
    /// One address of the one family.
    #[default]
    Single,
    /// As many of the families as the pools can give, at least one.
    PreferDual,
    /// Both or none.
    RequireDual,
}

/// Transport protocol of a Service port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Protocol {
    /// Kubernetes' name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Sctp => "SCTP",
        }
    }

    /// The protocol number of the Internet Protocol header.
    pub const fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Sctp => 132,
        }
    }
}

/// One port a Service listens on at its addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Port {
    /// Protocol.
    pub protocol: Protocol,
    /// Port number at the address.
    pub number: u16,
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.protocol.as_str(), self.number)
    }
}

/// `spec.externalTrafficPolicy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TrafficPolicy {
    /// Any node forwards to any endpoint.
    #[default]
    Cluster,
    /// A node forwards only to its own endpoints.
    Local,
}

/// A Service that wants addresses from us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Who it is.
    pub key: ServiceKey,
    /// `metadata.uid`; tells a re-created Service from the old one of the same name.
    pub uid: String,
    /// `metadata.creationTimestamp` in seconds since 1970; older ones come first.
    pub created: i64,
    /// Labels, for selectors of pools and advertisements.
    pub labels: Labels,
    /// Families it can be reached on, the primary one first; never empty.
    pub families: Vec<Family>,
    /// How many of the families it needs.
    pub policy: FamilyPolicy,
    /// Ports at its addresses.
    pub ports: BTreeSet<Port>,
    /// Whether a node forwards to its own endpoints only.
    pub traffic_policy: TrafficPolicy,
    /// `spec.selector`: which pods it means.
    pub selector: BTreeMap<String, String>,
    /// What its annotations and `spec.loadBalancerIP` ask for.
    pub request: Request,
    /// `spec.loadBalancerSourceRanges`; `None`: everyone.
    pub source_ranges: Option<Vec<AddressRange>>,
    /// Addresses in `status.loadBalancer`, in that order.
    pub observed: Vec<IpAddr>,
}

impl Service {
    /// Two Services may share an address only when nodes treat both alike: under `Cluster` always, under
    /// `Local` when both mean the same pods.
    pub fn shares_back_ends_with(&self, other: &Self) -> bool {
        self.traffic_policy == other.traffic_policy
            && (self.traffic_policy == TrafficPolicy::Cluster || self.selector == other.selector)
    }
}
