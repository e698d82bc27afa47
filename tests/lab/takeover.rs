//! A cluster that others made, and whose virtual IP others keep, gets our load balancers while a client connects all the time.
//!
//! Each has a cluster of its own on the shared lab's machines, so these scenarios are among the last.

use std::time::Duration;

use anyhow::{Result, ensure};
use lab_tests::cluster::Cluster;
use lab_tests::failover;
use lab_tests::lifecycle::{Keeper, remember_the_making, take_over};

use crate::changes::{ALL, patiently};
use crate::runner::{Context, Scenario};
use crate::shared::{example, programs, said};

/// Each begins and ends with bare machines.
pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "keepalived_and_haproxy_are_taken_over_from",
        run: |context| patiently(context, from_keepalived),
    },
    Scenario {
        name: "kube_vip_is_taken_over_from",
        run: |context| patiently(context, from_kube_vip),
    },
];

/// All that clients may see of a take-over.
const LIMIT: Duration = Duration::from_secs(1);
/// So long two may have the VIP while one hands over to the other.
const BOTH: Duration = Duration::from_millis(500);

fn from_keepalived(context: &Context) -> Result<()> {
    let cluster = taken_over(context, Keeper::Keepalived)?;
    let owner = cluster.settle()?;
    println!("     {owner} has the VIP");
    let trial = failover::trial(&cluster, failover::Fault::PowerCut)?;
    println!("     the owner's power cut afterwards: {trial}");
    reset(&cluster)
}

fn from_kube_vip(context: &Context) -> Result<()> {
    let cluster = taken_over(context, Keeper::KubeVip)?;
    for machine in ALL {
        let server = "ss -Hltn | grep -c \"^LISTEN.* $(hostname -I | cut -d' ' -f1):6444 \"";
        let listens = context.lab.ssh_ok(machine, server)?;
        ensure!(listens.trim() != "0", "{machine}: {listens}");
    }
    reset(&cluster)
}

/// The cluster is one of ours.
fn taken_over(context: &Context, keeper: Keeper) -> Result<Cluster<'static>> {
    let taken = take_over(context.lab, &programs()?, &example()?, keeper)?;
    let seen = &taken.seen;
    ensure!(
        seen.last_failure <= LIMIT,
        "clients were without the API for {:?}: {}",
        seen.last_failure,
        seen.reasons
    );
    let twice = taken.twice;
    ensure!(twice < BOTH, "two had the VIP for {twice:?}");
    let again = said(&taken.cluster.update()?);
    ensure!(again.contains("nothing to do"), "it says: {again}");
    Ok(taken.cluster)
}

fn reset(cluster: &Cluster<'_>) -> Result<()> {
    remember_the_making(cluster.lab)?;
    let output = cluster.reset_command().output()?;
    ensure!(output.status.success(), "it failed: {}", said(&output));
    Ok(())
}
