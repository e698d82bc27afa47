//! Rows P that need a router: which adverts count.

use std::net::IpAddr;

use vrrp::proto::packet::PacketError;
use vrrp::proto::{Alarm, ChecksumSeen, Destination, State, Version, Versions};

use crate::rig::{Built, HIGHER_ADDRESS, OURS, Rig, STRANGER, VIP, centis, ms, settings, v4};

/// Whether an advert keeps a Backup from taking over.
fn counts(rig: &mut Rig, built: Built) -> bool {
    rig.run_until(State::Active);
    *rig = Rig::started(rig.group.settings().clone());
    rig.advance(ms(200));
    rig.hear_built(built);
    rig.advance(ms(200));
    rig.state() == State::Backup
}

fn multicast() -> Rig {
    let mut settings = settings(100, 100);
    settings.members[0].peers.clear();
    Rig::started(settings)
}

fn to_group(built: Built) -> Built {
    Built {
        destination: "224.0.0.18".parse().unwrap(),
        ..built
    }
}

#[test]
fn a_right_advert_counts() {
    assert!(counts(&mut Rig::backup(100, 100), Built::default()));
    assert!(counts(
        &mut multicast(),
        to_group(Built {
            source: STRANGER,
            ..Built::default()
        })
    ));
}

#[test]
fn p06_multicast_adverts_with_a_low_ttl_are_dropped() {
    for ttl in [254, 1, 0] {
        let mut rig = multicast();
        assert!(!counts(
            &mut rig,
            to_group(Built {
                ttl,
                ..Built::default()
            })
        ));
        assert_eq!(rig.dropped(PacketError::Ttl), 1);
    }
}

#[test]
fn p07_unicast_adverts_need_the_configured_ttl() {
    let mut rig = Rig::backup(100, 100);
    assert!(!counts(
        &mut rig,
        Built {
            ttl: 254,
            ..Built::default()
        }
    ));
    assert_eq!(rig.dropped(PacketError::Ttl), 1);
    let mut lenient = settings(100, 100);
    lenient.members[0].minimum_ttl = 250;
    assert!(counts(
        &mut Rig::started(lenient.clone()),
        Built {
            ttl: 254,
            ..Built::default()
        }
    ));
    assert!(!counts(
        &mut Rig::started(lenient),
        Built {
            ttl: 249,
            ..Built::default()
        }
    ));
}

#[test]
fn p08_the_other_version_is_dropped_with_an_alarm() {
    for (ours, theirs) in [(Versions::V3, Version::V2), (Versions::V2, Version::V3)] {
        let mut settings = settings(100, 1000);
        settings.versions = ours;
        let mut rig = Rig::started(settings);
        rig.hear_built(Built {
            version: theirs,
            interval: centis(100),
            ..Built::default()
        });
        assert_eq!(rig.dropped(PacketError::Version), 1);
        let expected = Alarm::Unusable {
            from: HIGHER_ADDRESS,
            error: PacketError::Version,
        };
        assert_eq!(rig.alarms(), [expected]);
    }
}

#[test]
fn p18_a_peer_may_change_its_checksum_form() {
    let mut rig = Rig::backup(100, 100);
    for form in [
        ChecksumSeen::Rfc,
        ChecksumSeen::Keepalived,
        ChecksumSeen::Rfc,
    ] {
        rig.hear_built(Built {
            checksum: form,
            ..Built::default()
        });
        let peer = *rig.group.members()[0].peers().find(HIGHER_ADDRESS).unwrap();
        assert_eq!(peer.checksum, form);
    }
    assert_eq!(rig.group.members()[0].counters().adverts_received, 3);
}

#[test]
fn auto_answers_each_peer_in_its_own_form() {
    let mut rig = Rig::backup(100, 100);
    rig.hear_built(Built {
        checksum: ChecksumSeen::Keepalived,
        ..Built::default()
    });
    for (peer, form) in [
        (HIGHER_ADDRESS, ChecksumSeen::Keepalived),
        (v4(9), ChecksumSeen::Rfc),
    ] {
        let expected = Built {
            source: OURS,
            destination: peer,
            checksum: form,
            priority: 7,
            ..Built::default()
        };
        let mut buffer = [0; vrrp::proto::packet::MAX_LEN];
        let destination = Destination::Peer(peer);
        let encoded = rig
            .group
            .encode(0, destination, Version::V3, 7, &mut buffer);
        assert_eq!(encoded, Some((&expected.message()[..], OURS, peer)));
    }
}

#[test]
fn p21_another_vrid_is_dropped() {
    let mut rig = Rig::backup(100, 100);
    assert!(!counts(
        &mut rig,
        Built {
            vrid: 52,
            ..Built::default()
        }
    ));
    assert_eq!(rig.dropped(PacketError::Vrid), 1);
}

#[test]
fn p23_an_own_advert_that_comes_back_is_ignored() {
    let mut rig = Rig::active(100, 100);
    rig.hear(OURS, 255);
    assert_eq!((rig.state(), rig.take().len()), (State::Active, 0));
    assert_eq!(rig.group.members()[0].counters().looped_back, 1);
}

#[test]
fn p25_the_longest_interval_is_learned() {
    for (priority, seconds) in [(254, 123.17), (1, 163.64)] {
        let mut rig = Rig::backup(priority, 100);
        rig.hear_every(HIGHER_ADDRESS, 254, centis(4095));
        let took = rig.run_until(State::Active).as_secs_f64();
        assert!((took - seconds).abs() < 0.2, "{took}");
    }
}

