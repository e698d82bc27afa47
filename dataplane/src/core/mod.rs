//! Decisions without I/O: who gets which address, who answers for it, and why not.
//!
//! Everything here is a function of its inputs and of the `now` it is handed. No sockets, no clock, no API:
//! `controller/` and `speaker/` feed it and carry out what it says.

pub mod allocator;
pub mod announcements;
pub mod atlas;
pub mod condition;
pub mod conflict;
pub mod echo;
pub mod family;
pub mod intervals;
pub mod labels;
pub mod lease;
pub mod ledger;
pub mod ownership;
pub mod peers;
pub mod pool;
pub mod pool_set;
pub mod random;
pub mod range;
pub mod refusal;
pub mod registrar;
pub mod report;
pub mod request;
pub mod responder;
pub mod segment;
pub mod service;
pub mod speaker;

/// Label of the nodes that serve addresses; its value is `true`.
pub const LOAD_BALANCER_NODE_LABEL: &str = "baremetal.cluster.gke.io/lbnode";

#[cfg(test)]
pub(crate) mod samples;
