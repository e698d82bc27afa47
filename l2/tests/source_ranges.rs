//! Who may connect: read back by `nft`, and against packets.
//!
//! Each test has a network namespace of its own, which ends with its thread.
#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test stops where it is wrong"
)]

mod judge;
mod stranger;

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use l2::linux::source_ranges::{Admitted, Doorkeeper, Endpoint, SourceRanges};

use judge::{alone, nft, plain, settled};
use stranger::{Client, NODE, await_packets, index_of, ip, packets};

const LOOPBACK: u32 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;

fn endpoint(address: &str, protocol: u8, port: u16) -> Endpoint {
    Endpoint {
        address: address.parse().unwrap(),
        protocol,
        port,
    }
}

fn range(text: &str) -> (IpAddr, IpAddr) {
    let (first, last) = text.split_once(" to ").unwrap_or((text, text));
    (first.parse().unwrap(), last.parse().unwrap())
}

fn only(
    segment: u32,
    lists: impl IntoIterator<Item = (Endpoint, &'static [&'static str])>,
) -> SourceRanges {
    let lists = lists.into_iter();
    SourceRanges {
        admitted: lists
            .map(|(endpoint, ranges)| (endpoint, ranges.iter().copied().map(range).collect()))
            .collect::<Admitted>()
            .into(),
        segments: BTreeSet::from([segment]),
    }
}

#[test]
fn nft_reads_who_may_connect() {
    if !alone() {
        return;
    }
    let mut doorkeeper = Doorkeeper::open("ours-1").unwrap();
    let lists: [(Endpoint, &[&str]); 3] = [
        (
            endpoint("192.0.2.100", TCP, 443),
            &["10.0.0.0 to 10.255.255.255", "192.0.2.7"],
        ),
        // IPv6 alone: nobody.
        (endpoint("192.0.2.100", UDP, 53), &["2001:db8::7"]),
        (
            endpoint("2001:db8::100", TCP, 443),
            &["2001:db8:: to 2001:db8::ff", "10.0.0.7"],
        ),
    ];
    doorkeeper.set(&only(LOOPBACK, lists)).unwrap();
    let owner = if doorkeeper.is_owned() {
        "flags owner "
    } else {
        ""
    };
    for (family, kind, limited, admitted) in [
        (
            "ip",
            "ipv4_addr",
            "192.0.2.100 . tcp . 443, 192.0.2.100 . udp . 53",
            "192.0.2.100 . tcp . 443 . 192.0.2.7, 192.0.2.100 . tcp . 443 . 10.0.0.0/8",
        ),
        (
            "ip6",
            "ipv6_addr",
            "2001:db8::100 . tcp . 443",
            "2001:db8::100 . tcp . 443 . 2001:db8::/120",
        ),
    ] {
        let seen = plain(&nft(&format!("-s list table {family} ours-1")).unwrap());
        let seen = settled(&seen).replace("priority mangle + 10", "priority -140");
        // In the order of the kernel's hashes.
        let ordered = |text: &str| {
            let mut all: Vec<_> = text.split(", ").map(str::to_owned).collect();
            all.sort();
            all
        };
        let elements = |set: &str| {
            let (_, after) = seen.split_once(&format!("set {set} {{")).unwrap();
            let (_, after) = after.split_once("elements = { ").unwrap();
            let (all, _) = after.split_once(" }").unwrap();
            ordered(all)
        };
        assert_eq!(elements("limited"), ordered(limited));
        assert_eq!(elements("admitted"), ordered(admitted));
        let kinds = format!("type {kind} . inet_proto . inet_service");
        for part in [
            format!("table {family} ours-1 {{ {owner}set limited {{ {kinds} "),
            format!("set admitted {{ {kinds} . {kind} flags interval "),
            "set segments { type iface_index elements = { \"lo\" } } ".to_owned(),
            format!(
                "chain strangers {{ {family} daddr . meta l4proto . th dport . {family} saddr @admitted accept counter drop }} "
            ),
            format!(
                "chain arrivals {{ type filter hook prerouting priority -140; policy accept; iif @segments ct state new \
                {family} daddr . meta l4proto . th dport @limited goto strangers }} }}"
            ),
        ] {
            assert!(seen.contains(&part), "{part}\n is not in\n{seen}");
        }
    }
    doorkeeper.set(&SourceRanges::default()).unwrap();
    assert_eq!(nft("list tables").unwrap(), "");
}

