//! `lbctl`, stopped in the middle.

use std::fs::{self, File};
use std::process::{Child, Command};
use std::time::Duration;

use anyhow::{Result, ensure};
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
    let times_before = cluster.logs()?.matches(step).count();
    let said = cluster.lab.state_directory().join("interrupted.log");
    let output = File::create(&said)?;
    let mut child = lbctl.stdout(output.try_clone()?).stderr(output).spawn()?;
    let reached = patience::until(
        &format!("lbctl reaches the step `{step}`"),
        Duration::from_secs(300),
        Duration::from_millis(5),
        || {
            let times = cluster.logs()?.matches(step).count();
            ensure!(
                times > times_before || child.try_wait()?.is_none(),
                "lbctl ended before the step `{step}`: {}",
                fs::read_to_string(&said).unwrap_or_default()
            );
            Ok((times > times_before).then_some(()))
        },
    );
    let ended = end(&mut child, signal);
    reached?;
    ended
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
