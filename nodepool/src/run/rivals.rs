//! Asks a cluster that exists whether somebody else serves its Services.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use super::World;
use super::fleet::Fleet;
use crate::core::desired::{Desired, Machine};
use crate::core::preflight::{Check, Finding, Reach, Severity};
use crate::core::rivals::{self, Rival};
use crate::script;

/// Longest wait for the API.
const PATIENCE: Duration = Duration::from_secs(5);

/// Findings about other programs that give Services addresses. Without a cluster there are none.
pub async fn rivals_in_cluster(
    world: &World<'_>,
    fleet: &Fleet<'_>,
    desired: &Desired,
    machines: &BTreeMap<IpAddr, Reach>,
) -> Vec<Finding> {
    let has_kubeconfig = |machine: &&Machine| match machines.get(&machine.address) {
        Some(Reach::Up(facts)) => facts.kubeconfigs.contains_key("admin"),
        _ => false,
    };
    let Some(machine) = desired.machines.iter().find(has_kubeconfig) else {
        return Vec::new();
    };
    let finding = |severity, cause: String, fix: &str| Finding {
        severity,
        address: Some(machine.address),
        node: match machines.get(&machine.address) {
            Some(Reach::Up(facts)) => Some(facts.hostname.clone()),
            _ => None,
        },
        check: Check::OtherBalancer,
        cause,
        fix: fix.to_owned(),
    };
    match ask(world, fleet, machine.address).await {
        Ok(found) => found
            .into_iter()
            .map(|rival| finding(Severity::Warn, rival.to_string(), rival.hint()))
            .collect(),
        Err(reason) => {
            let cause =
                format!("the cluster could not be asked who else serves Services: {reason}");
            let fix =
                "see whether its API server runs; what it has installed is not known otherwise";
            vec![finding(Severity::Warn, cause, fix)]
        }
    }
}

async fn ask(world: &World<'_>, fleet: &Fleet<'_>, address: IpAddr) -> Result<Vec<Rival>, String> {
    let script = script::read_admin_conf();
    let outcome = fleet.machine(address).run(&script, "read the kubeconfig");
    let output = outcome.await.map_err(|failure| failure.to_string())?;
    if output.status != 0 {
        return Err(output.stderr.trim().to_owned());
    }
    let api = world.api.connect(&output.stdout, None, PATIENCE).await;
    let api = api.map_err(|failure| failure.to_string())?;
    let objects = api.service_objects().await;
    let objects = objects.map_err(|failure| failure.to_string())?;
    Ok(rivals::rivals(&objects.workloads, &objects.cilium))
}
