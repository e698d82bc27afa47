//! One Service at a time on a bare API server: `cargo xtask bench service` reads the lines that begin with `figure`.

use std::time::{Duration, Instant};

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

#[tokio::test]
#[ignore = "a measurement: `cargo xtask bench service` runs it"]
async fn one_service_at_a_time() {
    let (server, client) = cluster().await;
    let api: Api<Service> = Api::namespaced(client, "default");
    server.apply(&pool("front", "10.64.0.0/24"));
    let _controller = controller(&server);
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
