//! The table of what nobody translated: read back by `nft`, and against packets.
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
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use l2::linux::guard::{Guard, Guarded};

use judge::{alone, nft, plain, settled};
use stranger::{Client, NODE, await_packets, index_of, ip, packets};

const LOOPBACK: u32 = 1;

fn guarded(addresses: &[&str], segments: &[u32]) -> Guarded {
    Guarded {
        addresses: addresses.iter().map(|one| one.parse().unwrap()).collect(),
        segments: segments.iter().copied().collect(),
    }
}

#[test]
fn nft_reads_what_ends_here_when_nobody_translates_it() {
    if !alone() {
        return;
    }
    let mut guard = Guard::open("ours-1").unwrap();
    let what = guarded(&["192.0.2.100", "2001:db8::100"], &[LOOPBACK]);
    guard.set(&what).unwrap();
    for (family, kind, address, redirect) in [
        (
            "ip",
            "ipv4_addr",
            "192.0.2.100",
            "icmp type redirect @th,192,32 @answered",
        ),
        (
            "ip6",
            "ipv6_addr",
            "2001:db8::100",
            "icmpv6 type nd-redirect @th,192,128 @answered",
        ),
    ] {
        let seen = plain(&nft(&format!("-s list table {family} ours-1")).unwrap());
        // Newer ones have a name for it.
        let seen = seen.replace("icmpv6 daddr", "icmpv6 type nd-redirect @th,192,128");
        let owner = if guard.is_owned() { "flags owner " } else { "" };
        let expected = format!(
            "table {family} ours-1 {{ {owner}\
            set answered {{ type {kind} elements = {{ {address} }} }} \
            set segments {{ type iface_index elements = {{ \"lo\" }} }} \
            chain routed {{ type filter hook forward priority filter + 10; policy accept; \
            {family} daddr @answered oif @segments counter drop }} \
            chain sent {{ type filter hook output priority filter; policy accept; {redirect} drop }} }}"
        );
        assert_eq!(settled(&seen), settled(&expected));
    }
    guard.set(&Guarded::default()).unwrap();
    assert_eq!(nft("list tables").unwrap(), "");
}

#[test]
fn nothing_is_guarded_without_a_segment_or_an_address() {
    if !alone() {
        return;
    }
    let mut guard = Guard::open("ours-1").unwrap();
    for what in [
        guarded(&["192.0.2.100"], &[]),
        guarded(&[], &[LOOPBACK]),
        Guarded::default(),
    ] {
        guard.set(&guarded(&["192.0.2.100"], &[LOOPBACK])).unwrap();
        guard.set(&what).unwrap();
        assert_eq!(nft("list tables").unwrap(), "");
    }
}

#[test]
fn other_addresses_change_the_sets_alone() {
    if !alone() {
        return;
    }
    let mut guard = Guard::open("ours-1").unwrap();
    guard.set(&guarded(&["192.0.2.100"], &[LOOPBACK])).unwrap();
    // With the numbers that the kernel gave to table, chain and rule.
    let rules = || nft("-a list chain ip ours-1 routed").unwrap();
    let before = rules();
    ip("link add other type veth peer name its-peer");
    let other = index_of("other");
    let more = guarded(&["192.0.2.100", "192.0.2.101"], &[LOOPBACK, other]);
    guard.set(&more).unwrap();
    guard.set(&guarded(&["192.0.2.101"], &[other])).unwrap();
    assert_eq!(rules(), before);
    let seen = plain(&nft("list table ip ours-1").unwrap());
    assert!(seen.contains("elements = { 192.0.2.101 }"), "{seen}");
    assert!(seen.contains("elements = { \"other\" }"), "{seen}");
}

#[test]
fn many_more_addresses_than_one_send_holds() {
    if !alone() {
        return;
    }
    let mut guard = Guard::open("ours-1").unwrap();
    let first = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0).to_bits();
    let v6 = (0..8000).map(|number| IpAddr::from(Ipv6Addr::from_bits(first + number)));
    let v4 = (0..5000).map(|number| IpAddr::from(Ipv4Addr::from_bits(0x0a00_0000 + number)));
    let what = Guarded {
        addresses: v6.chain(v4).collect(),
        segments: BTreeSet::from([LOOPBACK]),
    };
    // Made, and filled anew.
    for _ in 0..2 {
        guard.set(&what).unwrap();
        let seen = nft("list set ip6 ours-1 answered").unwrap();
        assert_eq!(seen.matches("2001:db8::").count(), 8000);
        let seen = nft("list set ip ours-1 answered").unwrap();
        assert_eq!(seen.matches("10.0.").count(), 5000);
    }
    guard.set(&guarded(&["10.0.0.1"], &[LOOPBACK])).unwrap();
    assert!(nft("list table ip6 ours-1").is_none());
}

#[test]
fn the_table_is_its_owners_alone_and_goes_with_it() {
    if !alone() {
        return;
    }
    let mut guard = Guard::open("ours-1").unwrap();
    let what = guarded(&["192.0.2.100", "2001:db8::100"], &[LOOPBACK]);
    guard.set(&what).unwrap();
    if !guard.is_owned() {
        eprintln!("SKIPPED: a kernel before 5.12 has tables without an owner only");
        return;
    }
    nft("add table ip theirs").unwrap();
    nft("flush ruleset").unwrap();
    let tables = nft("list tables").unwrap();
    assert_eq!(plain(&tables), "table ip ours-1 table ip6 ours-1");
    let seen = nft("list table ip ours-1").unwrap();
    assert!(seen.contains("192.0.2.100"), "{seen}");
    assert!(nft("delete table ip ours-1").is_none());
    let mut other = Guard::open("ours-1").unwrap();
    assert!(other.set(&what).is_err());
    // As the kernel closes the sockets of a process that was killed.
    drop(guard);
    assert_eq!(nft("list tables").unwrap(), "");
    other.set(&what).unwrap();
}

/// Behind the guard: what is routed to the address, and what is said of a shorter way to it.
const ONLOOKER: &str = "add table ip seen
add chain ip seen routed { type filter hook forward priority 20 ; }
add rule ip seen routed ip daddr 192.0.2.100 counter
add chain ip seen sent { type filter hook output priority 20 ; }
add rule ip seen sent icmp type redirect counter";

#[test]
fn what_would_go_to_the_segment_again_ends_here_and_what_goes_elsewhere_passes() {
    if !alone() {
        return;
    }
    NODE.lines().for_each(ip);
    for setting in ["ip_forward", "conf/all/send_redirects"] {
        fs::write(format!("/proc/sys/net/ipv4/{setting}"), "1").unwrap();
    }
    for words in ONLOOKER.lines() {
        nft(words).unwrap();
    }
    let client = Client::open();

    // Each time another sender: the kernel tells one and the same seldom of a shorter way.
    client.send(51, 81);
    await_packets("seen routed", 1);
    await_packets("seen sent", 1);

    let mut guard = Guard::open("ours-1").unwrap();
    let what = guarded(&["192.0.2.100"], &[index_of("served")]);
    guard.set(&what).unwrap();
    client.send(52, 81);
    await_packets("ours-1 routed", 1);
    assert_eq!((packets("seen routed"), packets("seen sent")), (1, 1));

    ip("route add 192.0.2.100/32 dev pods");
    client.send(53, 81);
    await_packets("seen routed", 2);
    assert_eq!(packets("ours-1 routed"), 1);
}
