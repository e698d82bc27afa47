//! Rules on how values fit each other. Each file holds the rules of one subject; all of them run on every file,
//! so that every finding shows in one run.
//!
//! A value that is missing or malformed was reported before and has no place (`span`): rules skip it.

mod documents;
mod extent;
mod load_balancer;
mod network;
mod nodes;
mod occupied;
mod pools;
mod port;
mod settings;
mod vips;

use crate::documents::Documents;
use crate::model::Cluster;
use crate::report::Report;

/// Applies every rule.
pub(crate) fn check(cluster: &Cluster, documents: &Documents<'_>, report: &mut Report<'_>) {
    documents::check(cluster, documents, report);
    nodes::check(cluster, documents, report);
    load_balancer::check(cluster, report);
    vips::check(cluster, documents, report);
    port::check(cluster, report);
    pools::check(cluster, documents, report);
    network::check(cluster, report);
    settings::check(cluster, documents, report);
}
