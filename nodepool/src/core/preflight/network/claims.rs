//! One node after the other claims a virtual IP, and the others try to reach it there.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use cluster_config::probe::{ReachReport, SegmentReport, VipReport};

use super::{Answers, Judgement, Participant, Survey, Vip};
use crate::core::preflight::Check;

/// One node claims one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Round {
    /// The address.
    pub vip: Ipv4Addr,
    /// Who claims it, by SSH address.
    pub claimant: IpAddr,
    /// Who tries to reach it.
    pub reachers: Vec<Reacher>,
}

/// Somebody who tries to reach a claimed address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reacher {
    /// Its SSH address.
    pub address: IpAddr,
    /// It is the claimant itself, which can only ask by way of the gateway.
    pub only_gateway: bool,
    /// A router that should bring packets there as well.
    pub gateway: Option<Ipv4Addr>,
}

/// What came of a round; absent answers: nobody could claim, for this reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reached {
    /// The round.
    pub round: Round,
    /// Answers of the others.
    pub answers: Result<Answers<ReachReport>, String>,
}

impl Survey {
    /// Rounds for virtual IPs that nobody has. `answers`: who has them, by address; `seen`: the look at the segment.
    pub fn rounds(
        &self,
        answers: &BTreeMap<IpAddr, Answers<VipReport>>,
        seen: &Answers<SegmentReport>,
    ) -> Vec<Round> {
        let announced = |vip: IpAddr| {
            let mut reports = seen.values().filter_map(|report| report.as_ref().ok());
            reports.any(|report| {
                let mut routers = report.routers.iter();
                routers.any(|router| router.addresses.contains(&vip))
            })
        };
        let free = |vip: &&Vip| {
            let asked = answers.get(&vip.address);
            let silent = |answer: &Result<VipReport, String>| {
                answer.as_ref().is_ok_and(|report| !report.answered)
            };
            asked.is_some_and(|asked| !asked.is_empty() && asked.values().all(silent))
                && !announced(vip.address)
        };
        if !self.may_claim {
            return Vec::new();
        }
        // The same switch ports and the same gateway are tried once.
        let mut tried: Vec<IpAddr> = Vec::new();
        let mut rounds = Vec::new();
        for vip in self.vips.iter().filter(free) {
            let IpAddr::V4(address) = vip.address else {
                continue;
            };
            for claimant in &vip.carriers {
                if tried.contains(claimant) {
                    continue;
                }
                tried.push(*claimant);
                let reachers = self.reachers(*claimant, &vip.carriers);
                if !reachers.is_empty() {
                    rounds.push(Round {
                        vip: address,
                        claimant: *claimant,
                        reachers,
                    });
                }
            }
        }
        rounds
    }

    fn reachers(&self, claimant: IpAddr, carriers: &[IpAddr]) -> Vec<Reacher> {
        let gateway = |of: &Participant| match of.plan.gateway {
            Some(IpAddr::V4(gateway)) => Some(gateway),
            _ => None,
        };
        let others = carriers.iter().filter(|address| **address != claimant);
        let others: Vec<&Participant> = others
            .filter_map(|address| self.participant(*address))
            .collect();
        if others.is_empty() {
            let own = self.participant(claimant);
            let own = own.filter(|own| gateway(own).is_some());
            return own
                .map(|own| Reacher {
                    address: claimant,
                    only_gateway: true,
                    gateway: gateway(own),
                })
                .into_iter()
                .collect();
        }
        // One of them asks the gateway: it has one table for all.
        let mut asked = false;
        let reachers = others.into_iter().map(|other| {
            let gateway = gateway(other).filter(|_| !asked);
            asked |= gateway.is_some();
            Reacher {
                address: other.address,
                only_gateway: false,
                gateway,
            }
        });
        reachers.collect()
    }

