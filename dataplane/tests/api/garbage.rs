//! Frames that nobody should have to read: ARP and NDP, whole and broken.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use dataplane::core::random::Random;
use l2::wire::{ArpPacket, EtherHeader, EtherType, MacAddr, NeighborAdvert, NeighborSolicit};

/// Frames made beforehand; the switches learn as many hardware addresses.
const VARIETY: usize = 4096;

/// About addresses that nobody has.
pub(crate) fn of_nobody() -> Vec<Vec<u8>> {
    let mut random = Random::new(1);
    let mut frames = Vec::new();
    while frames.len() < VARIETY {
        let (v4, v6) = (other_v4(&mut random), other_v6(&mut random));
        frames.extend(about(&mut random, v4.into()));
        frames.extend(about(&mut random, v6.into()));
    }
    frames
}

/// About these addresses: questions, claims, and what only looks so.
pub(crate) fn of(addresses: &[IpAddr]) -> Vec<Vec<u8>> {
    let mut random = Random::new(2);
    let mut frames = Vec::new();
    while frames.len() < VARIETY {
        let address = random.pick(addresses).copied().unwrap();
        frames.extend(about(&mut random, address));
    }
    frames
}

fn byte(random: &mut Random) -> u8 {
    u8::try_from(random.below(256)).unwrap()
}

fn other_v4(random: &mut Random) -> Ipv4Addr {
    Ipv4Addr::new(10, 98, 0, 150 + byte(random) % 100)
}

fn other_v6(random: &mut Random) -> Ipv6Addr {
    let last = u16::from_be_bytes([0x50, byte(random)]);
    Ipv6Addr::new(0xfd98, 0, 0, 0, 0, 0, 0, last)
}

/// A question, a claim, a broken form of each, and noise.
fn about(random: &mut Random, address: IpAddr) -> [Vec<u8>; 5] {
    let mac = MacAddr::new([
        2,
        0x66,
        byte(random),
        byte(random),
        byte(random),
        byte(random),
    ]);
    let [question, claim, kind] = match address {
        IpAddr::V4(v4) => {
            let question = ArpPacket::request(v4, other_v4(random), mac);
            let claim = ArpPacket::gratuitous_reply(v4, mac);
            [
                question.frame(MacAddr::BROADCAST).to_vec(),
                claim.frame(MacAddr::BROADCAST).to_vec(),
                EtherHeader {
                    destination: MacAddr::BROADCAST,
                    source: mac,
                    ether_type: EtherType::Arp,
                }
                .emit()
                .to_vec(),
            ]
        }
        IpAddr::V6(v6) => {
            let question = NeighborSolicit::question(v6, other_v6(random), mac);
            let claim = NeighborAdvert::unsolicited(v6, mac, false);
            let everybody = MacAddr::ipv6_multicast(l2::wire::ndp::ALL_NODES);
            [
                question.frame(mac).as_ref().to_vec(),
                claim.frame(mac, None).as_ref().to_vec(),
                EtherHeader {
                    destination: everybody,
                    source: mac,
                    ether_type: EtherType::Ipv6,
                }
                .emit()
                .to_vec(),
            ]
        }
    };
    let noise = (0..byte(random)).map(|_| byte(random));
    let noise = [kind, noise.collect()].concat();
    let broken = [broken(random, &question), broken(random, &claim)];
    let [first, second] = broken;
    [question, claim, first, second, noise]
}

/// One bit is wrong, or the end is missing.
fn broken(random: &mut Random, frame: &[u8]) -> Vec<u8> {
    let mut frame = frame.to_vec();
    let body = u64::try_from(frame.len() - EtherHeader::LEN).unwrap();
    let place = EtherHeader::LEN + usize::try_from(random.below(body)).unwrap();
    if random.chance(50) {
        frame[place] ^= 1 << (byte(random) % 8);
    } else {
        frame.truncate(place);
    }
    frame
}
