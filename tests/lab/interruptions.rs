//! `lbctl create cluster` and `lbctl reset cluster` are stopped in the middle, gently and not, and run again.

use std::collections::BTreeMap;
use std::fs;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lab_tests::cluster::Cluster;
use lab_tests::lifecycle::interrupt;
use lab_tests::roster::API_VIP;
use lab_tests::{Lab, Machine};
use nix::sys::signal::Signal;

use crate::changes::patiently;
use crate::cluster::nothing_of_ours;
use crate::runner::{Context, Scenario};
use crate::shared::{example, files, programs, said};

/// On machines that nothing is installed on at first.
pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "an_interrupted_create_is_finished_by_the_next",
        run: an_interrupted_create_is_finished_by_the_next,
    },
    Scenario {
        name: "an_interrupted_reset_is_finished_by_the_next",
        run: |context| patiently(context, an_interrupted_reset_is_finished_by_the_next),
    },
];

/// So long after its beginning a reset is killed: when it has connected, when machines are at it, near its end.
const KILLED_AFTER: [Duration; 5] = [
    Duration::from_millis(300),
    Duration::from_millis(700),
    Duration::from_millis(1500),
    Duration::from_millis(3000),
    Duration::from_millis(6000),
];

/// Asked to end, `create` finishes the step it is at: `kubeadm init` is done then, and the next run, which does not
/// know the secrets of this one, uploads the certificates anew before it joins the others; killed there, so does the one after.
const GENTLY: [(&str, Signal); 9] = [
    (COPY, Signal::SIGINT),
    (IMPORT, Signal::SIGINT),
    (MANIFEST, Signal::SIGINT),
    (INIT, Signal::SIGINT),
    (UPLOAD, Signal::SIGKILL),
    (UPLOAD, Signal::SIGINT),
    (JOIN, Signal::SIGINT),
    (ROUTES, Signal::SIGINT),
    (LABELS, Signal::SIGINT),
];

/// Killed in a join, what the machines had begun may go on to its end: the next run has nothing to upload then.
const NOT_GENTLY: [(&str, Signal); 7] = [
    (COPY, Signal::SIGKILL),
    (IMPORT, Signal::SIGKILL),
    (MANIFEST, Signal::SIGKILL),
    (INIT, Signal::SIGKILL),
    (JOIN, Signal::SIGKILL),
    (ROUTES, Signal::SIGKILL),
    (LABELS, Signal::SIGKILL),
];

/// What one pass tries.
const SHORT: [(&str, Signal); 3] = [
    (IMPORT, Signal::SIGINT),
    (INIT, Signal::SIGKILL),
    (JOIN, Signal::SIGKILL),
];

// Steps as the logs name them.
const COPY: &str = "copy /usr/local/bin/kube";
const IMPORT: &str = "import 7 images";
const MANIFEST: &str = "write /etc/kubernetes/manifests/lb-proxy.yaml";
const INIT: &str = "kubeadm init";
const UPLOAD: &str = "upload certificates";
const JOIN: &str = "kubeadm join";
const ROUTES: &str = "set routes";
const LABELS: &str = "set labels";

fn an_interrupted_create_is_finished_by_the_next(context: &Context) -> Result<()> {
    let lab = context.bare()?;
    if context.full {
        create_in_pieces(lab, &GENTLY)?;
        return create_in_pieces(lab, &NOT_GENTLY);
    }
    create_in_pieces(lab, &SHORT)
}

fn an_interrupted_reset_is_finished_by_the_next(context: &Context) -> Result<()> {
    let lab = context.bare()?;
    bare_again(lab)?;
    let mut before = Vec::new();
    for machine in Machine::CONTROL_PLANE {
        before.push((machine, files(lab, machine)?));
    }
    let cluster = Cluster::new(lab, programs()?, &Machine::CONTROL_PLANE, &example()?)?;
    cluster.create()?;
    cluster.settle()?;
    let mut killed = Vec::new();
    for after in KILLED_AFTER {
        let mut reset = cluster.reset_command();
        let mut reset = reset
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        thread::sleep(after);
        if reset.try_wait()?.is_some() {
            let ended = reset.wait_with_output()?;
            let words = said(&ended);
            ensure!(
                ended.status.success(),
                "run again after {killed:?} it says: {words}"
            );
            continue;
        }
        reset.kill()?;
        reset.wait()?;
        killed.push(after);
        let owners = lab.owners(API_VIP)?;
        ensure!(owners.len() <= 1, "{owners:?} have the VIP");
    }
    println!("     killed after {killed:?}");
    ensure!(
        killed.len() > 2,
        "it was too quick to be killed: {killed:?}"
    );
    let last = cluster.reset_command().output()?;
    ensure!(last.status.success(), "it failed: {}", said(&last));
    for (machine, before) in &before {
        nothing_of_ours(lab, *machine, before)?;
    }
    let owners = lab.owners(API_VIP)?;
    ensure!(owners.is_empty(), "{owners:?} still have the VIP");
    Ok(())
}

fn bare_again(lab: &Lab) -> Result<()> {
    for machine in Machine::CONTROL_PLANE {
        lab.discard(machine)?;
    }
    lab.up(&Machine::CONTROL_PLANE)?;
    let workspace = lab.state_directory().join("operator");
    let _ = fs::remove_dir_all(workspace);
    Ok(())
}

/// In one go through creation one step after the other is interrupted, on machines that have nothing.
fn create_in_pieces(lab: &'static Lab, interruptions: &[(&str, Signal)]) -> Result<()> {
    bare_again(lab)?;
    let cluster = Cluster::new(lab, programs()?, &Machine::CONTROL_PLANE, &example()?)?;
    let mut seen = Vec::new();
    for (step, signal) in interruptions {
        let mut create = cluster.create_command();
        create.arg("--no-progress");
        interrupt(&cluster, create, step, *signal)
            .with_context(|| format!("{signal} at the step `{step}`"))?;
        seen.push(our_files(lab)?);
    }
    cluster
        .create()
        .with_context(|| format!("after {interruptions:?}"))?;
    cluster.settle()?;
    let whole = our_files(lab)?;
    for files in seen {
        no_half_files(&files, &whole)?;
    }
    Ok(())
}

/// The checksums of the files that lbctl writes, by machine and path.
fn our_files(lab: &Lab) -> Result<BTreeMap<String, String>> {
    const LOOK: &str = "find /etc/lbnode /etc/kubernetes/manifests/lb-* /etc/systemd/system \
        /etc/cni/net.d /etc/sysctl.d /usr/local/bin -type f -exec sha256sum {} + 2>/dev/null || true";
    let mut files = BTreeMap::new();
    for machine in Machine::CONTROL_PLANE {
        for line in lab.ssh_ok(machine, LOOK)?.lines() {
            if let Some((sum, path)) = line.split_once("  ") {
                files.insert(format!("{machine}:{path}"), sum.to_owned());
            }
        }
    }
    Ok(files)
}

/// A file under its final name is always whole: what it is in the end.
fn no_half_files(
    interrupted: &BTreeMap<String, String>,
    whole: &BTreeMap<String, String>,
) -> Result<()> {
    for (path, sum) in interrupted {
        if let Some(end) = whole.get(path) {
            ensure!(sum == end, "{path} was not whole after the interruption");
        }
    }
    Ok(())
}
