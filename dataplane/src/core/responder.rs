//! Which frame deserves which answer.
//!
//! An address is answered for only on the interfaces it belongs to, with the hardware address of that interface. The
//! same frames show when another machine answers for an address of ours: see [`crate::core::conflict`].

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Instant,
};

use l2::wire::{
    ArpOperation, ArpPacket, EtherHeader, EtherType, Ipv4Header, Ipv6Header, MacAddr,
    NeighborAdvert, NeighborSolicit, WireError, checksum::Sum, ndp::ICMPV6,
};

use crate::core::echo::EchoBudget;

/// What a frame calls for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Send this frame on the same interface.
    Answer(Vec<u8>, Answered),
    /// Another machine says that it has an address of ours.
    Foreign {
        /// The address.
        address: IpAddr,
        /// The other machine.
        mac: MacAddr,
    },
    /// Nothing; the word is for metrics.
    Ignore(&'static str),
}

/// What was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answered {
    /// Who has the address.
    Resolution(IpAddr),
    /// An echo request.
    Echo(IpAddr),
}

/// What this node would answer for on one interface.
pub trait Addresses {
    /// Whether this node answers for `address` here.
    fn has(&self, address: IpAddr) -> bool;
    /// Whether an echo request of `source` to `address` is answered.
    fn echoes(&self, address: IpAddr, source: IpAddr) -> bool;
}

/// Decides about one frame that arrived on an interface with hardware address `own`.
///
/// # Errors
/// Frames that are no whole message of a kind this node speaks.
pub fn respond(
    now: Instant,
    frame: &[u8],
    own: MacAddr,
    addresses: &impl Addresses,
    echo: &mut EchoBudget,
) -> Result<Verdict, WireError> {
    let (ether, payload) = EtherHeader::parse(frame)?;
    let for_us = ether.destination == own;
    match ether.ether_type {
        EtherType::Arp => Ok(arp(ether, &ArpPacket::parse(payload)?, own, addresses)),
        EtherType::Ipv4 if for_us => echo_v4(now, ether, payload, own, addresses, echo),
        EtherType::Ipv6 => ipv6(now, ether, payload, own, addresses, echo),
        EtherType::Ipv4 => Ok(Verdict::Ignore("not for this interface")),
    }
}

fn arp(
    ether: EtherHeader,
    packet: &ArpPacket,
    own: MacAddr,
    addresses: &impl Addresses,
) -> Verdict {
    let sender = IpAddr::V4(packet.sender);
    if packet.sender_mac != own && addresses.has(sender) {
        return Verdict::Foreign {
            address: sender,
            mac: packet.sender_mac,
        };
    }
    if packet.operation != ArpOperation::Request {
        return Verdict::Ignore("an answer");
    }
    if ether.destination != own && ether.destination != MacAddr::BROADCAST {
        return Verdict::Ignore("not for this interface");
    }
    // A sender that is no host, or that hides behind another, gets no answer (RFC 826 does not know it).
    if !is_another(packet.sender_mac, own) {
        return Verdict::Ignore("no sender");
    }
    let target = IpAddr::V4(packet.target);
    if !addresses.has(target) {
        return Verdict::Ignore("not ours");
    }
    let answer = ArpPacket::answer(packet, packet.target, own);
    Verdict::Answer(
        answer.frame(packet.sender_mac).to_vec(),
        Answered::Resolution(target),
    )
}

