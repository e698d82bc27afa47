//! The registrar against an API in memory.

use super::*;
use crate::core::{
    condition::{Condition, ConditionType},
    ledger::BlockWrite,
    random::Random,
    samples::{pool, service},
    service::Service,
};

/// The API: Services and blocks with versions, and nothing else.
#[derive(Default)]
struct Api {
    version: u64,
    services: BTreeMap<ServiceKey, SeenService>,
    blocks: BTreeMap<BlockId, (String, Entries)>,
}

/// How a write ended.
#[derive(Debug, PartialEq, Eq)]
enum Ended {
    Done(String),
    Gone,
    Conflict,
}

impl Api {
    fn next(&mut self) -> String {
        self.version += 1;
        self.version.to_string()
    }

    fn create(&mut self, key: &str) -> ServiceKey {
        let key = ServiceKey::parse(key).unwrap();
        let version = self.next();
        let seen = SeenService {
            uid: version.clone(),
            version,
            wants: Some(Service {
                uid: self.version.to_string(),
                ..service(&key.to_string())
            }),
            deleting: false,
            finalizer: false,
            addresses: Vec::new(),
            plain: true,
            conditions: Vec::new(),
        };
        self.services.insert(key.clone(), seen);
        key
    }

    fn edit(&mut self, key: &ServiceKey, edit: impl FnOnce(&mut SeenService)) {
        let version = self.next();
        if let Some(seen) = self.services.get_mut(key) {
            seen.version = version;
            edit(seen);
        }
    }

    /// With a finalizer a Service stays until that is gone.
    fn delete(&mut self, key: &ServiceKey) {
        let finalizer = self.services.get(key).is_some_and(|seen| seen.finalizer);
        if finalizer {
            self.edit(key, |seen| {
                seen.deleting = true;
                seen.wants = None;
            });
        } else {
            self.services.remove(key);
        }
    }

    fn write_service(&mut self, write: &ServiceWrite) -> Ended {
        let Some(seen) = self
            .services
            .get(&write.key)
            .filter(|seen| seen.uid == write.uid)
        else {
            return Ended::Gone;
        };
        if seen.version != write.version {
            return Ended::Conflict;
        }
        if seen.deleting && !write.finalizer {
            self.services.remove(&write.key);
            return Ended::Gone;
        }
        self.edit(&write.key, |seen| {
            seen.finalizer = write.finalizer;
            seen.addresses.clone_from(&write.addresses);
            seen.conditions.clone_from(&write.conditions);
            if let Some(service) = &mut seen.wants {
                service.observed.clone_from(&write.addresses);
            }
        });
        Ended::Done(self.version.to_string())
    }

    fn write_block(&mut self, write: &BlockWrite) -> Ended {
        let current = self
            .blocks
            .get(&write.id)
            .map(|(version, _)| version.clone());
        if current != write.version {
            return Ended::Conflict;
        }
        let version = self.next();
        if write.entries.is_empty() {
            self.blocks.remove(&write.id);
            return Ended::Gone;
        }
        self.blocks
            .insert(write.id, (version.clone(), write.entries.clone()));
        Ended::Done(version)
    }

    /// Addresses that two Services without a common key have in their statuses.
    fn given_twice(&self) -> Option<IpAddr> {
        let mut seen = BTreeSet::new();
        let all = self
            .services
            .values()
            .flat_map(|service| service.addresses.clone());
        all.into_iter().find(|address| !seen.insert(*address))
    }
}

/// One controller and its line to the API.
struct Controller {
    registrar: Registrar,
    writes: Vec<Write>,
    events: Vec<Event>,
}

impl Controller {
    fn leading(pools: Vec<Pool>) -> Self {
        let mut controller = Self::watching(pools);
        controller.registrar.begin();
        controller
    }

    /// One that does not lead yet.
    fn watching(pools: Vec<Pool>) -> Self {
        let mut registrar = Registrar::default();
        registrar.set_apis(true, false);
        registrar.handle_pools(pools);
        Self {
            registrar,
            writes: Vec::new(),
            events: Vec::new(),
        }
    }

