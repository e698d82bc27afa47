//! The files that land on a node: one type per file, written by `lbctl render|create`, read by `lbnode`.
//!
//! Every field has one meaning and no default that depends on another file, so that a node's file can be
//! read, checked and used on its own (`lbnode proxy --config FILE`).

mod check;
pub mod proxy;
mod read;
pub mod vrrp;

pub use proxy::ProxyConfig;
pub use read::NodeFileError;
pub use vrrp::VrrpConfig;

/// `apiVersion` of every node file.
pub const API_VERSION: &str = "lbnode.bundledlb.io/v1";
