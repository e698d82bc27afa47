//! A node with a cable, and somebody at its other end who takes the node for the owner of an address.

use std::net::Ipv4Addr;
use std::process::Command;
use std::thread;
use std::time::Duration;

use l2::linux::filter::Filter;
use l2::linux::packet::PacketSocket;
use l2::wire::{EtherHeader, EtherType, Ipv4Header, MacAddr};

use crate::judge::nft;

const VIP: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 100);

/// A node with a cable to the segment and one to the network of its pods.
pub(crate) const NODE: &str = "link set lo up
link add served address 02:00:00:00:00:01 type veth peer name client address 02:00:00:00:00:02
link add pods type veth peer name pod
link set served up
link set client up
link set pods up
link set pod up
addr add 192.0.2.1/24 dev served";

/// Somebody on the segment who takes the node for the address's.
pub(crate) struct Client(PacketSocket);

impl Client {
    pub(crate) fn open() -> Self {
        let index = index_of("client");
        Self(PacketSocket::open(index, EtherType::Ipv4, &Filter::nothing()).unwrap())
    }

    /// From 192.0.2.`host_part`, port 4660, without a checksum.
    pub(crate) fn send(&self, host_part: u8, port: u8) {
        const UDP: u8 = 17;
        let datagram = [0x12, 0x34, 0, port, 0, 8, 0, 0];
        let frame = EtherHeader {
            destination: MacAddr::new([2, 0, 0, 0, 0, 1]),
            source: MacAddr::new([2, 0, 0, 0, 0, 2]),
            ether_type: EtherType::Ipv4,
        };
        let packet = Ipv4Header {
            tos: 0,
            total_len: 28,
            ttl: 64,
            protocol: UDP,
            source: Ipv4Addr::new(192, 0, 2, host_part),
            destination: VIP,
        };
        let bytes = [
            frame.emit().as_slice(),
            packet.emit().as_slice(),
            datagram.as_slice(),
        ]
        .concat();
        self.0.send(&bytes).unwrap();
    }
}

/// What the counter of a chain says.
pub(crate) fn packets(chain: &str) -> u64 {
    let text = nft(&format!("list chain ip {chain}")).unwrap();
    let (_, count) = text.split_once("counter packets ").unwrap();
    count.split(' ').next().unwrap().parse().unwrap()
}

pub(crate) fn await_packets(chain: &str, expected: u64) {
    for _ in 0..500 {
        if packets(chain) >= expected {
            break;
        }
        thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(packets(chain), expected, "{chain}");
}

pub(crate) fn index_of(interface: &str) -> u32 {
    nix::net::if_::if_nametoindex(interface).unwrap()
}

pub(crate) fn ip(words: &str) {
    let status = Command::new("ip").args(words.split_whitespace()).status();
    assert!(status.is_ok_and(|status| status.success()), "{words}");
}
