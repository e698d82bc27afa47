//! Our codecs against two foreign ones: the same bytes mean the same to all three.

use std::net::{Ipv4Addr, Ipv6Addr};

use l2::wire::ndp::{self, solicited_node};
use l2::wire::{
    ArpOperation, ArpPacket, EtherHeader, EtherType, Ipv4Header, Ipv6Header, MacAddr,
    NeighborAdvert, NeighborSolicit,
};
use pnet::packet::Packet;
use pnet::packet::arp::{ArpOperations, ArpPacket as PnetArp};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire as other;

const MAC: MacAddr = MacAddr::new([2, 0, 0x5e, 0x10, 0, 1]);
const VIP: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 100);
const VIP6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 1, 0x100);

#[test]
fn gratuitous_arp_reads_the_same_in_pnet_and_smoltcp() {
    for arp in [
        ArpPacket::gratuitous_request(VIP, MAC),
        ArpPacket::gratuitous_reply(VIP, MAC),
    ] {
        let frame = arp.frame(MacAddr::BROADCAST);
        let pnet = PnetArp::new(&frame[14..]).unwrap();
        let operation = match arp.operation {
            ArpOperation::Request => ArpOperations::Request,
            ArpOperation::Reply => ArpOperations::Reply,
        };
        assert_eq!(pnet.get_operation(), operation);
        assert_eq!(pnet.get_sender_proto_addr(), VIP);
        assert_eq!(pnet.get_target_proto_addr(), VIP);
        assert_eq!(pnet.get_sender_hw_addr().octets(), MAC.octets());
        let ether = other::EthernetFrame::new_checked(&frame[..]).unwrap();
        assert_eq!(ether.dst_addr(), other::EthernetAddress::BROADCAST);
        let smol = other::ArpPacket::new_checked(ether.payload()).unwrap();
        let other::ArpRepr::EthernetIpv4 {
            source_protocol_addr,
            target_hardware_addr,
            ..
        } = other::ArpRepr::parse(&smol).unwrap()
        else {
            panic!("not an IPv4 ARP packet")
        };
        assert_eq!(source_protocol_addr, VIP);
        assert_eq!(target_hardware_addr, other::EthernetAddress::BROADCAST);
        let (header, payload) = EtherHeader::parse(&frame).unwrap();
        assert_eq!(header.ether_type, EtherType::Arp);
        assert_eq!(ArpPacket::parse(payload), Ok(arp));
    }
}

#[test]
fn unsolicited_advertisement_reads_the_same_in_smoltcp() {
    let advert = NeighborAdvert::unsolicited(VIP6, MAC, true);
    let frame = advert.frame(MAC, None);
    let ether = other::EthernetFrame::new_checked(frame.as_ref()).unwrap();
    assert_eq!(ether.dst_addr().0, [0x33, 0x33, 0, 0, 0, 1]);
    let ip = other::Ipv6Packet::new_checked(ether.payload()).unwrap();
    assert_eq!(
        (ip.hop_limit(), ip.src_addr(), ip.dst_addr()),
        (255, VIP6, ndp::ALL_NODES)
    );
    let icmp = other::Icmpv6Packet::new_checked(ip.payload()).unwrap();
    let repr = other::Icmpv6Repr::parse(
        &ip.src_addr(),
        &ip.dst_addr(),
        &icmp,
        &ChecksumCapabilities::default(),
    )
    .unwrap();
    let other::Icmpv6Repr::Ndisc(other::NdiscRepr::NeighborAdvert {
        flags,
        target_addr,
        lladdr,
    }) = repr
    else {
        panic!("not a neighbor advertisement: {repr:?}")
    };
    assert_eq!(
        flags,
        other::NdiscNeighborFlags::ROUTER | other::NdiscNeighborFlags::OVERRIDE
    );
    assert_eq!(target_addr, VIP6);
    assert_eq!(lladdr.unwrap().as_bytes(), MAC.octets());
    assert_eq!(NeighborAdvert::parse(ether.payload()), Ok(advert));
}

