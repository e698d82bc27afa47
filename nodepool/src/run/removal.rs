//! Nodes leave: their work goes elsewhere, etcd and the API forget them, the machines are left as they were found.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use tokio::time::Instant;

use super::{Cluster, Fleet, Locks, MachineSession, World, lock};
use crate::api::ClusterApi;
use crate::core::cluster_view::{ClusterView, Drain};
use crate::core::facts::Facts;
use crate::core::plan;
use crate::core::preflight::Reach;
use crate::core::update::{Leaver, lives, mistaken};
use crate::error::{Exit, Failure};
use crate::manifest::static_pod;
use crate::script;
use crate::ui::{Progress, seconds};

/// Longest wait until the pods of a node have gone elsewhere.
pub(super) const DRAIN: Duration = Duration::from_secs(600);
/// The same, where the node goes anyway.
const FORCED_DRAIN: Duration = Duration::from_secs(60);
/// Pauses between two looks at the pods double from the first to the second of these.
const PAUSES: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(2)];

/// Machines that leave, with their connections.
pub struct Departure<'a> {
    /// Who.
    pub leavers: Vec<Leaver>,
    /// They go even if they do not answer, or their pods do not end.
    forced: bool,
    fleet: Fleet<'a>,
    facts: BTreeMap<IpAddr, Facts>,
    _locks: Locks,
}

impl<'a> Departure<'a> {
    /// Connects to the leavers and makes sure that they are who they should be.
    ///
    /// # Errors
    /// When one does not answer (unless `forced`), is another machine, or is being worked on.
    pub async fn meet(
        world: &World<'a>,
        cluster: &str,
        mut leavers: Vec<Leaver>,
        view: &ClusterView,
        forced: bool,
        command: &str,
    ) -> Result<Self, Failure> {
        let addresses = leavers.iter().map(|leaver| leaver.address);
        let fleet = Fleet::reach(world, addresses).await?;
        let locks = lock(world, &fleet, command).await?;
        let mut facts = BTreeMap::new();
        for (address, reach) in fleet.facts(false, &plan::watched_paths(None)).await {
            match reach {
                Reach::Up(known) => drop(facts.insert(address, *known)),
                Reach::Down { cause, .. } if forced => {
                    let mut here = leavers.iter().filter(|leaver| leaver.address == address);
                    if let Some(why) = here.find_map(|leaver| lives(leaver, view)) {
                        let text = format!("{address}: {cause}, but {why}; nothing was changed");
                        return Err(Failure::new(Exit::Config, text).hint("switch it off first, and wait until `lbctl status` shows its node as not Ready: its router would go on and have the virtual IP as well"));
                    }
                    world.ui.note(&format!(
                        "{address}: {cause}; it is removed without its help"
                    ));
                }
                Reach::Down { cause, .. } => {
                    let text = format!("{address}: {cause}; nothing was changed");
                    return Err(Failure::failed(text).hint("where SSH reaches it at another address, put it back into the file and remove it by `lbctl reset nodes --node NAME`; one that will not come back leaves by the same with `--force`"));
                }
            }
        }
        for leaver in &leavers {
            let known = facts.get(&leaver.address);
            if let Some(why) = known.and_then(|facts| mistaken(leaver, cluster, facts)) {
                let text = format!("{why}; nothing was changed");
                return Err(Failure::new(Exit::Config, text).hint("put it into the file; or remove it from the cluster by hand: `kubectl drain`, `kubeadm reset` on it, `kubectl delete node`"));
            }
        }
        for leaver in &mut leavers {
            let known = facts.get(&leaver.address);
            leaver.control_plane |= known.is_some_and(Facts::runs_etcd);
        }
        // A member of etcd that is dead already costs no majority, and one that lives might.
        leavers.sort_by_key(|leaver| facts.contains_key(&leaver.address));
        Ok(Self {
            leavers,
            forced,
            fleet,
            facts,
            _locks: locks,
        })
    }

    /// Whether the machine of this leaver answers.
    pub fn answers(&self, leaver: &Leaver) -> bool {
        self.facts.contains_key(&leaver.address)
    }

    /// Stops the routers of those who leave: the virtual IP is handed over in order, and their peers may forget them.
    ///
    /// # Errors
    /// When one does not stop.
    pub async fn stop_routers(&self, world: &World<'_>, vips: &[IpAddr]) -> Result<(), Failure> {
        // Without a manifest as well: an earlier run may have removed it and seen no end of the router.
        for (address, facts) in &self.facts {
            world.interrupt.check()?;
            let session = self.fleet.machine(*address);
            stop_router(session, &facts.hostname, vips).await?;
            if facts.files.contains_key(&static_pod::VRRP.path()) {
                let text = format!("  {}: its router has stopped", facts.hostname);
                world.ui.note(&text);
            }
        }
        Ok(())
    }