    fn see(&mut self, api: &Api) {
        self.see_services(api);
        self.see_blocks(api);
    }

    fn see_services(&mut self, api: &Api) {
        let gone: Vec<_> = self
            .registrar
            .services
            .keys()
            .filter(|key| !api.services.contains_key(*key))
            .cloned()
            .collect();
        for key in gone {
            self.registrar.handle_service(&key, None);
        }
        for (key, seen) in &api.services {
            if self.registrar.services.get(key) != Some(seen) {
                self.registrar.handle_service(key, Some(seen.clone()));
            }
        }
        self.registrar
            .handle_service_horizon(&api.version.to_string());
    }

    fn see_blocks(&mut self, api: &Api) {
        let known = self
            .registrar
            .ledger
            .all_recorded()
            .map(|(address, _)| BlockId::of(address));
        let gone: BTreeSet<_> = known.filter(|id| !api.blocks.contains_key(id)).collect();
        for id in gone {
            self.registrar.handle_block(id, None);
        }
        for (id, seen) in &api.blocks {
            self.registrar.handle_block(*id, Some(seen.clone()));
        }
    }

    fn decide(&mut self) {
        while let Some(write) = self.registrar.poll_write() {
            self.writes.push(write);
        }
        while let Some(event) = self.registrar.poll_event() {
            self.events.push(event);
        }
    }

    /// Carries out the write at `place`.
    fn carry_out(&mut self, api: &mut Api, place: usize) {
        match self.writes.remove(place) {
            Write::Service(write) => match api.write_service(&write) {
                Ended::Done(version) => {
                    self.registrar
                        .handle_service_written(&write.key, Some(version));
                }
                Ended::Gone => self.registrar.handle_service_written(&write.key, None),
                Ended::Conflict => self.registrar.handle_service_failed(&write.key, true),
            },
            Write::Block(write) => match api.write_block(&write) {
                Ended::Done(version) => {
                    self.registrar.handle_block_written(write.id, Some(version));
                }
                Ended::Gone => self.registrar.handle_block_written(write.id, None),
                Ended::Conflict => {
                    let there = api.blocks.get(&write.id).cloned();
                    self.registrar.handle_block_failed(write.id, there);
                }
            },
        }
    }

    /// Until nothing changes any more; how many writes that took.
    fn settle(&mut self, api: &mut Api) -> usize {
        for writes in 0..1000 {
            self.see(api);
            self.decide();
            if self.writes.is_empty() {
                return writes;
            }
            self.carry_out(api, 0);
        }
        panic!("writes for ever");
    }
}

fn addresses(api: &Api, key: &ServiceKey) -> String {
    let words: Vec<_> = api.services[key]
        .addresses
        .iter()
        .map(ToString::to_string)
        .collect();
    words.join(",")
}

fn condition<'a>(api: &'a Api, key: &ServiceKey, kind: ConditionType) -> &'a Condition {
    api.services[key]
        .conditions
        .iter()
        .find(|condition| condition.kind == kind)
        .unwrap()
}

#[test]
fn a_service_is_recorded_and_then_written_once() {
    let mut api = Api::default();
    let mut controller = Controller::leading(vec![pool("p", &["10.0.0.1-10.0.0.9"])]);
    let key = api.create("a/s");
    assert_eq!(controller.settle(&mut api), 2, "a block and the Service");
    assert_eq!(addresses(&api, &key), "10.0.0.1");
    assert!(api.services[&key].finalizer);
    assert_eq!(
        condition(&api, &key, ConditionType::Allocated).message,
        "10.0.0.1 from pool p"
    );
    assert_eq!(controller.events.len(), 1);
    assert_eq!(controller.settle(&mut api), 0, "nothing more to write");
}

