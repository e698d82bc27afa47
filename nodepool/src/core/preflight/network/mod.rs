//! What only the network can tell: which machine asks what, and what the answers mean.
//!
//! ```text
//! facts ─► Survey ─► plans ─► (lbnode probe segment, vip) ─► reports ─► judged
//!                                                               │
//!                   nobody has the virtual IPs ◄────────────────┘
//!                         └─► rounds ─► (lbnode probe claim, reach) ─► reports ─► judged
//! ```
//!
//! A machine on which a router or a speaker of ours runs already is not made to disturb it, and a cluster in which
//! nobody is new is not looked at again.

mod claims;
mod segment;
mod vips;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use cluster_config::probe::{SegmentPlan, Station};

pub use claims::{Reached, Reacher, Round};

use super::{Check, Done, Finding, Reach, Severity};
use crate::core::desired::{Desired, HEARTBEAT_PORT, Machine};
use crate::core::facts::Facts;
use crate::lbnode::{self, Lbnode};
use crate::manifest::static_pod;

/// How long virtual routers of others are listened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listening {
    /// One advert of the usual second, and some: before every change.
    Briefly,
    /// Three of them.
    Long,
}

impl Listening {
    const fn millis(self) -> u32 {
        match self {
            Self::Briefly => 1_200,
            Self::Long => 3_200,
        }
    }
}

/// A machine may begin some seconds after the others.
const MOST_MILLIS: u32 = 9_000;

/// What is asked, and of whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    /// Machines that take part, in the file's order.
    pub participants: Vec<Participant>,
    /// Whether the participants look at the segment together.
    pub together: bool,
    /// Virtual IPs that nobody should have.
    pub vips: Vec<Vip>,
    /// All virtual IPs of the API.
    api_vips: Vec<IpAddr>,
    /// No router of ours is installed that could take an address meanwhile.
    may_claim: bool,
}

/// A machine that takes part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Participant {
    /// Its SSH address.
    pub address: IpAddr,
    /// Its host name.
    pub node: String,
    /// The very program is installed there already.
    pub installed: bool,
    /// What it is to do when all look at the segment.
    pub plan: SegmentPlan,
    /// Its data address.
    pub node_ip: Ipv4Addr,
    /// It will carry Service addresses.
    speaks: bool,
    /// It will run virtual routers.
    routes: bool,
    /// Its virtual routers' ID.
    vrid: Option<u8>,
}

/// A virtual IP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vip {
    /// The address.
    pub address: IpAddr,
    /// Its name in the cluster file.
    pub key: &'static str,
    /// Machines that ask for it and, one after the other, claim it, by SSH address.
    pub carriers: Vec<IpAddr>,
    /// Hardware addresses of machines with a router of ours, which may take it at any moment.
    ours: BTreeSet<String>,
}

/// Judged answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Judgement {
    /// What is not as it must be.
    pub findings: Vec<Finding>,
    /// What was looked at.
    pub done: Done,
}

/// An answer of a machine, or why there is none.
pub type Answers<T> = BTreeMap<IpAddr, Result<T, String>>;

/// Plans it. `run` tells this look from others.
pub fn survey(
    desired: &Desired,
    machines: &BTreeMap<IpAddr, Reach>,
    lbnode: &Lbnode,
    run: u64,
    listening: Listening,
) -> Survey {
    let up = |machine: &Machine| match machines.get(&machine.address) {
        Some(Reach::Up(facts)) => Some(facts.as_ref()),
        _ => None,
    };
    let carries = |machine: &&Machine| machine.load_balancer.is_some() || machine.lbnode;
    let able = |facts: &&Facts, machine: &Machine| {
        facts.architecture == lbnode.architecture && facts.holds(machine.node_ip)
    };
    let taking_part: Vec<(&Machine, &Facts, Ipv4Addr)> = desired
        .machines
        .iter()
        .filter(carries)
        .filter_map(|machine| {
            let facts = up(machine).filter(|facts| able(facts, machine))?;
            match machine.node_ip {
                IpAddr::V4(own) => Some((machine, facts, own)),
                IpAddr::V6(_) => None,
            }
        })
        .collect();
    let stations: Vec<Station> = taking_part
        .iter()
        .map(|(machine, facts, own)| Station {
            address: IpAddr::V4(*own),
            vrrp: machine.load_balancer.is_some(),
            heartbeat: machine.lbnode && !speaker_runs(facts),
        })
        .collect();
    let participants: Vec<Participant> = (0u16..)
        .zip(&taking_part)
        .map(|(me, (machine, facts, own))| {
            let routers = machine
                .load_balancer
                .iter()
                .flat_map(|files| &files.vrrp.routers);
            let first = routers.clone().next();
            let interface = first.and_then(|router| router.interface.clone());
            let on = facts
                .interface_of(machine.node_ip)
                .map(|(name, _)| name.as_str());
            let gateway = interface
                .as_deref()
                .or(on)
                .and_then(|name| facts.wiring.gateway_on(name));
            Participant {
                address: machine.address,
                node: facts.hostname.clone(),
                installed: facts
                    .files
                    .get(lbnode::INSTALLED)
                    .is_some_and(|file| file.sha256 == lbnode.sha256),
                plan: SegmentPlan {
                    run,
                    me,
                    interface,
                    stations: stations.clone(),
                    gateway: gateway.filter(IpAddr::is_ipv4),
                    multicast: first.is_some_and(|router| router.peers.is_empty()),
                    ipv6: routers
                        .clone()
                        .any(|router| router.addresses.iter().any(IpAddr::is_ipv6)),
                    heartbeat_port: HEARTBEAT_PORT,
                    least_millis: listening.millis(),
                    most_millis: MOST_MILLIS,
                },
                node_ip: *own,
                speaks: machine.lbnode,
                routes: machine.load_balancer.is_some(),
                vrid: first.map(|router| router.virtual_router_id),
            }
        })
        .collect();
    let somebody_is_new = taking_part
        .iter()
        .any(|(_, facts, _)| !facts.is_member_of(&desired.name));
    let vips = vips::open(desired, machines, &participants);
    Survey {
        together: somebody_is_new && !participants.is_empty(),
        participants,
        vips,
        api_vips: desired.vips().collect(),
        may_claim: !taking_part.iter().any(|(_, facts, _)| has_router(facts)),
    }
}

