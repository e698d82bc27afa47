//! Addresses in a real kernel. Each test has a network namespace of its own, which ends with its thread.
#![cfg(target_os = "linux")]

use std::net::IpAddr;
use std::process::Command;
use std::time::Duration;

use l2::linux::address::{Addresses, Held, LOOPBACK, Mark};
use nix::sched::{CloneFlags, unshare};

#[test]
fn an_address_settles_where_it_is_asked_for() {
    if unshare(CloneFlags::CLONE_NEWNET).is_err() {
        eprintln!("SKIPPED: needs root");
        return;
    }
    let lines = "link set lo up\nlink add a0 type veth peer name a1\nlink set a0 up\nlink set a1 up\n\
        addr add 2001:db8::1/64 dev a0 nodad";
    lines.lines().for_each(ip);
    let index = nix::net::if_::if_nametoindex("a0").unwrap();
    let address: IpAddr = "2001:db8::100".parse().unwrap();
    let there = Held { index, address };
    let lingering = Held {
        index: LOOPBACK,
        address,
    };
    let mut addresses = Addresses::open(Mark(112)).unwrap();
    let (long, short) = (Duration::from_secs(5), Duration::from_millis(50));
    addresses.linger(address, Duration::from_secs(60)).unwrap();
    assert!(addresses.settle(&[lingering], long).unwrap());
    // A second place is not the first one.
    assert!(!addresses.settle(&[lingering, there], short).unwrap());
    addresses.own(there, None, Duration::from_secs(60)).unwrap();
    assert!(addresses.settle(&[there, lingering], long).unwrap());
    addresses.release(lingering).unwrap();
    assert!(addresses.settle(&[there], Duration::ZERO).unwrap());
    assert!(!addresses.settle(&[lingering], Duration::ZERO).unwrap());
    // A route that refuses is no place either, and the wait ends.
    addresses.release(there).unwrap();
    ip("-6 route add blackhole 2001:db8::100/128");
    assert!(!addresses.settle(&[there], short).unwrap());
}

fn ip(words: &str) {
    let status = Command::new("ip").args(words.split_whitespace()).status();
    assert!(status.is_ok_and(|status| status.success()), "{words}");
}
