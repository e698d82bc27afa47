//! Golden vectors of VRRPv3 over IPv4, with each of its checksums.

use std::net::IpAddr;

use crate::rig::v4;

pub(crate) struct Vector {
    pub(crate) bytes: &'static str,
    pub(crate) vrid: u8,
    pub(crate) priority: u8,
    pub(crate) centis: u16,
    pub(crate) addresses: &'static [IpAddr],
    pub(crate) plain: &'static str,
    pub(crate) multicast: &'static str,
    pub(crate) unicast: &'static str,
}

pub(crate) const V4_VECTORS: [Vector; 5] = [
    Vector {
        bytes: "3133640100640000c0000264",
        vrid: 51,
        priority: 100,
        centis: 100,
        addresses: &[v4(100)],
        plain: "a802",
        multicast: "0568",
        unicast: "236e",
    },
    Vector {
        bytes: "3133000100640000c0000264",
        vrid: 51,
        priority: 0,
        centis: 100,
        addresses: &[v4(100)],
        plain: "0c03",
        multicast: "6968",
        unicast: "876e",
    },
    Vector {
        bytes: "3111f002000a0000c0000264c0000265",
        vrid: 17,
        priority: 240,
        centis: 10,
        addresses: &[v4(100), v4(101)],
        plain: "5a17",
        multicast: "b778",
        unicast: "d57e",
    },
    Vector {
        bytes: "31fffe0100010000c0000264",
        vrid: 255,
        priority: 254,
        centis: 1,
        addresses: &[v4(100)],
        plain: "0d99",
        multicast: "6afe",
        unicast: "8904",
    },
    Vector {
        bytes: "310101010fff0000c0000264",
        vrid: 1,
        priority: 1,
        centis: 4095,
        addresses: &[v4(100)],
        plain: "fb99",
        multicast: "58ff",
        unicast: "7705",
    },
];
