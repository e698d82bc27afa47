//! What the node itself is told: start, stop, health, settings.

use vrrp::proto::{Health, Input};

use super::Row;
use crate::rig::{Rig, settings};

pub(super) const ROWS: [Row; 6] = [
    (
        "start",
        |rig| rig.input(Input::Start),
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
        "stop",
        |rig| rig.input(Input::Stop),
        [
            "initialize stopped",
            "initialize stopped",
            "initialize stopped",
            "initialize stopped",
            "active+leaving zero",
            "active+leaving",
        ],
    ),
    (
        "health good",
        |rig| rig.input(Input::Health(Health::Good)),
        [
            "initialize",
            "backup",
            "backup",
            "backup",
            "active",
            "active+leaving",
        ],
    ),
    (
        "health bad",
        Rig::unhealthy,
        [
            "initialize",
            "fault",
            "fault",
            "fault",
            "fault zero release",
            "initialize release stopped",
        ],
    ),
    (
        "health unknown",
        |rig| rig.input(Input::Health(Health::Unknown)),
        [
            "initialize",
            "initialize",
            "initialize",
            "initialize",
            "initialize zero release",
            "initialize release stopped",
        ],
    ),
    (
        "reload, other priority",
        |rig| rig.input(Input::Reconfigure(Box::new(settings(90, 100)))),
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
