//! Rows P: bytes.

use std::net::IpAddr;

use vrrp::proto::packet::{Advert, MAX_LEN, Outgoing, PacketError};
use vrrp::proto::{ChecksumSeen, Version, Vrid};

use crate::rig::{Built, centis, v4};
use crate::vectors::{V4_VECTORS, Vector};

const ROUTER: IpAddr = v4(11);

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

fn group() -> IpAddr {
    "224.0.0.18".parse().unwrap()
}

fn emit(
    vector: &Vector,
    version: Version,
    checksum: ChecksumSeen,
    destination: IpAddr,
    password: Option<[u8; 8]>,
) -> String {
    let outgoing = Outgoing {
        version,
        vrid: Vrid::try_from(vector.vrid).unwrap(),
        priority: vector.priority,
        lingers: false,
        interval: centis(vector.centis),
        addresses: vector.addresses,
        password,
        checksum,
        source: ROUTER,
        destination,
    };
    hex(outgoing.emit(&mut [0; MAX_LEN]))
}

fn with_checksum(bytes: &str, checksum: &str) -> String {
    format!("{}{checksum}{}", &bytes[..12], &bytes[16..])
}

#[test]
fn p01_golden_vectors_of_version_3_over_ipv4() {
    for vector in &V4_VECTORS {
        let expected = with_checksum(vector.bytes, vector.plain);
        assert_eq!(
            emit(vector, Version::V3, ChecksumSeen::Rfc, group(), None),
            expected
        );
        assert_eq!(
            emit(vector, Version::V3, ChecksumSeen::Rfc, v4(12), None),
            expected
        );
    }
}

#[test]
fn p19_and_p20_the_transmit_form_is_selectable_and_per_receiver() {
    for vector in &V4_VECTORS {
        for (destination, checksum) in [(group(), vector.multicast), (v4(12), vector.unicast)] {
            let sent = emit(
                vector,
                Version::V3,
                ChecksumSeen::Keepalived,
                destination,
                None,
            );
            assert_eq!(sent, with_checksum(vector.bytes, checksum));
        }
    }
}

#[test]
fn advert_captured_from_keepalived_is_read() {
    let message = unhex("313365010064 73ad 0a630064".replace(' ', "").as_str());
    let source = "10.99.0.1".parse().unwrap();
    let advert = Advert::parse(&message, source, group()).unwrap();
    assert_eq!((u8::from(advert.vrid), advert.priority), (51, 101));
    assert_eq!(advert.checksum, ChecksumSeen::Keepalived);
    assert_eq!(
        advert.addresses.iter().collect::<Vec<_>>(),
        ["10.99.0.100".parse::<IpAddr>().unwrap()]
    );
}

#[test]
fn p02_version_3_over_ipv6_link_local_first_pseudo_header_checksum() {
    let addresses: [IpAddr; 2] = ["fe80::5".parse().unwrap(), "2001:db8::100".parse().unwrap()];
    for (priority, destination, checksum) in [
        (100, "ff02::12", "3ee8"),
        (100, "fe80::12", "3f6a"),
        (0, "ff02::12", "a2e8"),
        (0, "fe80::12", "a36a"),
    ] {
        let outgoing = Outgoing {
            version: Version::V3,
            vrid: Vrid::try_from(51).unwrap(),
            priority,
            lingers: false,
            interval: centis(100),
            addresses: &addresses,
            password: None,
            checksum: ChecksumSeen::Rfc,
            source: "fe80::11".parse().unwrap(),
            destination: destination.parse().unwrap(),
        };
        let mut buffer = [0; MAX_LEN];
        let message = outgoing.emit(&mut buffer);
        assert_eq!(message.len(), 40);
        assert_eq!(
            hex(&message[..8]),
            format!("3133{priority:02x}020064{checksum}")
        );
        assert_eq!(message[8..10], [0xfe, 0x80]);
        let advert = Advert::parse(message, outgoing.source, outgoing.destination).unwrap();
        assert_eq!(advert.addresses.iter().collect::<Vec<_>>(), addresses);
    }
}

#[test]
fn p05_reserved_bits_are_sent_as_zero_and_ignored() {
    let mut message = Built::default().message();
    assert_eq!(message[4] >> 4, 0);
    message[4] |= 0xf0;
    resum(&mut message);
    let built = Built::default();
    let advert = Advert::parse(&message, built.source, built.destination).unwrap();
    assert_eq!(advert.interval, centis(10));
}

#[test]
fn p09_unknown_types_are_refused() {
    for kind in [0, 2, 15] {
        let mut message = Built::default().message();
        message[0] = 0x30 | kind;
        resum(&mut message);
        assert_eq!(parse(&message), Err(PacketError::Type));
    }
}

#[test]
fn p10_an_advert_without_addresses_is_refused() {
    let mut message = Built::default().message();
    message[3] = 0;
    message.truncate(8);
    resum(&mut message);
    assert_eq!(parse(&message), Err(PacketError::NoAddress));
}

#[test]
fn p11_more_addresses_promised_than_there_are_bytes() {
    let mut message = Built {
        addresses: vec![v4(1), v4(2), v4(3)],
        ..Built::default()
    }
    .message();
    message[3] = 4;
    resum(&mut message);
    assert_eq!(parse(&message), Err(PacketError::Length));
}

#[test]
fn p12_ethernet_padding_is_ignored() {
    for form in [ChecksumSeen::Rfc, ChecksumSeen::Keepalived] {
        let mut message = Built {
            checksum: form,
            ..Built::default()
        }
        .message();
        message.resize(46 - 20, 0);
        assert_eq!(parse(&message), Ok(form));
    }
}