impl Survey {
    /// Whether there is anything to ask.
    pub fn is_empty(&self) -> bool {
        !self.together && self.vips.is_empty()
    }

    /// The participant at this SSH address.
    pub fn participant(&self, address: IpAddr) -> Option<&Participant> {
        self.participants.iter().find(|one| one.address == address)
    }

    /// Machines to bring the program to.
    pub fn asked(&self) -> impl Iterator<Item = &Participant> {
        self.participants.iter().filter(|one| {
            self.together
                || self
                    .vips
                    .iter()
                    .any(|vip| vip.carriers.contains(&one.address))
        })
    }
}

impl Participant {
    /// For sentences.
    fn label(&self) -> String {
        format!("{} ({})", self.node, self.node_ip)
    }

    /// For arguments: where to look.
    fn interface(&self) -> Option<&str> {
        self.plan.interface.as_deref()
    }

    /// Words that tell `lbnode probe` where to look for `address`.
    pub fn place(&self, address: IpAddr) -> Vec<String> {
        let mut words = vec![
            "--address".to_owned(),
            address.to_string(),
            "--source".to_owned(),
            self.node_ip.to_string(),
        ];
        if let Some(interface) = self.interface() {
            words.extend(["--interface".to_owned(), interface.to_owned()]);
        }
        words
    }
}

impl Judgement {
    /// Adds another one.
    pub fn extend(&mut self, other: Self) {
        self.findings.extend(other.findings);
        for (address, checks) in other.done {
            self.done.entry(address).or_default().extend(checks);
        }
    }

    /// The machine could not be asked.
    pub fn unasked(&mut self, participant: &Participant, reason: &str, log: &str) {
        self.fail(
            participant,
            Check::Probe,
            format!("lbnode could not look at the network: {reason}"),
            format!("see {log}"),
        );
    }

    fn fail(&mut self, of: &Participant, check: Check, cause: String, fix: String) {
        self.note(Severity::Fail, of, check, cause, fix);
    }

    fn warn(&mut self, of: &Participant, check: Check, cause: String, fix: String) {
        self.note(Severity::Warn, of, check, cause, fix);
    }

    fn note(
        &mut self,
        severity: Severity,
        of: &Participant,
        check: Check,
        cause: String,
        fix: String,
    ) {
        self.did(of, check);
        self.findings.push(Finding {
            severity,
            address: Some(of.address),
            node: Some(of.node.clone()),
            check,
            cause,
            fix,
        });
    }

    fn did(&mut self, of: &Participant, check: Check) {
        self.done.entry(of.address).or_default().insert(check);
    }
}

/// A speaker of ours has the port: nothing is tried beside it.
fn speaker_runs(facts: &Facts) -> bool {
    facts.wiring.udp.iter().any(|socket| {
        let program = socket.process.as_ref().map(|(program, _)| program.as_str());
        socket.port == HEARTBEAT_PORT && program == Some("lbnode")
    })
}

/// A router of ours is installed.
fn has_router(facts: &Facts) -> bool {
    facts.files.contains_key(&static_pod::VRRP.path())
}

#[cfg(test)]
mod tests;
