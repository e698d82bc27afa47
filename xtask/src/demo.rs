//! `cargo xtask demo`: a cluster from one file, and a machine that dies without its clients noticing
//! for long.

use std::process::{Command, ExitCode};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Error, Result, bail, ensure};
use lab_tests::cluster::Cluster;
use lab_tests::failover::{self, Fault};
use lab_tests::prober::{Plan, Trust};
use lab_tests::{Lab, Machine, Place};

use crate::{bench, say};

/// Runs `cargo xtask demo`.
///
/// # Errors
///
/// When a step fails; the lab stays as it is then.
pub(crate) fn run() -> Result<ExitCode> {
    let begin = now();
    let lab = Lab::open("lab")?;
    step("build lbctl and lbnode, Debian for the machines, Kubernetes for the cluster");
    let programs = thread::scope(|scope| {
        let bundle = scope.spawn(|| lab.kubernetes_bundle());
        let programs = bench::built()?;
        bundle.join().unwrap_or_else(|_| bail!("it panicked"))?;
        Ok::<_, Error>(programs)
    })?;

    step("three bare machines: Debian with SSH and containerd, and nothing else");
    lab.up(&Machine::CONTROL_PLANE)?;
    let cluster = bench::three_control_planes(&lab, programs)?;

    step("lbctl create cluster, from examples/three-control-planes.yaml");
    let create = now();
    show(&mut cluster.create_command())?;
    say::result(format_args!("took {:.0} s", create.elapsed().as_secs_f32()));

    step("kubectl get nodes, through the VIP");
    let mut kubectl = lab.kubectl()?;
    kubectl.env("KUBECONFIG", cluster.kubeconfig());
    show(kubectl.args(["get", "nodes", "-o", "wide"]))?;

    step("lbctl status");
    show(&mut cluster.lbctl(&["status"]))?;

    step("power cut of the machine that owns the VIP, under a client that connects each 10 ms");
    power_cut(&cluster)?;

    step("lbctl status: the machine is back, and nothing moved back");
    show(&mut cluster.lbctl(&["status"]))?;

    let seconds = begin.elapsed().as_secs();
    say::result(format_args!(
        "\nAll of it took {seconds} s. The cluster is still there:\n"
    ));
    say::result(look_around(&cluster));
    Ok(ExitCode::SUCCESS)
}

/// Kills the owner while one client only connects and another asks the API whether it is ready.
fn power_cut(cluster: &Cluster<'_>) -> Result<()> {
    let owner = cluster.settle()?;
    say::result(format_args!("{owner} owns the VIP"));
    let authority = Trust::Anybody;
    let api = Plan::tls_get(Cluster::endpoint(), authority, "/readyz").paced(50, 1000);
    let api = cluster.prober(api)?;
    let trial = failover::trial(cluster, Fault::PowerCut)?;
    let api = api.finish()?;
    let milliseconds = |time: Duration| time.as_millis();
    say::result(format_args!(
        "{} lost its power; {} owns the VIP\n\
         connections failed for the last time {} ms after it ({} of {} failed)\n\
         the longest time without a connection was {} ms\n\
         a whole request (TLS, GET /readyz) failed for the last time after {} ms",
        trial.victim,
        trial.successor,
        milliseconds(trial.seen.last_failure),
        trial.seen.failed,
        trial.seen.attempts,
        milliseconds(trial.seen.longest_gap),
        milliseconds(api.last_failure(trial.instant)),
    ));
    ensure!(
        trial.most_owners <= 1,
        "{} machines had the VIP at one time",
        trial.most_owners
    );
    Ok(())
}

fn look_around(cluster: &Cluster<'_>) -> String {
    let kubeconfig = cluster.kubeconfig();
    let namespace = cluster.lab.namespace_file(Place::Operator);
    let kubectl = cluster.lab.state_directory().join("kubectl");
    format!(
        "  cargo xtask lab status\n  \
           cargo xtask lab ssh cp1\n  \
           cargo xtask lab kill cp2        (and: start, cut, heal)\n  \
           cargo xtask lab run op -- {kubectl} --kubeconfig {kubeconfig} get pods -A\n  \
           cargo xtask lab capture cp1 -- -i eth0 -n vrrp or arp\n  \
           nsenter --net={namespace} bash  (the operator's machine)\n\n\
         and this removes it:\n\n  cargo xtask lab down",
        kubectl = kubectl.display(),
        kubeconfig = kubeconfig.display(),
        namespace = namespace.display(),
    )
}

/// Runs a program in full view.
fn show(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let status = command
        .status()
        .with_context(|| format!("cannot run {program}"))?;
    ensure!(status.success(), "it failed ({status})");
    Ok(())
}

fn step(what: &str) {
    say::result(format_args!("\n==> {what}"));
}

#[expect(clippy::disallowed_methods, reason = "says how long things took")]
fn now() -> Instant {
    Instant::now()
}
