//! The load balancer of somebody else (`loadBalancer.mode: manual`): does it lead from the virtual IP to the API servers?
//!
//! Before there is a cluster nothing listens behind it, so `lbnode probe stand-in` does, on the control planes, and all
//! machines connect to the virtual IP:
//!
//! ```text
//! only the first control plane ─► as at `kubeadm init`; nobody may be sent to those who do not listen
//!     ─► the others ─► whoever was not found yet, alone
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use cluster_config::probe::FrontReport;

use super::network::Answers;
use super::{Check, Done, Finding, Reach, Severity};
use crate::core::desired::{Desired, Machine};
use crate::core::facts::Facts;
use crate::lbnode::{self, Lbnode};

/// What is tried, and what came of it so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Front {
    /// The load balancer.
    pub target: SocketAddr,
    /// Machines that connect.
    pub stations: Vec<Station>,
    played: Vec<(Round, Answers<FrontReport>)>,
}

/// A machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Station {
    /// Its SSH address.
    pub address: IpAddr,
    /// Its host name.
    pub node: String,
    /// Its address inside the cluster.
    pub node_ip: IpAddr,
    /// The very program is installed there already.
    pub installed: bool,
    /// Where an API server on it listens.
    back_end: SocketAddr,
    /// It will run an API server.
    control_plane: bool,
}

/// Some stand in for API servers, all connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Round {
    /// Machines that listen, by SSH address.
    pub stand_ins: Vec<IpAddr>,
    /// Their addresses inside the cluster: where they listen.
    pub listen: Vec<SocketAddr>,
}

/// What has to be set up, for whoever does it.
const SETUP: &str = "TCP without TLS of its own, back ends that are asked by HTTPS for `/readyz` (200, the certificate not verified), sessions closed when one goes down, and a way back to nodes that are back ends themselves";

/// Plans it; nothing where the load balancer is ours, where there is a cluster, or where one was begun.
pub fn front(
    desired: &Desired,
    machines: &BTreeMap<IpAddr, Reach>,
    lbnode: &Lbnode,
) -> Option<Front> {
    if !desired.external {
        return None;
    }
    let mut stations = Vec::new();
    for machine in &desired.machines {
        // Who cannot be asked is a finding already.
        let Some(Reach::Up(facts)) = machines.get(&machine.address) else {
            return None;
        };
        if begun(facts, desired.api_port) {
            return None;
        }
        if facts.architecture == lbnode.architecture && facts.holds(machine.node_ip) {
            stations.push(station(desired, machine, facts, lbnode));
        }
    }
    stations
        .iter()
        .any(|station| station.control_plane)
        .then_some(Front {
            target: SocketAddr::new(desired.vip, desired.vip_port),
            stations,
            played: Vec::new(),
        })
}

/// An API server is, was or may be here: a stand-in would take its clients, or its port.
fn begun(facts: &Facts, port: u16) -> bool {
    let mut listeners = facts.listeners.iter();
    let listens = listeners.any(|socket| socket.port == port);
    facts.member.is_some() || facts.half_done() || listens
}

fn station(desired: &Desired, machine: &Machine, facts: &Facts, lbnode: &Lbnode) -> Station {
    let installed = facts.files.get(lbnode::INSTALLED);
    Station {
        address: machine.address,
        node: facts.hostname.clone(),
        node_ip: machine.node_ip,
        installed: installed.is_some_and(|file| file.sha256 == lbnode.sha256),
        back_end: desired.api_server(machine),
        control_plane: machine.is_control_plane(),
    }
}

impl Front {
    /// The next round; nothing when all is known.
    pub fn next_round(&self) -> Option<Round> {
        let mut planes = self.stations.iter().filter(|station| station.control_plane);
        let first = planes.next()?;
        let others: Vec<&Station> = planes.collect();
        match self.played.as_slice() {
            [] => Some(round(&[first])),
            // Nothing is set up yet: no need to wait for the same again.
            [(_, answers)] if !answers.values().any(is_steady) => None,
            [_] if !others.is_empty() => Some(round(&others)),
            played => {
                let alone = |one: &Station| {
                    let rounds = played.iter().skip(2).map(|(round, _)| round);
                    rounds
                        .flat_map(|round| &round.stand_ins)
                        .any(|at| *at == one.address)
                };
                let several = others.len() > 1;
                let missing = self.missing().find(|one| several && !alone(one));
                missing.map(|one| round(&[one]))
            }
        }
    }

