//! One Service at a time on a bare API server: `cargo xtask bench service` reads the lines that begin with `figure`.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use futures::{StreamExt as _, pin_mut};
use k8s_openapi::api::core::v1::Service;
use kube::{
    Api, ResourceExt as _,
    api::{ListParams, PostParams, WatchEvent, WatchParams},
};

use crate::{
    CONTROLLER, PATIENCE, address, cluster, load_balancer, percentile, pool,
    role::Role,
    server::{Place, Server},
    until,
};

const SERVICES: usize = 100;

/// A directory with MetalLB's `controller` and its manifest `metallb.yaml`: it is measured in the place of ours.
const METALLB: &str = "BUNDLED_LB_METALLB";

#[tokio::test]
#[ignore = "a measurement: `cargo xtask bench service` runs it"]
async fn one_service_at_a_time() {
    let (server, client) = cluster().await;
    let api: Api<Service> = Api::namespaced(client, "default");
    let _controller = match env::var_os(METALLB) {
        Some(directory) => metallb(&server, &PathBuf::from(directory)),
        None => {
            server.apply(&pool("front", "10.64.0.0/24"));
            controller(&server)
        }
    };
    api.create(&PostParams::default(), &load_balancer("first"))
        .await
        .unwrap();
    until(&api, "first", |one| address(one).is_some()).await;

    let list = api.list(&ListParams::default()).await.unwrap();
    let version = list.metadata.resource_version.unwrap();
    let params = WatchParams::default().timeout(290);
    let events = api.watch(&params, &version).await.unwrap();
    pin_mut!(events);
    let mut delays = Vec::new();
    for number in 0..SERVICES {
        let name = format!("s{number}");
        let begun = Instant::now();
        api.create(&PostParams::default(), &load_balancer(&name))
            .await
            .unwrap();
        loop {
            let event = tokio::time::timeout(PATIENCE, events.next()).await;
            let event = event.expect("something happens in time");
            if let WatchEvent::Added(seen) | WatchEvent::Modified(seen) = event.unwrap().unwrap()
                && seen.name_any() == name
                && address(&seen).is_some()
            {
                break;
            }
        }
        delays.push(begun.elapsed());
        // As somebody who is not in a hurry: what else is written about it is written.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    delays.sort();
    for (metric, percent) in [("p50_ms", 50), ("p99_ms", 99)] {
        let millis = percentile(&delays, percent).as_secs_f64() * 1e3;
        println!("figure create_to_status/bare {metric} {millis:.3}");
    }
}

/// In a process of its own, with the rights that it has in a cluster.
fn controller(server: &Server) -> Role {
    let conf = server.write_kubeconfig("controller", Some(CONTROLLER));
    let place = Place {
        namespace: None,
        address: "127.0.0.1",
    };
    Role::start(&place, "controller", "", &conf.display().to_string())
}

/// As its manifest starts it, but without the webhook that checks pools, as an administrator.
fn metallb(server: &Server, directory: &Path) -> Role {
    let manifest = fs::read_to_string(directory.join("metallb.yaml")).unwrap();
    let kinds = ["kind: Namespace", "kind: CustomResourceDefinition"];
    let is_wanted = |object: &&str| object.lines().any(|line| kinds.contains(&line));
    let objects: Vec<_> = manifest.split("\n---\n").filter(is_wanted).collect();
    assert!(objects.len() > 5, "{} objects", objects.len());
    server.apply(&objects.join("\n---\n"));
    server.wait_for_kinds();
    // It asks who owns it.
    server.apply(
        "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: default, namespace: metallb-system}\n---\n\
         apiVersion: v1\nkind: Pod\nmetadata: {name: controller, namespace: metallb-system}\n\
         spec: {automountServiceAccountToken: false, containers: [{name: controller, image: none}]}\n---\n\
         apiVersion: metallb.io/v1beta1\nkind: IPAddressPool\nmetadata: {name: front, namespace: metallb-system}\n\
         spec: {addresses: [10.64.0.0/24]}\n",
    );
    let mut command = Command::new(directory.join("controller"));
    command.args([
        "--webhook-mode=disabled",
        "--disable-cert-rotation",
        "--port=0",
    ]);
    command.env("METALLB_NAMESPACE", "metallb-system");
    command.env("METALLB_POD_NAME", "controller");
    command.env("KUBECONFIG", server.write_kubeconfig("metallb", None));
    Role::foreign(&mut command)
}
