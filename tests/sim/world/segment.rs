//! What reaches whom: adverts, announcements, and another cluster's adverts.

use std::cmp::Reverse;

use vrrp::proto::packet::{MAX_LEN, Outgoing};
use vrrp::proto::{ChecksumSeen, Version, Vrid};

use super::{Event, World};
use crate::node::{FOREIGN_VIP, Packet, VRID, everybody};

impl World {
    /// A gratuitous ARP reaches the client and the other nodes. A node that is deaf to adverts is so
    /// because somebody filters their protocol: it hears ARP.
    pub(super) fn announce(&mut self, from: usize) {
        if !self.nodes[from].link {
            return;
        }
        if self.sides[from] == self.client_side && !self.random.happens(self.loss) {
            let at = self.time + self.random.between(1, self.delay.max(2));
            self.post(at, Event::Announcement { from });
        }
        for to in 0..self.nodes.len() {
            let reaches = to != from && self.nodes[to].link && self.sides[from] == self.sides[to];
            if reaches && !self.random.happens(self.loss) {
                let at = self.time + self.random.between(1, self.delay.max(2));
                self.post(at, Event::Claim { from, to });
            }
        }
    }

    pub(super) fn send(&mut self, from: usize, to: usize, packet: &Packet) {
        let reaches = from != to
            && self.hears[from][to]
            && self.sides[from] == self.sides[to]
            && self.nodes[from].link
            && self.nodes[to].link;
        if !reaches || self.random.happens(self.loss) {
            return;
        }
        let copies = if self.random.happens(self.duplicates) {
            2
        } else {
            1
        };
        for _ in 0..copies {
            let at = self.time + self.random.between(1, self.delay.max(2));
            self.post(
                at,
                Event::Deliver {
                    to,
                    packet: packet.clone(),
                },
            );
        }
    }

    /// A router of another cluster with our VRID and a higher priority.
    pub(super) fn foreign_advert(&mut self) {
        let source = "10.0.0.250".parse().expect("an address");
        let outgoing = Outgoing {
            version: Version::V3,
            vrid: Vrid::try_from(VRID).expect("not zero"),
            priority: 254,
            lingers: false,
            interval: self.common.interval,
            addresses: &[FOREIGN_VIP],
            password: None,
            checksum: ChecksumSeen::Rfc,
            source,
            destination: everybody(),
        };
        let bytes = outgoing.emit(&mut [0; MAX_LEN]).to_vec();
        for to in 0..self.nodes.len() {
            let packet = Packet {
                source,
                destination: everybody(),
                bytes: bytes.clone(),
            };
            if self.nodes[to].link {
                self.post(self.time + 1, Event::Deliver { to, packet });
            }
        }
        if self.foreign {
            let next = self.time + self.checks.interval();
            // As long as anything else is to come.
            if self.coming.iter().any(|Reverse((at, ..))| *at > next) || self.time < next {
                self.post(next, Event::Foreign);
            }
        }
    }
}
