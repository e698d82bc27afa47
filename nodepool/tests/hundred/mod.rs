//! A hundred machines, 20 ms away each: they are worked on side by side, not too many at once, and `lbctl` stays small.
//!
//! Time is virtual: it passes only while a machine is waited for, so the figures are the same everywhere.

use std::net::IpAddr;
use std::process::Command;
use std::time::Duration;

use nodepool::commands::{Consent, Outcome};
use nodepool::digest::sha256;
use nodepool::run::CONCURRENCY;
use tokio::time::Instant;

use crate::site::Site;
use crate::site::traffic::Traffic;

const FILE: &str = include_str!("../../../examples/three-control-planes.yaml");
const LATENCY: Duration = Duration::from_millis(20);
/// Bytes of a program and of its image.
const PROGRAM: usize = 4 << 20;
/// The most that `lbctl` may need, in KiB.
const MEMORY: u64 = 100 << 10;

/// Lines of a cluster file for the 97 machines beside the three control planes.
fn others(indent: &str) -> String {
    let lasts = 101..=197;
    let lines = lasts.map(|last| format!("{indent}- address: 10.10.0.{last}\n"));
    lines.collect()
}

fn with_workers() -> String {
    format!(
        "{FILE}\n---\napiVersion: baremetal.cluster.gke.io/v1\nkind: NodePool\nmetadata:\n  name: workers\n  namespace: cluster-lab\n\
         spec:\n  clusterName: lab\n  nodes:\n{}",
        others("  ")
    )
}

/// The same machines as a pool that carries the addresses of Services.
fn with_pool() -> String {
    let key = "    addressPools:\n";
    let pool = format!("    nodePoolSpec:\n      nodes:\n{}{key}", others("      "));
    let text = FILE.replacen(key, &pool, 1);
    let mode = "  controlPlane:\n    loadBalancer:\n      mode: bundled\n";
    text.replacen("  controlPlane:\n", mode, 1)
}

/// A cluster of all of them, whose lines are as fast as thought.
async fn made() -> Site {
    let site = Site::new(&with_workers());
    assert_eq!(site.desired.machines.len(), 100);
    site.create().await.expect("the cluster is made");
    site
}

/// The operator has another program.
fn another_program(site: &mut Site, program: &[u8]) {
    site.artefacts.lbnode.sha256 = sha256(program);
    site.artefacts.lbnode.path = site.folder.path().join("another");
    std::fs::write(&site.artefacts.lbnode.path, program).expect("a file");
}

/// As many at once as may be, and twice the time of the slowest machine at most until an instant; in words.
fn side_by_side(site: &Site, begun: Instant, end: Instant) -> String {
    let (took, slowest) = (end - begun, site.traffic.slowest(end));
    let most = site.traffic.seen().most;
    let text = format!("took {took:?}, the slowest machine {slowest:?}, {most} commands at once");
    assert_eq!(most, CONCURRENCY, "{text}");
    assert!(took <= slowest * 2, "{text}");
    text
}

#[tokio::test(start_paused = true)]
async fn nothing_to_do_on_a_hundred_nodes_takes_two_times_the_slowest_at_most() {
    let mut site = made().await;
    site.traffic = Traffic::slow(LATENCY);
    let begun = Instant::now();
    assert_eq!(site.update(Consent::Asked).await, Ok(Outcome::NothingToDo));
    println!("{}", side_by_side(&site, begun, Instant::now()));
}

#[tokio::test(start_paused = true)]
async fn a_program_for_a_hundred_nodes_takes_two_times_the_slowest_at_most() {
    let mut site = made().await;
    another_program(&mut site, b"another");
    site.inner().changes.clear();
    site.traffic = Traffic::slow(LATENCY);
    let begun = Instant::now();
    assert_eq!(site.update(Consent::Given).await, Ok(Outcome::Changed));
    println!("{}", side_by_side(&site, begun, Instant::now()));
    // Its image is the same: nobody restarts.
    let changes = site.inner().changes.clone();
    assert_eq!(changes.len(), 100, "{changes:?}");
}

/// Program and image go to all of them side by side; then routers are restarted one after the other, and nobody else is asked
/// anything.
#[tokio::test(start_paused = true)]
async fn a_release_for_a_hundred_load_balancers_disturbs_nobody_who_waits() {
    let mut site = made().await;
    site.edit(&with_pool());
    site.update(Consent::Given).await.expect("a pool of 97");
    let mut program = b"another\n".to_vec();
    program.resize(PROGRAM, b' ');
    another_program(&mut site, &program);
    let mut image = b"sha256:another\n".to_vec();
    image.resize(PROGRAM, b' ');
    site.artefacts.lbnode.image.digest = "sha256:another".to_owned();
    site.artefacts.lbnode.image.bytes = image.into();
    site.inner().changes.clear();
    site.inner().balancers.restarts.clear();
    site.traffic = Traffic::slow(LATENCY);
    let begun = Instant::now();
    assert_eq!(site.update(Consent::Given).await, Ok(Outcome::Changed));
    let routers = [11, 12, 13].map(|last| IpAddr::from([10, 10, 0, last]));
    let first_turn = {
        let seen = site.traffic.seen();
        let mut commands = seen.commands.iter();
        let turn = commands.find(|one| one.what.starts_with("put-file /etc/kubernetes/"));
        let turn = turn.expect("routers are restarted").begun;
        let later = seen.commands.iter().filter(|one| one.begun >= turn);
        for command in later {
            let (address, what) = (command.address, &command.what);
            assert!(routers.contains(&address), "{address}: {what}");
        }
        turn
    };
    println!("{}", side_by_side(&site, begun, first_turn));
    let imports = site.inner().changes.clone();
    let imports = imports.iter().filter(|one| one.contains("import-images"));
    assert_eq!(imports.count(), 100);
    assert_eq!(site.inner().balancers.restarts.len(), 3);
    if let Some(peak) = peak_memory() {
        println!("{PEAK}{peak}");
    }
}

/// Before the figure in the output of the test above.
const PEAK: &str = "peak memory in KiB: ";

/// The largest that this process ever was, in KiB; only Linux says.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The test above once more, in a process of its own. It holds the scripted machines too.
#[test]
fn a_release_for_a_hundred_load_balancers_needs_a_hundred_mib_at_most() {
    if peak_memory().is_none() {
        return;
    }
    let name = "hundred::a_release_for_a_hundred_load_balancers_disturbs_nobody_who_waits";
    let output = Command::new(std::env::current_exe().expect("this program"))
        .args([name, "--exact", "--nocapture"])
        .output()
        .expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    let (_, rest) = text.split_once(PEAK).expect("it says its peak");
    let peak = rest.lines().next().expect("a figure");
    let peak: u64 = peak.trim().parse().expect("a number");
    println!("{peak} KiB at most");
    assert!(peak <= MEMORY, "{peak} KiB");
}