fn ipv6(
    now: Instant,
    ether: EtherHeader,
    packet: &[u8],
    own: MacAddr,
    addresses: &impl Addresses,
    echo: &mut EchoBudget,
) -> Result<Verdict, WireError> {
    let (header, icmp) = Ipv6Header::parse(packet)?;
    if header.next_header != ICMPV6 {
        return Ok(Verdict::Ignore("not ICMPv6"));
    }
    match icmp.first() {
        Some(135) => Ok(solicitation(
            ether,
            &NeighborSolicit::parse(packet)?,
            own,
            addresses,
        )),
        Some(136) => {
            let advert = NeighborAdvert::parse(packet)?;
            let mac = advert.target_mac.unwrap_or(ether.source);
            let address = IpAddr::V6(advert.target);
            Ok(if mac != own && addresses.has(address) {
                Verdict::Foreign { address, mac }
            } else {
                Verdict::Ignore("an answer")
            })
        }
        Some(128) if ether.destination == own => {
            let (to, from) = (header.destination.into(), header.source.into());
            if !addresses.echoes(to, from) || !is_another(ether.source, own) {
                return Ok(Verdict::Ignore("echo not for us"));
            }
            if !echo.admit(now, to) {
                return Ok(Verdict::Ignore("too many echo requests"));
            }
            let frame = echo_reply_v6(ether.source, own, header, icmp);
            Ok(Verdict::Answer(frame, Answered::Echo(to)))
        }
        _ => Ok(Verdict::Ignore("another ICMPv6 message")),
    }
}

/// A neighbour without a source address is checking for duplicates; one without the option of its own hardware
/// address probes whether we are still there (RFC 4861 §7.2.2): both get an answer.
fn solicitation(
    ether: EtherHeader,
    question: &NeighborSolicit,
    own: MacAddr,
    addresses: &impl Addresses,
) -> Verdict {
    let target = IpAddr::V6(question.target);
    if !is_another(ether.source, own) {
        return Verdict::Ignore("no sender");
    }
    if !addresses.has(target) {
        return Verdict::Ignore("not ours");
    }
    // Whoever names a group, or this node, as its own hardware address would have others hear the answer.
    let neighbour = question.source_mac.unwrap_or(ether.source);
    if !is_another(neighbour, own) {
        return Verdict::Ignore("no sender");
    }
    let answer = NeighborAdvert::answer(question, own, false);
    let receiver = (!question.source.is_unspecified()).then_some(neighbour);
    let frame = answer.frame(own, receiver).as_ref().to_vec();
    Verdict::Answer(frame, Answered::Resolution(target))
}

fn echo_v4(
    now: Instant,
    ether: EtherHeader,
    packet: &[u8],
    own: MacAddr,
    addresses: &impl Addresses,
    echo: &mut EchoBudget,
) -> Result<Verdict, WireError> {
    const ICMP: u8 = 1;
    const REQUEST: u8 = 8;
    let (header, icmp) = Ipv4Header::parse(packet)?;
    let (to, from) = (IpAddr::V4(header.destination), IpAddr::V4(header.source));
    let request = header.protocol == ICMP && icmp.len() >= 8 && icmp[0] == REQUEST && icmp[1] == 0;
    // Bits 13 to 0: more fragments, offset.
    let fragment = packet[6] & 0x3f != 0 || packet[7] != 0;
    if !request || fragment || !is_another(ether.source, own) {
        return Ok(Verdict::Ignore("no whole echo request"));
    }
    if !Sum::new().bytes(icmp).is_valid() {
        return Err(WireError::Checksum {
            what: "icmp message",
        });
    }
    if !is_host(header.source) || !addresses.echoes(to, from) {
        return Ok(Verdict::Ignore("echo not for us"));
    }
    if !echo.admit(now, to) {
        return Ok(Verdict::Ignore("too many echo requests"));
    }
    let mut reply = icmp.to_vec();
    reply[0] = 0;
    reply[2..4].fill(0);
    let checksum = Sum::new().bytes(&reply).finish();
    reply[2..4].copy_from_slice(&checksum.to_be_bytes());
    let total_len = u16::try_from(Ipv4Header::MIN_LEN + reply.len()).unwrap_or(u16::MAX);
    let ip = Ipv4Header {
        tos: header.tos,
        total_len,
        ttl: HOPS,
        protocol: ICMP,
        source: header.destination,
        destination: header.source,
    };
    let ether = EtherHeader {
        destination: ether.source,
        source: own,
        ether_type: EtherType::Ipv4,
    };
    let frame = [&ether.emit()[..], &ip.emit(), &reply].concat();
    Ok(Verdict::Answer(frame, Answered::Echo(to)))
}

