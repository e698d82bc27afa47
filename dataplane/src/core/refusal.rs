//! Why a Service has no address, or not the one it asks for.

/// Machine-readable reason; the bounded set that conditions, events and metrics use.
///
/// What an operator must change comes before what time may change: of two reasons the first is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// Annotations or fields make no sense.
    InvalidRequest,
    /// The pool asked for does not exist.
    PoolNotFound,
    /// No pool has addresses of the family.
    NoPool,
    /// Pools exist, but their selectors leave this Service out.
    PoolNotAllowed,
    /// The address asked for is in no pool, or the pool does not give it.
    AddressOutsidePools,
    /// The address asked for is kept for another Service.
    AddressReserved,
    /// The pools left give addresses only on request.
    PoolManual,
    /// The pools left are disabled.
    PoolDisabled,
    /// Both share a key, but cannot share the address.
    SharingConflict,
    /// The address asked for belongs to another Service.
    AddressInUse,
    /// Every address is taken.
    PoolExhausted,
}

impl Reason {
    /// The name shown in conditions, events and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoPool => "NoPool",
            Self::PoolNotFound => "PoolNotFound",
            Self::PoolNotAllowed => "PoolNotAllowed",
            Self::PoolManual => "PoolManual",
            Self::PoolDisabled => "PoolDisabled",
            Self::PoolExhausted => "PoolExhausted",
            Self::AddressOutsidePools => "AddressOutsidePools",
            Self::AddressInUse => "AddressInUse",
            Self::AddressReserved => "AddressReserved",
            Self::SharingConflict => "SharingConflict",
            Self::InvalidRequest => "InvalidRequest",
        }
    }
}

/// A reason with the words that say what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Machine-readable.
    pub reason: Reason,
    /// For people.
    pub message: String,
}

impl Refusal {
    /// A refusal for `reason`, explained by `message`.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
        }
    }
}
