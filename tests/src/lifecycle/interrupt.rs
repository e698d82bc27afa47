//! `lbctl`, stopped in the middle.

use std::fs::{self, File};
use std::process::{Child, Command};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::cluster::Cluster;
use crate::patience;

/// Runs `lbctl` until its logs speak of the step, and then sends the signal.
///
/// # Errors
/// When it ends before the step, or had finished when the signal came.
pub fn interrupt(
    cluster: &Cluster<'_>,
    mut lbctl: Command,
    step: &str,
    signal: Signal,
) -> Result<()> {
    let said = cluster.lab.state_directory().join("interrupted.log");
    let output = File::create(&said)?;
    let lbctl = lbctl.stdout(output.try_clone()?).stderr(output);
    let times_before = times(cluster, step)?;
    let mut child = lbctl.spawn()?;
    let reached = reach(cluster, &mut child, step, times_before);
    let ended = end(&mut child, signal);
    reached.with_context(|| fs::read_to_string(&said).unwrap_or_default())?;
    ended
}

/// Begins `lbctl`, and returns when its logs speak of the step.
///
/// # Errors
/// When it ends before the step.
pub fn begun(cluster: &Cluster<'_>, lbctl: &mut Command, step: &str) -> Result<Child> {
    let times_before = times(cluster, step)?;
    let mut child = lbctl.spawn()?;
    reach(cluster, &mut child, step, times_before)?;
    Ok(child)
}

fn times(cluster: &Cluster<'_>, step: &str) -> Result<usize> {
    Ok(cluster.logs()?.matches(step).count())
}

fn reach(cluster: &Cluster<'_>, child: &mut Child, step: &str, times_before: usize) -> Result<()> {
    patience::until(
        &format!("lbctl reaches the step `{step}`"),
        Duration::from_secs(300),
        Duration::from_millis(5),
        || {
            let reached = times(cluster, step)? > times_before;
            ensure!(
                reached || child.try_wait()?.is_none(),
                "lbctl ended before the step `{step}`"
            );
            Ok(reached.then_some(()))
        },
    )
}

/// Sends the signal and waits; a program that was only asked must still end with a failure.
fn end(child: &mut Child, signal: Signal) -> Result<()> {
    if child.try_wait()?.is_none() {
        kill(Pid::from_raw(child.id().try_into()?), signal)?;
    }
    let status = child.wait()?;
    ensure!(
        !status.success(),
        "lbctl was not interrupted: it had finished"
    );
    Ok(())
}