#[test]
fn events_tell_of_writes_that_were_done() {
    let mut api = Api::default();
    let mut controller = Controller::leading(vec![pool("p", &["10.0.0.1"])]);
    let key = api.create("a/s");
    controller.see(&api);
    controller.decide();
    controller.carry_out(&mut api, 0);
    controller.see(&api);
    controller.decide();
    assert_eq!(controller.writes.len(), 1, "the Service is being written");
    api.edit(&key, |_| {});
    controller.carry_out(&mut api, 0);
    controller.decide();
    assert_eq!(controller.events, [], "somebody else wrote first");
    controller.settle(&mut api);
    assert_eq!(controller.events.len(), 1);
}

#[test]
fn three_hundred_services_take_few_block_writes() {
    let mut api = Api::default();
    let mut controller = Controller::leading(vec![pool("p", &["10.0.0.0/22"])]);
    for number in 0..300 {
        api.create(&format!("a/s{number}"));
    }
    let writes = controller.settle(&mut api);
    let blocks = 300_usize.div_ceil(16);
    assert!(writes <= 300 + blocks, "{writes} writes");
    assert_eq!(api.given_twice(), None);
}

#[test]
fn a_waiting_service_says_why_and_is_served_when_a_pool_comes() {
    let mut api = Api::default();
    let mut controller = Controller::leading(Vec::new());
    let key = api.create("a/s");
    controller.settle(&mut api);
    assert_eq!(
        condition(&api, &key, ConditionType::Allocated).reason,
        "NoPool"
    );
    assert!(
        controller
            .events
            .iter()
            .any(|event| event.warning && event.reason == "NoPool")
    );
    controller
        .registrar
        .handle_pools(vec![pool("p", &["10.0.0.1"])]);
    controller.settle(&mut api);
    assert_eq!(addresses(&api, &key), "10.0.0.1");
}

#[test]
fn deletion_and_change_of_type_free_address_finalizer_and_record() {
    let mut api = Api::default();
    let mut controller = Controller::leading(vec![pool("p", &["10.0.0.1"])]);
    let (first, second) = (api.create("a/first"), api.create("a/second"));
    controller.settle(&mut api);
    assert_eq!(addresses(&api, &first), "10.0.0.1");
    api.edit(&first, |seen| seen.wants = None);
    controller.settle(&mut api);
    let seen = &api.services[&first];
    assert!(!seen.finalizer && seen.addresses.is_empty() && seen.conditions.is_empty());
    assert_eq!(addresses(&api, &second), "10.0.0.1");
    api.delete(&second);
    controller.settle(&mut api);
    assert!(!api.services.contains_key(&second));
    assert!(api.blocks.is_empty(), "{:?}", api.blocks);
}

#[test]
fn services_of_others_are_never_touched() {
    let mut api = Api::default();
    let mut controller = Controller::leading(vec![pool("p", &["10.0.0.1"])]);
    let key = api.create("a/theirs");
    api.edit(&key, |seen| {
        seen.wants = None;
        seen.finalizer = true;
        seen.addresses = vec!["10.0.0.1".parse().unwrap()];
    });
    assert_eq!(controller.settle(&mut api), 0);
}

#[test]
fn a_new_leader_writes_nothing() {
    let mut api = Api::default();
    let pools = || vec![pool("p", &["10.0.0.1-10.0.0.9"])];
    let mut controller = Controller::leading(pools());
    for number in 0..5 {
        api.create(&format!("a/s{number}"));
    }
    controller.settle(&mut api);
    let mut next = Controller::watching(pools());
    assert_eq!(next.settle(&mut api), 0, "it only watches");
    next.registrar.begin();
    assert_eq!(next.settle(&mut api), 0);
    assert!(next.events.is_empty());
}

#[test]
fn what_is_recorded_but_not_written_is_finished_by_the_next_leader() {
    let mut api = Api::default();
    let pools = || vec![pool("p", &["10.0.0.1-10.0.0.9"])];
    let mut controller = Controller::leading(pools());
    let (one, two) = (api.create("a/one"), api.create("a/two"));
    controller.see(&api);
    controller.decide();
    controller.carry_out(&mut api, 0);
    assert_eq!(api.blocks.len(), 1);
    let mut next = Controller::leading(pools());
    next.settle(&mut api);
    assert_eq!(
        (addresses(&api, &one), addresses(&api, &two)),
        ("10.0.0.1".into(), "10.0.0.2".into())
    );
}

