//! What `lbctl status` and `lbctl check cluster` see of the shared cluster.

use std::collections::BTreeSet;
use std::process::Output;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lab_tests::cluster::Cluster;
use lab_tests::{Machine, patience};
use serde_json::Value;

use crate::changes::ALL;
use crate::runner::{Context, Scenario};
use crate::shared::said;

/// Each leaves the cluster as its example file says.
pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "status_names_every_speaker_and_pool_and_the_cluster_is_well",
        run: a_cluster_that_is_well,
    },
    Scenario {
        name: "an_edited_file_of_a_node_is_shown_as_drift",
        run: an_edited_file,
    },
];

/// `lbctl` with these words, and with the program that the nodes should have.
fn look(cluster: &Cluster<'_>, words: &[&str]) -> Result<Output> {
    let mut lbctl = cluster.lbctl(words);
    Ok(lbctl.arg("--lbnode").arg(cluster.lbnode()).output()?)
}

fn json(output: &Output) -> Result<Value> {
    let read = serde_json::from_slice(&output.stdout);
    read.with_context(|| format!("no JSON: {}", said(output)))
}

/// Pods that have just started are ready a few seconds later.
fn becomes_well(cluster: &Cluster<'_>) -> Result<Output> {
    let mut last = String::new();
    let well = patience::until(
        "`lbctl check cluster` finds nothing",
        Duration::from_secs(90),
        Duration::from_secs(1),
        || {
            let output = look(cluster, &["check", "cluster"])?;
            last = said(&output);
            Ok(output.status.success().then_some(output))
        },
    );
    well.with_context(|| format!("it says: {last}"))
}

/// The words of a list of JSON.
fn words<'a>(list: &'a Value, key: &str) -> BTreeSet<&'a str> {
    let items = list.as_array().into_iter().flatten();
    items.filter_map(|item| item[key].as_str()).collect()
}

fn a_cluster_that_is_well(context: &Context) -> Result<()> {
    let cluster = &context.fixture()?.cluster;
    cluster.settle()?;
    let checked = becomes_well(cluster)?;
    let text = said(&checked);
    ensure!(
        text.contains("PASS") && !text.contains("FAIL"),
        "it says: {text}"
    );

    let status = look(cluster, &["status", "-o", "json"])?;
    let seen = json(&status)?;
    let machines = BTreeSet::from(["cp1", "cp2", "cp3"]);
    let speakers = &seen["dataPlane"]["speakers"];
    ensure!(words(speakers, "node") == machines, "speakers: {speakers}");
    for speaker in speakers.as_array().into_iter().flatten() {
        let hears = speaker["hears"].as_array().map_or(0, Vec::len);
        ensure!(
            speaker["ready"] == true && speaker["phase"] == "Serving" && hears == 2,
            "speaker: {speaker}"
        );
        ensure!(speaker["since"].is_string(), "speaker: {speaker}");
    }
    let pools = &seen["dataPlane"]["pools"];
    let expected = BTreeSet::from(["default", "ingress-vip"]);
    ensure!(
        words(pools, "pool").is_superset(&expected),
        "pools: {pools}"
    );
    for pool in pools.as_array().into_iter().flatten() {
        ensure!(pool["ipv4"]["total"].is_string(), "pool: {pool}");
    }
    let versions = words(&seen["versions"], "component");
    let known = BTreeSet::from(["lbnode", "image", "speaker", "kubelet", "containerd"]);
    ensure!(versions == known, "versions: {}", seen["versions"]);
    for node in seen["nodes"].as_array().into_iter().flatten() {
        ensure!(node["drift"] == Value::Array(Vec::new()), "node: {node}");
    }
    let table = said(&look(cluster, &["status"])?);
    for word in ["SPEAKER", "POOL", "COMPONENT", "DRIFT", "ingress-vip"] {
        ensure!(table.contains(word), "it does not say {word}: {table}");
    }
    Ok(())
}

const FILE: &str = "/etc/lbnode/vrrp.yaml";

fn an_edited_file(context: &Context) -> Result<()> {
    let cluster = &context.fixture()?.cluster;
    let owner = cluster.settle()?;
    becomes_well(cluster)?;
    let backup = ALL.into_iter().find(|machine| *machine != owner);
    let backup = backup.context("there are several machines")?;
    // The pod keeps the file that it was started with: sed writes another one.
    let edit = format!("sed -i 's/^\\( *priority:\\) .*/\\1 42/' {FILE}");
    cluster.lab.ssh_ok(backup, &edit)?;
    let shown = drift_is_shown(cluster, backup);
    let updated = cluster.update();
    shown?;
    updated?;
    becomes_well(cluster)?;
    ensure!(cluster.settle()? == owner, "the VIP has moved");
    Ok(())
}

fn drift_is_shown(cluster: &Cluster<'_>, machine: Machine) -> Result<()> {
    let change = format!("write {FILE}: vrrp routers[0].priority: 42 becomes");
    let status = look(cluster, &["status"])?;
    let text = said(&status);
    ensure!(status.status.success(), "status failed: {text}");
    ensure!(
        text.contains(&format!("{machine}: {change}")),
        "it says: {text}"
    );

    let checked = look(cluster, &["check", "cluster"])?;
    let text = said(&checked);
    ensure!(
        checked.status.code() == Some(5),
        "{}: {text}",
        checked.status
    );
    let found = format!("FAIL: {machine}: an update would {change}");
    ensure!(text.contains(&found), "it says: {text}");
    let listed = json(&look(cluster, &["check", "cluster", "-o", "json"])?)?;
    let rows = listed["rows"].as_array().into_iter().flatten();
    let failed: Vec<&Value> = rows.filter(|row| row["result"] == "FAIL").collect();
    ensure!(
        failed.len() == 1 && failed[0]["check"] == "drift",
        "rows: {failed:?}"
    );
    let left = cluster
        .lab
        .ssh_ok(machine, &format!("grep priority: {FILE}"))?;
    ensure!(
        left.contains("priority: 42"),
        "somebody has changed it: {left}"
    );
    Ok(())
}
