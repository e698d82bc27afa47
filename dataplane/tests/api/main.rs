//! The controller against a real API server, with the rights that `deploy/` gives it and no others.
//!
//! Needs the program that the lab compiles; says so and does nothing where that is missing.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "the tests measure, tell it, and end where something is not as it should be"
)]

mod appliers;
mod asker;
mod deployed;
mod forged;
mod garbage;
mod hostile;
mod intruder;
mod leaders;
mod nodes;
mod pace;
mod parted;
mod pinger;
mod role;
mod scale;
mod segment;
mod server;
mod speakers;

use std::{
    fmt::Write as _,
    path::Path,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use dataplane::{controller, k8s::convert::Classes};
use futures::{StreamExt as _, pin_mut};
use k8s_openapi::api::core::v1::Service;
use kube::{
    Api, Client, ResourceExt as _,
    api::{DeleteParams, ListParams, PostParams, WatchEvent, WatchParams},
};
use serde_json::json;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use server::Server;

const CONTROLLER: &str = "system:serviceaccount:lb-system:lb-controller";
const PATIENCE: Duration = Duration::from_secs(20);

/// A controller on a thread of its own: it goes on while the test waits for kubectl.
struct Running {
    stop: CancellationToken,
    killed: CancellationToken,
    thread: JoinHandle<anyhow::Result<()>>,
}

fn run_controller(kubeconfig: &Path) -> Running {
    let settings = controller::Settings {
        kubeconfig: Some(kubeconfig.to_owned()),
        classes: Classes { class: None },
        metallb_namespace: "metallb-system".to_owned(),
        lease_namespace: "lb-system".to_owned(),
        key_namespace: "lb-system".to_owned(),
        admin: "127.0.0.1:0".parse().unwrap(),
    };
    let (stop, killed) = (CancellationToken::new(), CancellationToken::new());
    let (asked, end) = (stop.clone(), killed.clone());
    let thread = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            tokio::select! {
                result = controller::serve(settings, asked) => result,
                () = end.cancelled() => Ok(()),
            }
        })
    });
    Running {
        stop,
        killed,
        thread,
    }
}

impl Running {
    fn stop(self) {
        self.stop.cancel();
        self.thread.join().unwrap().unwrap();
    }

    /// As by SIGKILL: nothing more is done.
    fn kill(self) {
        self.killed.cancel();
        self.thread.join().unwrap().unwrap();
    }
}

fn load_balancer(name: &str) -> Service {
    serde_json::from_value(json!({
        "metadata": { "name": name },
        "spec": { "type": "LoadBalancer", "ports": [{ "port": 80 }], "selector": { "app": name } },
    }))
    .unwrap()
}

fn address(service: &Service) -> Option<String> {
    let ingress = service
        .status
        .as_ref()?
        .load_balancer
        .as_ref()?
        .ingress
        .as_ref()?;
    ingress.first()?.ip.clone()
}

fn reason(service: &Service, kind: &str) -> Option<String> {
    let conditions = service.status.as_ref()?.conditions.as_ref()?;
    let found = conditions.iter().find(|one| one.type_ == kind)?;
    Some(found.reason.clone())
}

/// Waits until a Service is as it should be.
async fn until(api: &Api<Service>, name: &str, fits: impl Fn(&Service) -> bool) -> Service {
    let params = WatchParams::default().fields(&format!("metadata.name={name}"));
    let work = async {
        let events = api.watch(&params, "0").await.unwrap();
        pin_mut!(events);
        while let Some(event) = events.next().await {
            if let Ok(WatchEvent::Added(service) | WatchEvent::Modified(service)) = event
                && fits(&service)
            {
                return service;
            }
        }
        panic!("the watch ended");
    };
    match timeout(PATIENCE, work).await {
        Ok(service) => service,
        Err(_) => panic!(
            "{name} is not as it should be: {:?}",
            api.get(name).await.map(|one| one.status)
        ),
    }
}

