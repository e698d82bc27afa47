//! Nodes go out of service and come back, and `lbnode` is replaced and put back, while clients connect all the time.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use lab_tests::api::Api;
use lab_tests::cluster::Cluster;
use lab_tests::lifecycle::files::in_maintenance;
use lab_tests::lifecycle::{other_program, service, watch};
use lab_tests::service::Web;
use lab_tests::{Machine, patience};

use crate::changes::{ALL, patiently, restored};
use crate::runner::{Context, Scenario};
use crate::shared::{example, said};

/// Each leaves the cluster as its example file says.
pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "the_owner_goes_into_maintenance_and_back_and_no_connection_fails",
        run: |context| patiently(context, |context| restored(context, maintenance)),
    },
    Scenario {
        name: "another_lbnode_and_back_in_every_pod_and_no_connection_fails_and_no_address_changes",
        run: |context| patiently(context, |context| restored(context, another_lbnode)),
    },
];

/// Does something while one client makes handshakes with the API and another connects to a Service: none may fail.
fn under_two_clients(
    cluster: &Cluster<'_>,
    service: SocketAddr,
    what: &str,
    act: impl FnOnce() -> Result<()>,
) -> Result<()> {
    watch(cluster, Some(service), what, act)?.nothing_failed(what)
}

fn maintenance(context: &Context) -> Result<()> {
    let shared = &context.fixture()?.cluster;
    let owner = shared.settle()?;
    let others: Vec<Machine> = ALL.into_iter().filter(|other| *other != owner).collect();
    let (web, address) = service(shared, &others)?;

    let edited = shared.edited(&others, &in_maintenance(&example()?, owner)?)?;
    under_two_clients(&edited, address, "the owner goes into maintenance", || {
        edited.update().map(drop)
    })?;
    let next = edited.settle()?;
    ensure!(next != owner, "{owner} still has the VIP");
    let left = shared.lab.ssh_ok(
        owner,
        "ls /etc/kubernetes/manifests/lb-vrrp.yaml 2>/dev/null; lbnode get http://127.0.0.1:11003/status 2>/dev/null; true",
    )?;
    ensure!(left.trim().is_empty(), "its router is not gone: {left}");
    let held = shared.lab.arp_owner(web.address()?)?;
    ensure!(held != Some(owner), "{owner} still answers for the Service");
    let status = said(&edited.lbctl(&["status"]).output()?);
    ensure!(status.contains("maintenance"), "status says: {status}");
    let again = said(&edited.update()?);
    ensure!(again.contains("nothing to do"), "it says: {again}");

    // Off and on again: no router begins, nobody waits for it.
    shared.lab.kill(owner)?;
    let again = said(&edited.update()?);
    ensure!(again.contains("nothing to do"), "it says: {again}");
    shared.lab.start(owner)?;
    let ready = format!("node/{owner}");
    patience::until(
        "the machine is back",
        Duration::from_secs(180),
        Duration::from_millis(500),
        || {
            let words = ["wait", "--for=condition=Ready", &ready, "--timeout=5s"];
            Ok(edited.kubectl(&words).ok().map(drop))
        },
    )?;
    ensure!(edited.owner()? == next, "the VIP has moved");

    let back = shared.edited(&ALL, &example()?)?;
    under_two_clients(&back, address, "and back into service", || {
        back.update().map(drop)
    })?;
    ensure!(back.settle()? == next, "the VIP has moved back by itself");
    let words = [
        "get",
        &ready,
        "-o",
        "jsonpath={.spec}{.metadata.annotations}",
    ];
    let node = back.kubectl(&words)?;
    for word in ["unschedulable", "maintenance"] {
        ensure!(!node.contains(word), "the node still says `{word}`: {node}");
    }
    web.remove()
}

/// The digests of the images that the static pods of all machines run.
fn images(cluster: &Cluster<'_>) -> Result<Vec<String>> {
    let path = r#"jsonpath={range .items[*]}{.metadata.annotations.bundledlb\.io/image-digest}{"\n"}{end}"#;
    let words = [
        "-n",
        "kube-system",
        "get",
        "pods",
        "-l",
        "app.kubernetes.io/part-of=lbnode",
        "-o",
        path,
    ];
    let text = cluster.kubectl(&words)?;
    let mut digests: Vec<String> = text.lines().map(str::to_owned).collect();
    digests.sort();
    digests.dedup();
    Ok(digests)
}

/// Every pod of ours, by what no two lives of it have in common: controllers, speakers, and the static pods.
fn pods(cluster: &Cluster<'_>) -> Result<BTreeMap<String, String>> {
    let path = r#"jsonpath={range .items[*]}{.metadata.uid} {.metadata.name}{"\n"}{end}"#;
    let places = [
        &["-n", "lb-system"][..],
        &[
            "-n",
            "kube-system",
            "-l",
            "app.kubernetes.io/part-of=lbnode",
        ],
    ];
    let mut pods = BTreeMap::new();
    for place in places {
        let text = cluster.kubectl(&[&["get", "pods", "-o", path][..], place].concat())?;
        for line in text.lines() {
            let (uid, name) = line.split_once(' ').context("a pod has a name")?;
            pods.insert(uid.to_owned(), name.to_owned());
        }
    }
    Ok(pods)
}

