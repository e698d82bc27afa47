//! The link and who can be reached over it.

use vrrp::proto::{Input, Link};

use super::Row;
use crate::rig::{HIGHER_ADDRESS, Rig, THIRD, ms};

pub(super) const ROWS: [Row; 6] = [
    (
        "link lost",
        |rig| {
            let link = Link::Lost {
                detail: "down".to_owned(),
            };
            rig.input(Input::Link { member: 0, link });
        },
        [
            "initialize",
            "fault",
            "fault",
            "fault",
            "fault release",
            "initialize release stopped",
        ],
    ),
    (
        "link up",
        Rig::links_up,
        [
            "initialize",
            "initialize",
            "fault",
            "backup",
            "active",
            "active+leaving",
        ],
    ),
    (
        "link restored",
        |rig| rig.input(Input::LinkRestored { member: 0 }),
        [
            "initialize",
            "initialize",
            "fault",
            "backup",
            "active announce",
            "active+leaving",
        ],
    ),
    (
        "peers unresolved",
        |rig| {
            let peers = vec![HIGHER_ADDRESS, THIRD];
            rig.input(Input::Unresolved { member: 0, peers });
        },
        [
            "initialize",
            "initialize",
            "fault",
            "backup",
            "active",
            "active+leaving",
        ],
    ),
    (
        "peers unresolved, and time for it",
        |rig| {
            let peers = vec![HIGHER_ADDRESS, THIRD];
            rig.input(Input::Unresolved { member: 0, peers });
            rig.wake();
        },
        [
            "initialize",
            "initialize",
            "fault",
            "backup ask",
            "active ask",
            "active+leaving ask",
        ],
    ),
    (
        "peers unresolved and found again a while after an advert",
        |rig| {
            rig.advance(ms(5));
            rig.take();
            for peers in [vec![THIRD], vec![]] {
                rig.input(Input::Unresolved { member: 0, peers });
            }
        },
        [
            "initialize",
            "initialize",
            "fault",
            "backup",
            "active advert",
            "active+leaving",
        ],
    ),
];
