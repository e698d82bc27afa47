//! The allocator's rules, one by one.

use super::*;
use crate::core::{
    refusal::Reason,
    request::SharingScope,
    samples::{pool, service},
    service::{FamilyPolicy, Port, Protocol, TrafficPolicy},
};

fn begun(pools: Vec<Pool>) -> Allocator {
    let mut allocator = Allocator::default();
    allocator.set_pools(pools);
    allocator.begin();
    allocator
}

fn asks(key: &str, addresses: &[&str]) -> Service {
    let mut service = service(key);
    service.request.addresses = addresses.iter().map(|text| text.parse().unwrap()).collect();
    service
}

fn shares(key: &str, sharing_key: &str, port: u16) -> Service {
    let mut service = service(key);
    service.request.sharing_key = Some(sharing_key.to_owned());
    service.ports.insert(Port {
        protocol: Protocol::Tcp,
        number: port,
    });
    service
}

fn dual(key: &str, policy: FamilyPolicy) -> Service {
    Service {
        families: vec![Family::V6, Family::V4],
        policy,
        ..service(key)
    }
}

fn at(allocator: &Allocator, key: &str) -> String {
    let outcome = allocator.outcome(&ServiceKey::parse(key).unwrap()).unwrap();
    let addresses: Vec<_> = outcome.addresses.iter().map(ToString::to_string).collect();
    addresses.join(",")
}

fn why(allocator: &Allocator, key: &str) -> Option<Reason> {
    let outcome = allocator.outcome(&ServiceKey::parse(key).unwrap()).unwrap();
    outcome.refusal.map(|refusal| refusal.reason)
}

#[test]
fn the_lowest_free_address_is_next_and_explicit_ones_are_skipped() {
    let mut allocator = begun(vec![pool("p", &["192.168.219.190-192.168.219.199"])]);
    allocator.upsert(asks("a/fixed", &["192.168.219.191"]));
    for key in ["a/one", "a/two", "a/three"] {
        allocator.upsert(service(key));
    }
    assert_eq!(at(&allocator, "a/one"), "192.168.219.190");
    assert_eq!(at(&allocator, "a/two"), "192.168.219.192");
    allocator.remove(&ServiceKey::new("a", "one"));
    allocator.upsert(service("a/four"));
    assert_eq!(at(&allocator, "a/four"), "192.168.219.190");
}

#[test]
fn every_pending_service_has_a_reason_of_its_own() {
    let mut closed = pool("closed", &["10.0.1.0/24"]);
    closed.scope.namespaces.insert("vip".to_owned());
    let mut off = pool("off", &["10.0.2.0/24"]);
    off.disabled = true;
    let mut manual = pool("manual", &["10.0.3.0/24"]);
    manual.manual_assign = true;
    manual
        .reservations
        .insert("10.0.3.9".parse().unwrap(), ServiceKey::new("x", "y"));
    let tiny = pool("tiny", &["10.0.0.1"]);
    let alone = |pools: Vec<Pool>| {
        let mut allocator = begun(pools);
        allocator.upsert(service("a/s"));
        why(&allocator, "a/s")
    };
    assert_eq!(alone(vec![]), Some(Reason::NoPool));
    assert_eq!(
        alone(vec![pool("six", &["fd00::/64"])]),
        Some(Reason::NoPool)
    );
    assert_eq!(alone(vec![closed.clone()]), Some(Reason::PoolNotAllowed));
    assert_eq!(alone(vec![off.clone()]), Some(Reason::PoolDisabled));
    assert_eq!(alone(vec![manual.clone()]), Some(Reason::PoolManual));

    let mut allocator = begun(vec![closed, off, manual, tiny]);
    allocator.upsert(service("a/first"));
    for (name, addresses, pool, reason) in [
        ("full", &[][..], None, Reason::PoolExhausted),
        ("lost", &[], Some("nowhere"), Reason::PoolNotFound),
        ("outside", &["10.9.9.9"], None, Reason::AddressOutsidePools),
        ("taken", &["10.0.0.1"], None, Reason::AddressInUse),
        ("kept", &["10.0.3.9"], None, Reason::AddressReserved),
        (
            "other",
            &["10.0.3.8"],
            Some("tiny"),
            Reason::AddressOutsidePools,
        ),
    ] {
        let mut service = asks(&format!("a/{name}"), addresses);
        service.request.pool = pool.map(str::to_owned);
        allocator.upsert(service);
        assert_eq!(
            why(&allocator, &format!("a/{name}")),
            Some(reason),
            "{name}"
        );
        assert_eq!(at(&allocator, &format!("a/{name}")), "");
    }
    let outcome = allocator.outcome(&ServiceKey::new("a", "taken")).unwrap();
    assert!(
        outcome.refusal.unwrap().message.contains("a/first"),
        "the holder is named"
    );
}

