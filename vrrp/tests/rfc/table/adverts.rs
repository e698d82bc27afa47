//! What other routers say.

use super::Row;
use crate::rig::{Built, HIGHER_ADDRESS, LOWER_ADDRESS, THIRD, VIP, v4};

pub(super) const ROWS: [Row; 7] = [
    (
        "advert, higher priority",
        |rig| rig.hear(HIGHER_ADDRESS, 200),
        [
            "initialize",
            "initialize",
            "fault",
            "backup",
            "backup advert release",
            "active+leaving",
        ],
    ),
    (
        "advert, same priority, greater address",
        |rig| rig.hear(HIGHER_ADDRESS, 100),
        [
            "initialize",
            "initialize",
            "fault",
            "backup",
            "backup advert release",
            "active+leaving",
        ],
    ),
    (
        "advert, same priority, lower address",
        |rig| rig.hear(LOWER_ADDRESS, 100),
        [
            "initialize",
            "initialize",
            "fault",
            "backup",
            "active advert announce",
            "active+leaving",
        ],
    ),
    (
        "advert, lower priority",
        |rig| rig.hear(THIRD, 50),
        [
            "initialize",
            "initialize",
            "fault",
            "backup",
            "active advert announce",
            "active+leaving",
        ],
    ),
    (
        "advert, priority zero",
        |rig| rig.hear(HIGHER_ADDRESS, 0),
        [
            "initialize",
            "initialize",
            "fault",
            "backup",
            "active advert announce",
            "active+leaving",
        ],
    ),
    (
        "advert, foreign addresses",
        |rig| {
            let built = Built {
                addresses: vec![v4(200)],
                priority: 254,
                ..Built::default()
            };
            rig.hear_built(built);
        },
        [
            "initialize alarm",
            "initialize alarm",
            "fault alarm",
            "backup alarm",
            "active alarm",
            "active+leaving alarm",
        ],
    ),
    (
        "damaged datagram",
        |rig| rig.hear_raw(v4(77), VIP, 255, &[0x31; 9]),
        [
            "initialize",
            "initialize",
            "fault",
            "backup",
            "active",
            "active+leaving",
        ],
    ),
];
