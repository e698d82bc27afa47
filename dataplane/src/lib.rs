//! Addresses for Services of `type: LoadBalancer`: the controller gives them, the speakers answer for them.
//!
//! The two are separate processes because they fail separately: addresses stay announced while no controller runs,
//! and move to another node while no API server answers.

pub mod core;
