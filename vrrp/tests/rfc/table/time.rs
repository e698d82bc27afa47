//! Time that passes.

use super::Row;
use crate::rig::ms;

pub(super) const ROWS: [Row; 2] = [
    (
        "silence for five seconds",
        |rig| rig.advance(ms(5000)),
        [
            "initialize",
            "initialize",
            "fault",
            "active ask advert own announce advert own advert own announce advert own advert own advert own advert own advert own advert own advert own announce advert own",
            "active advert own advert own advert own advert own advert own advert own advert own advert own advert own",
            "initialize zero own release stopped",
        ],
    ),
    (
        "frozen for ten seconds",
        |rig| {
            rig.freeze(ms(10_000));
            rig.wake();
        },
        [
            "initialize",
            "initialize",
            "fault",
            "backup ask",
            "backup release",
            "initialize release stopped",
        ],
    ),
];
