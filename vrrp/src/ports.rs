//! The sockets of the router thread: for each interface and family one that receives VRRP, one per source
//! address that sends it, and one for ARP or neighbour advertisements.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use l2::linux::filter::Filter;
use l2::linux::packet::PacketSocket;
use l2::linux::poller::Poller;
use l2::linux::raw_ip::{RawReceiver, RawSender};
use l2::wire::{ArpPacket, EtherHeader, EtherType, MacAddr, NeighborAdvert, NeighborSolicit};

use crate::place::Place;
use crate::proto::{Family, Moment, packet};

/// Identifies a router: its group and its place in it.
pub(crate) type RouterKey = (usize, usize);

/// Two questions for the same peer are at least so far apart.
const ASKED_ENOUGH: Duration = Duration::from_millis(25);

/// Sockets on one interface for one family.
#[derive(Debug)]
pub(crate) struct Port {
    pub(crate) receiver: RawReceiver,
    pub(crate) neighbours: PacketSocket,
    /// Everything that arrived before was handed over.
    pub(crate) drained: Moment,
    index: u32,
    family: Family,
    mac: MacAddr,
    senders: BTreeMap<IpAddr, RawSender>,
    /// When which peer was asked for last.
    asked: BTreeMap<IpAddr, Moment>,
    pub(crate) routers: BTreeMap<u8, RouterKey>,
    addresses: BTreeMap<IpAddr, usize>,
}

/// All sockets. A token of the poller is twice the port's number, plus one for the neighbours' socket.
#[derive(Debug, Default)]
pub(crate) struct Ports {
    ports: BTreeMap<u32, Port>,
    homes: BTreeMap<RouterKey, (u32, Place)>,
    next: u32,
}

impl Ports {
    /// Opens what a router at `place` needs.
    pub(crate) fn attach(
        &mut self,
        poller: &Poller,
        key: RouterKey,
        place: &Place,
        vrid: u8,
        addresses: &[IpAddr],
    ) -> io::Result<()> {
        self.detach(poller, key);
        let family = Family::of(place.source);
        let existing = self.ports.iter().find(|(_, port)| {
            port.index == place.index && port.mac == place.mac && port.family == family
        });
        let number = match existing {
            Some((number, _)) => *number,
            None => self.open(poller, family, place)?,
        };
        let Some(port) = self.ports.get_mut(&number) else {
            return Err(io::Error::other("the port has just been opened"));
        };
        if let Entry::Vacant(vacant) = port.senders.entry(place.source) {
            let (name, index) = (&place.interface, place.index);
            vacant.insert(RawSender::open(
                name,
                index,
                packet::PROTOCOL,
                place.source,
            )?);
        }
        port.routers.insert(vrid, key);
        port.addresses
            .extend(addresses.iter().map(|address| (*address, key.0)));
        port.refilter()?;
        self.homes.insert(key, (number, place.clone()));
        Ok(())
    }

    /// Closes what only this router needed.
    pub(crate) fn detach(&mut self, poller: &Poller, key: RouterKey) {
        let Some((number, _)) = self.homes.remove(&key) else {
            return;
        };
        let Some(port) = self.ports.get_mut(&number) else {
            return;
        };
        port.routers.retain(|_, owner| *owner != key);
        port.addresses.retain(|_, group| *group != key.0);
        if port.routers.is_empty() {
            let _ = poller.remove(&port.receiver);
            let _ = poller.remove(&port.neighbours);
            self.ports.remove(&number);
        }
    }

    fn open(&mut self, poller: &Poller, family: Family, place: &Place) -> io::Result<u32> {
        let (ether_type, filter) = neighbour_filter(family, &BTreeMap::new());
        let port = Port {
            receiver: RawReceiver::open(
                &place.interface,
                place.index,
                packet::PROTOCOL,
                packet::group(family),
            )?,
            neighbours: PacketSocket::open(place.index, ether_type, &filter)?,
            drained: crate::clock::now(),
            index: place.index,
            family,
            mac: place.mac,
            senders: BTreeMap::new(),
            asked: BTreeMap::new(),
            routers: BTreeMap::new(),
            addresses: BTreeMap::new(),
        };
        let number = self.next;
        self.next += 1;
        poller.add(&port.receiver, number * 2)?;
        poller.add(&port.neighbours, number * 2 + 1)?;
        self.ports.insert(number, port);
        Ok(number)
    }

    /// The port of a token, and whether the neighbours' socket is meant.
    pub(crate) fn by_token(&mut self, token: u32) -> Option<(&mut Port, bool)> {
        Some((self.ports.get_mut(&(token / 2))?, token % 2 == 1))
    }

    /// Up to when every port has been read.
    pub(crate) fn drained(&self, now: Moment) -> Moment {
        self.ports
            .values()
            .map(|port| port.drained)
            .min()
            .unwrap_or(now)
            .min(now)
    }