/// Behind the door.
const ONLOOKER: &str = "add table ip seen
add chain ip seen entered { type filter hook prerouting priority -130 ; }
add rule ip seen entered ip daddr 192.0.2.100 counter";

#[test]
fn a_stranger_comes_in_where_and_when_the_list_has_it() {
    if !alone() {
        return;
    }
    NODE.lines().for_each(ip);
    for words in ONLOOKER.lines() {
        nft(words).unwrap();
    }
    let client = Client::open();
    let served = index_of("served");
    let mut doorkeeper = Doorkeeper::open("ours-1").unwrap();
    let udp = |port| endpoint("192.0.2.100", UDP, port);
    let mut passed = 0;
    let mut refused = 0;
    // From whom to which port, and whether it passes.
    let mut expect = |host_part, port, passes| {
        client.send(host_part, port);
        if passes {
            passed += 1;
            await_packets("seen entered", passed);
        } else {
            refused += 1;
            await_packets("ours-1 strangers", refused);
        }
        assert_eq!(packets("seen entered"), passed, "{host_part} to {port}");
    };
    expect(52, 81, true);
    let lists: [(Endpoint, &[&str]); 3] = [
        (udp(81), &["192.0.2.51", "192.0.2.60 to 192.0.2.69"]),
        (udp(82), &[]),
        (endpoint("192.0.2.100", TCP, 83), &[]),
    ];
    doorkeeper.set(&only(served, lists)).unwrap();
    expect(51, 81, true);
    expect(59, 81, false);
    expect(60, 81, true);
    expect(69, 81, true);
    expect(70, 81, false);
    // Nobody to this port, everyone to the others, and to this one with another protocol.
    expect(51, 82, false);
    expect(53, 83, true);
    expect(53, 84, true);
    // Another list, at once.
    let lists: [(Endpoint, &[&str]); 1] = [(udp(81), &["192.0.2.70 to 192.0.2.255"])];
    doorkeeper.set(&only(served, lists)).unwrap();
    expect(71, 81, true);
    expect(68, 81, false);
    expect(54, 82, true);
    // Who comes in elsewhere is not asked.
    doorkeeper.set(&only(LOOPBACK, lists)).unwrap();
    expect(67, 81, true);
}

/// A node whose lists change, with more differences than one send holds, while clients send to 192.0.2.100, UDP port 81.
struct UnderTraffic {
    client: Client,
    doorkeeper: Doorkeeper,
}

impl UnderTraffic {
    fn new() -> Self {
        NODE.lines().for_each(ip);
        for words in ONLOOKER.lines() {
            nft(words).unwrap();
        }
        Self {
            client: Client::open(),
            doorkeeper: Doorkeeper::open("ours-1").unwrap(),
        }
    }

    /// Two thousand lists, of which two thirds are another round's, too, and one for the port.
    fn lists(round: u32, own: Option<&'static str>) -> SourceRanges {
        let first = 0x0a00_0000 + round * 700;
        let others = (first..first + 2000).map(|number| {
            let endpoint = Endpoint {
                address: Ipv4Addr::from_bits(number).into(),
                protocol: TCP,
                port: 443,
            };
            (endpoint, vec![range("10.0.0.0 to 10.255.255.255")])
        });
        let own = own.map(|list| (endpoint("192.0.2.100", UDP, 81), vec![range(list)]));
        SourceRanges {
            admitted: Arc::new(others.chain(own).collect()),
            segments: BTreeSet::from([index_of("served")]),
        }
    }

