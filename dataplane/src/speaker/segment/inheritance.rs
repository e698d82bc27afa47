//! Connections that live at the node that had an address before.

use std::net::IpAddr;

use super::Segment;
use crate::core::peers::{membership::Peer, state::Fitness};

impl Segment {
    /// What belongs to connections that live at `from` goes on there.
    pub(super) fn pass_on(&mut self, from: &str, addresses: Vec<IpAddr>) {
        let Some(peer) = self.speaker.membership().peer(from) else {
            return;
        };
        let served = addresses.into_iter();
        let served = served.filter_map(|address| {
            let interfaces = self.speaker.serves(address)?;
            if self.is_orphaned(peer, address) {
                tracing::info!(%address, predecessor = from, "connections of the predecessor are reset: it has no endpoint of the Service any more");
                return None;
            }
            Some((address, interfaces.to_vec()))
        });
        let served: Vec<_> = served.collect();
        let now = self.now();
        let interfaces = self.speaker.interfaces();
        self.passing.begin(now, peer, interfaces, served);
    }

    /// Whether a peer had to give an address up because its endpoints are gone: nobody there would answer. Without endpoints of
    /// its own (policy `Cluster`) its kernel goes on translating, whatever it was that took the address away.
    fn is_orphaned(&self, peer: &Peer, address: IpAddr) -> bool {
        let wanted = self.speaker.directory().addresses.get(&address);
        let is_local = wanted.is_some_and(|wanted| wanted.endpoints.is_some());
        let claim = peer.state().claims.get(&address);
        is_local && claim.is_none_or(|claim| claim.fitness == Fitness::Unfit)
    }
}
