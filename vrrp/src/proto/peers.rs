//! What is known about the other routers of a VRID.

use std::net::IpAddr;

use super::{Advert, AdvertInterval, ChecksumSeen, Moment, Version};

/// One other router.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Its address.
    pub address: IpAddr,
    /// When its last advert came.
    pub last_advert: Moment,
    /// Priority in it.
    pub priority: u8,
    /// Interval in it.
    pub interval: AdvertInterval,
    /// Version of it.
    pub version: Version,
    /// Form of its checksum.
    pub checksum: ChecksumSeen,
    /// Adverts since the start.
    pub adverts: u64,
    /// Adverts of lower priority in a row that came although we had answered.
    pub unimpressed: u32,
}

/// The other routers, most recently heard ones only: the list cannot grow without bound.
#[derive(Debug, Default)]
pub struct Peers {
    known: Vec<Peer>,
}

/// More routers than this for one VRID do not exist in practice.
const LIMIT: usize = 64;

impl Peers {
    /// Notes an advert.
    pub fn hear(&mut self, at: Moment, address: IpAddr, advert: &Advert<'_>) -> &mut Peer {
        let index = match self.known.iter().position(|peer| peer.address == address) {
            Some(index) => index,
            None => {
                if self.known.len() == LIMIT {
                    self.forget_oldest();
                }
                self.known.push(Peer {
                    address,
                    last_advert: at,
                    priority: advert.priority,
                    interval: advert.interval,
                    version: advert.version,
                    checksum: advert.checksum,
                    adverts: 0,
                    unimpressed: 0,
                });
                self.known.len() - 1
            }
        };
        let peer = &mut self.known[index];
        peer.last_advert = at;
        peer.priority = advert.priority;
        peer.interval = advert.interval;
        peer.version = advert.version;
        peer.checksum = advert.checksum;
        peer.adverts += 1;
        peer
    }

    /// One router.
    pub fn find(&self, address: IpAddr) -> Option<&Peer> {
        self.known.iter().find(|peer| peer.address == address)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Peer> {
        self.known.iter()
    }

    /// Counts one more advert of lower priority and says how many there were in a row.
    pub fn unimpressed(&mut self, address: IpAddr) -> u32 {
        self.known
            .iter_mut()
            .find(|peer| peer.address == address)
            .map_or(0, |peer| {
                peer.unimpressed += 1;
                peer.unimpressed
            })
    }

    /// Begins to count anew who does not hear the answers.
    pub fn impress(&mut self) {
        self.known.iter_mut().for_each(|peer| peer.unimpressed = 0);
    }

    /// Whether nobody was ever heard.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    fn forget_oldest(&mut self) {
        let oldest = self
            .known
            .iter()
            .enumerate()
            .min_by_key(|(_, peer)| peer.last_advert);
        if let Some((index, _)) = oldest {
            self.known.swap_remove(index);
        }
    }
}
