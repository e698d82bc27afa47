//! Plain objects for tests.

use std::collections::{BTreeMap, BTreeSet};

use crate::core::{
    atlas::Advertisement,
    family::Family,
    labels::Labels,
    pool::{Pool, PoolApi, PoolId},
    request::Request,
    segment::InterfaceFilter,
    service::{FamilyPolicy, Service, ServiceKey, TrafficPolicy},
};

/// A Service of one IPv4 address that asks for nothing.
pub(crate) fn service(key: &str) -> Service {
    Service {
        key: ServiceKey::parse(key).unwrap(),
        uid: String::new(),
        created: 0,
        labels: Labels::new(),
        families: vec![Family::V4],
        policy: FamilyPolicy::Single,
        ports: BTreeSet::new(),
        traffic_policy: TrafficPolicy::Cluster,
        selector: BTreeMap::new(),
        request: Request::default(),
        source_ranges: None,
        observed: Vec::new(),
    }
}

/// A pool open to all.
pub(crate) fn pool(name: &str, ranges: &[&str]) -> Pool {
    Pool {
        ranges: ranges.iter().map(|range| range.parse().unwrap()).collect(),
        ..Pool::empty(PoolId {
            name: name.to_owned(),
            api: PoolApi::Bundled,
        })
    }
}

/// An advertisement of every pool to every Service from every node.
pub(crate) fn advertisement() -> Advertisement {
    Advertisement {
        api: PoolApi::Bundled,
        name: "all".to_owned(),
        pools: BTreeSet::new(),
        pool_selectors: Vec::new(),
        service_selectors: Vec::new(),
        node_selectors: Vec::new(),
        interfaces: InterfaceFilter::default(),
    }
}

/// The instant at which tests begin.
#[expect(
    clippy::disallowed_methods,
    reason = "tests need some instant to count from"
)]
pub(crate) fn start() -> std::time::Instant {
    std::time::Instant::now()
}