async fn until_gone(api: &Api<Service>, name: &str) {
    let begun = Instant::now();
    while api.get_opt(name).await.unwrap().is_some() {
        assert!(begun.elapsed() < PATIENCE, "{name} stays");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn pool(name: &str, addresses: &str) -> String {
    format!(
        "apiVersion: bundledlb.io/v1\nkind: AddressPool\nmetadata: {{name: {name}}}\nspec: {{addresses: [{addresses}]}}\n"
    )
}

fn manifest() -> String {
    concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/bundled-lb.yaml").to_owned()
}

async fn cluster() -> (Server, Client) {
    let server = Server::start();
    let said = server.must(&["apply", "-f", &manifest()]);
    assert!(!said.contains("Warning"), "{said}");
    server.wait_for_kinds();
    let client = Server::client(&server.folder.path().join("admin.conf")).await;
    (server, client)
}

fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    sorted[(sorted.len() * percent)
        .div_ceil(100)
        .clamp(1, sorted.len())
        - 1]
}

#[tokio::test]
async fn services_live_and_die() {
    let (server, client) = cluster().await;
    let api: Api<Service> = Api::namespaced(client.clone(), "default");
    let controller_conf = server.write_kubeconfig("controller", Some(CONTROLLER));
    let running = run_controller(&controller_conf);

    // Without a pool it says why, and is served as soon as there is one.
    api.create(&PostParams::default(), &load_balancer("first"))
        .await
        .unwrap();
    until(&api, "first", |one| {
        reason(one, "bundledlb.io/Allocated").as_deref() == Some("NoPool")
    })
    .await;
    server.apply(&pool("front", "10.0.0.1-10.0.0.200"));
    let first = until(&api, "first", |one| {
        address(one).as_deref() == Some("10.0.0.1")
    })
    .await;
    assert!(
        first
            .finalizers()
            .iter()
            .any(|one| one == "service.kubernetes.io/load-balancer-cleanup")
    );
    assert_eq!(
        reason(&first, "bundledlb.io/Allocated").as_deref(),
        Some("Allocated")
    );

    // One at a time.
    let mut delays = Vec::new();
    for number in 0..40 {
        let name = format!("timed{number}");
        let begun = Instant::now();
        api.create(&PostParams::default(), &load_balancer(&name))
            .await
            .unwrap();
        until(&api, &name, |one| address(one).is_some()).await;
        delays.push(begun.elapsed());
    }
    delays.sort();
    println!(
        "created to status, one at a time: p50 {:?}, p99 {:?}",
        percentile(&delays, 50),
        percentile(&delays, 99)
    );

    // Deleted, its address is free for the next.
    let begun = Instant::now();
    api.delete("timed0", &DeleteParams::default())
        .await
        .unwrap();
    until_gone(&api, "timed0").await;
    println!("deleted to gone: {:?}", begun.elapsed());
    api.create(&PostParams::default(), &load_balancer("heir"))
        .await
        .unwrap();
    until(&api, "heir", |one| {
        address(one).as_deref() == Some("10.0.0.2")
    })
    .await;

    // Another type: everything of ours goes.
    server.must(&[
        "patch",
        "service",
        "heir",
        "--type=merge",
        "-p",
        r#"{"spec":{"type":"ClusterIP"}}"#,
    ]);
    let plain = until(&api, "heir", |one| {
        address(one).is_none() && one.finalizers().is_empty()
    })
    .await;
    assert_eq!(reason(&plain, "bundledlb.io/Allocated"), None);

    // A user who applies the Service sees no conflict.
    server.apply("apiVersion: v1\nkind: Service\nmetadata: {name: mine}\nspec: {type: LoadBalancer, ports: [{port: 80}]}\n");
    until(&api, "mine", |one| address(one).is_some()).await;
    let file = server
        .folder
        .path()
        .join("apply.yaml")
        .display()
        .to_string();
    server.must(&["apply", "--server-side", "-f", &file]);
    server.must(&["apply", "--server-side", "-f", &file]);

    // A pool edit is in force without a restart: what is no longer in it moves.
    let begun = Instant::now();
    server.apply(&pool("front", "10.0.1.1-10.0.1.200"));
    until(&api, "first", |one| {
        address(one).is_some_and(|one| one.starts_with("10.0.1."))
    })
    .await;
    println!(
        "pool edited (kubectl included) to moved: {:?}",
        begun.elapsed()
    );

    // MetalLB's objects are read when their kinds come.
    server.apply(METALLB);
    server.apply(
        "apiVersion: metallb.io/v1beta1\nkind: IPAddressPool\nmetadata: {name: old, namespace: metallb-system}\n\
         spec: {addresses: [10.7.0.0/24]}\n",
    );
    let mut theirs = load_balancer("theirs");
    theirs
        .annotations_mut()
        .insert("metallb.io/address-pool".to_owned(), "old".to_owned());
    api.create(&PostParams::default(), &theirs).await.unwrap();
    until(&api, "theirs", |one| {
        address(one).is_some_and(|one| one.starts_with("10.7.0."))
    })
    .await;

    // The pool's status counts.
    let counted = || {
        let path =
            "jsonpath={.status.ipv4.assigned}/{.status.ipv4.total} {.status.conditions[0].reason}";
        server.must(&["get", "addresspool", "front", "-o", path])
    };
    let begun = Instant::now();
    while counted() != "41/200 InForce" {
        assert!(begun.elapsed() < PATIENCE, "{}", counted());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let events = server.must(&["get", "events", "-o", "jsonpath={.items[*].reason}"]);
    assert!(
        events.contains("AddressAllocated") && events.contains("NoPool"),
        "{events}"
    );
    running.stop();
}

#[tokio::test]
async fn another_controller_takes_over_and_changes_nothing() {
    let (server, client) = cluster().await;
    let api: Api<Service> = Api::namespaced(client.clone(), "default");
    let controller_conf = server.write_kubeconfig("controller", Some(CONTROLLER));
    server.apply(&pool("front", "10.0.0.0/22"));
    let one = run_controller(&controller_conf);
    let mut all = String::new();
    for number in 0..300 {
        let _ = write!(
            all,
            "---\napiVersion: v1\nkind: Service\nmetadata: {{name: s{number}}}\nspec: {{type: LoadBalancer, ports: [{{port: 80}}]}}\n"
        );
    }
    let begun = Instant::now();
    server.apply(&all);
    println!("300 applied by kubectl in {:?}", begun.elapsed());
    let statuses = async || {
        let list = api.list(&ListParams::default()).await.unwrap();
        let found = list.items.into_iter();
        let mut found: Vec<_> = found
            .filter_map(|service| {
                Some((
                    service.name_any(),
                    address(&service)?,
                    service.resource_version()?,
                ))
            })
            .collect();
        found.sort();
        found
    };
    let applied = Instant::now();
    while statuses().await.len() < 300 {
        assert!(
            applied.elapsed() < PATIENCE,
            "only {} have an address",
            statuses().await.len()
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    println!(
        "all 300 served {:?} after the last was applied",
        applied.elapsed()
    );
    let before = statuses().await;
    let mut addresses: Vec<_> = before.iter().map(|(_, address, _)| address).collect();
    addresses.sort();
    addresses.dedup();
    assert_eq!(addresses.len(), 300, "no address twice");

    // The second waits; when the first is killed it leads, and writes to no Service.
    let two = run_controller(&controller_conf);
    one.kill();
    let killed = Instant::now();
    api.create(&PostParams::default(), &load_balancer("late"))
        .await
        .unwrap();
    until(&api, "late", |one| address(one).is_some()).await;
    println!(
        "after a killed leader the next one serves within {:?}",
        killed.elapsed()
    );
    api.delete("late", &DeleteParams::default()).await.unwrap();
    until_gone(&api, "late").await;
    assert_eq!(
        statuses().await,
        before,
        "not one Service was written again"
    );

    // A leader that ends frees the Lease.
    let three = run_controller(&controller_conf);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let ended = Instant::now();
    two.stop();
    api.create(&PostParams::default(), &load_balancer("later"))
        .await
        .unwrap();
    until(&api, "later", |one| address(one).is_some()).await;
    println!(
        "after a leader that ended the next one serves within {:?}",
        ended.elapsed()
    );
    assert!(ended.elapsed() < Duration::from_secs(3));
    three.stop();
}

/// The kinds of MetalLB, without their schemas.
const METALLB: &str = "\
apiVersion: v1
kind: Namespace
metadata: {name: metallb-system}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: ipaddresspools.metallb.io}
spec:
  group: metallb.io
  scope: Namespaced
  names: {kind: IPAddressPool, plural: ipaddresspools, singular: ipaddresspool}
  versions:
  - name: v1beta1
    served: true
    storage: true
    schema:
      openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: l2advertisements.metallb.io}
spec:
  group: metallb.io
  scope: Namespaced
  names: {kind: L2Advertisement, plural: l2advertisements, singular: l2advertisement}
  versions:
  - name: v1beta1
    served: true
    storage: true
    schema:
      openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}
";
