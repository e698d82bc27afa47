// Frames of whoever is on the segment: no panic, and no answer but for an address of ours, with our hardware address,
// to one machine or to all nodes, and not longer than the question by more than an answer has to be.

use std::{net::IpAddr, time::Instant};

use dataplane::core::{
    echo::EchoBudget,
    responder::{self, Addresses, Answered, Verdict},
};
use l2::wire::{
    EtherHeader, EtherType, Ipv4Header, Ipv6Header, MacAddr, checksum::Sum, ndp::ICMPV6,
};

const OWN: MacAddr = MacAddr::new([2, 0, 0, 0, 0, 1]);

/// Addresses ending in 200 (0xc8) are ours; nobody but 10.0.0.66 is kept from asking for an echo.
struct Ours;

impl Addresses for Ours {
    fn has(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(v4) => v4.octets()[3] == 200,
            IpAddr::V6(v6) => v6.octets()[15] == 200,
        }
    }
    fn echoes(&self, address: IpAddr, source: IpAddr) -> bool {
        self.has(address) && source != IpAddr::from([10, 0, 0, 66])
    }
}

/// The longest fixed part of an answer: Ethernet, IPv6, and an advertisement with its option.
const LONGEST: usize = 14 + 40 + 32;

/// The frame as it is, and with the checksum that it should have: few bytes have the right one by chance.
pub(crate) fn hold(frame: &[u8]) {
    judge(frame);
    if let Some(mended) = mended(frame) {
        judge(&mended);
    }
}

/// With the right ICMP checksum, for frames that carry ICMP.
fn mended(frame: &[u8]) -> Option<Vec<u8>> {
    let (ether, packet) = EtherHeader::parse(frame).ok()?;
    let (start, length, sum) = match ether.ether_type {
        EtherType::Ipv6 => {
            let (header, icmp) = Ipv6Header::parse(packet).ok()?;
            let sum = Sum::new().pseudo_v6(header.source, header.destination, ICMPV6, icmp.len());
            (frame.len() - packet.len() + 40, icmp.len(), sum)
        }
        EtherType::Ipv4 => {
            let (_, icmp) = Ipv4Header::parse(packet).ok()?;
            let header = usize::from(packet.first()? & 0xf) * 4;
            (frame.len() - packet.len() + header, icmp.len(), Sum::new())
        }
        EtherType::Arp => return None,
    };
    let mut mended = frame.to_vec();
    let icmp = mended.get_mut(start..start + length)?;
    icmp.get_mut(2..4)?.fill(0);
    let checksum = sum.bytes(icmp).finish();
    icmp.get_mut(2..4)?.copy_from_slice(&checksum.to_be_bytes());
    Some(mended)
}

#[expect(
    clippy::disallowed_methods,
    reason = "some instant is needed to count from"
)]
fn judge(frame: &[u8]) {
    let mut echo = EchoBudget::default();
    let verdict = responder::respond(Instant::now(), frame, OWN, &Ours, &mut echo);
    match verdict {
        Ok(Verdict::Answer(answer, answered)) => {
            let (Answered::Resolution(address) | Answered::Echo(address)) = answered;
            assert!(Ours.has(address), "{address} is not ours");
            let (ether, _) = EtherHeader::parse(&answer).expect("an answer is a frame");
            assert_eq!(ether.source, OWN);
            assert_ne!(ether.destination, OWN, "nobody talks to themselves");
            assert_ne!(
                ether.destination,
                MacAddr::BROADCAST,
                "answers are no broadcasts"
            );
            assert!(
                answer.len() <= frame.len().max(LONGEST),
                "{} bytes became {}",
                frame.len(),
                answer.len()
            );
        }
        Ok(Verdict::Foreign { address, mac }) => {
            assert!(Ours.has(address) && mac != OWN);
        }
        Ok(Verdict::Ignore(_)) | Err(_) => {}
    }
}
