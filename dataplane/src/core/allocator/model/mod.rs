//! The allocator against a model that knows no index, no free list and no shortcut.

mod choice;
mod inputs;
mod rules;
mod settling;

use std::collections::BTreeMap;

use self::{
    inputs::{random_pool, random_service},
    rules::Model,
};
use super::Allocator;
use crate::core::{
    family::Family,
    labels::Labels,
    pool::Pool,
    random::Random,
    service::{Service, ServiceKey},
};

/// One run: random operations on both, compared after each.
fn run(seed: u64, operations: u32) {
    let mut random = Random::new(seed);
    let (mut allocator, mut model) = (Allocator::default(), Model::default());
    let mut pools: BTreeMap<u64, Pool> = BTreeMap::new();
    allocator.begin();
    for operation in 0..operations {
        match random.below(100) {
            0..60 => {
                let service = random_service(&mut random, Vec::new());
                allocator.upsert(service.clone());
                model.upsert(service);
            }
            60..82 => {
                let name = random.below(20);
                let key = ServiceKey::new(format!("n{}", name % 3), format!("s{name}"));
                allocator.remove(&key);
                model.remove(&key);
            }
            82..92 => {
                let index = random.below(6);
                if random.chance(30) {
                    pools.remove(&index);
                } else {
                    pools.insert(index, random_pool(&mut random, index));
                }
                model.set_pools(pools.values().cloned().collect());
                allocator.set_pools(model.pools.clone());
                model.settle_all();
            }
            92..97 => {
                let name = format!("n{}", random.below(3));
                let team = ["red", "blue"][usize::from(random.chance(50))];
                let labels = Labels::from([("team".to_owned(), team.to_owned())]);
                allocator.set_namespace(&name, Some(labels.clone()));
                if model.namespaces.insert(name.clone(), labels.clone()) != Some(labels) {
                    for index in 0..model.services.len() {
                        if model.services[index].service.key.namespace == name {
                            model.settle(index);
                        }
                    }
                    model.serve();
                }
            }
            _ => allocator = restart(&allocator, &mut model),
        }
        compare(&allocator, &model, seed, operation);
    }
}

/// A new allocator that knows only what the API holds: it must come to the same.
fn restart(before: &Allocator, model: &mut Model) -> Allocator {
    let mut after = Allocator::default();
    for (name, labels) in &model.namespaces {
        after.set_namespace(name, Some(labels.clone()));
    }
    after.set_pools(model.pools.clone());
    for service in before.services().rev_by_name() {
        let mut service = service.clone();
        service.observed = before.outcome(&service.key).unwrap().addresses.to_vec();
        after.upsert(service);
    }
    after.begin();
    for entry in &mut model.services {
        entry.last.clone_from(&entry.held);
    }
    after
}

trait ReverseByName<'a> {
    fn rev_by_name(self) -> Vec<&'a Service>;
}

impl<'a, I: Iterator<Item = &'a Service>> ReverseByName<'a> for I {
    fn rev_by_name(self) -> Vec<&'a Service> {
        let mut all: Vec<_> = self.collect();
        all.reverse();
        all
    }
}

fn compare(allocator: &Allocator, model: &Model, seed: u64, operation: u32) {
    assert_eq!(allocator.services().count(), model.services.len());
    for entry in &model.services {
        let key = &entry.service.key;
        let outcome = allocator.outcome(key).unwrap();
        assert_eq!(
            (
                outcome.addresses,
                outcome.refusal.map(|refusal| refusal.reason)
            ),
            (&entry.held[..], entry.missing),
            "{key}, seed {seed}, operation {operation}: {:?} {:?}\n{:#?}\n{:#?}",
            outcome.refusal,
            entry.service,
            model.pools,
            model.namespaces,
        );
        for address in &entry.held {
            assert!(
                model.tenable(&entry.service, *address),
                "{key} {address} seed {seed}"
            );
        }
    }
    for report in allocator
        .report()
        .into_iter()
        .filter(|_| operation.is_multiple_of(8))
    {
        let pool = model
            .pools
            .iter()
            .find(|pool| pool.id == report.id)
            .unwrap();
        for (family, usage) in [(Family::V4, report.v4), (Family::V6, report.v6)] {
            let all = model.addresses(pool, family);
            let given = all.iter().filter(|address| Model::gives(pool, **address));
            let left = given
                .clone()
                .filter(|address| model.vacant(**address))
                .count();
            assert_eq!(
                usage.total,
                given.count() as u128,
                "seed {seed}, operation {operation}"
            );
            assert_eq!(
                usage.available, left as u128,
                "seed {seed}, operation {operation}"
            );
            let taken = all
                .iter()
                .filter(|address| !model.vacant(**address))
                .count();
            assert_eq!(
                usage.assigned, taken as u128,
                "seed {seed}, operation {operation}"
            );
        }
    }
}

/// 200 operations a seed; `MODEL_SEEDS=500` makes it 100 000.
#[test]
fn random_operations_agree_with_the_model() {
    let seeds = std::env::var("MODEL_SEEDS").map_or(60, |seeds| seeds.parse().unwrap());
    for seed in 0..seeds {
        run(seed, 200);
    }
}