#[test]
fn p13_odd_sizes_are_refused_without_a_panic() {
    for size in [0, 1, 7, 8, 65_536] {
        for fill in [0x00, 0x31, 0x21, 0xff] {
            let _ = parse(&vec![fill; size]).unwrap_err();
        }
    }
}

#[test]
fn p15_a_checksum_wrong_in_both_forms_is_refused() {
    let mut message = Built::default().message();
    message[7] ^= 0x55;
    assert_eq!(parse(&message), Err(PacketError::Checksum));
    let mut message = Built {
        version: Version::V2,
        ..Built::default()
    }
    .message();
    message[7] ^= 0x55;
    assert_eq!(parse(&message), Err(PacketError::Checksum));
}

#[test]
fn p16_and_p17_both_checksum_forms_are_read() {
    for form in [ChecksumSeen::Rfc, ChecksumSeen::Keepalived] {
        assert_eq!(
            parse(
                &Built {
                    checksum: form,
                    ..Built::default()
                }
                .message()
            ),
            Ok(form)
        );
    }
}

#[test]
fn p24_an_interval_of_zero_is_refused() {
    let mut message = Built::default().message();
    message[4..6].fill(0);
    resum(&mut message);
    assert_eq!(parse(&message), Err(PacketError::Interval));
}

#[test]
fn p26_an_ipv6_advert_begins_with_a_link_local_address() {
    let source: IpAddr = "fe80::11".parse().unwrap();
    let destination: IpAddr = "ff02::12".parse().unwrap();
    let built = Built {
        source,
        destination,
        addresses: vec!["2001:db8::100".parse().unwrap(), "fe80::5".parse().unwrap()],
        ..Built::default()
    };
    let error = Advert::parse(&built.message(), source, destination).unwrap_err();
    assert_eq!(error, PacketError::NotLinkLocal);
}

#[test]
fn p28_forty_addresses_fit_and_what_does_not_fit_is_left_out() {
    let forty: Vec<IpAddr> = (0..40).map(|last| v4(100 + last)).collect();
    let message = Built {
        addresses: forty,
        ..Built::default()
    }
    .message();
    assert_eq!(message.len(), 8 + 40 * 4);
    let many: Vec<IpAddr> = (0..1000_u32)
        .map(|index| IpAddr::V6((0xfe80_u128 << 112 | u128::from(index)).into()))
        .collect();
    let built = Built {
        source: "fe80::11".parse().unwrap(),
        destination: "ff02::12".parse().unwrap(),
        addresses: many,
        ..Built::default()
    };
    let message = built.message();
    assert!(message.len() + 40 <= 1500, "{}", message.len());
    let advert = Advert::parse(&message, built.source, built.destination).unwrap();
    assert_eq!(advert.addresses.iter().count(), usize::from(message[3]));
}

#[test]
fn p29_version_2_encode_and_decode() {
    let vector = &V4_VECTORS[0];
    let plain = emit(vector, Version::V2, ChecksumSeen::Rfc, group(), None);
    assert_eq!(plain, "213364010001b865c00002640000000000000000");
    let password = *b"1111\0\0\0\0";
    let secret = emit(
        vector,
        Version::V2,
        ChecksumSeen::Keepalived,
        group(),
        Some(password),
    );
    assert_eq!(secret, "2133640101015503c00002643131313100000000");
    let bytes = unhex(&secret);
    let advert = Advert::parse(&bytes, ROUTER, group()).unwrap();
    assert_eq!(advert.version, Version::V2);
    assert_eq!(advert.interval, centis(100));
    assert_eq!(advert.authentication, (1, password));
}

#[test]
fn p33_a_trailer_behind_the_advert_is_ignored() {
    let mut message = Built::default().message();
    message.extend([0xab; 28]);
    assert_eq!(parse(&message), Ok(ChecksumSeen::Rfc));
}

#[test]
fn version_2_does_not_exist_over_ipv6() {
    let source: IpAddr = "fe80::11".parse().unwrap();
    let mut message = vec![0x21, 51, 100, 1, 0, 1, 0, 0];
    message.extend([0; 24]);
    assert_eq!(
        Advert::parse(&message, source, "ff02::12".parse().unwrap()).unwrap_err(),
        PacketError::Version
    );
}

#[test]
fn every_truncation_and_every_flipped_byte_is_survived() {
    for built in [
        Built::default(),
        Built {
            version: Version::V2,
            ..Built::default()
        },
        Built {
            checksum: ChecksumSeen::Keepalived,
            ..Built::default()
        },
    ] {
        let message = built.message();
        for end in 0..message.len() {
            let _ = parse(&message[..end]).unwrap_err();
        }
        for at in 0..message.len() {
            for bit in 0..8 {
                let mut damaged = message.clone();
                damaged[at] ^= 1 << bit;
                let _ = parse(&damaged).unwrap_err();
            }
        }
    }
}

fn parse(message: &[u8]) -> Result<ChecksumSeen, PacketError> {
    let built = Built::default();
    Advert::parse(message, built.source, built.destination).map(|advert| advert.checksum)
}

/// Puts the checksum of RFC 9568 over IPv4 right again.
fn resum(message: &mut [u8]) {
    message[6..8].fill(0);
    let sum = l2::wire::checksum::Sum::new().bytes(message).finish();
    message[6..8].copy_from_slice(&sum.to_be_bytes());
}
