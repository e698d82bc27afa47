//! `lbctl`: clusters from one YAML file over SSH.
//!
//! ```text
//! cli ─► commands ─► run (drivers: SSH, locks, logs) ─► remote (OpenSSH), api (kube)
//!            │          ▲
//!            └─► core (facts, desired, preflight, plan: decides, does no I/O) ─► manifest, script (pure text)
//! ```
//!
//! Everything that is done is a plan of idempotent steps: observed facts and the cluster file in, steps out.
//! The second run finds nothing to do; an interrupted one is continued by running it again.

pub mod api;
pub mod bundle;
pub mod cli;
pub mod commands;
pub mod core;
pub mod digest;
pub mod error;
pub mod lbnode;
pub mod manifest;
pub mod oci;
pub mod packages;
pub mod remote;
pub mod run;
pub mod script;
pub mod ui;
pub mod workspace;