    /// Takes what came of a round.
    pub fn handle(&mut self, round: Round, answers: Answers<FrontReport>) {
        self.played.push((round, answers));
    }

    /// The machine at this SSH address.
    pub fn station(&self, address: IpAddr) -> Option<&Station> {
        self.stations.iter().find(|one| one.address == address)
    }

    /// Control planes whose stand-ins nobody has found.
    fn missing(&self) -> impl Iterator<Item = &Station> {
        let answers = self.played.iter().flat_map(|(_, answers)| answers.values());
        let reports = answers.filter_map(|answer| answer.as_ref().ok());
        let found: BTreeSet<String> = reports.flat_map(|report| report.found.clone()).collect();
        let planes = self.stations.iter().filter(|station| station.control_plane);
        planes.filter(move |one| !found.contains(&one.node_ip.to_string()))
    }

    /// Judges everything that was tried.
    pub fn judge(&self) -> (Vec<Finding>, Done) {
        let mut findings = Vec::new();
        let mut fail = |of: &Station, check: Check, cause: String, fix: String| {
            findings.push(Finding {
                severity: Severity::Fail,
                address: Some(of.address),
                node: Some(of.node.clone()),
                check,
                cause,
                fix,
            });
        };
        let target = self.target;
        let planes = self.stations.iter().filter(|station| station.control_plane);
        let back_ends: Vec<String> = planes.map(|one| one.back_end.to_string()).collect();
        let set_up = format!(
            "set up your load balancer: {target} to {} ({SETUP})",
            back_ends.join(", ")
        );
        let mut done = Done::new();
        let mut anybody = false;
        for (round, answers) in &self.played {
            let listen: Vec<String> = round.listen.iter().map(ToString::to_string).collect();
            let some = answers.values().any(is_steady);
            // Others are reached: it is enough to say who is not.
            let unfound = |at: &IpAddr| self.missing().any(|one| one.address == *at);
            let named_below = !some && anybody && round.stand_ins.iter().all(unfound);
            anybody |= some;
            for (address, answer) in answers {
                let Some(one) = self.station(*address) else {
                    continue;
                };
                done.entry(*address).or_default().insert(Check::ApiFront);
                let report = match answer {
                    Ok(report) if report.steady || named_below => continue,
                    Ok(report) => report,
                    Err(reason) => {
                        let cause = format!("it could not try {target}: {reason}");
                        fail(
                            one,
                            Check::Probe,
                            cause,
                            "the machine's log in the workspace folder has more".to_owned(),
                        );
                        continue;
                    }
                };
                let why = report.trouble.as_deref().unwrap_or("no answer");
                let listen = listen.join(", ");
                if !some {
                    let cause = format!("connections to {target} do not arrive at {listen}: {why}");
                    fail(one, Check::ApiFront, cause, set_up.clone());
                } else if round.stand_ins.contains(address) {
                    let cause = format!(
                        "its own connections to {target} do not come back to it, those of others do: {why}"
                    );
                    let fix = "the load balancer must not keep the client's address where client and back end are one machine: let it use an address of its own towards the back ends (source NAT), or proxy";
                    fail(one, Check::ApiFront, cause, fix.to_owned());
                } else {
                    let cause = format!(
                        "its connections to {target} fail while only {listen} listens, those of others arrive: {why}"
                    );
                    let fix = format!(
                        "let this machine reach {target}; and let the load balancer ask its back ends by HTTPS for `/readyz`, so that it sends nobody to one that does not listen"
                    );
                    fail(one, Check::ApiFront, cause, fix);
                }
            }
        }
        let missing = self.missing().filter(|_| anybody);
        for one in missing {
            let back_end = one.back_end;
            let cause = format!("no connection to {target} arrives at {back_end}");
            let fix =
                format!("make {back_end} a back end of your load balancer too, and let it through");
            fail(one, Check::ApiFront, cause, fix);
        }
        (findings, done)
    }
}

fn is_steady(answer: &Result<FrontReport, String>) -> bool {
    answer.as_ref().is_ok_and(|report| report.steady)
}

fn round(stand_ins: &[&Station]) -> Round {
    Round {
        stand_ins: stand_ins.iter().map(|one| one.address).collect(),
        listen: stand_ins.iter().map(|one| one.back_end).collect(),
    }
}
