//! What decides: facts and wishes in, findings and steps out. No I/O, no clock, no randomness in here.
//!
//! ```text
//! machine's report ─► facts ──┐
//! API objects ───► ClusterView ┼─► plan ─► stages of steps ─► (crate::run does them)
//! cluster file ──► desired ───┘
//!                  facts ─► preflight ─► findings
//!      pages, objects, facts ─► status ─► checkup ─► rows
//! ```

pub mod certificate;
pub mod checkup;
pub mod cluster_view;
pub mod desired;
pub mod facts;
pub mod from_config;
pub mod leftovers;
pub mod plan;
pub mod preflight;
pub mod rivals;
pub mod service_view;
pub mod skew;
pub mod snapshot;
pub mod status;
pub mod step;
pub mod takeover;
pub mod update;
pub mod version;
