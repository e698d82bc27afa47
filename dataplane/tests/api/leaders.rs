//! Two controllers that both believe they lead, on a real API server: each has a Lease of its own.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use dataplane::core::random::Random;
use futures::{StreamExt as _, pin_mut};
use k8s_openapi::api::core::v1::Service;
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, ListParams, PostParams, WatchEvent, WatchParams},
};

use crate::{
    CONTROLLER, PATIENCE, address, cluster, load_balancer,
    nodes::in_full,
    pool,
    role::Role,
    server::{Place, Server},
    until, until_gone,
};

/// Where their Leases are.
const LEASES: [&str; 2] = ["lb-system", "default"];
const ADDRESSES: u64 = 12;
/// Services at a time at most: there is an address for each of them, but not for every wish.
const MOST: usize = 9;

/// Which Service had which addresses, version by version.
#[derive(Debug, Default)]
struct History {
    held: BTreeMap<String, BTreeSet<String>>,
    given: usize,
    twice: Vec<String>,
}

impl History {
    fn see(&mut self, name: &str, addresses: BTreeSet<String>) {
        for (other, theirs) in self.held.iter().filter(|(other, _)| *other != name) {
            for address in theirs.intersection(&addresses) {
                self.twice
                    .push(format!("{address} is at {other} and at {name}"));
            }
        }
        let before = self.held.insert(name.to_owned(), addresses.clone());
        self.given += addresses.difference(&before.unwrap_or_default()).count();
    }

    fn forget(&mut self, name: &str) {
        self.held.remove(name);
    }
}

/// All addresses in a status.
fn addresses(service: &Service) -> BTreeSet<String> {
    let status = service.status.as_ref();
    let balancer = status.and_then(|status| status.load_balancer.as_ref());
    let ingress = balancer.and_then(|balancer| balancer.ingress.as_ref());
    let entries = ingress.into_iter().flatten();
    entries.filter_map(|entry| entry.ip.clone()).collect()
}

/// Sees every version of every Service, in the order in which the server wrote them.
async fn follow(api: Api<Service>, version: String, history: Arc<Mutex<History>>) {
    let params = WatchParams::default().timeout(290);
    let events = api.watch(&params, &version).await.unwrap();
    pin_mut!(events);
    while let Some(event) = events.next().await {
        let mut history = history.lock().unwrap();
        match event.unwrap() {
            WatchEvent::Added(service) | WatchEvent::Modified(service) => {
                history.see(&service.name_any(), addresses(&service));
            }
            WatchEvent::Deleted(service) => history.forget(&service.name_any()),
            WatchEvent::Bookmark(_) => {}
            WatchEvent::Error(error) => panic!("{error:?}"),
        }
    }
}

/// Who holds each of the Leases.
fn holders(server: &Server) -> [String; 2] {
    LEASES.map(|namespace| {
        let path = "jsonpath={.spec.holderIdentity}";
        let words = [
            "-n",
            namespace,
            "get",
            "lease",
            "lbnode-controller",
            "-o",
            path,
        ];
        let output = server.kubectl(&words);
        String::from_utf8_lossy(&output.stdout).into_owned()
    })
}

/// One that may want an address by name.
fn wanting(name: &str, random: &mut Random) -> Service {
    let mut service = load_balancer(name);
    if random.chance(40) {
        let wish = format!("10.0.0.{}", 1 + random.below(ADDRESSES));
        service
            .annotations_mut()
            .insert("bundledlb.io/addresses".to_owned(), wish);
    }
    service
}

fn wishes(service: &Service) -> bool {
    service.annotations().contains_key("bundledlb.io/addresses")
}

async fn balancers(api: &Api<Service>) -> Vec<Service> {
    let all = api.list(&ListParams::default()).await.unwrap();
    let ours = |service: &Service| {
        let kind = service.spec.as_ref().and_then(|spec| spec.type_.as_deref());
        kind == Some("LoadBalancer")
    };
    all.items.into_iter().filter(ours).collect()
}

async fn delete(api: &Api<Service>, name: &str) {
    // Somebody who is going already is as good.
    let _ = api.delete(name, &DeleteParams::default()).await;
}

