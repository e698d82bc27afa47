//! Alarms: each names its cause, and there are few.

use vrrp::proto::packet::PacketError;
use vrrp::proto::{Alarm, State};

use crate::rig::{Built, HIGHER_ADDRESS, OURS, Rig, ms, settings, v4};

#[test]
fn x04_a_peer_that_does_not_hear_the_answers_is_named() {
    let mut rig = Rig::active(100, 100);
    for _ in 0..20 {
        rig.hear(HIGHER_ADDRESS, 50);
        rig.advance(ms(100));
    }
    assert_eq!(
        rig.alarms(),
        [Alarm::Asymmetric {
            from: HIGHER_ADDRESS
        }]
    );
}

#[test]
fn x06_a_takeover_without_ever_hearing_a_peer_is_told() {
    let mut rig = Rig::backup(100, 100);
    rig.run_until(State::Active);
    assert_eq!(rig.alarms(), [Alarm::HeardNobody]);
    let mut alone = settings(100, 100);
    alone.members[0].peers.clear();
    let mut rig = Rig::started(alone);
    rig.run_until(State::Active);
    assert!(
        rig.alarms().is_empty(),
        "a multicast router may well be alone"
    );
}

#[test]
fn x09_a_wrong_checksum_of_a_peer_is_told() {
    let mut rig = Rig::backup(100, 100);
    let mut message = Built::default().message();
    message[7] ^= 1;
    rig.hear_raw(HIGHER_ADDRESS, OURS, 255, &message);
    let expected = Alarm::Unusable {
        from: HIGHER_ADDRESS,
        error: PacketError::Checksum,
    };
    assert_eq!(rig.alarms(), [expected]);
}

#[test]
fn x17_a_checksum_form_other_than_the_configured_one_is_told() {
    use vrrp::proto::ChecksumSeen::{Keepalived, Rfc};
    for (configured, expected) in [
        (None, vec![]),
        (Some(Keepalived), vec![]),
        (
            Some(Rfc),
            vec![Alarm::ChecksumForm {
                from: HIGHER_ADDRESS,
                theirs: Keepalived,
                ours: Rfc,
            }],
        ),
    ] {
        let mut settings = settings(100, 100);
        settings.members[0].checksum = configured;
        let mut rig = Rig::started(settings);
        rig.hear_built(Built {
            checksum: Keepalived,
            ..Built::default()
        });
        assert_eq!(rig.alarms(), expected);
    }
    let alarm = Alarm::ChecksumForm {
        from: HIGHER_ADDRESS,
        theirs: Keepalived,
        ours: Rfc,
    };
    assert!(alarm.to_string().contains("with pseudo-header"), "{alarm}");
    assert!(alarm.to_string().contains("without one"), "{alarm}");
}

#[test]
fn a24_an_owner_of_the_other_version_is_counted_and_told() {
    let mut rig = Rig::active(100, 100);
    rig.advance(ms(1000));
    let built = Built {
        version: vrrp::proto::Version::V2,
        priority: 255,
        ..Built::default()
    };
    rig.hear_built(built);
    assert_eq!(rig.dropped(PacketError::Version), 1);
    let expected = Alarm::Unusable {
        from: HIGHER_ADDRESS,
        error: PacketError::Version,
    };
    assert_eq!(rig.alarms(), [expected]);
}

#[test]
fn d9_a_flood_raises_at_most_one_alarm_a_second_and_moves_nothing() {
    let mut own = settings(100, 100);
    own.members[0].peers.clear();
    let mut rig = Rig::started(own);
    rig.become_active();
    for index in 0..20_000_u64 {
        let last = u8::try_from(index % 150).unwrap() + 101;
        rig.hear_built(Built {
            source: v4(last),
            destination: "224.0.0.18".parse().unwrap(),
            addresses: vec![v4(last)],
            priority: 254,
            ..Built::default()
        });
        if index % 10 == 0 {
            rig.advance(ms(1));
        }
    }
    let alarms = rig.alarms().len();
    assert!(alarms <= 3, "{alarms} alarms in 2 s");
    assert_eq!(rig.state(), State::Active);
}
