//! Listens for the successor of a router that cannot listen itself.

use std::net::IpAddr;
use std::time::Duration;

use l2::linux::link::Links;
use l2::linux::poller::Poller;
use l2::linux::raw_ip::{RawReceiver, Reception};

use crate::clock::now;
use crate::config::GroupPlan;
use crate::place::home;
use crate::proto::packet::{PROTOCOL, TTL, group};
use crate::proto::{Advert, Moment};

/// Receivers for the adverts of our virtual routers.
#[derive(Debug)]
pub(super) struct Ears {
    poller: Poller,
    ears: Vec<Ear>,
}

#[derive(Debug)]
struct Ear {
    receiver: RawReceiver,
    vrid: u8,
    own: IpAddr,
    peers: Vec<IpAddr>,
}

impl Ears {
    /// Opens them; what cannot be opened is not heard.
    pub(super) fn open(groups: &[GroupPlan]) -> Option<Self> {
        let links = Links::read().ok()?;
        let poller = Poller::new().ok()?;
        let mut ears = Vec::new();
        for plan in groups {
            for (router, member) in plan.routers.iter().zip(&plan.settings.members) {
                let Some(interface) = home(router, &links) else {
                    continue;
                };
                let (name, index) = (&interface.name, interface.index);
                let Ok(receiver) = RawReceiver::open(name, index, PROTOCOL, group(member.family))
                else {
                    continue;
                };
                let token = u32::try_from(ears.len()).ok()?;
                poller.add(&receiver, token).ok()?;
                let peers = member.peers.clone();
                ears.push(Ear {
                    receiver,
                    vrid: router.vrid,
                    own: router.speaks_from(interface).unwrap_or(router.source),
                    peers,
                });
            }
        }
        Some(Self { poller, ears })
    }

    /// Whether a successor speaks before `until`.
    pub(super) fn hear_successor(&mut self, until: Moment) -> bool {
        let mut ready = Vec::new();
        loop {
            if self.ears.iter_mut().any(Ear::hears) {
                return true;
            }
            if now() >= until {
                return false;
            }
            let deadline = Duration::from_nanos(until.as_nanos());
            if self.poller.wait(Some(deadline), &mut ready).is_err() {
                return false;
            }
        }
    }
}

impl Ear {
    /// Whether an advert of an Active is waiting. The checks are the cheap ones: it only ends a hold
    /// that is about to end anyway.
    fn hears(&mut self) -> bool {
        while let Ok(Reception::Packet(packet)) = self.receiver.receive() {
            let listed = self.peers.is_empty() || self.peers.contains(&packet.source);
            let advert = Advert::parse(packet.payload, packet.source, packet.destination);
            if listed
                && packet.ttl == TTL
                && packet.source != self.own
                && advert
                    .is_ok_and(|advert| u8::from(advert.vrid) == self.vrid && advert.priority > 0)
            {
                return true;
            }
        }
        false
    }
}
