//! The flight recorder's lines, told again.

use serde_json::json;
use vrrp::proto::replay::{PacketRecord, Record, read, replay};
use vrrp::proto::{Datagram, Input, Link, Moment};

use crate::rig::{Built, OURS, settings};

fn lines(records: &[(u64, serde_json::Value)]) -> String {
    let lines: Vec<String> = records
        .iter()
        .map(|(at, input)| json!({ "at": at, "input": input }).to_string())
        .collect();
    format!("{{\"dropped\":3}}\n{}\n", lines.join("\n"))
}

fn told(input: Input) -> serde_json::Value {
    serde_json::to_value(Record::Input {
        group: 0,
        told: input,
    })
    .unwrap()
}

fn packet(priority: u8) -> serde_json::Value {
    let built = Built {
        priority,
        ..Built::default()
    };
    let message = built.message();
    let datagram = Datagram {
        at: Moment::from_nanos(0),
        source: built.source,
        destination: built.destination,
        ttl: 255,
        message: &message,
    };
    serde_json::to_value(PacketRecord::new(Moment::from_nanos(2000), 0, 0, &datagram)).unwrap()
}

#[test]
fn a_record_gives_the_same_transitions_again() {
    let group = Record::Group {
        group: 0,
        tracked: false,
        settings: Box::new(settings(100, 100)),
    };
    let text = lines(&[
        (0, serde_json::to_value(group).unwrap()),
        (10, told(Input::Start)),
        (
            20,
            told(Input::Link {
                member: 0,
                link: Link::Up { source: OURS },
            }),
        ),
        (1_000_000, packet(200)),
        (1_200_000, packet(0)),
        (2_000_000, told(Input::Stop)),
        (2_600_000, told(Input::Owned)),
    ]);
    let told = replay(&read(&text).unwrap());
    let words: Vec<&str> = told
        .iter()
        .map(|line| line.split(": ").nth(1).unwrap())
        .collect();
    assert_eq!(
        words,
        [
            "initialize -> backup",
            "backup -> active",
            "alarm",
            "active -> backup",
            "backup -> active",
            "active -> initialize",
        ],
        "{told:#?}"
    );
    assert!(told[1].starts_with("      0.360958 "), "{}", told[1]);
}

#[test]
fn a_broken_line_is_named() {
    let error = read("{\"dropped\":0}\n{\"at\":1}\n").unwrap_err();
    assert!(error.to_string().starts_with("line 2: "), "{error}");
}

#[test]
fn odd_or_wrong_hexadecimal_is_refused() {
    for message in ["3", "zz", "é1"] {
        let mut record = packet(1);
        record["message"] = message.into();
        read(&json!({ "at": 1, "input": record }).to_string()).unwrap_err();
    }
}
