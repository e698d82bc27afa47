//! Who has the virtual IPs?

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use cluster_config::probe::VipReport;

use super::{Answers, Judgement, Participant, Survey, Vip, has_router};
use crate::core::desired::Desired;
use crate::core::preflight::{Check, Reach};

/// Virtual IPs that nobody should have: those that no router and no speaker of ours serves.
pub(super) fn open(
    desired: &Desired,
    machines: &BTreeMap<IpAddr, Reach>,
    participants: &[Participant],
) -> Vec<Vip> {
    let facts = || {
        machines.values().filter_map(|reach| match reach {
            Reach::Up(facts) => Some(facts),
            Reach::Down { .. } => None,
        })
    };
    let carriers = |carries: fn(&Participant) -> bool| -> Vec<IpAddr> {
        let carriers = participants.iter().filter(|one| carries(one));
        carriers.map(|one| one.address).collect()
    };
    let with_router = facts().filter(|facts| has_router(facts));
    let ours: BTreeSet<String> = with_router
        .flat_map(|facts| facts.wiring.macs.iter().cloned())
        .collect();
    let mut vips: Vec<Vip> = desired
        .vips()
        .filter(|vip| !facts().any(|facts| has_router(facts) && facts.holds(*vip)))
        .map(|address| Vip {
            address,
            key: if address == desired.vip {
                "controlPlaneVIP"
            } else {
                "controlPlaneVIPv6"
            },
            carriers: carriers(|one| one.routes),
            ours: ours.clone(),
        })
        .collect();
    let lives = facts().any(|facts| facts.is_member_of(&desired.name));
    if let Some(ingress) = desired.data_plane.ingress_vip.filter(|_| !lives) {
        let ingress = IpAddr::from(ingress);
        // A pool may have interfaces of its own; there it is asked for by nobody.
        let near = |address: &IpAddr| match machines.get(address) {
            Some(Reach::Up(facts)) => facts
                .addresses
                .iter()
                .any(|(_, net)| net.contains(&ingress)),
            _ => false,
        };
        let mut carriers = carriers(|one| one.speaks);
        carriers.retain(near);
        vips.push(Vip {
            address: ingress,
            key: "ingressVIP",
            carriers,
            ours: BTreeSet::new(),
        });
    }
    vips.retain(|vip| !vip.carriers.is_empty());
    vips
}

impl Survey {
    /// Judges the answers to the question who has a virtual IP.
    pub fn judge_vip(&self, vip: &Vip, answers: &Answers<VipReport>) -> Judgement {
        let mut judgement = Judgement::default();
        for (address, answer) in answers {
            let Some(asked) = self.participant(*address) else {
                continue;
            };
            judgement.did(asked, Check::VipFree);
            match answer {
                Err(reason) => judgement.fail(
                    asked,
                    Check::VipFree,
                    format!(
                        "it could not be asked whether the virtual IP {} is free: {reason}",
                        vip.address
                    ),
                    "the machine's log in the workspace folder has more".to_owned(),
                ),
                // A router of ours took it after the machines were looked at.
                Ok(VipReport { mac: Some(mac), .. }) if vip.ours.contains(mac) => {}
                Ok(report) if report.answered => {
                    let mac = report.mac.as_deref().unwrap_or("an unknown MAC");
                    judgement.fail(
                        asked,
                        Check::VipFree,
                        format!(
                            "the virtual IP {} is already in use: {mac} answers for it on {}",
                            vip.address, report.interface
                        ),
                        format!(
                            "find the machine with MAC {mac} and take {} off it, or choose another address for `{}`",
                            vip.address, vip.key
                        ),
                    );
                }
                Ok(_) => {}
            }
        }
        judgement
    }
}