    /// Notes that nothing more is waiting on a port that did not become ready.
    pub(crate) fn idle(&mut self, tokens: &[u32], now: Moment) {
        for (number, port) in &mut self.ports {
            if !tokens.contains(&(number * 2)) {
                port.drained = now;
            }
        }
    }

    /// Sends an advert of a router.
    pub(crate) fn send(&self, key: RouterKey, receiver: IpAddr, message: &[u8]) -> io::Result<()> {
        let (port, place) = self.home(key)?;
        let sender = port.senders.get(&place.source).ok_or_else(closed)?;
        sender.send(receiver, message)
    }

    /// Announces an address of a router.
    pub(crate) fn announce(&self, key: RouterKey, address: IpAddr, reply: bool) -> io::Result<()> {
        let (port, _) = self.home(key)?;
        match address {
            IpAddr::V4(address) => {
                let packet = if reply {
                    ArpPacket::gratuitous_reply(address, port.mac)
                } else {
                    ArpPacket::gratuitous_request(address, port.mac)
                };
                port.neighbours.send(&packet.frame(MacAddr::BROADCAST))
            }
            IpAddr::V6(address) => {
                let advert = NeighborAdvert::unsolicited(address, port.mac, true);
                port.neighbours.send(advert.frame(port.mac, None).as_ref())
            }
        }
    }

    /// Asks a peer for its hardware address, once for all virtual routers that want to know. A peer behind a
    /// gateway has none here.
    pub(crate) fn solicit(&mut self, key: RouterKey, peer: IpAddr, now: Moment) -> io::Result<()> {
        let (number, place) = self.homes.get(&key).ok_or_else(closed)?;
        let port = self.ports.get_mut(number).ok_or_else(closed)?;
        let asked = port.asked.get(&peer);
        if !place.is_on_link(peer) || asked.is_some_and(|at| now.since(*at) < ASKED_ENOUGH) {
            return Ok(());
        }
        port.asked.insert(peer, now);
        match (peer, place.source) {
            (IpAddr::V4(peer), IpAddr::V4(source)) => {
                let question = ArpPacket::request(peer, source, port.mac);
                port.neighbours.send(&question.frame(MacAddr::BROADCAST))
            }
            (IpAddr::V6(peer), IpAddr::V6(source)) => {
                let question = NeighborSolicit::question(peer, source, port.mac);
                port.neighbours.send(question.frame(port.mac).as_ref())
            }
            _ => Ok(()),
        }
    }

    fn home(&self, key: RouterKey) -> io::Result<(&Port, &Place)> {
        let (number, place) = self.homes.get(&key).ok_or_else(closed)?;
        Ok((self.ports.get(number).ok_or_else(closed)?, place))
    }
}

fn closed() -> io::Error {
    io::Error::from(io::ErrorKind::NotConnected)
}

impl Port {
    /// Another station's claim of one of our addresses: the group it concerns, the address, the station.
    pub(crate) fn next_claim(&mut self) -> io::Result<Option<Option<(usize, IpAddr, MacAddr)>>> {
        let Some(frame) = self.neighbours.receive()? else {
            return Ok(None);
        };
        let claim = claim(frame).filter(|(_, mac)| *mac != self.mac);
        Ok(Some(claim.and_then(|(address, mac)| {
            self.addresses
                .get(&address)
                .map(|group| (*group, address, mac))
        })))
    }

    fn refilter(&self) -> io::Result<()> {
        let (_, filter) = neighbour_filter(self.family, &self.addresses);
        self.neighbours.refilter(&filter)
    }
}

fn claim(frame: &[u8]) -> Option<(IpAddr, MacAddr)> {
    let (header, payload) = EtherHeader::parse(frame).ok()?;
    match header.ether_type {
        EtherType::Arp => {
            let arp = ArpPacket::parse(payload).ok()?;
            Some((arp.sender.into(), arp.sender_mac))
        }
        EtherType::Ipv6 => {
            let advert = NeighborAdvert::parse(payload).ok()?;
            Some((
                advert.target.into(),
                advert.target_mac.unwrap_or(header.source),
            ))
        }
        EtherType::Ipv4 => None,
    }
}

fn neighbour_filter(family: Family, addresses: &BTreeMap<IpAddr, usize>) -> (EtherType, Filter) {
    match family {
        Family::V4 => {
            let ours: Vec<Ipv4Addr> = addresses
                .keys()
                .filter_map(|address| match address {
                    IpAddr::V4(address) => Some(*address),
                    IpAddr::V6(_) => None,
                })
                .collect();
            (EtherType::Arp, Filter::arp_from(&ours))
        }
        Family::V6 => {
            let ours: Vec<Ipv6Addr> = addresses
                .keys()
                .filter_map(|address| match address {
                    IpAddr::V6(address) => Some(*address),
                    IpAddr::V4(_) => None,
                })
                .collect();
            (EtherType::Ipv6, Filter::neighbor_adverts_for(&ours))
        }
    }
}
