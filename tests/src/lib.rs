//! The lab of bare machines: Debian servers made of `systemd-nspawn`, an overlay file system and a
//! network namespace each, plugged into one virtual switch of one host.
//!
//! * [`lab`]: bring machines up, down, pull their power and their cables, run commands on them.
//! * [`roster`]: the machines' names and addresses.
//! * [`host`]: what a host must have, and the two ways to run a machine on it.
//! * [`api`]: requests to a cluster's API whose latency is measured.
//! * [`bundle`]: Kubernetes compiled from its Go modules, or downloaded, in a directory that `lbctl` installs from.
//! * [`capture`]: what a machine sends.
//! * [`prober`]: a client that opens a new connection all the time and tells when it failed.
//! * [`cluster`]: a cluster made by `lbctl` on machines of a lab.
//! * [`duel`]: virtual routers of two makers under the same faults.
//! * [`e2e`]: Kubernetes' own end-to-end tests.
//! * [`failover`]: faults of the VIP's owner, and what a client sees of them.
//! * [`figures`]: measured figures in the form all benchmarks share.
//! * [`lifecycle`]: changes of a cluster that lives, and what clients see of them.
//! * [`scenario`]: one scenario, tried and told.
//! * [`service`]: Services of a cluster, the faults of their addresses' nodes, and how long changes take.
//! * [`summary`]: how a run of scenarios went, in the form that `cargo xtask test` reads.
//! * [`vip`]: which machine has a virtual IP, and who answers ARP for it.
//! * [`vm`]: the lab on an ordinary Linux system, in an emulated machine.
//!
//! Everything lives below one state directory a lab ([`paths`]), in namespaces and cgroups that
//! carry the lab's prefix. The host's own network is not touched.

pub mod api;
pub mod bundle;
pub mod capture;
pub mod cluster;
pub mod duel;
pub mod e2e;
pub mod failover;
pub mod figures;
pub mod host;
pub mod lab;
pub mod lifecycle;
pub mod paths;
pub mod patience;
pub mod prober;
pub mod roster;
pub mod scenario;
pub mod service;
pub mod summary;
pub mod vip;
pub mod vm;

mod base;
mod cache;
mod disk;
mod namespace;
mod segment;
mod sysctl;
mod tool;

pub use lab::Lab;
pub use roster::{Machine, Place};