fn echo_reply_v6(to: MacAddr, own: MacAddr, header: Ipv6Header, request: &[u8]) -> Vec<u8> {
    const REPLY: u8 = 129;
    let mut reply = request.to_vec();
    reply[0] = REPLY;
    if let Some(checksum) = reply.get_mut(2..4) {
        checksum.fill(0);
    }
    let (source, destination) = (header.destination, header.source);
    let sum = Sum::new()
        .pseudo_v6(source, destination, ICMPV6, reply.len())
        .bytes(&reply);
    if let Some(checksum) = reply.get_mut(2..4) {
        checksum.copy_from_slice(&sum.finish().to_be_bytes());
    }
    let ip = Ipv6Header {
        hop_limit: HOPS,
        source,
        destination,
        ..header
    };
    let ether = EtherHeader {
        destination: to,
        source: own,
        ether_type: EtherType::Ipv6,
    };
    [&ether.emit()[..], &ip.emit(), &reply].concat()
}

/// Frames that tell the neighbours that `address` is at `own`: ARP in both forms, as some listen to requests and
/// some to replies only; a Neighbor Advertisement to all nodes for IPv6.
pub fn announce(address: IpAddr, own: MacAddr) -> Vec<Vec<u8>> {
    match address {
        IpAddr::V4(v4) => [
            ArpPacket::gratuitous_request(v4, own),
            ArpPacket::gratuitous_reply(v4, own),
        ]
        .map(|packet| packet.frame(MacAddr::BROADCAST).to_vec())
        .into(),
        IpAddr::V6(v6) => {
            vec![
                NeighborAdvert::unsolicited(v6, own, false)
                    .frame(own, None)
                    .as_ref()
                    .to_vec(),
            ]
        }
    }
}

/// A question that only another owner of `address` answers, and from which nobody learns anything.
pub fn probe(address: IpAddr, own: MacAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => ArpPacket::probe(v4, own).frame(MacAddr::BROADCAST).to_vec(),
        IpAddr::V6(v6) => NeighborSolicit::probe(v6).frame(own).as_ref().to_vec(),
    }
}

/// Whether a hardware address can be that of one other machine.
fn is_another(mac: MacAddr, own: MacAddr) -> bool {
    mac != own && mac.is_unicast()
}

/// Whether an address can be a single host's.
const fn is_host(address: Ipv4Addr) -> bool {
    !(address.is_unspecified()
        || address.is_broadcast()
        || address.is_multicast()
        || address.is_loopback())
}

const HOPS: u8 = 64;

