//! Settings of the API load balancers, one node after the other.
//!
//! Between two turns only who has to become well is asked, with one small script and one call of the API, and less often
//! the longer it takes: the nodes serve clients meanwhile.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream;
use tokio::time::Instant;

use super::{CONCURRENCY, Cluster, Failed, Fleet, World, run_stage};
use crate::api::ClusterApi;
use crate::core::facts::Facts;
use crate::core::plan::StageName;
use crate::core::update::{self, Balancer, Balancers, Next, NodeSettings};
use crate::error::Failure;
use crate::script;
use crate::ui::seconds;

/// Longest wait until something is well. A pod has 20 s to end and a new one a few to start; the rest is patience with
/// busy machines.
const SETTLE: Duration = Duration::from_secs(180);
/// Pauses between two looks double from the first to the second of these.
const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(2)];

/// After so long the operator is told what is waited for.
const TELLING: Duration = Duration::from_secs(10);

/// How a roll ended early.
#[derive(Debug)]
pub enum Halt {
    /// Steps of a stage did not work.
    Steps(StageName, Vec<Failed>),
    /// Something else.
    Other(Failure),
}

impl<F: Into<Failure>> From<F> for Halt {
    fn from(failure: F) -> Self {
        Self::Other(failure.into())
    }
}

/// Gives every member with an API load balancer its turn, as far as it needs one, and waits until all are well. True
/// when something was changed.
///
/// # Errors
/// With the first thing that goes wrong; nobody else's turn comes after it.
pub async fn roll(
    world: &World<'_>,
    fleet: &Fleet<'_>,
    cluster: &mut Cluster<'_>,
    facts: &mut BTreeMap<IpAddr, Facts>,
) -> Result<bool, Halt> {
    let desired = cluster.work().desired;
    let members: Vec<IpAddr> = desired
        .machines
        .iter()
        .filter(|machine| machine.load_balancer.is_some())
        .filter(|machine| {
            let facts = facts.get(&machine.address);
            facts.is_some_and(|facts| facts.member.is_some() && !update::rests(machine, facts))
        })
        .map(|machine| machine.address)
        .collect();
    let mut known = Balancers::new();
    let (mut asked, mut everybody) = (members.clone(), true);
    let (mut since, mut pause) = (Instant::now(), PAUSES[0]);
    let mut turned: Option<String> = None;
    let mut told = String::new();
    let mut changed = false;
    loop {
        world.interrupt.check()?;
        known.extend(balancers(fleet, cluster.api()?, facts, &asked).await?);
        let view = if everybody {
            cluster.view(facts).await?
        } else {
            None
        };
        let situation = cluster.situation(facts, view.as_ref());
        let turns = update::turns(&situation);
        let next = update::next(&situation, &turns, &known);
        if !matches!(next, Next::Wait(_))
            && let Some(node) = turned.take()
        {
            let took = seconds(since.elapsed());
            world.ui.note(&format!("  {node}: well again after {took}"));
        }
        match next {
            Next::Done => return Ok(changed),
            Next::Stop(why) => {
                let hint = "nothing was changed since; run the same command again when that is so";
                return Err(Failure::failed(why).hint(hint).into());
            }
            // It was decided by what the others said a while ago.
            Next::Turn(_) if !everybody => (asked, everybody) = (members.clone(), true),
            Next::Turn(address) => {
                let stage = update::turn(address, &turns);
                turned = facts.get(&address).map(|facts| facts.hostname.clone());
                changed = true;
                let failures = run_stage(world, fleet, &cluster.work(), &stage, facts).await;
                if !failures.is_empty() {
                    return Err(Halt::Steps(stage.name, failures));
                }
                (asked, everybody) = (vec![address], false);
                (since, pause) = (Instant::now(), PAUSES[0]);
            }
            Next::Wait(waiting) => {
                if since.elapsed() > SETTLE {
                    return Err(not_well(&waiting.why, turns.len()).into());
                }
                if since.elapsed() > TELLING && told != waiting.why {
                    world.ui.note(&format!("  waiting: {}", waiting.why));
                    told.clone_from(&waiting.why);
                }
                tokio::time::sleep(pause).await;
                pause = PAUSES[1].min(pause * 2);
                (asked, everybody) = (waiting.machines, false);
            }
        }
    }
}

fn not_well(why: &str, left: usize) -> Failure {
    let rest = match left {
        0 => String::new(),
        1 => "; one node still has its old settings".to_owned(),
        left => format!("; {left} nodes still have their old settings"),
    };
    Failure::failed(format!("not well after {}: {why}{rest}", seconds(SETTLE))).hint(
        "`lbctl status` and `crictl logs` on the node say more; correct the cause, or the file, and run the same command again: it goes on where this one stopped. Back it goes with the file, the `lbctl` and the `lbnode` of before: this node first, the others are left alone",
    )
}

/// Asks some machines how their API load balancers are.
///
/// # Errors
/// When the API does not answer.
pub async fn balancers(
    fleet: &Fleet<'_>,
    api: &dyn ClusterApi,
    facts: &BTreeMap<IpAddr, Facts>,
    machines: &[IpAddr],
) -> Result<Balancers, Failure> {
    let asking = machines
        .iter()
        .map(|address| async move { (*address, fleet.machine(*address).pages().await) });
    let pages = stream::iter(asking)
        .buffer_unordered(CONCURRENCY)
        .collect::<Vec<_>>();
    let (pages, pods) = futures::join!(pages, api.balancer_pods());
    let pods = pods?;
    let balancer = |(address, pages): (IpAddr, _)| {
        let node = facts.get(&address).map(|facts| facts.hostname.as_str());
        let own = pods.iter().filter(|pod| Some(pod.node.as_str()) == node);
        let balancer = Balancer {
            pages,
            pods: own.cloned().collect(),
        };
        (address, balancer)
    };
    Ok(pages.into_iter().map(balancer).collect())
}

/// Reads the settings of some machines as they are. Who does not answer has none that can be read.
pub async fn read_settings(
    fleet: &Fleet<'_>,
    machines: impl Iterator<Item = IpAddr>,
) -> BTreeMap<IpAddr, NodeSettings> {
    let reading = machines.map(|address| async move {
        let script = script::read_settings();
        let outcome = fleet.machine(address).run(&script, "settings").await;
        let text = outcome.map(|output| output.stdout).unwrap_or_default();
        (address, NodeSettings::parse(&text))
    });
    stream::iter(reading)
        .buffer_unordered(CONCURRENCY)
        .collect()
        .await
}
