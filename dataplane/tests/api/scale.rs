//! Ten thousand Services on a real API server: `cargo xtask bench ipam` reads the lines that begin with `figure`.

use std::{
    fs,
    time::{Duration, Instant},
};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::Service;
use kube::{
    Api,
    api::{ListParams, PostParams},
};

use crate::{
    CONTROLLER, address, cluster, load_balancer, pool,
    role::Role,
    server::{Place, Server},
};

const SERVICES: usize = 10_000;
const LIMIT: Duration = Duration::from_secs(600);
const IDLE: Duration = Duration::from_secs(60);

#[tokio::test]
#[ignore = "takes minutes: `cargo xtask bench ipam` runs it"]
async fn ten_thousand_services() {
    let (server, client) = cluster().await;
    let api: Api<Service> = Api::namespaced(client, "default");
    server.apply(&pool("front", "10.64.0.0/17"));
    let conf = server.write_kubeconfig("controller", Some(CONTROLLER));
    let conf = conf.display().to_string();
    let place = Place {
        namespace: None,
        address: "127.0.0.1",
    };
    let start = || Role::start(&place, "controller", "", &conf);
    let controller = start();

    let begun = Instant::now();
    let create = |number: usize| {
        let api = api.clone();
        async move {
            api.create(&PostParams::default(), &one_of_many(number))
                .await
        }
    };
    let created = stream::iter(0..SERVICES).map(create).buffer_unordered(48);
    created
        .try_for_each(|_| async { Ok(()) })
        .await
        .expect("every Service is created");
    println!("created in {:?}", begun.elapsed());
    wait_for(&api, SERVICES).await;
    figure("all_served", "seconds", begun.elapsed().as_secs_f64());
    figure("rss", "rss_mib", resident_mib(controller.id()));

    let before = writes(&server);
    tokio::time::sleep(IDLE).await;
    let idle = f64::from(writes(&server) - before) * 60.0 / IDLE.as_secs_f64();
    figure("idle", "writes_per_minute_idle", idle);

    controller.kill();
    let begun = Instant::now();
    let controller = start();
    api.create(&PostParams::default(), &load_balancer("late"))
        .await
        .expect("one more is created");
    wait_for(&api, SERVICES + 1).await;
    figure("restart", "seconds", begun.elapsed().as_secs_f64());
    figure("restart", "rss_mib", resident_mib(controller.id()));
}

/// Without node ports: there are 2768 of them.
fn one_of_many(number: usize) -> Service {
    let mut service = load_balancer(&format!("s{number}"));
    if let Some(spec) = &mut service.spec {
        spec.allocate_load_balancer_node_ports = Some(false);
    }
    service
}

fn figure(what: &str, metric: &str, value: f64) {
    println!("figure apiserver_10000/{what} {metric} {value}");
}

async fn wait_for(api: &Api<Service>, count: usize) {
    let begun = Instant::now();
    loop {
        let all = api.list(&ListParams::default()).await.expect("a list");
        let served = all.iter().filter(|one| address(one).is_some()).count();
        if served == count {
            return;
        }
        assert!(begun.elapsed() < LIMIT, "{served} of {count} are served");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Memory of a process, in MiB.
fn resident_mib(process: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<f64>().ok());
    kib.expect("a number of kB") / 1024.0
}

/// Requests so far that change something.
fn writes(server: &Server) -> u32 {
    let metrics = server.must(&["get", "--raw=/metrics"]);
    let changing = |line: &&str| {
        line.starts_with("apiserver_request_total")
            && ["POST", "PUT", "PATCH", "APPLY", "DELETE"]
                .iter()
                .any(|verb| line.contains(&format!("verb=\"{verb}\"")))
            // The API server talks to itself as well.
            && (line.contains("group=\"bundledlb.io\"") || line.contains("resource=\"services\""))
    };
    let count = |line: &str| line.rsplit(' ').next()?.parse::<f64>().ok();
    let sum: f64 = metrics.lines().filter(changing).filter_map(count).sum();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a count of requests"
    )]
    let sum = sum as u32;
    sum
}
