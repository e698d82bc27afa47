//! From an old file to a new one: what changes, whether a live cluster allows it, and which nodes it touches.
//!
//! Plain keys are judged by the rule beside them in the table of keys; node lists, pools, Service ranges and the
//! place of the load balancers have rules of their own (`special`).

mod plain;
mod refusal;
mod special;

use std::net::Ipv4Addr;

use crate::code::Code;
use crate::model::Cluster;

pub use refusal::{File, refusals};

/// One difference between two files.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// Where: `spec.loadBalancer.addressPools[main].avoidBuggyIPs`.
    pub path: String,
    /// What it was; none: it was not there.
    pub from: Option<String>,
    /// What it is to be; none: it is gone.
    pub to: Option<String>,
    /// Whether it may happen.
    pub verdict: Verdict,
    /// SSH addresses of the nodes on which something is written or restarted, in order.
    pub nodes: Vec<Ipv4Addr>,
    /// Whether objects in the Kubernetes API change.
    pub api: bool,
    /// What to show of the new file, where it is not `path`.
    in_new: Option<String>,
    /// What to show of the old file, where it is not `path`.
    in_old: Option<String>,
}

/// Whether a change may happen on a live cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// An update does it.
    Allowed,
    /// It is refused.
    Refused {
        /// Rule.
        code: Code,
        /// Reason.
        why: String,
        /// What to do instead.
        hint: String,
    },
}

impl Change {
    /// Whether the change is refused.
    pub const fn is_refused(&self) -> bool {
        matches!(self.verdict, Verdict::Refused { .. })
    }
}

/// Every difference that matters, by path. Empty: nothing to do.
///
/// The order of lists does not matter, nor does whether a default is written.
pub fn changes(old: &Cluster, new: &Cluster) -> Vec<Change> {
    let mut changes = plain::changes(old, new);
    changes.extend(special::changes(old, new));
    changes.sort_by(|a, b| a.path.cmp(&b.path));
    changes
}