#[tokio::test]
async fn two_controllers_that_both_lead_never_give_one_address_twice() {
    let (server, client) = cluster().await;
    let api: Api<Service> = Api::namespaced(client, "default");
    let pool = pool("front", &format!("10.0.0.1-10.0.0.{ADDRESSES}"));
    server.apply(&pool);
    let list = api.list(&ListParams::default()).await.unwrap();
    let version = list.metadata.resource_version.unwrap();
    let history = Arc::new(Mutex::new(History::default()));
    let following = tokio::spawn(follow(api.clone(), version, Arc::clone(&history)));

    // The rights of the one end at its own Lease; the other is the administrator's.
    let here = Place {
        namespace: None,
        address: "127.0.0.1",
    };
    let users = [Some(CONTROLLER), None];
    let controllers = [0, 1].map(|which: usize| {
        let conf = server.write_kubeconfig(&format!("leader{which}"), users[which]);
        let conf = conf.display().to_string();
        let variables = [("CONF", &*conf), ("LEASE", LEASES[which])];
        Role::with(&here, "controller", &variables)
    });
    let begun = Instant::now();
    while holders(&server).iter().any(String::is_empty) {
        assert!(begun.elapsed() < PATIENCE, "{:?}", holders(&server));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let leading = holders(&server);
    assert_ne!(leading[0], leading[1]);

    let mut random = Random::new(7);
    let rounds = if in_full() { 40 } else { 6 };
    for round in 0..rounds {
        let still = &controllers[round % 2];
        // Both see these, and the one stands still in the middle of what it does about them.
        for number in 0..3 {
            let service = wanting(&format!("r{round}-{number}"), &mut random);
            api.create(&PostParams::default(), &service).await.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(random.below(30))).await;
        still.signal("STOP");
        // What happens behind its back: room is made, and the other serves alone.
        let mut there = balancers(&api).await;
        while there.len() > MOST - 2 {
            let place = random.below(u64::try_from(there.len()).unwrap());
            let gone = there.swap_remove(usize::try_from(place).unwrap());
            delete(&api, &gone.name_any()).await;
        }
        let late = [3, 4].map(|number| format!("r{round}-{number}"));
        for name in &late {
            api.create(&PostParams::default(), &load_balancer(name))
                .await
                .unwrap();
        }
        for name in &late {
            until(&api, name, |one| address(one).is_some()).await;
        }
        // It goes on with what it knew, and everything moves under it.
        still.signal("CONT");
        for name in &late[..1] {
            delete(&api, name).await;
        }
        tokio::time::sleep(Duration::from_millis(random.below(500))).await;
    }
    assert_eq!(holders(&server), leading, "both led all the time");

    // Left alone, one of them serves everybody who has no wish that cannot be met.
    let [one, two] = controllers;
    two.kill();
    for service in balancers(&api).await.iter().filter(|one| wishes(one)) {
        delete(&api, &service.name_any()).await;
        until_gone(&api, &service.name_any()).await;
    }
    let rest = balancers(&api).await;
    for service in rest
        .iter()
        .filter(|one| one.metadata.deletion_timestamp.is_none())
    {
        until(&api, &service.name_any(), |one| address(one).is_some()).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!following.is_finished(), "nobody saw the end of it");
    following.abort();
    let history = history.lock().unwrap();
    println!("{} addresses were given in {rounds} rounds", history.given);
    assert_eq!(history.twice, [""; 0]);
    assert!(history.given >= 2 * rounds, "{}", history.given);
    drop(one);
}

/// The judge.
#[test]
fn an_address_in_two_statuses_is_seen() {
    let set = |address: &str| BTreeSet::from([address.to_owned()]);
    let mut history = History::default();
    history.see("a", set("10.0.0.1"));
    history.see("b", BTreeSet::new());
    history.see("a", BTreeSet::new());
    history.see("b", set("10.0.0.1"));
    history.see("b", set("10.0.0.1"));
    assert_eq!((history.given, history.twice.len()), (2, 0));
    history.see("a", set("10.0.0.1"));
    assert_eq!(history.twice, ["10.0.0.1 is at b and at a"]);
    history.forget("a");
    history.forget("b");
    history.see("c", set("10.0.0.1"));
    assert_eq!(history.twice.len(), 1);
}
