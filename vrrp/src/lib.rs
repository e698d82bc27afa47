//! VRRP (RFC 9568) for the API VIP: `lbnode vrrp`.
//!
//! Two processes: a `supervisor` that does nothing but look after the other one and takes the addresses
//! away when it dies or freezes; and the router. Inside the router three threads:
//!
//! ```text
//!  main (tokio)                  router (realtime)                  host
//!  ┌──────────────────┐ health   ┌─────────────────────┐  own,     ┌──────────────────────┐
//!  │ probes → verdict │ ───────► │ raw sockets, timers │  release  │ netlink: addresses,  │
//!  │ admin HTTP       │ settings │  → Group → actions  │ ────────► │ links                │
//!  │ file watch       │ ◄─────── │ (proto: decides)    │ ◄──────── │                      │
//!  └──────────────────┘ status   └─────────────────────┘  links    └──────────────────────┘
//! ```
//!
//! The kernel's lock of all network configuration can be held for long by others (a pod's network being
//! made), so the thread that advertises never asks netlink for anything.

pub mod proto;

mod clock;
mod config;
mod driver;
mod hand_over;
mod health;
mod host;
mod mailbox;
mod metrics;
mod orphans;
mod place;
mod ports;
mod probes;
mod process;
mod standing;
mod status;
mod supervisor;
mod urgency;

pub mod cli;

pub use config::{ConfigProblem, Plan, RouterPlan};