#[test]
fn entries_in_a_block_that_is_not_theirs_move_to_their_own() {
    let mut api = Api::default();
    let key = api.create("a/s");
    let version = api.services[&key].version.clone();
    let address: IpAddr = "10.0.0.40".parse().unwrap();
    let (theirs, own) = ("10.0.0.0".parse().unwrap(), BlockId::of(address));
    let holders = [(key.clone(), version.clone())].into();
    let entries = Entries::from([(address, holders)]);
    api.blocks.insert(BlockId::of(theirs), (version, entries));
    let mut controller = Controller::watching(vec![pool("p", &["10.0.0.0-10.0.0.99"])]);
    controller.see(&api);
    controller.registrar.begin();
    controller.settle(&mut api);
    assert_eq!(addresses(&api, &key), "10.0.0.40", "it keeps it");
    assert_eq!(api.blocks.keys().collect::<Vec<_>>(), [&own]);
}

#[test]
fn somebody_who_edits_the_status_is_corrected() {
    let mut api = Api::default();
    let mut controller = Controller::leading(vec![pool("p", &["10.0.0.1-10.0.0.9"])]);
    let key = api.create("a/s");
    controller.settle(&mut api);
    api.edit(&key, |seen| seen.addresses.clear());
    controller.settle(&mut api);
    assert_eq!(addresses(&api, &key), "10.0.0.1");
}

/// Two controllers that both believe they lead, with slow lines: whatever the order, no address is ever in two
/// statuses, and in the end everybody has one who does not insist on another's.
#[test]
fn two_leaders_never_give_one_address_twice() {
    for seed in 0..400 {
        let mut random = Random::new(seed);
        let mut api = Api::default();
        let pools = || vec![pool("p", &["10.0.0.1-10.0.0.12"])];
        let mut controllers = [Controller::leading(pools()), Controller::leading(pools())];
        for step in 0..300 {
            let name = format!("a/s{}", random.below(14));
            let key = ServiceKey::parse(&name).unwrap();
            match random.below(12) {
                0 | 1 if !api.services.contains_key(&key) => {
                    api.create(&name);
                }
                2 => api.delete(&key),
                3 => api.edit(&key, |seen| {
                    if let Some(service) = &mut seen.wants {
                        let wish = format!("10.0.0.{}", 1 + step % 12).parse().unwrap();
                        service.request.addresses = vec![wish];
                    }
                }),
                _ => {}
            }
            for controller in &mut controllers {
                // Two watches, each at its own pace.
                if random.chance(30) {
                    controller.see_services(&api);
                }
                if random.chance(30) {
                    controller.see_blocks(&api);
                }
                if random.chance(50) {
                    controller.decide();
                }
                let count = u64::try_from(controller.writes.len()).unwrap();
                if count > 0 && random.chance(60) {
                    let place = usize::try_from(random.below(count)).unwrap();
                    controller.carry_out(&mut api, place);
                    let twice = api.given_twice();
                    assert_eq!(twice, None, "seed {seed}, step {step}");
                }
            }
        }
        let [one, two] = &mut controllers;
        two.registrar.stand_down();
        two.writes.clear();
        one.settle(&mut api);
        for (key, seen) in &api.services {
            let served = !seen.addresses.is_empty();
            let wishes = seen
                .wants
                .iter()
                .flat_map(|service| &service.request.addresses);
            let taken = wishes.clone().count() > 0
                && wishes.clone().all(|wish| {
                    let mut others = api.services.iter().filter(|(other, _)| *other != key);
                    others.any(|(_, other)| other.addresses.contains(wish))
                });
            assert!(
                served || taken || api.services.len() > 12,
                "{key}, seed {seed}: {seen:?}"
            );
        }
        assert_eq!(api.given_twice(), None, "seed {seed}");
    }
}
