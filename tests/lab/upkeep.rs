//! Nodes go out of service and come back, and `lbnode` is replaced and put back, while clients connect all the time.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, ensure};
use lab_tests::cluster::Cluster;
use lab_tests::lifecycle::files::in_maintenance;
use lab_tests::lifecycle::{other_program, service, watch};
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
        name: "another_lbnode_and_back_and_no_connection_fails",
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

fn another_lbnode(context: &Context) -> Result<()> {
    let shared = &context.fixture()?.cluster;
    shared.settle()?;
    let (web, address) = service(shared, &ALL)?;
    let before = images(shared)?;
    ensure!(before.len() == 1, "the pods run {before:?}");
    let other = shared
        .edited(&ALL, &example()?)?
        .with_lbnode(other_program(shared)?);
    let rehearsed = said(&other.update_command().arg("--dry-run").output()?);
    ensure!(rehearsed.contains("lbnode"), "it says: {rehearsed}");
    under_two_clients(&other, address, "another lbnode", || {
        other.update().map(drop)
    })?;
    other.settle()?;
    let after = images(shared)?;
    ensure!(
        after.len() == 1 && after != before,
        "{before:?} became {after:?}"
    );
    let back = shared.edited(&ALL, &example()?)?;
    under_two_clients(&back, address, "and back", || back.update().map(drop))?;
    back.settle()?;
    let last = images(shared)?;
    ensure!(last == before, "{before:?} became {last:?}");
    web.remove()
}
