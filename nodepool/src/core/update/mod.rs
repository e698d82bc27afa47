//! What an update does to a cluster that lives, and in which order.
//!
//! ```text
//! refusals ─► bring lbnode (all at once) ─► routers of leavers stop ─► turns (one node at a time)
//!     ─► who was in maintenance is in service ─► joins, network, labels
//!     ─► Service addresses leave their old nodes, after controller and speakers are of this release
//!     ─► who is to be in maintenance is emptied
//!     ─► leavers go ─► routes to them go ─► objects
//! ```
//!
//! A leaver's router stops before its peers forget it: it would hear nobody any more and take the virtual IP.
//!
//! A *turn* writes the files of one node's API load balancer and restarts it. Nodes that are not well come first, then
//! the backups, then the owner of the virtual IP; between two turns everybody who is as he should be must be well.

mod drift;
mod forget;
mod health;
mod maintenance;
mod order;
mod outline;
mod refusal;
mod removal;
mod settings;
#[cfg(test)]
mod tests;
mod wording;

pub use drift::{Drift, Inspected};
pub use forget::{forgotten, would_forget};
pub use health::{Balancer, Balancers};
pub use maintenance::{Pause, Pauses, in_maintenance, leaves_too_few, pauses, rests, still_in_use};
pub use order::{Next, Waiting, bring, members_with_balancer, next, turn, turns};
pub(in crate::core) use order::{no_quorum, priority};
pub use outline::outline;
pub use refusal::{Refused, refusals};
pub use removal::{
    Leaver, breaks_quorum, joiners, last_balancer, lives, mistaken, replaces, unlisted,
};
pub use settings::{Announced, NodeSettings, RouterFile, differences};
