//! The Kubernetes API: types, conversion to the core's own, watches and writes. No decisions.

pub mod client;
pub mod convert;
pub mod crd;
#[cfg(test)]
pub(crate) mod fake;
pub mod follow;
pub mod lease;
pub mod metallb;
pub mod write;
