//! The tables of planned moves, read back by `nft`: what it says is what the kernel does.
//!
//! Each test has a network namespace of its own, which ends with its thread.
#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test stops where it is wrong"
)]

mod judge;

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use l2::linux::handover::{Handover, Own, PassOn, Silence};
use l2::linux::nftables::Family;

use judge::{alone, nft, plain, settled};

fn pass_on(addresses: &[&str], predecessor: &str) -> PassOn {
    PassOn {
        interface: 1,
        addresses: addresses.iter().map(|one| one.parse().unwrap()).collect(),
        predecessor: predecessor.parse().unwrap(),
        predecessor_macs: vec!["02:00:00:00:00:0a".parse().unwrap()],
        own: Own::Begun,
        grace: Duration::from_secs(5),
    }
}

#[test]
fn nft_reads_what_a_successor_over_ipv4_does() {
    if !alone() {
        return;
    }
    let mut handover = Handover::open().unwrap();
    let what = pass_on(&["192.0.2.100", "192.0.2.101"], "192.0.2.1");
    handover.pass_on("ours-1", &what).unwrap();
    let seen = plain(&nft("-s list table ip ours-1").unwrap());
    let expected = "table ip ours-1 { \
        set moved { type ipv4_addr size 64 timeout 5s elements = { 192.0.2.100 , 192.0.2.101 } } \
        set begun { type ipv4_addr . inet_service size 65536 flags dynamic,timeout timeout 10s } \
        chain strangers { \
        tcp flags & (syn | ack) == syn update @begun { ip saddr . tcp sport } accept \
        ip saddr . tcp sport @begun accept \
        meta l4proto tcp counter dup to 192.0.2.1 device \"lo\" drop } \
        chain arrivals { type filter hook prerouting priority raw; policy accept; \
        iif \"lo\" ip daddr @moved ether saddr != 02:00:00:00:00:0a goto strangers } }";
    assert_eq!(settled(&seen), settled(expected));
}

#[test]
fn nft_reads_what_a_successor_over_ipv6_does() {
    if !alone() {
        return;
    }
    let mut handover = Handover::open().unwrap();
    let mut what = pass_on(&["2001:db8::100"], "fe80::1");
    what.predecessor_macs.clear();
    handover.pass_on("ours-1", &what).unwrap();
    let seen = plain(&nft("-s list table ip6 ours-1").unwrap());
    let expected = "table ip6 ours-1 { \
        set moved { type ipv6_addr size 64 timeout 5s elements = { 2001:db8::100 } } \
        set begun { type ipv6_addr . inet_service size 65536 flags dynamic,timeout timeout 10s } \
        chain strangers { \
        tcp flags & (syn | ack) == syn update @begun { ip6 saddr . tcp sport } accept \
        ip6 saddr . tcp sport @begun accept \
        meta l4proto tcp counter dup to fe80::1 device \"lo\" drop } \
        chain arrivals { type filter hook prerouting priority raw; policy accept; \
        iif \"lo\" ip6 daddr @moved goto strangers } }";
    assert_eq!(settled(&seen), settled(expected));
}

#[test]
fn nft_reads_what_a_successor_does_whose_packet_filter_translates() {
    if !alone() {
        return;
    }
    let mut handover = Handover::open().unwrap();
    let mut what = pass_on(&["192.0.2.100"], "192.0.2.1");
    what.own = Own::Tracked;
    what.predecessor_macs
        .push("02:00:00:00:00:0b".parse().unwrap());
    handover.pass_on("ours-1", &what).unwrap();
    let seen = plain(&nft("-s list table ip ours-1").unwrap());
    // Older ones spell it out.
    let seen = seen.replace("& (fin | syn | rst | ack) == ack", "ack / fin,syn,rst,ack");
    let expected = "table ip ours-1 { \
        set moved { type ipv4_addr size 64 timeout 5s elements = { 192.0.2.100 } } \
        chain strangers { \
        tcp flags & (syn | ack) == syn accept \
        ct state established,related accept \
        ct state invalid tcp flags ack / fin,syn,rst,ack accept \
        meta l4proto tcp counter dup to 192.0.2.1 device \"lo\" drop } \
        chain arrivals { type filter hook prerouting priority mangle; policy accept; \
        iif \"lo\" ip daddr @moved ether saddr != 02:00:00:00:00:0a ether saddr != 02:00:00:00:00:0b \
        goto strangers } }";
    assert_eq!(settled(&seen), settled(expected));
}

