//! What must hold: one owner per part of the network, within a time that follows from the timers.

use vrrp::proto::solicitor::RETURN_QUIET;

use crate::faults::Fault;
use crate::world::World;

/// Watches a history.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Checks {
    interval: u64,
    /// When something last went wrong or right.
    disturbed: u64,
    /// When a link last came back: its router listens for a while before it owns anything.
    returned: Option<u64>,
    /// Take-overs since then, if the network had been at rest before and one thing happened.
    takeovers: Option<u64>,
    settled: bool,
}

const MILLI: u64 = 1_000_000;

impl Checks {
    pub(crate) fn new(interval: u64) -> Self {
        Self {
            interval,
            disturbed: 0,
            returned: None,
            takeovers: None,
            settled: false,
        }
    }

    pub(crate) fn interval(&self) -> u64 {
        self.interval
    }

    /// After so long without a fault there is one Active: the longest patience (four intervals with the
    /// largest skew), a second look after a late wake (two intervals), a hand-over that finds nobody (one
    /// interval and 300 ms), clocks that drift by 0.2 %, delays, and address changes.
    pub(crate) fn bound(&self) -> u64 {
        9 * self.interval + 400 * MILLI
    }

    /// Something happens.
    pub(crate) fn fault(&mut self, time: u64, fault: &Fault, world: &World) {
        let at_rest = !world.lossy && self.settled && time > self.disturbed + self.bound();
        let single = matches!(
            fault,
            Fault::Crash { .. }
                | Fault::Stop { .. }
                | Fault::Pause { .. }
                | Fault::Health { .. }
                | Fault::Link { .. }
        );
        let whole = world.sides.iter().all(|side| *side == world.sides[0])
            && world.hears.iter().flatten().all(|hears| *hears);
        // With a preempting router that comes back there are two by design.
        self.takeovers = (at_rest && single && whole && !world.common.preempt).then_some(0);
        if matches!(fault, Fault::Link { up: true, .. }) && !world.common.multicast {
            self.returned = Some(time);
        }
        self.disturbed = time;
        self.settled = false;
    }

    /// A node becomes Active.
    pub(crate) fn takeover(&mut self, _node: usize) {
        if let Some(count) = &mut self.takeovers {
            *count += 1;
        }
    }

    /// Before time moves on to `next`.
    pub(crate) fn before(&mut self, next: u64, world: &World) -> Result<(), String> {
        if let Some(count) = self.takeovers
            && count > 1
        {
            return Err(format!("{count} routers took over after one fault"));
        }
        if world.lossy || next <= self.disturbed + self.bound() {
            return Ok(());
        }
        let quiet = u64::try_from(RETURN_QUIET.as_nanos()).unwrap_or(u64::MAX);
        let may_listen = |returned| next <= returned + quiet + self.bound();
        if self.returned.is_some_and(may_listen) {
            return at_most_one_active_per_side(world);
        }
        one_active_per_side(world)?;
        self.settled = true;
        Ok(())
    }

    /// When everything is over.
    pub(crate) fn at_the_end(&self, world: &World) -> Result<(), String> {
        one_active_per_side(world)?;
        if let Some(why) = world.complaint() {
            return Err(why);
        }
        for node in world.nodes.iter().filter(|node| !node.paused) {
            if node.owned_until.is_some() != node.is_active() {
                return Err(format!(
                    "the kernel of node {} disagrees with its router",
                    node.index
                ));
            }
        }
        Ok(())
    }
}

/// On each side where somebody could own the VIP somebody does, and nobody else.
fn one_active_per_side(world: &World) -> Result<(), String> {
    actives_per_side(world, true)
}

/// While a router may still be listening.
fn at_most_one_active_per_side(world: &World) -> Result<(), String> {
    actives_per_side(world, false)
}

fn actives_per_side(world: &World, needed: bool) -> Result<(), String> {
    // One-way deafness has no right answer before it is over.
    if world.hears.iter().flatten().any(|hears| !hears) {
        return Ok(());
    }
    for side in 0..=1 {
        let (mut actives, mut eligible, mut first) = (0, 0, 0);
        for node in world
            .nodes
            .iter()
            .filter(|node| world.sides[node.index] == side)
        {
            eligible += usize::from(node.eligible());
            if node.is_active() && !node.paused && node.link {
                if !node.healthy {
                    return Err(format!("node {} is Active although it is sick", node.index));
                }
                if actives > 0 {
                    let index = node.index;
                    return Err(format!(
                        "nodes {first} and {index} are Active on side {side}"
                    ));
                }
                (actives, first) = (1, node.index);
            }
        }
        if needed && actives == 0 && eligible > 0 {
            return Err(format!("nobody is Active on side {side}"));
        }
    }
    Ok(())
}