    /// How often each of the clients has sent.
    fn change(&mut self, clients: &[u8], own: impl Fn(u32) -> Option<&'static str>) -> u64 {
        self.doorkeeper.set(&Self::lists(0, own(0))).unwrap();
        let done = AtomicBool::new(false);
        let sent = thread::scope(|scope| {
            // Threads have the namespace of who starts them.
            let (client, done) = (&self.client, &done);
            let sender = scope.spawn(move || {
                let mut sent = 0;
                while !done.load(Relaxed) {
                    clients.iter().for_each(|one| client.send(*one, 81));
                    sent += 1;
                    thread::sleep(Duration::from_micros(300));
                }
                sent
            });
            for round in 1..=8 {
                self.doorkeeper
                    .set(&Self::lists(round, own(round)))
                    .unwrap();
            }
            done.store(true, Relaxed);
            sender.join().unwrap()
        });
        assert!(sent > 20, "the changes were over after {sent}");
        sent
    }
}

#[test]
fn while_lists_change_nobody_is_refused_who_stays_and_nobody_admitted_who_never_was() {
    if !alone() {
        return;
    }
    // They overlap.
    let lists = ["192.0.2.0 to 192.0.2.51", "192.0.2.50 to 192.0.2.51"];
    let mut node = UnderTraffic::new();
    let sent = node.change(&[51, 52], |round| Some(lists[round as usize % 2]));
    await_packets("seen entered", sent);
    await_packets("ours-1 strangers", sent);
    // The last of eight times 2000 lists are there, and nothing else.
    for set in ["limited", "admitted"] {
        let seen = nft(&format!("list set ip ours-1 {set}")).unwrap();
        assert_eq!(seen.matches(". tcp . 443").count(), 2000, "{set}");
    }
}

#[test]
fn who_is_on_a_list_is_not_refused_while_it_comes_and_goes() {
    if !alone() {
        return;
    }
    let mut node = UnderTraffic::new();
    let list = |round: u32| round.is_multiple_of(2).then_some("192.0.2.51");
    let sent = node.change(&[51], list);
    await_packets("seen entered", sent);
    assert_eq!(packets("ours-1 strangers"), 0);
}

#[test]
fn many_more_than_one_send_holds() {
    if !alone() {
        return;
    }
    let mut doorkeeper = Doorkeeper::open("ours-1").unwrap();
    let first = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0).to_bits();
    let v6 = (0..2000).map(|number| IpAddr::from(Ipv6Addr::from_bits(first + number)));
    let v4 = (0..2000).map(|number| IpAddr::from(Ipv4Addr::from_bits(0x0a00_0000 + number)));
    let admitted = v6.chain(v4).map(|address| {
        let endpoint = Endpoint {
            address,
            protocol: TCP,
            port: 443,
        };
        (endpoint, vec![(address, address)])
    });
    let what = SourceRanges {
        admitted: Arc::new(admitted.collect()),
        segments: BTreeSet::from([LOOPBACK]),
    };
    // Made, and filled anew.
    for _ in 0..2 {
        doorkeeper.set(&what).unwrap();
        for (family, set) in [
            ("ip", "limited"),
            ("ip", "admitted"),
            ("ip6", "limited"),
            ("ip6", "admitted"),
        ] {
            let seen = nft(&format!("list set {family} ours-1 {set}")).unwrap();
            assert_eq!(seen.matches(". tcp . 443").count(), 2000, "{family} {set}");
        }
    }
    let one: [(Endpoint, &[&str]); 1] = [(endpoint("10.0.0.1", TCP, 443), &["10.0.0.1"])];
    doorkeeper.set(&only(LOOPBACK, one)).unwrap();
    assert!(nft("list table ip6 ours-1").is_none());
}
