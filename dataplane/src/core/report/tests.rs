//! What a Service is told of its addresses, by what speakers report.

use super::*;
use crate::core::{
    atlas::{Endpoint, Exposed, Node},
    labels::Labels,
    samples,
    service::TrafficPolicy,
};

const ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 9));

fn key() -> ServiceKey {
    ServiceKey::new("shop", "front")
}

/// Two load-balancer nodes, a pool that is announced everywhere, and a Service with one ready endpoint.
fn atlas() -> Atlas {
    let mut atlas = Atlas::default();
    atlas.set_pools(vec![samples::pool("p", &["10.0.0.0/24"])]);
    atlas.set_advertisements(vec![samples::advertisement()]);
    for name in ["n1", "n2"] {
        let node = Node {
            labels: Labels::new(),
            address: None,
            may_serve: true,
            cordoned: false,
        };
        atlas.set_node(name, Some(node));
    }
    let exposed = Exposed {
        labels: Labels::new(),
        traffic_policy: TrafficPolicy::Cluster,
        ports: BTreeSet::new(),
        source_ranges: None,
        addresses: vec![ADDRESS],
    };
    atlas.set_service(&key(), Some(exposed));
    set_endpoints(&mut atlas, &[true]);
    atlas
}

/// One endpoint of the Service for each, ready or not.
fn set_endpoints(atlas: &mut Atlas, ready: &[bool]) {
    let endpoint = |ready: &bool| Endpoint {
        node: Some("n3".to_owned()),
        ready: *ready,
        serving: true,
    };
    let endpoints = ready.iter().map(endpoint).collect();
    atlas.set_slice(&ServiceKey::new("shop", "slice"), Some((key(), endpoints)));
}

/// A speaker with an interface for the address, that misses `silent`.
fn report(silent: &[&str]) -> Report {
    let interface = Interface {
        index: 0,
        name: "eth0".to_owned(),
        mac: [0; 6],
        up: true,
        networks: vec![(IpAddr::from([10, 0, 0, 0]), 24)],
    };
    Report {
        addresses: BTreeMap::new(),
        interfaces: vec![interface],
        silent: silent.iter().map(|one| (*one).to_owned()).collect(),
    }
}

/// The same with the address.
fn owner(conflict: Option<&str>, silent: &[&str]) -> Report {
    let reported = ReportedAddress {
        term: 1,
        interface: "eth0".to_owned(),
        mac: "02:00:00:00:00:01".to_owned(),
        conflict: conflict.map(str::to_owned),
    };
    Report {
        addresses: BTreeMap::from([(ADDRESS, reported)]),
        ..report(silent)
    }
}

/// Whether each of both conditions holds, with its reason and message.
fn told(atlas: &Atlas, all: [Report; 2]) -> [(bool, String, String); 2] {
    let mut reports = Reports::default();
    for (node, report) in ["n1", "n2"].into_iter().zip(all) {
        reports.set(node, Some(report));
    }
    let conditions = reports.conditions(atlas, &key(), &[ADDRESS]);
    conditions.map(|one| (one.holds, one.reason, one.message))
}

#[test]
fn what_is_announced_and_has_a_ready_endpoint_is_reachable() {
    let [announced, reachable] = told(&atlas(), [owner(None, &[]), report(&[])]);
    assert_eq!((announced.0, &*announced.1), (true, "Announced"));
    assert!(
        announced.2.contains("10.0.0.9 by n1 on eth0"),
        "{announced:?}"
    );
    assert_eq!((reachable.0, &*reachable.1), (true, "Reachable"));
}

#[test]
fn a_service_without_a_ready_endpoint_says_so() {
    let mut atlas = atlas();
    for (ready, holds) in [
        (&[][..], false),
        (&[false, false], false),
        (&[false, true], true),
    ] {
        set_endpoints(&mut atlas, ready);
        let [announced, reachable] = told(&atlas, [owner(None, &[]), report(&[])]);
        assert!(announced.0, "it is announced all the same");
        let reason = if holds { "Reachable" } else { "NoEndpoints" };
        assert_eq!((reachable.0, &*reachable.1), (holds, reason), "{ready:?}");
        assert_eq!(
            reachable.2.contains("no ready endpoint"),
            !holds,
            "{reachable:?}"
        );
    }
}

#[test]
fn an_address_that_nobody_has_is_not_reachable() {
    let [announced, reachable] = told(&atlas(), [report(&[]), report(&[])]);
    assert_eq!((announced.0, &*announced.1), (false, "Pending"));
    assert_eq!((reachable.0, &*reachable.1), (false, "NotAnnounced"));
}

#[test]
fn another_machine_that_answers_is_named() {
    let foreign = owner(Some("02:00:00:00:00:99"), &[]);
    let [_, reachable] = told(&atlas(), [foreign, report(&[])]);
    assert_eq!((reachable.0, &*reachable.1), (false, "AddressConflict"));
    let words = ["02:00:00:00:00:99", "10.0.0.9", "n1"];
    assert!(
        words.iter().all(|word| reachable.2.contains(word)),
        "{reachable:?}"
    );
}

/// Why nobody has an address is said of what all speakers report.
#[test]
fn what_is_said_of_addresses_that_nobody_has_follows_every_report() {
    let mut reports = Reports::default();
    let these = |addresses: &[IpAddr]| Affected::These(addresses.iter().copied().collect());
    let unplugged = Report {
        interfaces: Vec::new(),
        ..report(&[])
    };
    let story = [
        ("the first one", Some(report(&[])), Affected::All),
        ("the same", Some(report(&[])), these(&[])),
        (
            "it has an address",
            Some(owner(None, &[])),
            these(&[ADDRESS]),
        ),
        (
            "it misses another",
            Some(owner(None, &["n2"])),
            Affected::All,
        ),
        (
            "it has no address",
            Some(report(&["n2"])),
            these(&[ADDRESS]),
        ),
        ("it has no interface", Some(unplugged), Affected::All),
        ("it is gone", None, Affected::All),
        ("it stays so", None, these(&[])),
    ];
    for (what, report, affected) in story {
        assert_eq!(reports.set("n1", report), affected, "{what}");
    }
}

#[test]
fn two_speakers_that_do_not_hear_each_other_are_named() {
    let [announced, _] = told(&atlas(), [owner(None, &["n2"]), owner(None, &["n1"])]);
    assert_eq!((announced.0, &*announced.1), (false, "NoEligibleNode"));
    let words = ["n1", "n2", "UDP 7946"];
    assert!(
        words.iter().all(|word| announced.2.contains(word)),
        "{announced:?}"
    );
    // One that is gone is silent, and misses nobody.
    let [announced, _] = told(&atlas(), [owner(None, &["n2"]), report(&[])]);
    assert!(announced.0, "{announced:?}");
}
