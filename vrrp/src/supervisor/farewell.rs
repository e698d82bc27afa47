//! Priority zero in the name of a router that died while it was Active.

use std::collections::BTreeSet;
use std::net::IpAddr;

use l2::linux::link::Links;
use l2::linux::raw_ip::RawSender;

use crate::config::GroupPlan;
use crate::place::home;
use crate::proto::ChecksumSeen;
use crate::proto::packet::{MAX_LEN, Outgoing, PROTOCOL, group};

/// Tells the peers of every router whose addresses are among `held`. Its learned checksum form died with
/// it, so both forms are sent: a receiver takes the one it knows.
pub(super) fn say_farewell(groups: &[GroupPlan], held: &BTreeSet<IpAddr>) {
    let Ok(links) = Links::read() else { return };
    for group_plan in groups {
        let settings = &group_plan.settings;
        for (router, member) in group_plan.routers.iter().zip(&settings.members) {
            if !router
                .addresses
                .iter()
                .any(|address| held.contains(address))
            {
                continue;
            }
            let Some(interface) = home(router, &links) else {
                continue;
            };
            let source = router.speaks_from(interface).unwrap_or(router.source);
            let sender = RawSender::open(&interface.name, interface.index, PROTOCOL, source);
            let Ok(sender) = sender else { continue };
            let all = [group(member.family)];
            let receivers = if member.peers.is_empty() {
                &all[..]
            } else {
                &member.peers
            };
            for destination in receivers.iter().copied() {
                for version in settings.versions.sent(member.family).iter().copied() {
                    for checksum in [ChecksumSeen::Rfc, ChecksumSeen::Keepalived] {
                        let outgoing = Outgoing {
                            version,
                            vrid: member.vrid,
                            priority: 0,
                            lingers: false,
                            interval: settings.interval,
                            addresses: &member.addresses,
                            password: member.password,
                            checksum,
                            source,
                            destination,
                        };
                        let _ = sender.send(destination, outgoing.emit(&mut [0; MAX_LEN]));
                    }
                }
            }
        }
    }
}
