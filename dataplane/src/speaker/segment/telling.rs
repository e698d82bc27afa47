//! What the segment says of itself.

use std::net::IpAddr;

use l2::wire::MacAddr;

use super::Segment;
use crate::{
    core::{peers::membership::Peer, segment::Interface},
    k8s::crd::{SpeakerAddress, SpeakerInterface, SpeakerStatus},
};

/// Addresses listed in a report.
const LISTED: usize = 5000;

impl Segment {
    pub(super) fn tell_bulletin(&self) {
        let name_of = |index: &u32| self.links.by_index(*index).map(|link| link.name.clone());
        let addresses: Vec<SpeakerAddress> = self
            .speaker
            .holdings()
            .filter(|(address, _)| self.speaker.serves(*address).is_some())
            .take(LISTED)
            .map(|(address, holding)| {
                let since = holding.since.saturating_duration_since(self.started);
                let index = holding.interfaces.first();
                let ears = index.and_then(|index| self.ears.get(index));
                SpeakerAddress {
                    address: address.to_string(),
                    term: holding.term,
                    interface: index.and_then(name_of).unwrap_or_default(),
                    mac: ears
                        .map(|(_, ears)| ears.mac.to_string())
                        .unwrap_or_default(),
                    since: jiff::SignedDuration::try_from(since)
                        .map_or(self.started_wall, |since| self.started_wall + since)
                        .to_string(),
                    why: holding.why.to_string(),
                    conflict: self.conflict(address),
                }
            })
            .collect();
        let (phase, _) = self.speaker.phase();
        let peers = || self.speaker.membership().peers();
        let silent = peers().filter(|(name, peer)| {
            !peer.is_alive() && self.speaker.directory().nodes.contains(*name)
        });
        let status = SpeakerStatus {
            phase: format!("{phase:?}"),
            count: u32::try_from(addresses.len()).unwrap_or(u32::MAX),
            addresses,
            interfaces: self.interfaces(),
            silent: silent.map(|(name, _)| name.to_owned()).collect(),
            version: daemon::build_info::current().version.to_owned(),
        };
        self.bulletin
            .tell(status, self.alive, self.speaker.freezes());
    }

    /// Who else answers for an address.
    fn conflict(&self, address: IpAddr) -> Option<String> {
        let mac = self.conflicts.get(address)?.mac;
        let Some(peer) = self.speaker.peer_with(mac.octets()) else {
            return Some(mac.to_string());
        };
        let heard = self.speaker.membership().peer(peer);
        let heard = heard.is_some_and(Peer::is_alive);
        // Who is heard gives in, or is given in to.
        (!heard).then(|| format!("{mac} (the speaker of {peer}, whose heartbeats do not arrive)"))
    }

    pub(super) fn interfaces(&self) -> Vec<SpeakerInterface> {
        let usable = self
            .speaker
            .interfaces()
            .iter()
            .filter(|one| !one.networks.is_empty());
        let report = |one: &Interface| SpeakerInterface {
            name: one.name.clone(),
            mac: MacAddr::new(one.mac).to_string(),
            up: one.up,
            networks: one
                .networks
                .iter()
                .map(|(network, prefix)| format!("{network}/{prefix}"))
                .collect(),
        };
        usable.map(report).collect()
    }
}
