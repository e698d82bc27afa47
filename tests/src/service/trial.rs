//! One fault of the node that answers for an address, and what its clients saw of it.

use std::fmt;
use std::net::Ipv4Addr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::clients::{Audience, Clients, Reports};
use super::{Contestant, Fault, LIMIT, Web};
use crate::cluster::Cluster;
use crate::figures::milliseconds;
use crate::prober::Impression;
use crate::roster::{Machine, Place};

/// Where a fault happens, and who watches.
#[derive(Debug, Clone, Copy)]
pub struct Setting<'a> {
    /// The cluster.
    pub cluster: &'a Cluster<'a>,
    /// Who serves its addresses.
    pub contestant: Contestant,
    /// Who watches.
    pub audience: Audience,
}

/// How one fault went.
#[derive(Debug, Clone)]
pub struct Trial {
    /// What happened.
    pub fault: Fault,
    /// Where clients sent their packets before.
    pub victim: Machine,
    /// Who answers for the address at the end.
    pub successor: Option<Machine>,
    /// What a client behind the router saw, which knows the address's hardware address.
    pub neighbour: Impression,
    /// What a client on the segment saw, which does not.
    pub stranger: Option<Impression>,
    /// The longest time without an answer to a stream of datagrams.
    pub datagrams: Option<Duration>,
    /// Whether connections stopped failing; when not, the times are those of the watch.
    pub over: bool,
}

impl Trial {
    /// The impressions of all clients with connections.
    pub fn impressions(&self) -> impl Iterator<Item = &Impression> {
        [&self.neighbour].into_iter().chain(&self.stranger)
    }
}

impl fmt::Display for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let successor = self.successor.map(|machine| machine.to_string());
        let successor = successor.as_deref().unwrap_or("nobody");
        let Self { fault, victim, .. } = self;
        write!(f, "{fault}: {victim} -> {successor}: {}", self.neighbour)?;
        if let Some(stranger) = &self.stranger {
            write!(f, "; without an ARP entry: {stranger}")?;
        }
        if let Some(gap) = self.datagrams {
            write!(f, "; datagrams: {:.0} ms", milliseconds(gap))?;
        }
        if !self.over {
            write!(f, "; connections still failed at the end")?;
        }
        Ok(())
    }
}

/// Inflicts the fault on the node that a new Service's address is on, and undoes it afterwards. The pods are on the other nodes: it is
/// the address that fails, not the Service behind it.
///
/// # Errors
/// When something fails other than connections during the fault.
pub fn trial(setting: Setting<'_>, fault: Fault) -> Result<Trial> {
    let Setting {
        cluster,
        contestant,
        ..
    } = setting;
    contestant.settle(cluster)?;
    let web = Web::new(cluster, "outlives", "Cluster")?;
    let address = expose_away_from_its_node(setting, &web)?;
    let trial = watch(setting, address, fault, None)?;
    web.remove()?;
    Ok(trial)
}

/// The same with a Service that is there already, on a cluster as it is: the API is not asked.
///
/// # Errors
/// As [`trial`].
pub fn trial_of(setting: Setting<'_>, address: Ipv4Addr, fault: Fault) -> Result<Trial> {
    watch(setting, address, fault, None)
}

/// Pulls the cable of the address's node, puts it back, and pulls that of the node that has the address then, 20 s later; what is
/// told is what clients saw of the second time.
///
/// The one pod is on neither of the two nodes: it is the address that fails. Nor does it go away between the cuts: the kube-proxy of
/// the node that was away hears of that when it finds its watch dead, up to 45 s later.
///
/// # Errors
/// As [`trial`].
pub fn second_cable_cut(setting: Setting<'_>) -> Result<Trial> {
    let Setting {
        cluster,
        contestant,
        ..
    } = setting;
    for home in &cluster.machines {
        contestant.settle(cluster)?;
        let web = Web::new(cluster, "twice", "Cluster")?;
        web.run_on(&[*home])?;
        web.expose()?;
        let address = web.address()?;
        let mut told = None;
        if contestant.owner(cluster, address)? != *home {
            let first = watch(setting, address, Fault::CableCut, None)?;
            let healed = now();
            let successor = first.successor;
            if successor.context("nobody had the address after the first cut")? != *home {
                told = Some(watch(
                    setting,
                    address,
                    Fault::CableCut,
                    Some(healed + PAUSE),
                )?);
            }
        }
        web.remove()?;
        if let Some(trial) = told {
            contestant.settle(cluster)?;
            return Ok(trial);
        }
    }
    bail!("on each machine in turn, the pod was where the address was or went")
}

/// Creates the Service with a pod on each node, and takes that of the node which answers for the address away again: MetalLB answers
/// for nothing that has no endpoint.
///
/// # Errors
/// When it gets no address, or nobody answers for it.
pub fn expose_away_from_its_node(setting: Setting<'_>, web: &Web<'_>) -> Result<Ipv4Addr> {
    let cluster = setting.cluster;
    web.run_on(&cluster.machines)?;
    web.expose()?;
    let address = web.address()?;
    web.leave(setting.contestant.owner(cluster, address)?)?;
    Ok(address)
}

/// The fault of the machine that the client behind the router sends its packets to, not before an instant.
fn watch(
    setting: Setting<'_>,
    address: Ipv4Addr,
    fault: Fault,
    not_before: Option<Instant>,
) -> Result<Trial> {
    let Setting {
        cluster,
        contestant,
        audience,
    } = setting;
    let clients = Clients::start(cluster, address, audience)?;
    if let Some(instant) = not_before {
        thread::sleep(instant.saturating_duration_since(now()));
    }
    let victim = cluster
        .lab
        .next_hop(Place::Router, address)?
        .with_context(|| format!("the router does not know who has {address}"))?;
    let prepared = fault.prepare(cluster, contestant, victim)?;
    let instant = now();
    let inflicted = prepared();
    let over = inflicted.is_ok() && clients.wait_for_calm(CALM, LIMIT);
    let reports = clients.finish(instant);
    let successor = cluster.lab.next_hop(Place::Router, address);
    let undone = fault.undo(cluster, contestant, victim);
    inflicted.and(undone)?;
    let Reports {
        neighbour,
        stranger,
        datagrams,
    } = reports?;
    Ok(Trial {
        fault,
        victim,
        successor: successor?,
        neighbour: Impression::new(&neighbour, instant),
        stranger: stranger.map(|report| Impression::new(&report, instant)),
        datagrams: datagrams.map(|answers| answers.longest_gap()),
        over,
    })
}

#[expect(clippy::disallowed_methods, reason = "the instant of a real fault")]
fn now() -> Instant {
    Instant::now()
}

/// So long nothing may fail until a fault counts as over.
const CALM: Duration = Duration::from_secs(5);

/// From the first cable's return to the second cut.
const PAUSE: Duration = Duration::from_secs(20);