    /// Takes one node out of the cluster. `facts`: of those who stay.
    ///
    /// # Errors
    /// With the first thing that does not work; run again it goes on from there.
    pub async fn remove(
        &self,
        world: &World<'_>,
        cluster: &Cluster<'_>,
        leaver: &Leaver,
        facts: &BTreeMap<IpAddr, Facts>,
        vips: &[IpAddr],
    ) -> Result<(), Failure> {
        let name = leaver.name();
        let api = cluster.api()?;
        let answers = self.answers(leaver);
        if let Some(node) = &leaver.node {
            world.ui.note(&format!("remove node {node}"));
            api.retire(node).await?;
            // Nobody would say that the pods of a dead machine have ended.
            if answers {
                self.drain(world, api, node).await?;
            }
        }
        world.interrupt.check()?;
        // Whatever its labels say, which kubeadm sets last: who is no member of etcd is not removed from it.
        cluster.leave_etcd(facts, &leaver.node_ips).await?;
        if answers {
            let progress = Progress::begin(world.ui, "leave the machine as it was found");
            let session = self.fleet.machine(leaver.address);
            let outcome = reset_machine(world, session, &name, vips, &progress).await;
            progress.end();
            outcome.map_err(|why| {
                Failure::failed(format!("{name}: {why}"))
                    .hint("correct the cause and run the same command again: it goes on where this one stopped")
            })?;
        }
        if let Some(node) = &leaver.node {
            api.delete_node(node).await?;
        }
        Ok(())
    }

    async fn drain(
        &self,
        world: &World<'_>,
        api: &dyn ClusterApi,
        node: &str,
    ) -> Result<(), Failure> {
        let limit = if self.forced { FORCED_DRAIN } else { DRAIN };
        let left = emptied(world, limit, async || {
            Ok(api.evict(node, Drain::Leaves).await?)
        })
        .await?;
        match not_gone(node, limit, &left) {
            Some(failure) if self.forced => {
                world.ui.note(&format!("warning: {}", failure.message));
                Ok(())
            }
            Some(failure) => Err(failure),
            None => Ok(()),
        }
    }
}

/// Stops a router in order: the virtual IP is handed over, and it is gone when this returns.
///
/// # Errors
/// When it does not stop.
pub(super) async fn stop_router(
    session: &MachineSession<'_>,
    name: &str,
    vips: &[IpAddr],
) -> Result<(), Failure> {
    let script = script::stop_router(vips.iter().copied());
    let why = match session.run(&script, "stop the router").await {
        Ok(output) if output.status == 0 => return Ok(()),
        Ok(output) => format!("{}{}", output.stdout, output.stderr),
        Err(failure) => failure.to_string(),
    };
    Err(Failure::failed(format!("{name}: {}", why.trim())).hint(
        "correct the cause and run the same command again: it goes on where this one stopped",
    ))
}

/// Looks until nothing is left, or for so long; then with what is left, in words.
///
/// # Errors
/// When looking fails, or the operator interrupts.
pub(super) async fn emptied(
    world: &World<'_>,
    limit: Duration,
    look: impl AsyncFn() -> Result<Vec<String>, Failure>,
) -> Result<Vec<String>, Failure> {
    let begun = Instant::now();
    let mut pause = PAUSES[0];
    loop {
        let left = look().await?;
        if left.is_empty() || begun.elapsed() > limit {
            return Ok(left);
        }
        world.interrupt.check()?;
        tokio::time::sleep(pause).await;
        pause = PAUSES[1].min(pause * 2);
    }
}

/// A failure when something is left of a node.
pub(super) fn not_gone(node: &str, limit: Duration, left: &[String]) -> Option<Failure> {
    if left.is_empty() {
        return None;
    }
    let took = seconds(limit);
    let text = format!("{node}: after {took} not gone: {}", left.join("; "));
    Some(Failure::failed(text).hint("make room elsewhere, see what their PodDisruptionBudgets want, or end them by hand; then run the same command again"))
}

/// Takes everything of ours off one machine, and says what is left if anything is.
///
/// # Errors
/// With the reason in words.
pub async fn reset_machine(
    world: &World<'_>,
    session: &MachineSession<'_>,
    name: &str,
    vips: &[IpAddr],
    progress: &Progress,
) -> Result<(), String> {
    let address = session.address;
    let scripts = [
        (script::reset(vips.iter().copied()), "remove"),
        (
            script::leftovers(vips.iter().copied()),
            "look for leftovers",
        ),
    ];
    for (index, (script, title)) in scripts.iter().enumerate() {
        if world.interrupt.asked() {
            return Err("interrupted".to_owned());
        }
        progress.step(address, name, index, scripts.len(), title);
        let why = match session.run(script, title).await {
            Ok(output) if output.status != 0 => {
                let words = format!("{}{}", output.stdout, output.stderr);
                words
                    .lines()
                    .last()
                    .unwrap_or("it ended with an error")
                    .to_owned()
            }
            Ok(output) if index == 1 && !output.stdout.trim().is_empty() => {
                format!("left: {}", output.stdout.trim().replace('\n', ", "))
            }
            Ok(_) => continue,
            Err(failure) => failure.to_string(),
        };
        progress.failed(address, name, &why);
        return Err(why);
    }
    progress.done(address, name, scripts.len());
    Ok(())
}
