//! Bytes from networks and users: known shapes, cut everywhere and with every byte changed.

#[path = "invariants/annotations.rs"]
mod annotations;
#[path = "../../fuzz/corpus.rs"]
mod corpus;
#[path = "invariants/frame.rs"]
mod frame;
#[path = "invariants/heartbeat.rs"]
mod heartbeat;
#[path = "invariants/object.rs"]
mod object;

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use dataplane::core::peers::{membership::Membership, state::NodeState};
use l2::wire::{ArpPacket, MacAddr, NeighborAdvert, NeighborSolicit};
use proptest::prelude::*;

const THEIRS: MacAddr = MacAddr::new([2, 0, 0, 0, 0, 9]);

/// A signed heartbeat around a state, for inputs to start from.
fn sample() -> Vec<u8> {
    let mut one = Membership::new("n2", 5, Duration::from_millis(800));
    one.keys_mut()
        .replace(heartbeat::now(), &heartbeat::secrets());
    let address = IpAddr::from([10, 0, 0, 1]);
    one.set_addresses(&BTreeMap::from([(heartbeat::RECEIVER.to_owned(), address)]));
    one.set_state(heartbeat::now(), &NodeState::default());
    let bytes = one.poll_transmit().expect("a heartbeat").bytes;
    bytes[..bytes.len() - 32].to_vec()
}

fn cut_and_changed(bytes: &[u8], hold: fn(&[u8])) {
    for cut in 0..=bytes.len() {
        hold(&bytes[..cut]);
    }
    for position in 0..bytes.len() {
        for byte in 0..=255 {
            let mut changed = bytes.to_vec();
            changed[position] = byte;
            hold(&changed);
        }
    }
}

#[test]
fn heartbeats_cut_and_changed() {
    cut_and_changed(&sample(), heartbeat::hold);
}

#[test]
fn frames_cut_and_changed() {
    let v4 = Ipv4Addr::new(10, 0, 0, 200);
    let v6: Ipv6Addr = "fd00::c8".parse().unwrap();
    let arp = ArpPacket::probe(v4, THEIRS).frame(MacAddr::BROADCAST);
    let claim = ArpPacket::gratuitous_reply(v4, THEIRS).frame(MacAddr::BROADCAST);
    let question = NeighborSolicit::probe(v6).frame(THEIRS);
    let advert = NeighborAdvert::unsolicited(v6, THEIRS, false).frame(THEIRS, None);
    for frame in [&arp[..], &claim[..], question.as_ref(), advert.as_ref()] {
        cut_and_changed(frame, frame::hold);
    }
}

#[test]
fn objects_cut_and_changed() {
    let service = br#"{"metadata":{"name":"a","namespace":"b","uid":"u","annotations":{"metallb.io/loadBalancerIPs":"10.0.0.1,fd00::1"}},"spec":{"type":"LoadBalancer","ports":[{"port":80}],"ipFamilies":["IPv4","IPv6"]},"status":{"loadBalancer":{"ingress":[{"ip":"10.0.0.1"}]}}}"#;
    let pool = br#"{"metadata":{"name":"p"},"spec":{"addresses":["10.0.0.0/24","fd00::1-fd00::9"],"serviceSelectors":[{"matchExpressions":[{"key":"a","operator":"In","values":["b"]}]}]}}"#;
    for object in [&service[..], pool] {
        for cut in 0..=object.len() {
            object::hold(&object[..cut]);
        }
        for position in 0..object.len() {
            for byte in b"\"0:-9{}[]," {
                let mut changed = object.to_vec();
                changed[position] = *byte;
                object::hold(&changed);
            }
        }
    }
    let annotations = b"metallb.io/loadBalancerIPs=10.0.0.1,fd00::1\nmetallb.universe.tf/address-pool=p\nlbipam.cilium.io/ips=10.0.0.1\nloadBalancerIP=10.0.0.1";
    cut_and_changed(annotations, annotations::hold);
}

/// What a fuzzer once found a way to stays looked at.
#[test]
fn the_corpora_hold() {
    corpus::replay("heartbeat", heartbeat::hold);
    corpus::replay("frame", frame::hold);
    corpus::replay("object", object::hold);
    corpus::replay("annotations", annotations::hold);
}

proptest! {
    #[test]
    fn any_bytes_hold(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        heartbeat::hold(&bytes);
        frame::hold(&bytes);
        object::hold(&bytes);
        annotations::hold(&bytes);
    }
}