#[test]
fn a_manual_pool_gives_to_those_who_name_it_or_an_address() {
    let mut manual = pool("manual", &["10.0.3.0/24"]);
    manual.manual_assign = true;
    let mut allocator = begun(vec![manual]);
    let mut named = service("a/named");
    named.request.pool = Some("manual".to_owned());
    allocator.upsert(named);
    allocator.upsert(asks("a/exact", &["10.0.3.7"]));
    assert_eq!(at(&allocator, "a/named"), "10.0.3.0");
    assert_eq!(at(&allocator, "a/exact"), "10.0.3.7");
}

#[test]
fn a_restart_moves_nothing_even_when_lower_addresses_are_free() {
    let mut allocator = Allocator::default();
    allocator.set_pools(vec![pool("p", &["10.0.0.1-10.0.0.9"])]);
    let mut younger = service("a/younger");
    younger.created = 5;
    younger.observed = vec!["10.0.0.7".parse().unwrap()];
    let newcomer = service("a/newcomer");
    allocator.upsert(newcomer);
    allocator.upsert(younger);
    allocator.begin();
    assert_eq!(at(&allocator, "a/younger"), "10.0.0.7");
    assert_eq!(at(&allocator, "a/newcomer"), "10.0.0.1");
}

#[test]
fn of_two_that_claim_one_address_the_older_keeps_it() {
    let mut allocator = Allocator::default();
    allocator.set_pools(vec![pool("p", &["10.0.0.1-10.0.0.9"])]);
    for (key, created) in [("a/old", 1), ("a/young", 2)] {
        let mut service = service(key);
        service.created = created;
        service.observed = vec!["10.0.0.5".parse().unwrap()];
        allocator.upsert(service);
    }
    allocator.begin();
    assert_eq!(at(&allocator, "a/old"), "10.0.0.5");
    assert_eq!(at(&allocator, "a/young"), "10.0.0.1");
}

#[test]
fn a_freed_address_goes_to_the_oldest_who_waits() {
    let mut allocator = begun(vec![pool("p", &["10.0.0.1"])]);
    allocator.upsert(service("a/holder"));
    for (key, created) in [("a/young", 9), ("a/old", 3)] {
        allocator.upsert(Service {
            created,
            ..service(key)
        });
    }
    allocator.remove(&ServiceKey::new("a", "holder"));
    assert_eq!(at(&allocator, "a/old"), "10.0.0.1");
    assert_eq!(why(&allocator, "a/young"), Some(Reason::PoolExhausted));
    allocator.set_pools(vec![pool("p", &["10.0.0.1-10.0.0.2"])]);
    assert_eq!(at(&allocator, "a/young"), "10.0.0.2");
}