#[test]
fn p27_a_list_that_shares_an_address_is_obeyed_with_an_alarm() {
    let mut rig = Rig::backup(100, 100);
    let built = Built {
        addresses: vec![VIP, v4(101)],
        ..Built::default()
    };
    assert!(counts(&mut rig, built));
    assert_eq!(
        rig.alarms(),
        [Alarm::VridClash {
            from: HIGHER_ADDRESS
        }]
    );
    assert_eq!(rig.group.members()[0].counters().address_list_differs, 1);
}

#[test]
fn p30_version_2_drops_another_interval() {
    let mut own = settings(100, 1000);
    own.versions = Versions::V2;
    let mut rig = Rig::started(own);
    let built = Built {
        version: Version::V2,
        interval: centis(200),
        ..Built::default()
    };
    rig.hear_built(built.clone());
    assert_eq!(rig.dropped(PacketError::Interval), 1);
    rig.hear_built(Built {
        interval: centis(100),
        ..built
    });
    assert_eq!(rig.group.members()[0].counters().adverts_received, 1);
}

#[test]
fn p31_with_both_versions_seconds_are_learned_and_both_are_sent() {
    let mut own = settings(100, 100);
    own.versions = Versions::Both;
    let mut rig = Rig::started(own);
    rig.hear_built(Built {
        version: Version::V2,
        interval: centis(200),
        ..Built::default()
    });
    assert_eq!(rig.group.members()[0].active_interval(), centis(200));
    rig.run_until(State::Active);
    let versions: Vec<_> = rig
        .take()
        .into_iter()
        .filter_map(|action| match action {
            vrrp::proto::Action::Send {
                version,
                destination,
                ..
            } if destination == Destination::Peer(HIGHER_ADDRESS) => Some(version),
            _ => None,
        })
        .collect();
    assert_eq!(versions, [Version::V3, Version::V2]);
}

#[test]
fn with_both_versions_the_newer_one_of_a_router_counts() {
    let mut own = settings(100, 100);
    own.versions = Versions::Both;
    let mut rig = Rig::started(own);
    rig.hear_built(Built::default());
    rig.hear_built(Built {
        version: Version::V2,
        interval: centis(100),
        ..Built::default()
    });
    assert_eq!(rig.group.members()[0].active_interval(), centis(10));
}

#[test]
fn p32_the_password_of_version_2_must_match() {
    let secret = *b"secret\0\0";
    let mut own = settings(100, 1000);
    own.versions = Versions::V2;
    own.members[0].password = Some(secret);
    let built = Built {
        version: Version::V2,
        interval: centis(100),
        ..Built::default()
    };
    let mut rig = Rig::started(own);
    for password in [None, Some(*b"other\0\0\0")] {
        rig.hear_built(Built {
            password,
            ..built.clone()
        });
    }
    assert_eq!(rig.dropped(PacketError::Authentication), 2);
    rig.hear_built(Built {
        password: Some(secret),
        ..built
    });
    assert_eq!(rig.group.members()[0].counters().adverts_received, 1);
}

#[test]
fn b20_an_unlisted_sender_is_dropped() {
    let mut rig = Rig::backup(100, 100);
    assert!(!counts(
        &mut rig,
        Built {
            source: STRANGER,
            ..Built::default()
        }
    ));
    assert_eq!(rig.dropped(PacketError::Source), 1);
    assert_eq!(rig.alarms(), [Alarm::HeardNobody]);
}

#[test]
fn x08_a_foreign_list_is_refused_and_alarmed_and_never_obeyed() {
    let foreign = Built {
        addresses: vec![v4(200)],
        priority: 254,
        ..Built::default()
    };
    let mut rig = Rig::backup(100, 100);
    assert!(!counts(&mut rig, foreign.clone()));
    assert_eq!(rig.dropped(PacketError::ForeignAddresses), 1);

    let mut rig = Rig::active(100, 100);
    rig.advance(ms(1000));
    rig.take();
    rig.hear_built(foreign.clone());
    assert_eq!(rig.state(), State::Active);
    assert_eq!(
        rig.alarms(),
        [Alarm::VridClash {
            from: HIGHER_ADDRESS
        }]
    );

    let mut obedient = settings(100, 100);
    obedient.refuse_foreign_addresses = false;
    assert!(counts(&mut Rig::started(obedient), foreign));
}

#[test]
fn x08_link_local_addresses_made_from_the_vrid_do_not_make_lists_related() {
    let mut own = settings(100, 100);
    own.members[0].family = vrrp::proto::Family::V6;
    own.members[0].peers.clear();
    let local: IpAddr = "fe80::200:5eff:fe00:233".parse().unwrap();
    own.members[0].addresses = vec![local, "2001:db8::100".parse().unwrap()];
    let mut rig = Rig::started(own);
    let built = Built {
        source: "fe80::30".parse().unwrap(),
        destination: "ff02::12".parse().unwrap(),
        addresses: vec![local, "2001:db8::200".parse().unwrap()],
        ..Built::default()
    };
    rig.hear_built(built);
    assert_eq!(rig.dropped(PacketError::ForeignAddresses), 1);
}

#[test]
fn x09_multicast_among_unicast_peers_is_used_and_alarmed() {
    let mut rig = Rig::backup(100, 100);
    assert!(counts(&mut rig, to_group(Built::default())));
    let expected = Alarm::OtherMode {
        from: HIGHER_ADDRESS,
        theirs: "multicast",
    };
    assert_eq!(rig.alarms(), [expected]);
}
