//! Who has an address? Asked so that nobody learns anything from the question.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use super::clock::boottime;
use super::filter::Filter;
use super::link::Interface;
use super::packet::PacketSocket;
use super::poller::Poller;
use crate::wire::{ArpPacket, EtherHeader, EtherType, MacAddr, NeighborAdvert, NeighborSolicit};

/// An address that is asked for on an interface, by ARP or NDP, as often as one likes.
#[derive(Debug)]
pub struct Question {
    socket: PacketSocket,
    poller: Poller,
    address: IpAddr,
    mac: MacAddr,
    ready: Vec<u32>,
}

impl Question {
    /// Prepares to ask for `address`. The host's own kernel is not asked: what this host holds itself nobody answers for.
    ///
    /// # Errors
    /// The kernel's: missing CAP_NET_RAW, no such interface; or the interface is not Ethernet.
    pub fn open(interface: &Interface, address: IpAddr) -> io::Result<Self> {
        let mac = interface.mac.ok_or_else(|| {
            io::Error::other(format!("interface `{}` is not Ethernet", interface.name))
        })?;
        let (ether_type, filter) = match address {
            IpAddr::V4(address) => (EtherType::Arp, Filter::arp_from(&[address])),
            IpAddr::V6(address) => (EtherType::Ipv6, Filter::neighbor_adverts_for(&[address])),
        };
        let socket = PacketSocket::open(interface.index, ether_type, &filter)?;
        let poller = Poller::new()?;
        poller.add(&socket, 0)?;
        Ok(Self {
            socket,
            poller,
            address,
            mac,
            ready: Vec::new(),
        })
    }

    /// Asks once.
    ///
    /// # Errors
    /// The kernel's: `ENETDOWN`, `ENOBUFS`.
    pub fn ask(&self) -> io::Result<()> {
        match self.address {
            IpAddr::V4(address) => self
                .socket
                .send(&ArpPacket::probe(address, self.mac).frame(MacAddr::BROADCAST)),
            IpAddr::V6(address) => self
                .socket
                .send(NeighborSolicit::probe(address).frame(self.mac).as_ref()),
        }
    }

    /// The hardware address of the next answer until then, on the clock of [`boottime`]; what has come already counts.
    ///
    /// # Errors
    /// The kernel's: `ENETDOWN`.
    pub fn answer(&mut self, until: Duration) -> io::Result<Option<MacAddr>> {
        loop {
            if let Some(mac) = self.heard()? {
                return Ok(Some(mac));
            }
            if boottime() >= until {
                return Ok(None);
            }
            self.poller.wait(Some(until), &mut self.ready)?;
        }
    }

    /// Takes frames until one answers or there are none.
    fn heard(&mut self) -> io::Result<Option<MacAddr>> {
        let asked = self.address;
        while let Some(frame) = self.socket.receive()? {
            let Ok((header, payload)) = EtherHeader::parse(frame) else {
                continue;
            };
            let answer = match asked {
                IpAddr::V4(address) => ArpPacket::parse(payload)
                    .ok()
                    .filter(|arp| arp.sender == address)
                    .map(|arp| arp.sender_mac),
                IpAddr::V6(address) => NeighborAdvert::parse(payload)
                    .ok()
                    .filter(|advert| advert.target == address)
                    .map(|advert| advert.target_mac.unwrap_or(header.source)),
            };
            if answer.is_some() {
                return Ok(answer);
            }
        }
        Ok(None)
    }
}