/// Services with an address, beside that of the pods: each speaker has something to hand over.
fn further(cluster: &Cluster<'_>, web: &Web<'_>) -> Result<()> {
    let pods = web.name();
    for number in 0..FURTHER {
        cluster.apply(&format!(
            "apiVersion: v1
kind: Service
metadata: {{name: {pods}-{number}, namespace: default, labels: {{beside: {pods}}}}}
spec: {{type: LoadBalancer, selector: {{app: {pods}}}, ports: [{{port: 80, targetPort: 8080}}]}}
"
        ))?;
    }
    let what = "every Service has its address";
    let (limit, pause) = (Duration::from_secs(60), Duration::from_millis(500));
    let api = Api::of(cluster)?;
    patience::until(what, limit, pause, || {
        let addresses = addresses(&api)?;
        let served = addresses.values().filter(|one| !one.is_empty()).count();
        Ok((served == addresses.len() && served > FURTHER).then_some(()))
    })
}

const FURTHER: usize = 6;

/// The addresses of every Service that wants some, as the API tells them.
fn addresses(api: &Api<'_>) -> Result<BTreeMap<String, String>> {
    let services = api.get("/api/v1/services")?;
    let services = services["items"].as_array().context("a list")?;
    let balanced = services
        .iter()
        .filter(|service| service["spec"]["type"] == "LoadBalancer");
    let told = balanced.map(|service| {
        let (name, status) = (&service["metadata"], &service["status"]["loadBalancer"]);
        let ingress = status["ingress"].as_array().cloned().unwrap_or_default();
        let all: Vec<&str> = ingress
            .iter()
            .filter_map(|one| one["ip"].as_str())
            .collect();
        let name = format!("{}/{}", name["namespace"], name["name"]);
        (name, all.join(" "))
    });
    Ok(told.collect())
}

/// Does something; no Service may have other addresses at any time.
fn keeping_addresses(cluster: &Cluster<'_>, act: impl FnOnce() -> Result<()>) -> Result<()> {
    let api = Api::of(cluster)?;
    let before = addresses(&api)?;
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut looks = 0;
            while !over.load(Ordering::Relaxed) {
                // A look that broke off says nothing; there is another.
                if let Ok(found) = addresses(&api) {
                    ensure!(found == before, "{before:?} became {found:?}");
                    looks += 1;
                }
                thread::sleep(Duration::from_millis(200));
            }
            Ok(looks)
        });
        let done = act();
        over.store(true, Ordering::Relaxed);
        let looks = watcher.join().map_err(|_| anyhow!("it panicked"))??;
        println!(
            "     the addresses of {} Services, {looks} times",
            before.len()
        );
        ensure!(looks > 5, "the addresses were looked at {looks} times only");
        done
    })
}

/// Brings the cluster to another program, under clients, until every pod of ours is another one.
fn replace_all(cluster: &Cluster<'_>, address: SocketAddr, what: &str) -> Result<()> {
    let before = pods(cluster)?;
    keeping_addresses(cluster, || {
        under_two_clients(cluster, address, what, || {
            cluster.update()?;
            for object in ["daemonset/lb-speaker", "deployment/lb-controller"] {
                let (limit, pause) = (Duration::from_secs(180), Duration::from_millis(500));
                patience::until(object, limit, pause, || {
                    let words = ["rollout", "status", object, "--timeout=9s"];
                    let words = [&["-n", "lb-system"][..], &words].concat();
                    Ok(cluster.kubectl(&words).ok().map(drop))
                })?;
            }
            Ok(())
        })
    })?;
    cluster.settle()?;
    let after = pods(cluster)?;
    let uids = |pods: &BTreeMap<String, String>| pods.keys().cloned().collect::<BTreeSet<_>>();
    let same: Vec<&String> = uids(&before)
        .intersection(&uids(&after))
        .filter_map(|uid| before.get(uid))
        .collect();
    ensure!(same.is_empty(), "{what}: {same:?} are the same pods");
    // A router and a proxy, a speaker on each machine, and controllers.
    let least = cluster.machines.len() * 3 + 1;
    println!("     {} pods of ours were replaced", before.len());
    ensure!(
        before.len() >= least && after.len() >= least,
        "{what}: pods are missing: {after:?}"
    );
    Ok(())
}

fn another_lbnode(context: &Context) -> Result<()> {
    let shared = &context.fixture()?.cluster;
    shared.settle()?;
    let (web, address) = service(shared, &ALL)?;
    further(shared, &web)?;
    let before = images(shared)?;
    ensure!(before.len() == 1, "the pods run {before:?}");
    let other = shared
        .edited(&ALL, &example()?)?
        .with_lbnode(other_program(shared)?);
    let rehearsed = said(&other.update_command().arg("--dry-run").output()?);
    ensure!(rehearsed.contains("lbnode"), "it says: {rehearsed}");
    replace_all(&other, address, "another lbnode")?;
    let after = images(shared)?;
    ensure!(
        after.len() == 1 && after != before,
        "{before:?} became {after:?}"
    );
    let back = shared.edited(&ALL, &example()?)?;
    replace_all(&back, address, "and back")?;
    let last = images(shared)?;
    ensure!(last == before, "{before:?} became {last:?}");
    let beside = format!("beside={}", web.name());
    shared.kubectl(&["delete", "services", "-l", &beside, "--wait=false"])?;
    web.remove()
}
