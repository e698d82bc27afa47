//! What decides: balancing, health, limits, session rules. No sockets, no clock, no threads.

pub(crate) mod balance;
pub(crate) mod client_hello;
pub(crate) mod descriptors;
pub(crate) mod fleet;
pub(crate) mod health;
pub(crate) mod hedge;
pub(crate) mod idle;
pub(crate) mod limits;
pub mod proxy_protocol;
pub(crate) mod ramp;
pub(crate) mod termination;
