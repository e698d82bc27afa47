//! A registrar with many Services: how long a restart takes, and one more Service after it.
//!
//! `SCALE_SERVICES=100000 cargo test --release -p dataplane --test scale -- --nocapture` prints the figures of C5.

#![expect(clippy::disallowed_methods, reason = "the test measures")]

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    net::IpAddr,
    time::{Duration, Instant},
};

use dataplane::core::{
    condition::{Condition, ConditionType, allocated},
    family::Family,
    labels::Labels,
    ledger::{BlockId, Entries},
    pool::{Pool, PoolApi, PoolId},
    registrar::{Registrar, SeenService, Write},
    request::Request,
    service::{FamilyPolicy, Service, ServiceKey, TrafficPolicy},
};

fn seen(number: u32, address: Option<IpAddr>) -> SeenService {
    let key = ServiceKey::new(format!("ns{}", number % 50), format!("service{number}"));
    let message = address.map(|address| format!("{address} from pool p"));
    let condition = |message| Condition {
        since: Some(1),
        ..Condition::met(ConditionType::Allocated, allocated::ALLOCATED, message)
    };
    SeenService {
        uid: number.to_string(),
        version: (number + 1).to_string(),
        wants: Some(Service {
            key,
            uid: number.to_string(),
            created: i64::from(number),
            labels: Labels::new(),
            families: vec![Family::V4],
            policy: FamilyPolicy::Single,
            ports: BTreeSet::new(),
            traffic_policy: TrafficPolicy::Cluster,
            selector: BTreeMap::new(),
            request: Request::default(),
            source_ranges: None,
            observed: address.into_iter().collect(),
        }),
        deleting: false,
        finalizer: address.is_some(),
        addresses: address.into_iter().collect(),
        plain: true,
        conditions: message.map(condition).into_iter().collect(),
    }
}

fn key(seen: &SeenService) -> ServiceKey {
    seen.wants
        .as_ref()
        .map(|service| service.key.clone())
        .expect("it wants an address")
}

#[test]
fn a_restart_with_many_services_writes_nothing_and_one_more_is_quick() {
    let asked = env::var("SCALE_SERVICES")
        .ok()
        .map(|text| text.parse().expect("a number"));
    let count: u32 = asked.unwrap_or(5_000);
    let first = u32::from_be_bytes([10, 0, 0, 1]);
    let address = |number: u32| IpAddr::from((first + number).to_be_bytes());
    let mut registrar = Registrar::default();
    registrar.set_apis(true, false);
    let pool = Pool::empty(PoolId {
        name: "p".to_owned(),
        api: PoolApi::Bundled,
    });
    registrar.handle_pools(vec![Pool {
        ranges: vec!["10.0.0.1-10.15.255.255".parse().unwrap()],
        ..pool
    }]);
    let mut blocks: BTreeMap<BlockId, Entries> = BTreeMap::new();
    for number in 0..count {
        let one = seen(number, Some(address(number)));
        let permit = (key(&one), number.to_string());
        blocks
            .entry(BlockId::of(address(number)))
            .or_default()
            .insert(address(number), [permit].into());
        registrar.handle_service(&key(&one), Some(one));
    }
    for (id, entries) in blocks {
        registrar.handle_block(id, Some(("1".to_owned(), entries)));
    }
    registrar.handle_service_horizon(&(count + 1).to_string());

    let begun = Instant::now();
    registrar.begin();
    let write = registrar.poll_write();
    let restart = begun.elapsed();
    assert_eq!(write, None, "a restart writes nothing");

    let mut longest = Duration::ZERO;
    let begun = Instant::now();
    const MORE: u32 = 500;
    for number in count..count + MORE {
        let one = seen(number, None);
        let begun = Instant::now();
        registrar.handle_service(&key(&one), Some(one));
        longest = longest.max(begun.elapsed());
    }
    let one = begun.elapsed() / MORE;
    assert!(matches!(registrar.poll_write(), Some(Write::Block(_))));
    println!("{count} Services: restart {restart:?}; one more {one:?}, longest {longest:?}");
    println!("\nfigure restart_{count} seconds {}", restart.as_secs_f64());
    println!("figure allocate us {}", one.as_secs_f64() * 1e6);
    if !cfg!(debug_assertions) {
        assert!(restart < Duration::from_secs(3) && one < Duration::from_micros(50));
    }
}
