//! Bytes and records that nobody in their right mind would send.

#[path = "../../fuzz/corpus.rs"]
mod corpus;
#[path = "invariants/packet.rs"]
mod packet;
#[path = "invariants/replay.rs"]
mod replay;

use proptest::prelude::*;

proptest! {
    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        packet::hold(&bytes);
    }

    #[test]
    fn nearly_valid_adverts_are_survived(
        kind in prop_oneof![Just(0x31_u8), Just(0x21), Just(0x32), Just(0x41)],
        priority in any::<u8>(),
        count in 0_u8..5,
        interval in any::<u16>(),
        rest in proptest::collection::vec(any::<u8>(), 0..100),
        right_sum in any::<bool>(),
    ) {
        let mut bytes = vec![kind, 51, priority, count];
        bytes.extend(interval.to_be_bytes());
        bytes.extend([0, 0]);
        bytes.extend(rest);
        if right_sum {
            let end = bytes.len().min(8 + usize::from(count) * 4);
            let sum = l2::wire::checksum::Sum::new().bytes(&bytes[..end]).finish();
            bytes[6..8].copy_from_slice(&sum.to_be_bytes());
        }
        packet::hold(&bytes);
    }

    #[test]
    fn any_text_is_survived_as_a_record(text in ".{0,200}") {
        replay::hold(&text);
    }
}

#[test]
fn a_record_without_routers_or_with_endless_timers_is_survived() {
    let group = |members: &str, refresh: &str| {
        format!(
            r#"{{"at":0,"input":{{"kind":"group","group":0,"tracked":false,"settings":{{"name":"","priority":100,"interval":1,"preempt":false,"preempt_delay":{{"secs":0,"nanos":0}},"startup_quiet":{{"secs":0,"nanos":0}},"down_factor":3,"versions":"v3","refuse_foreign_addresses":true,"link_debounce":{{"secs":0,"nanos":0}},"announce":{{"repeat":255,"follow_ups":[],"refresh":{refresh},"request_form":true,"reply_form":true}},"members":[{members}],"seed":1}}}}}}"#
        )
    };
    let member = r#"{"name":"","vrid":1,"family":"v4","peers":[],"addresses":["10.0.0.100"],"minimum_ttl":255,"checksum":null,"password":null}"#;
    assert!(vrrp::proto::replay::read(&group("", "null")).is_err());
    let told =
        |what: &str| format!(r#"{{"at":1,"input":{{"kind":"input","group":0,"told":{what}}}}}"#);
    for refresh in [
        r#"{"secs":0,"nanos":0}"#,
        r#"{"secs":18446744073709551615,"nanos":0}"#,
    ] {
        let text = [
            group(member, refresh),
            told(r#"{"input":"start"}"#),
            told(r#"{"input":"link","member":0,"link":{"link":"up","source":"10.0.0.1"}}"#),
            r#"{"at":18446744073709551615,"input":{"kind":"input","group":0,"told":{"input":"owned"}}}"#.to_owned(),
        ]
        .join("\n");
        assert_eq!(
            vrrp::proto::replay::read(&text).map(|lines| lines.len()),
            Ok(4)
        );
        replay::hold(&text);
    }
}

/// What a fuzzer once found stays found.
#[test]
fn the_corpora_hold() {
    corpus::replay("vrrp_packet", packet::hold);
    corpus::replay("vrrp_replay", |bytes| {
        // libFuzzer skips what is no text.
        if let Ok(text) = str::from_utf8(bytes) {
            replay::hold(text);
        }
    });
}
