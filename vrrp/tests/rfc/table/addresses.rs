//! What becomes of the addresses in the kernel and on the segment.

use vrrp::proto::Input;

use super::Row;
use crate::rig::VIP;

pub(super) const ROWS: [Row; 4] = [
    (
        "owned",
        |rig| rig.input(Input::Owned),
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
        "own refused",
        |rig| {
            rig.input(Input::OwnRefused {
                detail: "no".to_owned(),
            })
        },
        [
            "initialize",
            "initialize",
            "fault",
            "backup",
            "fault zero release",
            "active+leaving",
        ],
    ),
    (
        "address lost",
        |rig| rig.input(Input::AddressLost),
        [
            "initialize",
            "initialize",
            "fault",
            "backup",
            "active own announce",
            "active+leaving",
        ],
    ),
    (
        "claim",
        |rig| {
            let mac = "02:00:00:00:00:99".parse().unwrap();
            rig.input(Input::Claimed { address: VIP, mac });
        },
        [
            "initialize",
            "initialize",
            "fault",
            "backup",
            "active alarm announce",
            "active+leaving",
        ],
    ),
];
