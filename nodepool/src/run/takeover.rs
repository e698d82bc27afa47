//! Drives a take-over: looks at everything, does what is next, looks again.
//!
//! The machines are asked anew before each decision: what others do there is not known from here.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use tokio::time::Instant;

use super::roll::balancers;
use super::{Cluster, Fleet, Halt, World, run_stage};
use crate::core::facts::Facts;
use crate::core::plan::Situation;
use crate::core::preflight::Reach;
use crate::core::takeover::{self, Next};
use crate::error::Failure;
use crate::manifest::static_pod;
use crate::ui::seconds;

/// Longest wait until something is well: an API server was restarted, its proxies have to see it again.
const SETTLE: Duration = Duration::from_secs(300);
/// Pauses between two looks double from the first to the second of these.
const PAUSES: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(2)];

/// Goes on until nobody else serves the virtual IP. True when something was changed. `paths`: whose checksums are needed.
///
/// # Errors
/// With the first thing that goes wrong; the same command goes on from there.
pub async fn take_over(
    world: &World<'_>,
    fleet: &Fleet<'_>,
    cluster: &mut Cluster<'_>,
    facts: &mut BTreeMap<IpAddr, Facts>,
    paths: &[String],
) -> Result<bool, Halt> {
    let standing = cluster.work().desired.standing_back();
    let (mut since, mut pause) = (Instant::now(), PAUSES[0]);
    let mut last: Option<Next> = None;
    let mut changed = false;
    loop {
        world.interrupt.check()?;
        *facts = look_again(fleet, paths).await?;
        let routers: Vec<IpAddr> = facts
            .iter()
            .filter(|(_, facts)| facts.files.contains_key(&static_pod::VRRP.path()))
            .map(|(address, _)| *address)
            .collect();
        let known = balancers(fleet, cluster.api()?, facts, &routers).await?;
        let view = cluster.view(facts).await?;
        let situation = Situation {
            desired: &standing,
            ..cluster.situation(facts, view.as_ref())
        };
        let next = takeover::next(&situation, &known);
        let stage = match &next {
            Next::Done => return Ok(changed),
            Next::Stop(why) => {
                let hint = "nothing was changed since; run the same command again when that is so";
                return Err(Failure::failed(why.clone()).hint(hint).into());
            }
            Next::Wait(waiting) => {
                if since.elapsed() > SETTLE {
                    return Err(not_well(&waiting.why).into());
                }
                tokio::time::sleep(pause).await;
                pause = PAUSES[1].min(pause * 2);
                continue;
            }
            Next::StandDown(machines) => takeover::stand_down(&situation, machines),
            Next::Place(address) => takeover::placing(&situation, *address),
            Next::HandOver(address) => takeover::hand_over(&situation, *address),
        };
        if last.as_ref() == Some(&next) {
            let text = format!("{} was done, and is still not so", stage.name.title());
            let hint = format!("see the logs in {}", world.log.path().display());
            return Err(Failure::failed(text).hint(hint).into());
        }
        changed = true;
        let failures = run_stage(world, fleet, &cluster.work(), &stage, facts).await;
        if !failures.is_empty() {
            return Err(Halt::Steps(stage.name, failures));
        }
        last = Some(next);
        (since, pause) = (Instant::now(), PAUSES[0]);
    }
}

async fn look_again(
    fleet: &Fleet<'_>,
    paths: &[String],
) -> Result<BTreeMap<IpAddr, Facts>, Failure> {
    let machines = fleet.facts(false, paths).await.into_iter();
    let facts = machines.map(|(address, reach)| match reach {
        Reach::Up(facts) => Ok((address, *facts)),
        Reach::Down { cause, fix, .. } => {
            Err(Failure::failed(format!("{address}: {cause}")).hint(fix))
        }
    });
    facts.collect()
}

fn not_well(why: &str) -> Failure {
    Failure::failed(format!("not well after {}: {why}", seconds(SETTLE))).hint(format!(
        "`lbctl status`, and `crictl ps -a` and `crictl logs` on the node say more; correct the cause and run the same command again: it goes on where this one stopped. What was stopped is kept in {} on each machine",
        takeover::KEPT
    ))
}
