//! Reads what is on the machines, to compare it with the file. Nothing is written.

use std::collections::BTreeMap;
use std::net::IpAddr;

use futures::StreamExt as _;
use futures::stream;

use super::fleet::Fleet;
use super::{CONCURRENCY, data_plane, read_settings};
use crate::api::ClusterApi;
use crate::core::certificate::Certificate;
use crate::core::desired::Desired;
use crate::core::plan;
use crate::core::preflight::Reach;
use crate::core::update::{self, Inspected};
use crate::error::Failure;
use crate::lbnode::Lbnode;
use crate::script;

/// Facts of all machines that answer, and the settings of those whose API load balancer differs. `lbnode`: what they should
/// have, where that is known.
pub async fn inspect(fleet: &Fleet<'_>, desired: &Desired, lbnode: Option<&Lbnode>) -> Inspected {
    let paths = plan::watched_paths(None);
    let reached = fleet.facts(false, &paths).await.into_iter();
    let facts = reached.filter_map(|(address, reach)| match reach {
        Reach::Up(facts) => Some((address, *facts)),
        Reach::Down { .. } => None,
    });
    let mut inspected = Inspected::new(facts.collect(), lbnode);
    let differing: Vec<IpAddr> = update::turns(&inspected.situation(desired, None))
        .into_keys()
        .collect();
    inspected.settings = read_settings(fleet, differing.into_iter()).await;
    inspected
}

/// Certificates of all machines that answer.
pub async fn read_certificates(fleet: &Fleet<'_>) -> BTreeMap<IpAddr, Vec<Certificate>> {
    let reading = fleet.machines.values().map(|machine| async move {
        let script = script::read_certificates();
        let outcome = machine.run(&script, "certificates").await;
        let output = outcome.ok().filter(|output| output.status == 0)?;
        Some((machine.address, Certificate::parse_all(&output.stdout)))
    });
    let read: Vec<Option<_>> = stream::iter(reading)
        .buffer_unordered(CONCURRENCY)
        .collect()
        .await;
    read.into_iter().flatten().collect()
}

/// What an update would change through the API, a line each: pools, and programs of the data plane where it is known which
/// `lbnode` they should run. The API only tries it.
///
/// # Errors
/// When it refuses or does not answer.
pub async fn rehearse(
    api: &dyn ClusterApi,
    desired: &Desired,
    lbnode: Option<&Lbnode>,
) -> Result<Vec<String>, Failure> {
    let digest = lbnode.map(|lbnode| lbnode.image.digest.as_str());
    data_plane::rehearse(api, desired, digest).await
}