    /// Judges all rounds. A gateway that brings packets to none of the claimants may only refuse to send back where
    /// something came from; one that brings them to some does not heed announcements.
    pub fn judge_claims(&self, rounds: &[Reached]) -> Judgement {
        let mut judgement = Judgement::default();
        let passes = |reached: &Reached| through_gateway(reached) == Some(true);
        let some_pass = rounds.iter().any(passes);
        for reached in rounds {
            let Some(claimant) = self.participant(reached.round.claimant) else {
                continue;
            };
            let vip = reached.round.vip;
            let answers = match &reached.answers {
                Ok(answers) => answers,
                Err(reason) => {
                    judgement.fail(
                        claimant,
                        Check::VipClaim,
                        format!("it cannot announce {vip}: {reason}"),
                        "the machine's log in the workspace folder has more".to_owned(),
                    );
                    continue;
                }
            };
            for (address, answer) in answers {
                if let Some(reacher) = self.participant(*address)
                    && *address != claimant.address
                {
                    judgement.did(claimant, Check::VipClaim);
                    claim(claimant, reacher, vip, answer, &mut judgement);
                }
            }
            // What does not even pass the switch cannot come from the gateway.
            let directly = reached
                .round
                .reachers
                .iter()
                .filter(|one| !one.only_gateway);
            let mut directly = directly
                .filter_map(|one| answers.get(&one.address)?.as_ref().ok())
                .peekable();
            if directly.peek().is_some() && !directly.any(|report| report.reached) {
                continue;
            }
            let gateway = reached.round.reachers.iter().find_map(|one| one.gateway);
            let (Some(gateway), Some(passed)) = (gateway, through_gateway(reached)) else {
                continue;
            };
            judgement.did(claimant, Check::VipGateway);
            if passed {
                continue;
            }
            let cause = format!(
                "the gateway {gateway} does not bring packets for {vip} to {}, which claims it",
                claimant.node
            );
            if some_pass {
                let fix = "it brings them to other nodes: it keeps to an old owner. Let it learn from gratuitous ARP (`arp_accept`, no static or locked ARP entries)";
                judgement.fail(claimant, Check::VipGateway, cause, fix.to_owned());
            } else {
                let fix = "it may only refuse to send packets back to the network they come from; else let it learn from gratuitous ARP, and see its ARP table for the virtual IP";
                judgement.warn(claimant, Check::VipGateway, cause, fix.to_owned());
            }
        }
        judgement
    }
}

/// Whether the gateway brought packets to the claimant; nothing when it does not answer or was not asked.
fn through_gateway(reached: &Reached) -> Option<bool> {
    let answers = reached.answers.as_ref().ok()?;
    let reports = answers.values().filter_map(|answer| answer.as_ref().ok());
    reports
        .filter(|report| report.gateway.is_some())
        .find_map(|report| report.through_gateway)
}

fn claim(
    claimant: &Participant,
    reacher: &Participant,
    vip: Ipv4Addr,
    answer: &Result<ReachReport, String>,
    judgement: &mut Judgement,
) {
    const FILTERS: &str = "the network drops addresses that it did not give out: allow the virtual IPs on the switch ports of the load balancer nodes (dynamic ARP inspection, IP source guard, anti-spoofing of a hypervisor, allowed address pairs of a cloud)";
    let report = match answer {
        Ok(report) => report,
        Err(reason) => {
            judgement.fail(
                reacher,
                Check::Probe,
                format!(
                    "it could not try to reach {vip} at {}: {reason}",
                    claimant.label()
                ),
                "the machine's log in the workspace folder has more".to_owned(),
            );
            return;
        }
    };
    match report.macs.as_slice() {
        [] => judgement.fail(
            claimant,
            Check::VipClaim,
            format!(
                "it claims {vip}, but {} gets no answer to ARP for it",
                reacher.label()
            ),
            FILTERS.to_owned(),
        ),
        [_] if report.reached => {}
        [mac] => judgement.fail(
            claimant,
            Check::VipClaim,
            format!(
                "it claims {vip} and {} finds it at {mac}, but a packet to it gets no answer",
                reacher.label()
            ),
            FILTERS.to_owned(),
        ),
        several => judgement.fail(
            claimant,
            Check::VipClaim,
            format!(
                "it claims {vip}, and {} gets answers from several machines: {}",
                reacher.label(),
                several.join(", ")
            ),
            format!("another machine has {vip}: find it by its MAC"),
        ),
    }
}
