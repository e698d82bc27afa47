//! Heartbeats that somebody else sends: words of a speaker with another key, and recorded ones.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    time::Instant,
};

use dataplane::core::peers::{
    datagram::{Datagram, Part},
    keys::{KeyId, KeyRing},
    state::{Claim, Fitness, NodeState, Phase},
};
use l2::wire::{EtherHeader, EtherType, Ipv4Header};

use crate::{
    intruder::{INTRUDER, PORT},
    segment::mac,
};

/// A datagram between speakers, by the ends of the addresses it names.
fn udp(from: u8, to: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(8 + payload.len()).unwrap();
    let header = Ipv4Header {
        tos: 0,
        total_len: 20 + length,
        ttl: 64,
        protocol: 17,
        source: Ipv4Addr::new(10, 98, 0, from),
        destination: Ipv4Addr::new(10, 98, 0, to),
    };
    let ether = EtherHeader {
        destination: mac(to),
        source: mac(INTRUDER),
        ether_type: EtherType::Ipv4,
    };
    let port = PORT.to_be_bytes();
    [
        &ether.emit()[..],
        &header.emit(),
        &port,
        &port,
        &length.to_be_bytes(),
        &[0_u8, 0],
        payload,
    ]
    .concat()
}

/// What a datagram carries.
pub(crate) fn payload(frame: &[u8]) -> &[u8] {
    &frame[EtherHeader::LEN + Ipv4Header::MIN_LEN + 8..]
}

/// A recorded frame as the intruder sends it: only the switch sees the difference. On a virtual cable the sender left the
/// checksum to hardware that nobody has, so it goes without one (RFC 768).
pub(crate) fn again(frame: &[u8]) -> Vec<u8> {
    const CHECKSUM: usize = EtherHeader::LEN + Ipv4Header::MIN_LEN + 6;
    let mut frame = frame.to_vec();
    frame[6..12].copy_from_slice(&mac(INTRUDER).octets());
    frame[CHECKSUM..CHECKSUM + 2].fill(0);
    frame
}

/// Heartbeats of node 2 that say it has everything, in words that follow those which were recorded. The key has the right name and
/// is another one; of the last the recorded code has a wrong bit.
pub(crate) fn forge(recorded: &[u8], addresses: &[IpAddr]) -> Vec<Vec<u8>> {
    let number = |at: usize| {
        let bytes = recorded[at..].first_chunk().copied().unwrap();
        u64::from_be_bytes(bytes)
    };
    let (name, newest) = (&recorded[4..8], &recorded[8..12]);
    let newest = u32::from_be_bytes(newest.try_into().unwrap());
    let mut ring = KeyRing::default();
    let secrets = BTreeMap::from([("0001".to_owned(), vec![7; 32])]);
    ring.replace(Instant::now(), &secrets);
    let key = ring.newest().unwrap();
    let mut frames = Vec::new();
    for ahead in 1_000..1_100 {
        let claim = Claim {
            term: 1_000 + ahead,
            fitness: Fitness::Fit,
        };
        let state = NodeState {
            phase: Phase::Serving,
            interfaces: Vec::new(),
            claims: addresses.iter().map(|address| (*address, claim)).collect(),
        };
        let part = Part {
            index: 0,
            count: 1,
            bytes: state.encode(),
        };
        let datagram = Datagram {
            sender: "n2".to_owned(),
            newest_key: KeyId(newest),
            incarnation: number(12),
            sequence: number(20) + ahead,
            version: number(28) + ahead,
            echo: number(36),
            known: number(44),
            acknowledged: number(52),
            part: Some(part),
        };
        let mut bytes = datagram.seal(&ring, key, "n1").unwrap();
        bytes[4..8].copy_from_slice(name);
        frames.push(udp(12, 11, &bytes));
    }
    let mut flipped = recorded.to_vec();
    *flipped.last_mut().unwrap() ^= 1;
    frames.push(udp(12, 11, &flipped));
    frames
}
