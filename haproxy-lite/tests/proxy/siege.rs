//! Many idle clients, many new ones each second, and those who mean harm, all at once; then more than there is room for;
//! then nobody. Short by itself; `LBNODE_TEST_FULL=1`: ten minutes, as many idle clients as the limit of open files allows
//! (at most 10 000), 1 000 new ones each second.

use std::time::Duration;

use crate::descriptors::limit;
use crate::kit::{Config, Crowd, Proxy, clock, full};

#[test]
fn e6_a_siege_costs_bounded_memory_and_leaves_nothing_behind() {
    let plan = Plan::new();
    let (_servers, addresses) = Crowd::servers(3);
    let names = ["a", "b", "c"];
    let config = Config::new(names.into_iter().zip(addresses)).max_connections(plan.sessions);
    let proxy = Proxy::launch(config, |command| limit(command, plan.descriptors));
    for name in names {
        proxy.wait_for_state(name, "up");
    }
    let most = proxy.status()["totals"]["maxSessions"].as_u64().unwrap();
    let most = usize::try_from(most).unwrap();
    let crowd = plan.idle.min(most - ROOM);
    let front = proxy.front();
    let mut warm = Crowd::fresh(front, plan.per_second);
    std::thread::sleep(Duration::from_secs(1));
    assert_served(&warm.finish());
    proxy.wait_until("nobody is there", |s| s["totals"]["sessions"] == 0);
    let before = Footprint::of(&proxy);

    let mut idle = Crowd::idle(front, crowd);
    assert_eq!(idle.hear(), crowd.to_string());
    let held = Footprint::of(&proxy);
    let mut fresh = Crowd::fresh(front, plan.per_second);
    let mut storm = Crowd::storm(front, plan.per_second / 5);
    let mut slow = Crowd::slow(front, SLOW);
    let (start, mut peak) = (clock(), held);
    while start.elapsed() < plan.lasts {
        std::thread::sleep(plan.lasts / 20);
        peak = peak.max(Footprint::of(&proxy));
    }
    let came = fresh.finish();
    let (stormed, broken) = (storm.finish(), slow.finish());
    eprintln!(
        "{crowd} idle, {} per second for {:?}: {came}; storm: {stormed}; memory {} kB before, {} kB with the idle, {} kB at most",
        plan.per_second,
        plan.lasts,
        before.bytes / 1024,
        held.bytes / 1024,
        peak.bytes / 1024,
    );
    assert_served(&came);
    assert_eq!(broken, "0", "slow clients are clients");
    let served = idle.ask();
    let ended = &proxy.status()["totals"]["ended"];
    assert_eq!(served, crowd, "idle clients are still served: {ended}");
    let bound = before.bytes + crowd as u64 * PER_SESSION + SLACK;
    assert!(peak.bytes <= bound, "{} bytes, at most {bound}", peak.bytes);

    // More than the limit of open files allows: some wait outside, and nobody inside notices.
    let too_many = Crowd::idle(front, most - crowd + 300);
    proxy.wait_until("the house is full", |status| {
        status["totals"]["acceptPausedFull"].as_u64() > Some(0)
    });
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(idle.ask(), crowd, "those inside are served in a full house");
    drop(too_many);
    let there = |status: &serde_json::Value| status["totals"]["sessions"].as_u64();
    proxy.wait_until("the last ones have left", |s| {
        there(s) == Some(crowd as u64)
    });
    let mut fresh = Crowd::fresh(front, plan.per_second);
    std::thread::sleep(Duration::from_secs(2));
    assert_served(&fresh.finish());

    drop(idle);
    proxy.wait_until("everybody has left", |s| there(s) == Some(0));
    // Spare memory is given back by the sweeps of the next seconds.
    std::thread::sleep(Duration::from_secs(3));
    let after = Footprint::of(&proxy);
    eprintln!(
        "afterwards {} kB and {} descriptors, {} before",
        after.bytes / 1024,
        after.descriptors,
        before.descriptors
    );
    assert!(
        after.descriptors <= before.descriptors + 16,
        "{after:?}, {before:?}"
    );
    assert!(after.bytes <= before.bytes + SLACK, "{after:?}, {before:?}");
    let ended = &proxy.status()["totals"]["ended"];
    assert!(ended["out_of_resources"].is_null(), "{ended}");
}

struct Plan {
    lasts: Duration,
    idle: usize,
    per_second: usize,
    sessions: u32,
    /// Limit of open files.
    descriptors: &'static str,
}

impl Plan {
    fn new() -> Self {
        if full() {
            Self {
                lasts: Duration::from_secs(600),
                idle: 10_000,
                per_second: 1000,
                sessions: 40_000,
                descriptors: "$(ulimit -Hn)",
            }
        } else {
            Self {
                lasts: Duration::from_secs(3),
                idle: 500,
                per_second: 200,
                sessions: 40_000,
                descriptors: "2000",
            }
        }
    }
}

/// What the proxy takes of the machine.
#[derive(Debug, Clone, Copy)]
struct Footprint {
    bytes: u64,
    descriptors: usize,
}

impl Footprint {
    fn of(proxy: &Proxy) -> Self {
        let descriptors = std::fs::read_dir(format!("/proc/{}/fd", proxy.pid()));
        Self {
            bytes: proxy.resident(),
            descriptors: descriptors.unwrap().count(),
        }
    }

    fn max(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.max(other.bytes),
            descriptors: self.descriptors.max(other.descriptors),
        }
    }
}

/// Somebody came, and nobody left without an answer.
fn assert_served(said: &str) {
    let mut words = said.split(' ');
    let came: usize = words.next().unwrap().parse().unwrap();
    assert!(came > 50, "{said}");
    assert_eq!(words.next(), Some("0"), "{said}");
}

/// Sessions beside the idle ones: slow clients, and new ones at a time.
const ROOM: usize = 300;
const SLOW: usize = 100;
/// Bytes of memory for an idle session.
const PER_SESSION: u64 = 400;
/// Bytes that come and go with the traffic.
const SLACK: u64 = 3 << 20;