#[test]
fn shrinking_renaming_and_splitting_pools_moves_only_who_must() {
    let mut allocator = begun(vec![pool("p", &["10.0.0.1-10.0.0.4"])]);
    for key in ["a/1", "a/2", "a/3", "a/4"] {
        allocator.upsert(service(key));
    }
    let before: Vec<_> = ["a/1", "a/2", "a/3", "a/4"]
        .map(|key| at(&allocator, key))
        .into();
    allocator.set_pools(vec![pool("renamed", &["10.0.0.1-10.0.0.4"])]);
    allocator.set_pools(vec![
        pool("x", &["10.0.0.3-10.0.0.4"]),
        pool("y", &["10.0.0.1-10.0.0.2"]),
    ]);
    let after: Vec<_> = ["a/1", "a/2", "a/3", "a/4"]
        .map(|key| at(&allocator, key))
        .into();
    assert_eq!(before, after);

    allocator.set_pools(vec![pool("x", &["10.0.0.3-10.0.0.5"])]);
    assert_eq!(at(&allocator, "a/1"), "10.0.0.5");
    assert_eq!(at(&allocator, "a/2"), "");
    assert_eq!(at(&allocator, "a/3"), "10.0.0.3");

    allocator.set_pools(vec![]);
    assert_eq!(why(&allocator, "a/3"), Some(Reason::NoPool));
    allocator.set_pools(vec![pool("back", &["10.0.0.1-10.0.0.9"])]);
    assert_eq!(
        at(&allocator, "a/3"),
        "10.0.0.3",
        "what it had last is taken again"
    );
    assert_eq!(at(&allocator, "a/1"), "10.0.0.5");
}

#[test]
fn a_wish_that_cannot_be_met_takes_nothing_away() {
    let mut allocator = begun(vec![pool("p", &["10.0.0.1-10.0.0.9"])]);
    allocator.upsert(service("a/holder"));
    allocator.upsert(service("a/mover"));
    allocator.upsert(asks("a/mover", &["10.0.0.1"]));
    assert_eq!(at(&allocator, "a/mover"), "10.0.0.2");
    assert_eq!(why(&allocator, "a/mover"), Some(Reason::AddressInUse));
    allocator.remove(&ServiceKey::new("a", "holder"));
    assert_eq!(at(&allocator, "a/mover"), "10.0.0.1");
    assert_eq!(why(&allocator, "a/mover"), None);

    let mut broken = asks("a/mover", &["10.0.0.1"]);
    broken.request.fault = Some("no sense".to_owned());
    allocator.upsert(broken);
    assert_eq!(at(&allocator, "a/mover"), "10.0.0.1");
    assert_eq!(why(&allocator, "a/mover"), Some(Reason::InvalidRequest));
}

#[test]
fn sharing_needs_the_key_other_ports_and_the_same_policy() {
    let mut allocator = begun(vec![pool("p", &["10.0.0.1-10.0.0.9"])]);
    allocator.upsert(shares("a/http", "k", 80));
    allocator.upsert(shares("a/alt", "k", 8080));
    assert_eq!(at(&allocator, "a/alt"), "10.0.0.1");
    allocator.upsert(shares("a/clash", "k", 80));
    assert_eq!(
        at(&allocator, "a/clash"),
        "10.0.0.2",
        "a clash gets an address of its own"
    );
    allocator.upsert(shares("a/third", "k", 443));
    assert_eq!(at(&allocator, "a/third"), "10.0.0.1");
    let local = Service {
        traffic_policy: TrafficPolicy::Local,
        ..shares("a/local", "k", 99)
    };
    allocator.upsert(local);
    assert_eq!(at(&allocator, "a/local"), "10.0.0.3");

    let mut exact = shares("a/exact", "k", 80);
    exact.request.addresses = vec!["10.0.0.1".parse().unwrap()];
    allocator.upsert(exact.clone());
    assert_eq!(why(&allocator, "a/exact"), Some(Reason::SharingConflict));
    exact.ports = BTreeSet::from([Port {
        protocol: Protocol::Udp,
        number: 80,
    }]);
    allocator.upsert(exact);
    assert_eq!(at(&allocator, "a/exact"), "10.0.0.1");
}

