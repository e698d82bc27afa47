//! A cluster that exists gets our load balancers, in place of others or where there were none.
//!
//! ```text
//! refusals ─► what is going to be done, and a question ─► machines noted as ours ─► lbnode and its image
//!     ─► others stop on every machine that does not have the virtual IP
//!     ─► each of these makes room for ours, one after the other; routers of ours stand back
//!     ─► whoever has the virtual IP lets go of it: one of ours has it a moment later
//!     ─► that machine makes room too ─► the settings of the file everywhere, as in an update
//! ```
//!
//! What is next follows from the facts alone, so an interrupted run is continued by the same rule as any other. A router that
//! stands back takes the virtual IP when nobody answers for it: if whoever has it dies meanwhile, that is the take-over.

mod adopt;
mod order;
mod outline;
mod refusal;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::IpAddr;

pub use adopt::{adopt, adopted, concerns};
pub use order::{Next, hand_over, next, placing, stand_down};
pub use outline::outline;
pub use refusal::refusals;

use super::desired::Desired;
use super::facts::{Facts, OtherBalancer, OtherProgram};
use crate::manifest::static_pod;

/// Where the scripts keep what was there before.
pub const KEPT: &str = "/var/backups/lbctl-takeover";

/// Load balancers of others that serve a virtual IP of the cluster; those that keep it before those that balance.
pub fn in_the_way(desired: &Desired, facts: &Facts) -> Vec<OtherBalancer> {
    let routers = routers_in_the_way(desired, facts);
    let balancers = facts.others.iter().filter(|other| {
        other.program == OtherProgram::Haproxy && serves(desired, facts, other.program.name())
    });
    routers.chain(balancers).cloned().collect()
}

/// Those that keep it.
fn routers_in_the_way<'a>(
    desired: &'a Desired,
    facts: &'a Facts,
) -> impl Iterator<Item = &'a OtherBalancer> {
    facts.others.iter().filter(move |other| {
        let keeps = other.program.keeps_addresses();
        keeps && desired.own_vips().any(|vip| other.addresses.contains(&vip))
    })
}

/// A program of this name listens where our proxy is to listen.
fn serves(desired: &Desired, facts: &Facts, name: &str) -> bool {
    facts.listeners.iter().any(|listener| {
        let program = listener.process.as_ref();
        let same = program.is_some_and(|(program, _)| program == name);
        let port = desired.vip_port;
        same && desired
            .own_vips()
            .any(|vip| listener.clashes(Some(vip), port))
    })
}

/// The machine that has a virtual IP by no router of ours.
fn holder(desired: &Desired, facts: &BTreeMap<IpAddr, Facts>) -> Option<IpAddr> {
    holders(desired, facts).next()
}

fn holders<'a>(
    desired: &'a Desired,
    facts: &'a BTreeMap<IpAddr, Facts>,
) -> impl Iterator<Item = IpAddr> + 'a {
    let holds = move |facts: &Facts| desired.own_vips().any(|vip| facts.holds(vip));
    facts
        .iter()
        .filter(move |(_, facts)| holds(facts) && !has_router(facts))
        .map(|(address, _)| *address)
}

/// A router of ours is installed.
fn has_router(facts: &Facts) -> bool {
    facts.files.contains_key(&static_pod::VRRP.path())
}

/// A proxy of ours is installed.
fn has_proxy(facts: &Facts) -> bool {
    facts.files.contains_key(&static_pod::PROXY.path())
}

/// The node's name, or its address while that is not known.
fn name(facts: &BTreeMap<IpAddr, Facts>, address: IpAddr) -> String {
    let facts = facts.get(&address);
    facts.map_or_else(|| address.to_string(), |facts| facts.hostname.clone())
}
