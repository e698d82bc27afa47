//! Addresses in a real kernel. Each test has a network namespace of its own, which ends with its thread.
#![cfg(target_os = "linux")]
#![expect(clippy::disallowed_methods, reason = "waits for the kernel")]

use std::net::IpAddr;
use std::thread;
use std::time::{Duration, Instant};

use l2::linux::address::{Addresses, Held, LOOPBACK, Mark};
use nix::sched::{CloneFlags, unshare};

#[test]
fn an_address_is_local_once_it_is_there_and_no_longer() {
    if unshare(CloneFlags::CLONE_NEWNET).is_err() {
        eprintln!("SKIPPED: needs root");
        return;
    }
    let mut addresses = Addresses::open(Mark(112)).unwrap();
    for address in ["192.0.2.100", "2001:db8::100"] {
        let address: IpAddr = address.parse().unwrap();
        let held = Held {
            index: LOOPBACK,
            address,
        };
        assert!(!addresses.is_local(address).unwrap(), "{address}: before");
        addresses.own(held, None, Duration::from_secs(60)).unwrap();
        let begin = Instant::now();
        while !addresses.is_local(address).unwrap() {
            assert!(begin.elapsed() < Duration::from_secs(5), "{address}: never");
            thread::sleep(Duration::from_millis(1));
        }
        addresses.release(held).unwrap();
        assert!(!addresses.is_local(address).unwrap(), "{address}: after");
    }
}