/// The group that solicitations for `address` are sent to.
pub const fn group(address: Ipv6Addr) -> Ipv6Addr {
    l2::wire::ndp::solicited_node(address)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::core::samples::start;

    const OWN: MacAddr = MacAddr::new([2, 0, 0, 0, 0, 1]);
    const THEIRS: MacAddr = MacAddr::new([2, 0, 0, 0, 0, 9]);

    struct Ours;

    impl Addresses for Ours {
        fn has(&self, address: IpAddr) -> bool {
            address == IpAddr::from(v4()) || address == IpAddr::from(v6())
        }
        fn echoes(&self, address: IpAddr, source: IpAddr) -> bool {
            self.has(address) && source != IpAddr::from([10, 0, 0, 66])
        }
    }

    fn v4() -> Ipv4Addr {
        Ipv4Addr::new(10, 0, 0, 200)
    }

    fn v6() -> Ipv6Addr {
        "fd00::200".parse().unwrap()
    }

    fn decide(frame: &[u8]) -> Verdict {
        let mut echo = EchoBudget::default();
        respond(start(), frame, OWN, &Ours, &mut echo).unwrap()
    }

    fn request(target: Ipv4Addr) -> ArpPacket {
        ArpPacket {
            operation: ArpOperation::Request,
            sender_mac: THEIRS,
            sender: Ipv4Addr::new(10, 0, 0, 9),
            target_mac: MacAddr::ZERO,
            target,
        }
    }

    fn arp_answer(frame: &[u8]) -> Option<ArpPacket> {
        match decide(frame) {
            Verdict::Answer(frame, _) => {
                let (ether, payload) = EtherHeader::parse(&frame).unwrap();
                assert_eq!((ether.destination, ether.source), (THEIRS, OWN));
                Some(ArpPacket::parse(payload).unwrap())
            }
            _ => None,
        }
    }

    #[test]
    fn requests_for_our_address_are_answered_broadcast_unicast_and_without_a_source() {
        let anonymous = ArpPacket::probe(v4(), THEIRS);
        for (packet, destination) in [
            (request(v4()), MacAddr::BROADCAST),
            (request(v4()), OWN),
            (anonymous, MacAddr::BROADCAST),
        ] {
            let answer = arp_answer(&packet.frame(destination)).unwrap();
            assert_eq!(
                (answer.operation, answer.sender_mac),
                (ArpOperation::Reply, OWN)
            );
            assert_eq!((answer.sender, answer.target), (v4(), packet.sender));
        }
    }

    #[test]
    fn other_frames_get_no_arp_answer() {
        let elsewhere = MacAddr::new([2, 0, 0, 0, 0, 3]);
        assert_eq!(
            arp_answer(&request(Ipv4Addr::new(10, 0, 0, 7)).frame(MacAddr::BROADCAST)),
            None
        );
        assert_eq!(arp_answer(&request(v4()).frame(elsewhere)), None);
        let mut group = request(v4());
        group.sender_mac = MacAddr::BROADCAST;
        assert_eq!(arp_answer(&group.frame(OWN)), None);
    }

    #[test]
    fn somebody_who_claims_our_address_is_noticed_and_we_are_not() {
        let claim = ArpPacket::gratuitous_request(v4(), THEIRS).frame(MacAddr::BROADCAST);
        assert_eq!(
            decide(&claim),
            Verdict::Foreign {
                address: v4().into(),
                mac: THEIRS
            }
        );
        let own = ArpPacket::gratuitous_reply(v4(), OWN).frame(MacAddr::BROADCAST);
        assert!(matches!(decide(&own), Verdict::Ignore(_)));
        let advert = NeighborAdvert::unsolicited(v6(), THEIRS, false).frame(THEIRS, None);
        assert_eq!(
            decide(advert.as_ref()),
            Verdict::Foreign {
                address: v6().into(),
                mac: THEIRS
            }
        );
    }

    #[test]
    fn solicitations_are_answered_with_and_without_option_and_source() {
        let source: Ipv6Addr = "fd00::9".parse().unwrap();
        let question = |source, source_mac| NeighborSolicit {
            source,
            destination: group(v6()),
            target: v6(),
            source_mac,
        };
        for (question, destination) in [
            (question(source, Some(THEIRS)), source),
            (question(source, None), source),
            (NeighborSolicit::probe(v6()), l2::wire::ndp::ALL_NODES),
        ] {
            let Verdict::Answer(frame, _) = decide(question.frame(THEIRS).as_ref()) else {
                panic!("no answer to {question:?}");
            };
            let (ether, payload) = EtherHeader::parse(&frame).unwrap();
            let answer = NeighborAdvert::parse(payload).unwrap();
            assert_eq!((answer.target, answer.target_mac), (v6(), Some(OWN)));
            assert_eq!(answer.destination, destination);
            assert_eq!(answer.solicited, destination == source);
            assert_eq!(ether.destination == THEIRS, destination == source);
        }
    }

    #[test]
    fn a_solicitation_that_names_a_group_as_its_hardware_address_is_not_answered() {
        for mac in [MacAddr::BROADCAST, MacAddr::ZERO, OWN] {
            let source = "fd00::9".parse().unwrap();
            let question = NeighborSolicit::question(v6(), source, mac);
            let mut frame = question.frame(mac).as_ref().to_vec();
            frame[6..12].copy_from_slice(&THEIRS.octets());
            assert_eq!(decide(&frame), Verdict::Ignore("no sender"), "{mac}");
        }
    }

    fn ping(source: Ipv4Addr, size: usize) -> Vec<u8> {
        let mut icmp = vec![0; 8 + size];
        icmp[0] = 8;
        icmp[4..8].copy_from_slice(&[1, 2, 3, 4]);
        let checksum = Sum::new().bytes(&icmp).finish();
        icmp[2..4].copy_from_slice(&checksum.to_be_bytes());
        let ip = Ipv4Header {
            tos: 0,
            total_len: u16::try_from(20 + icmp.len()).unwrap(),
            ttl: 3,
            protocol: 1,
            source,
            destination: v4(),
        };
        let ether = EtherHeader {
            destination: OWN,
            source: THEIRS,
            ether_type: EtherType::Ipv4,
        };
        [&ether.emit()[..], &ip.emit(), &icmp].concat()
    }

    #[test]
    fn a_ping_comes_back_as_it_was_to_those_who_may_connect() {
        for size in [0, 56, 1472] {
            let sent = ping(Ipv4Addr::new(172, 30, 0, 2), size);
            let Verdict::Answer(frame, Answered::Echo(_)) = decide(&sent) else {
                panic!("no answer")
            };
            let (ether, packet) = EtherHeader::parse(&frame).unwrap();
            let (ip, icmp) = Ipv4Header::parse(packet).unwrap();
            assert_eq!(ether.destination, THEIRS);
            assert_eq!(
                (ip.source, ip.destination),
                (v4(), Ipv4Addr::new(172, 30, 0, 2))
            );
            assert!(Sum::new().bytes(icmp).is_valid());
            assert_eq!((icmp[0], &icmp[4..]), (0, &sent[38..]));
        }
        assert!(matches!(
            decide(&ping(Ipv4Addr::new(10, 0, 0, 66), 0)),
            Verdict::Ignore(_)
        ));
        assert!(matches!(
            decide(&ping(Ipv4Addr::BROADCAST, 0)),
            Verdict::Ignore(_)
        ));
        nobody_is_answered_in_this_nodes_name(ping(Ipv4Addr::new(172, 30, 0, 2), 0));
    }

    /// With the hardware address of this node as the sender.
    fn nobody_is_answered_in_this_nodes_name(mut sent: Vec<u8>) {
        sent[6..12].copy_from_slice(&OWN.octets());
        assert!(matches!(decide(&sent), Verdict::Ignore(_)));
    }

    #[test]
    fn an_ipv6_ping_comes_back() {
        let source: Ipv6Addr = "fd00:9::1".parse().unwrap();
        let mut icmp = vec![128, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7];
        let sum = Sum::new()
            .pseudo_v6(source, v6(), ICMPV6, icmp.len())
            .bytes(&icmp)
            .finish();
        icmp[2..4].copy_from_slice(&sum.to_be_bytes());
        let ip = Ipv6Header {
            traffic_class: 0,
            payload_len: u16::try_from(icmp.len()).unwrap(),
            next_header: ICMPV6,
            hop_limit: 9,
            source,
            destination: v6(),
        };
        let ether = EtherHeader {
            destination: OWN,
            source: THEIRS,
            ether_type: EtherType::Ipv6,
        };
        let sent = [&ether.emit()[..], &ip.emit(), &icmp].concat();
        let Verdict::Answer(frame, Answered::Echo(_)) = decide(&sent) else {
            panic!("no answer")
        };
        let (ip, icmp) = Ipv6Header::parse(&frame[14..]).unwrap();
        assert_eq!((ip.source, ip.destination, icmp[0]), (v6(), source, 129));
        assert!(
            Sum::new()
                .pseudo_v6(v6(), source, ICMPV6, icmp.len())
                .bytes(icmp)
                .is_valid()
        );
        nobody_is_answered_in_this_nodes_name(sent);
    }

    proptest! {
        #[test]
        fn no_frame_makes_it_panic(
            kind in prop::sample::select(vec![0x0800u16, 0x0806, 0x86dd]),
            payload in prop::collection::vec(any::<u8>(), 0..120),
        ) {
            let header = [&OWN.octets()[..], &THEIRS.octets(), &kind.to_be_bytes()].concat();
            let frame = [header, payload].concat();
            let _ = respond(start(), &frame, OWN, &Ours, &mut EchoBudget::default());
        }
    }
}
