//! Who has an address? Asked so that nobody learns anything from the question.
#![expect(clippy::disallowed_methods, reason = "driver: reads the clock")]

use std::io;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use l2::linux::clock::boottime;
use l2::linux::filter::Filter;
use l2::linux::link::Interface;
use l2::linux::packet::PacketSocket;
use l2::linux::poller::Poller;
use l2::wire::{ArpPacket, EtherHeader, EtherType, MacAddr, NeighborAdvert, NeighborSolicit};

/// Probes that are sent in the time given: one may be lost.
const PROBES: u32 = 3;

/// The hardware address that answers for `address` within `wait`, if one does. An address that this host
/// holds itself on the interface answers with the interface's own.
pub(super) fn ask(
    interface: &Interface,
    address: IpAddr,
    wait: Duration,
) -> anyhow::Result<Option<MacAddr>> {
    let name = &interface.name;
    let mac = interface
        .mac
        .with_context(|| format!("interface `{name}` is not Ethernet"))?;
    anyhow::ensure!(interface.up, "interface `{name}` is down or has no carrier");
    if interface.holds(address) {
        return Ok(Some(mac));
    }
    let (ether_type, filter) = match address {
        IpAddr::V4(address) => (EtherType::Arp, Filter::arp_from(&[address])),
        IpAddr::V6(address) => (EtherType::Ipv6, Filter::neighbor_adverts_for(&[address])),
    };
    let mut socket = PacketSocket::open(interface.index, ether_type, &filter)
        .with_context(|| format!("cannot open a packet socket on `{name}`"))?;
    let mut poller = Poller::new()?;
    poller.add(&socket, 0)?;
    let end = Instant::now() + wait;
    let mut ready = Vec::new();
    for probe in 0..PROBES {
        send(&socket, address, mac).with_context(|| format!("cannot send a probe on `{name}`"))?;
        let until = if probe + 1 == PROBES {
            end
        } else {
            Instant::now() + wait / PROBES
        };
        loop {
            if let Some(answer) = next_answer(&mut socket, address)? {
                return Ok(Some(answer));
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            poller.wait(Some(boottime() + left), &mut ready)?;
        }
    }
    Ok(None)
}

/// Whether an interface has an address whose network holds `address`.
pub(super) fn is_on_subnet(interface: &Interface, address: IpAddr) -> bool {
    interface.addresses.iter().any(|found| {
        let len = u32::from(found.prefix_len);
        match (found.held.address, address) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => {
                let mask = u32::MAX.checked_shl(32 - len.min(32)).unwrap_or(0);
                ours.to_bits() & mask == theirs.to_bits() & mask
            }
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => {
                let mask = u128::MAX.checked_shl(128 - len.min(128)).unwrap_or(0);
                ours.to_bits() & mask == theirs.to_bits() & mask
            }
            _ => false,
        }
    })
}

fn send(socket: &PacketSocket, address: IpAddr, mac: MacAddr) -> io::Result<()> {
    match address {
        IpAddr::V4(address) => {
            socket.send(&ArpPacket::probe(address, mac).frame(MacAddr::BROADCAST))
        }
        IpAddr::V6(address) => socket.send(NeighborSolicit::probe(address).frame(mac).as_ref()),
    }
}

/// Takes frames until one answers or there are none.
fn next_answer(socket: &mut PacketSocket, address: IpAddr) -> io::Result<Option<MacAddr>> {
    while let Some(frame) = socket.receive()? {
        let Ok((header, payload)) = EtherHeader::parse(frame) else {
            continue;
        };
        let answer = match address {
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
