//! Conditions of a Service: what is known of its addresses, in words.

/// The conditions this controller writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConditionType {
    /// It has its addresses.
    Allocated,
    /// A node answers for each of them.
    Announced,
    /// Nothing is known to be in the way of a connection.
    Reachable,
}

impl ConditionType {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Allocated, Self::Announced, Self::Reachable];

    /// The `type` in `status.conditions`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allocated => "bundledlb.io/Allocated",
            Self::Announced => "bundledlb.io/Announced",
            Self::Reachable => "bundledlb.io/Reachable",
        }
    }

    /// The condition with this `type`.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == text)
    }
}

/// One condition.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Condition {
    /// Which one.
    pub kind: ConditionType,
    /// Whether it holds.
    pub holds: bool,
    /// Machine-readable reason in CamelCase.
    pub reason: String,
    /// For people.
    pub message: String,
    /// Since when it holds or does not, in seconds since 1970; `None`: from now on.
    pub since: Option<i64>,
}

impl Condition {
    /// Whether both say the same, whenever they began to.
    pub fn says_the_same(&self, other: &Self) -> bool {
        let facts = |one: &Self| (one.kind, one.holds);
        facts(self) == facts(other) && self.reason == other.reason && self.message == other.message
    }

    /// A condition that holds.
    pub fn met(kind: ConditionType, reason: &str, message: impl Into<String>) -> Self {
        Self {
            kind,
            holds: true,
            reason: reason.to_owned(),
            message: message.into(),
            since: None,
        }
    }

    /// A condition that does not hold.
    pub fn unmet(kind: ConditionType, reason: &str, message: impl Into<String>) -> Self {
        Self {
            kind,
            holds: false,
            reason: reason.to_owned(),
            message: message.into(),
            since: None,
        }
    }
}

/// Reasons of [`ConditionType::Allocated`] beside those of [`crate::core::refusal::Reason`].
pub mod allocated {
    /// It has all it asks for.
    pub const ALLOCATED: &str = "Allocated";
    /// It has an address, but not all it asks for; the message says what is missing and why.
    pub const PARTIAL: &str = "PartiallyAllocated";
    /// Its address is still at another Service, which is about to let go.
    pub const PENDING: &str = "Pending";
}

/// Reasons of [`ConditionType::Announced`].
pub mod announced {
    /// Every address is answered for.
    pub const ANNOUNCED: &str = "Announced";
    /// It has no address yet.
    pub const NOT_ALLOCATED: &str = "NotAllocated";
    /// No advertisement selects the pool and the Service.
    pub const NO_ADVERTISEMENT: &str = "NoAdvertisement";
    /// No node is labelled to serve addresses.
    pub const NO_LOAD_BALANCER_NODE: &str = "NoLoadBalancerNode";
    /// No labelled node is selected by an advertisement, or none runs a speaker.
    pub const NO_ELIGIBLE_NODE: &str = "NoEligibleNode";
    /// No node has an interface for the address.
    pub const NO_INTERFACE_MATCHED: &str = "NoInterfaceMatched";
    /// `externalTrafficPolicy: Local`, and no node that could announce has an endpoint.
    pub const NO_LOCAL_ENDPOINTS: &str = "NoLocalEndpoints";
    /// A node should take it and has not said so yet.
    pub const PENDING: &str = "Pending";
}

/// Reasons of [`ConditionType::Reachable`].
pub mod reachable {
    /// Nothing is known to be in the way.
    pub const REACHABLE: &str = "Reachable";
    /// Nobody answers for it.
    pub const NOT_ANNOUNCED: &str = "NotAnnounced";
    /// No endpoint is ready.
    pub const NO_ENDPOINTS: &str = "NoEndpoints";
    /// Another machine on the segment answers for the address as well.
    pub const ADDRESS_CONFLICT: &str = "AddressConflict";
}