#[test]
fn sharing_across_namespaces_needs_the_consent_of_both() {
    let mut allocator = begun(vec![pool("p", &["10.0.0.1-10.0.0.9"])]);
    let mut one = shares("a/one", "k", 80);
    let mut two = shares("b/two", "k", 81);
    allocator.upsert(one.clone());
    allocator.upsert(two.clone());
    assert_eq!(at(&allocator, "b/two"), "10.0.0.2");
    one.request.sharing_scope = SharingScope::Everywhere;
    allocator.upsert(one);
    two.request.sharing_scope = SharingScope::Namespaces(BTreeSet::from(["a".to_owned()]));
    allocator.remove(&two.key);
    allocator.upsert(two);
    assert_eq!(at(&allocator, "b/two"), "10.0.0.1");
}

#[test]
fn a_service_that_no_longer_fits_beside_the_others_moves_itself() {
    let mut allocator = begun(vec![pool("p", &["10.0.0.1-10.0.0.9"])]);
    allocator.upsert(shares("a/one", "k", 80));
    allocator.upsert(shares("a/two", "k", 81));
    allocator.upsert(shares("a/one", "k", 81));
    assert_eq!(at(&allocator, "a/two"), "10.0.0.1");
    assert_eq!(at(&allocator, "a/one"), "10.0.0.2");
}

#[test]
fn dual_stack_in_all_its_policies() {
    let four = || pool("four", &["10.0.0.1-10.0.0.2"]);
    let both = || pool("late", &["10.0.9.1-10.0.9.2", "fd00::1-fd00::2"]);
    let mut allocator = begun(vec![four()]);
    allocator.upsert(dual("a/prefer", FamilyPolicy::PreferDual));
    allocator.upsert(dual("a/require", FamilyPolicy::RequireDual));
    assert_eq!(at(&allocator, "a/prefer"), "10.0.0.1");
    assert_eq!(at(&allocator, "a/require"), "", "both or none");
    assert_eq!(why(&allocator, "a/require"), Some(Reason::NoPool));

    allocator.set_pools(vec![four(), both()]);
    assert_eq!(
        at(&allocator, "a/prefer"),
        "fd00::1,10.0.0.1",
        "the missing one is added"
    );
    assert_eq!(
        at(&allocator, "a/require"),
        "fd00::2,10.0.9.1",
        "one pool for both if there is one"
    );

    allocator.set_pools(vec![four(), pool("late", &["10.0.9.1"])]);
    assert_eq!(
        at(&allocator, "a/require"),
        "10.0.9.1",
        "what works is not taken away"
    );
    assert_eq!(at(&allocator, "a/prefer"), "10.0.0.1");
}

#[test]
fn one_explicit_address_leaves_the_other_family_to_the_pool() {
    let mut allocator = begun(vec![pool("p", &["10.0.0.1-10.0.0.9", "fd00::1-fd00::9"])]);
    let mut service = dual("a/s", FamilyPolicy::RequireDual);
    service.request.addresses = vec!["10.0.0.7".parse().unwrap()];
    allocator.upsert(service);
    assert_eq!(at(&allocator, "a/s"), "fd00::1,10.0.0.7");
}

#[test]
fn a_reserved_address_waits_for_its_service() {
    let mut reserving = pool("p", &["10.0.0.1-10.0.0.2"]);
    reserving
        .reservations
        .insert("10.0.0.1".parse().unwrap(), ServiceKey::new("a", "known"));
    let mut allocator = begun(vec![reserving]);
    allocator.upsert(service("a/one"));
    allocator.upsert(service("a/two"));
    assert_eq!(at(&allocator, "a/one"), "10.0.0.2");
    assert_eq!(why(&allocator, "a/two"), Some(Reason::PoolExhausted));
    for _ in 0..2 {
        allocator.upsert(service("a/known"));
        assert_eq!(at(&allocator, "a/known"), "10.0.0.1");
        allocator.remove(&ServiceKey::new("a", "known"));
        assert_eq!(at(&allocator, "a/two"), "");
    }
}