#[test]
fn nft_reads_what_a_predecessor_does() {
    if !alone() {
        return;
    }
    let mut handover = Handover::open().unwrap();
    let what = Silence {
        addresses: vec![Ipv4Addr::new(192, 0, 2, 100)],
        own: Ipv4Addr::new(192, 0, 2, 1),
        grace: Duration::from_secs(6),
    };
    handover.silence("ours-1", &what).unwrap();
    let seen = plain(&nft("-s list table arp ours-1").unwrap());
    let expected = "table arp ours-1 { \
        set moved { type ipv4_addr size 64 timeout 6s elements = { 192.0.2.100 } } \
        chain heard { type filter hook input priority filter; policy accept; \
        arp operation request arp daddr ip @moved drop } \
        chain said { type filter hook output priority filter; policy accept; \
        arp operation request arp saddr ip @moved arp saddr ip set 192.0.2.1 } }";
    assert_eq!(settled(&seen), settled(expected));
}

#[test]
fn the_rules_apply_to_nothing_after_the_grace() {
    if !alone() {
        return;
    }
    let mut handover = Handover::open().unwrap();
    let mut what = pass_on(&["192.0.2.100"], "192.0.2.1");
    what.grace = Duration::from_millis(200);
    handover.pass_on("ours-1", &what).unwrap();
    let elements = || {
        nft("list set ip ours-1 moved")
            .unwrap()
            .contains("192.0.2.100")
    };
    assert!(elements());
    std::thread::sleep(Duration::from_millis(400));
    assert!(!elements());
}

#[test]
fn ours_are_replaced_and_removed_and_others_stay() {
    if !alone() {
        return;
    }
    let mut handover = Handover::open().unwrap();
    nft("add table ip theirs").unwrap();
    handover.remove("ours-1", Family::Ipv4).unwrap();
    for last in 1..=3 {
        let what = pass_on(&["192.0.2.100"], &format!("192.0.2.{last}"));
        handover.pass_on("ours-1", &what).unwrap();
        let seen = nft("list table ip ours-1").unwrap();
        assert_eq!(seen.matches("dup to").count(), 1, "{seen}");
        assert!(seen.contains(&format!("dup to 192.0.2.{last} ")), "{seen}");
    }
    let ours = [("ours-1".to_owned(), Family::Ipv4)];
    assert_eq!(handover.tables("ours-").unwrap(), ours);
    handover.remove("ours-1", Family::Ipv4).unwrap();
    assert_eq!(nft("list tables").unwrap().trim(), "table ip theirs");
}

#[test]
fn a_probe_leaves_nothing_behind() {
    if !alone() {
        return;
    }
    let mut handover = Handover::open().unwrap();
    for family in [
        IpAddr::V4(Ipv4Addr::LOCALHOST),
        "::1".parse::<IpAddr>().unwrap(),
    ] {
        handover.probe("ours-probe", family, Own::Begun).unwrap();
        handover.probe("ours-probe", family, Own::Tracked).unwrap();
    }
    assert_eq!(nft("list tables").unwrap(), "");
}

#[test]
fn a_refused_table_changes_nothing() {
    if !alone() {
        return;
    }
    let mut handover = Handover::open().unwrap();
    let what = pass_on(&["192.0.2.100"], "192.0.2.1");
    handover.pass_on("ours-1", &what).unwrap();
    let before = nft("-s list ruleset").unwrap();
    // A name that the kernel does not take.
    assert!(handover.pass_on(&"x".repeat(300), &what).is_err());
    assert_eq!(plain(&nft("-s list ruleset").unwrap()), plain(&before));
    // And the socket is as good as before.
    handover.remove("ours-1", Family::Ipv4).unwrap();
    assert_eq!(nft("list tables").unwrap(), "");
}
