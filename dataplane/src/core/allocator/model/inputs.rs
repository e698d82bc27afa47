//! Pools and Services of any kind.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    num::NonZeroU32,
};

use crate::core::{
    family::Family,
    labels::{Labels, Selector},
    pool::{Pool, PoolApi, PoolId, Scope},
    random::Random,
    request::SharingScope,
    samples::service,
    service::{FamilyPolicy, Port, Protocol, Service, ServiceKey, TrafficPolicy},
};

pub(super) fn random_pool(random: &mut Random, index: u64) -> Pool {
    let (low, high) = (random.below(30), random.below(6));
    let mut ranges: Vec<String> = Vec::new();
    if random.chance(85) {
        ranges.push(format!(
            "10.0.{}.{}-10.0.{}.{}",
            index % 2,
            250 + high,
            index % 2 + 1,
            low % 5
        ));
    }
    if random.chance(40) {
        ranges.push(format!("fd00::{low:x}-fd00::{:x}", low + high));
    }
    let selector = |key: &str, value: &str| {
        Selector::new(&Labels::from([(key.to_owned(), value.to_owned())]), []).unwrap()
    };
    let mut scope = Scope::default();
    if random.chance(15) {
        scope.namespaces.insert(format!("n{}", random.below(3)));
    }
    if random.chance(15) {
        scope.namespace_selectors.push(selector(
            "team",
            ["red", "blue"][usize::from(random.chance(50))],
        ));
    }
    if random.chance(15) {
        scope.service_selectors.push(selector("tier", "front"));
    }
    let mut reservations = BTreeMap::new();
    if random.chance(20) {
        let address = format!("10.0.1.{}", random.below(4)).parse().unwrap();
        reservations.insert(
            address,
            ServiceKey::new("n0", format!("s{}", random.below(20))),
        );
    }
    Pool {
        id: PoolId {
            name: format!("p{}", index % 4),
            api: if index >= 4 {
                PoolApi::MetalLb
            } else {
                PoolApi::Bundled
            },
        },
        created: i64::try_from(random.below(3)).unwrap(),
        labels: Labels::new(),
        ranges: ranges.iter().map(|range| range.parse().unwrap()).collect(),
        excluded: if random.chance(20) {
            vec!["10.0.1.2".parse().unwrap()]
        } else {
            Vec::new()
        },
        reservations,
        avoid_buggy: random.chance(40),
        manual_assign: random.chance(15),
        disabled: random.chance(10),
        priority: NonZeroU32::new(u32::try_from(random.below(3)).unwrap()),
        scope,
    }
}

pub(super) fn random_service(random: &mut Random, observed: Vec<IpAddr>) -> Service {
    let name = random.below(20);
    let mut service = service(&format!("n{}/s{name}", name % 3));
    service.created = i64::try_from(name / 4).unwrap();
    service.observed = observed;
    service.families = match random.below(6) {
        0..3 => vec![Family::V4],
        3 => vec![Family::V6],
        4 => vec![Family::V4, Family::V6],
        _ => vec![Family::V6, Family::V4],
    };
    if service.families.len() == 2 {
        service.policy = if random.chance(50) {
            FamilyPolicy::PreferDual
        } else {
            FamilyPolicy::RequireDual
        };
    }
    if random.chance(50) {
        service.labels.insert("tier".to_owned(), "front".to_owned());
    }
    service.ports = (0..=random.below(2))
        .map(|_| Port {
            protocol: if random.chance(80) {
                Protocol::Tcp
            } else {
                Protocol::Udp
            },
            number: 80 + u16::try_from(random.below(4)).unwrap(),
        })
        .collect();
    if random.chance(25) {
        service.traffic_policy = TrafficPolicy::Local;
    }
    service
        .selector
        .insert("app".to_owned(), format!("a{}", random.below(2)));
    let request = &mut service.request;
    if random.chance(50) {
        request.sharing_key = Some(format!("k{}", random.below(2)));
    }
    request.sharing_scope = match random.below(3) {
        0 => SharingScope::Everywhere,
        1 => SharingScope::Namespaces(BTreeSet::from(["n0".to_owned(), "n1".to_owned()])),
        _ => SharingScope::default(),
    };
    if random.chance(15) {
        request.pool = Some(format!("p{}", random.below(5)));
    }
    for family in service.families.clone() {
        if random.chance(20) {
            let bits = match family {
                Family::V4 => (10 << 24 | 1 << 8) + u128::from(random.below(10)) - 4,
                Family::V6 => (0xfd00 << 112) + u128::from(random.below(40)),
            };
            request.addresses.push(family.address(bits));
        }
    }
    if random.chance(4) {
        request.fault = Some("no sense".to_owned());
    }
    service
}