#[test]
fn a_disabled_pool_keeps_its_services_and_takes_no_new_ones() {
    let mut allocator = begun(vec![pool("p", &["10.0.0.1-10.0.0.9"])]);
    allocator.upsert(service("a/old"));
    let mut drained = pool("p", &["10.0.0.1-10.0.0.9"]);
    drained.disabled = true;
    allocator.set_pools(vec![drained]);
    allocator.upsert(service("a/new"));
    assert_eq!(at(&allocator, "a/old"), "10.0.0.1");
    assert_eq!(why(&allocator, "a/new"), Some(Reason::PoolDisabled));
}

#[test]
fn buggy_addresses_are_skipped_and_not_counted() {
    let mut careful = pool("p", &["10.0.0.254-10.0.1.1"]);
    careful.avoid_buggy = true;
    let mut allocator = begun(vec![careful]);
    allocator.upsert(service("a/1"));
    allocator.upsert(service("a/2"));
    allocator.upsert(asks("a/3", &["10.0.1.0"]));
    assert_eq!(at(&allocator, "a/1"), "10.0.0.254");
    assert_eq!(at(&allocator, "a/2"), "10.0.1.1");
    assert_eq!(why(&allocator, "a/3"), Some(Reason::AddressOutsidePools));
    let usage = allocator.report()[0].v4;
    assert_eq!((usage.total, usage.assigned, usage.available), (2, 2, 0));
}

#[test]
fn a_namespace_that_leaves_the_selector_loses_its_addresses() {
    let mut red = pool("red", &["10.0.0.1"]);
    let labels = Labels::from([("team".to_owned(), "red".to_owned())]);
    red.scope
        .namespace_selectors
        .push(crate::core::labels::Selector::new(&labels, []).unwrap());
    let mut allocator = begun(vec![red]);
    allocator.set_namespace("a", Some(labels.clone()));
    allocator.upsert(service("a/s"));
    allocator.upsert(service("b/s"));
    assert_eq!(at(&allocator, "a/s"), "10.0.0.1");
    allocator.set_namespace("b", Some(labels));
    allocator.set_namespace("a", None);
    assert_eq!(why(&allocator, "a/s"), Some(Reason::PoolNotAllowed));
    assert_eq!(at(&allocator, "b/s"), "10.0.0.1");
}

#[test]
fn a_recreated_service_of_the_same_name_starts_over() {
    let mut allocator = begun(vec![pool("p", &["10.0.0.1-10.0.0.9"])]);
    allocator.upsert(service("a/s"));
    allocator.upsert(asks("a/s", &["10.0.0.5"]));
    allocator.upsert(Service {
        uid: "other".to_owned(),
        ..service("a/s")
    });
    assert_eq!(at(&allocator, "a/s"), "10.0.0.1");
}

#[test]
fn only_changes_are_reported() {
    let mut allocator = begun(vec![pool("p", &["10.0.0.1-10.0.0.9"])]);
    allocator.upsert(service("a/s"));
    assert_eq!(allocator.poll_changed(), Some(ServiceKey::new("a", "s")));
    let mut same = service("a/s");
    same.observed = vec!["10.0.0.1".parse().unwrap()];
    allocator.upsert(same);
    assert_eq!(allocator.poll_changed(), None);
    allocator.set_pools(vec![pool("p", &["10.0.0.1-10.0.0.19"])]);
    assert_eq!(allocator.poll_changed(), None);
}

#[test]
fn a_pool_as_large_as_the_address_space_is_one_interval() {
    let mut allocator = begun(vec![pool("all", &["0.0.0.0/0", "::/0"])]);
    allocator.upsert(dual("a/s", FamilyPolicy::RequireDual));
    assert_eq!(at(&allocator, "a/s"), "::,0.0.0.0");
    assert_eq!(allocator.report()[0].v6.total, u128::MAX);
}