#[test]
fn probe_asks_the_solicited_node_group_without_a_source() {
    let probe = NeighborSolicit::probe(VIP6);
    assert_eq!(
        solicited_node(VIP6),
        "ff02::1:ff01:100".parse::<Ipv6Addr>().unwrap()
    );
    let frame = probe.frame(MAC);
    let (header, packet) = EtherHeader::parse(frame.as_ref()).unwrap();
    assert_eq!(
        header.destination,
        MacAddr::new([0x33, 0x33, 0xff, 1, 1, 0])
    );
    assert_eq!(NeighborSolicit::parse(packet), Ok(probe));
    let answer = NeighborAdvert::answer(&probe, MAC, false);
    assert_eq!(
        (answer.destination, answer.solicited),
        (ndp::ALL_NODES, false)
    );
}

#[test]
fn headers_read_the_same_in_pnet() {
    let header = Ipv4Header {
        tos: 0xc0,
        total_len: 32,
        ttl: 255,
        protocol: 112,
        source: Ipv4Addr::new(192, 0, 2, 11),
        destination: Ipv4Addr::new(224, 0, 0, 18),
    };
    let mut packet = header.emit().to_vec();
    packet.extend([7; 12]);
    let pnet = pnet::packet::ipv4::Ipv4Packet::new(&packet).unwrap();
    assert_eq!(pnet.get_checksum(), pnet::packet::ipv4::checksum(&pnet));
    assert_eq!((pnet.get_ttl(), pnet.payload()), (255, &[7; 12][..]));
    packet.extend([0; 14]);
    assert_eq!(Ipv4Header::parse(&packet), Ok((header, &[7; 12][..])));
}

#[test]
fn ipv4_options_are_skipped_by_the_header_length() {
    let header = Ipv4Header {
        tos: 0,
        total_len: 28,
        ttl: 1,
        protocol: 112,
        source: VIP,
        destination: VIP,
    };
    let mut packet = header.emit().to_vec();
    packet[0] = 0x46;
    packet.extend([1, 1, 1, 0, 9, 9, 9, 9]);
    assert_eq!(Ipv4Header::parse(&packet).unwrap().1, [9, 9, 9, 9]);
}

#[test]
fn no_truncation_or_flipped_byte_panics() {
    let arp = ArpPacket::probe(VIP, MAC).frame(MacAddr::BROADCAST);
    let na = NeighborAdvert::unsolicited(VIP6, MAC, false).frame(MAC, None);
    let ns = NeighborSolicit::probe(VIP6).frame(MAC);
    for frame in [&arp[..], na.as_ref(), ns.as_ref()] {
        for end in 0..=frame.len() {
            for flip in 0..end {
                let mut bytes = frame[..end].to_vec();
                bytes[flip] ^= 0xff;
                parse_all(&bytes);
            }
        }
    }
}

#[test]
fn damaged_advertisement_is_refused_by_its_checksum() {
    let mut frame = NeighborAdvert::unsolicited(VIP6, MAC, false)
        .frame(MAC, None)
        .as_ref()
        .to_vec();
    frame[80] ^= 1;
    let error = NeighborAdvert::parse(&frame[14..]).unwrap_err();
    assert_eq!(error.kind(), "checksum");
}

fn parse_all(bytes: &[u8]) {
    let _ = ArpPacket::parse(bytes);
    let _ = Ipv4Header::parse(bytes);
    let _ = Ipv6Header::parse(bytes);
    let _ = NeighborAdvert::parse(bytes);
    let _ = NeighborSolicit::parse(bytes);
    if let Ok((_, payload)) = EtherHeader::parse(bytes) {
        let _ = ArpPacket::parse(payload);
        let _ = NeighborAdvert::parse(payload);
        let _ = NeighborSolicit::parse(payload);
    }
}
