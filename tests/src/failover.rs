//! Faults of the machine that owns the API's VIP, and what a client behind the router sees of them.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};

use crate::cluster::Cluster;
use crate::figures::{Row, milliseconds};
use crate::lab::Lab;
use crate::prober::{Impression, Plan, Report, Trust};
use crate::roster::{API_VIP, Machine};
use crate::tool;

/// What happens to the owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// No power: off the network, all processes gone.
    PowerCut,
    /// No network.
    LinkCut,
    /// The router's pod is stopped in order.
    Graceful,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::PowerCut, Self::LinkCut, Self::Graceful];

    fn name(self) -> &'static str {
        match self {
            Self::PowerCut => "power_cut",
            Self::LinkCut => "link_cut",
            Self::Graceful => "graceful",
        }
    }

    fn inflict(self, lab: &Lab, machine: Machine) -> Result<()> {
        match self {
            Self::PowerCut => lab.kill(machine),
            Self::LinkCut => lab.cut(machine),
            Self::Graceful => lab
                .ssh_ok(machine, &format!("mv {MANIFEST} {PUT_ASIDE}"))
                .map(drop),
        }
    }

    fn undo(self, lab: &Lab, machine: Machine) -> Result<()> {
        match self {
            Self::PowerCut => lab.start(machine),
            Self::LinkCut => lab.heal(machine),
            Self::Graceful => lab
                .ssh_ok(machine, &format!("mv {PUT_ASIDE} {MANIFEST}"))
                .map(drop),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cluster/{}", self.name())
    }
}

impl FromStr for Fault {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|fault| fault.to_string() == text)
            .ok_or_else(|| {
                let known: Vec<String> = Self::ALL.iter().map(Self::to_string).collect();
                anyhow!("there is no case `{text}`; there are {}", known.join(", "))
            })
    }
}

/// How one fault went.
#[derive(Debug, Clone)]
pub struct Trial {
    /// When the fault began.
    pub instant: Instant,
    /// Who owned the VIP before.
    pub victim: Machine,
    /// Who owned it after.
    pub successor: Machine,
    /// What the client saw.
    pub seen: Impression,
    /// The most machines with power and network that had the VIP at one time.
    pub most_owners: usize,
}

impl Trial {
    fn new(report: &Report, fault: Instant, victim: Machine, successor: Machine) -> Self {
        Self {
            instant: fault,
            victim,
            successor,
            seen: Impression::new(report, fault),
            most_owners: 1,
        }
    }
}

impl fmt::Display for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {}: {}", self.victim, self.successor, self.seen)
    }
}

/// Inflicts the fault on the owner while a client makes a TLS handshake each 10 ms, and undoes it
/// afterwards; waits for a settled cluster before and after.
#[expect(clippy::disallowed_methods, reason = "the instant of a real fault")]
pub fn trial(cluster: &Cluster<'_>, fault: Fault) -> Result<Trial> {
    let victim = cluster.settle()?;
    let client = cluster.prober(Plan::handshake(Cluster::endpoint(), Trust::Anybody))?;
    thread::sleep(Duration::from_secs(2));
    let over = AtomicBool::new(false);
    let most_owners = AtomicUsize::new(0);
    let (instant, calm) = thread::scope(|scope| {
        let instant = Instant::now();
        let inflicted = fault.inflict(cluster.lab, victim);
        scope.spawn(|| count_owners(cluster, fault, victim, &over, &most_owners));
        let calm = inflicted.map(|()| client.wait_for_calm(CALM, LIMIT));
        over.store(true, Ordering::Relaxed);
        calm.map(|calm| (instant, calm))
    })?;
    let report = client.finish()?;
    let still_connected = reachable_owners(cluster, fault, victim)?;
    fault.undo(cluster.lab, victim)?;
    ensure!(
        calm,
        "{fault} of {victim}: connections still failed after {} s: {:?}",
        LIMIT.as_secs(),
        report.reasons()
    );
    let [successor] = still_connected.as_slice() else {
        anyhow::bail!("{fault} of {victim}: afterwards {still_connected:?} have the VIP");
    };
    let mut trial = Trial::new(&report, instant, victim, *successor);
    trial.most_owners = most_owners.load(Ordering::Relaxed);
    tool::say(format_args!("{fault}: {trial}"));
    let owner = cluster.settle()?;
    ensure!(
        owner != victim,
        "the VIP went back to {victim} when it returned"
    );
    Ok(trial)
}

/// Runs each fault some times; the rows of `cargo xtask bench failover` about a whole cluster.
pub fn run(cluster: &Cluster<'_>, faults: &[Fault], runs: usize) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for fault in faults {
        let trials: Vec<Trial> = (0..runs)
            .map(|_| trial(cluster, *fault))
            .collect::<Result<_>>()?;
        rows.extend(figures(*fault, &trials));
    }
    Ok(rows)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a count of connections is small"
)]
fn figures(fault: Fault, trials: &[Trial]) -> Vec<Row> {
    let row = |metric: &str, unit: &str, figure: fn(&Trial) -> f64| {
        let rounds: Vec<f64> = trials.iter().map(figure).collect();
        Row::of(&fault.to_string(), "lbnode", metric, unit, &rounds)
    };
    [
        row("last_failure_ms", "ms", |trial| {
            milliseconds(trial.seen.last_failure)
        }),
        row("longest_gap_ms", "ms", |trial| {
            milliseconds(trial.seen.longest_gap)
        }),
        row("failed_connections", "1", |trial| trial.seen.failed as f64),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Keeps the highest number of machines that had the VIP at one time.
fn count_owners(
    cluster: &Cluster<'_>,
    fault: Fault,
    victim: Machine,
    over: &AtomicBool,
    most: &AtomicUsize,
) {
    while !over.load(Ordering::Relaxed) {
        if let Ok(owners) = reachable_owners(cluster, fault, victim) {
            most.fetch_max(owners.len(), Ordering::Relaxed);
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// The machines that have the VIP, without one that a fault has taken from the network.
fn reachable_owners(cluster: &Cluster<'_>, fault: Fault, victim: Machine) -> Result<Vec<Machine>> {
    let mut owners = cluster.lab.owners(API_VIP)?;
    if fault != Fault::Graceful {
        owners.retain(|owner| *owner != victim);
    }
    Ok(owners)
}

const MANIFEST: &str = "/etc/kubernetes/manifests/lb-vrrp.yaml";
const PUT_ASIDE: &str = "/root/lb-vrrp.yaml";

/// So long nothing may fail until a fault counts as over.
const CALM: Duration = Duration::from_secs(5);

/// So long a fault may last.
const LIMIT: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_are_found_by_their_published_names() {
        for fault in Fault::ALL {
            assert_eq!(fault.to_string().parse::<Fault>().expect("a case"), fault);
        }
        let error = "power_cut"
            .parse::<Fault>()
            .expect_err("no case")
            .to_string();
        assert!(error.contains("cluster/power_cut"), "{error}");
    }
}
