//! One `lbctl` at a time: a lock on every machine for as long as a run lasts.

use futures::StreamExt as _;
use futures::stream;

use super::fleet::{Fleet, MachineSession};
use super::{CONCURRENCY, World};
use crate::error::Failure;
use crate::remote::{Held, Hold};
use crate::script;

/// The locks of a run; dropping them lets the machines go.
pub struct Locks {
    _held: Vec<Held>,
}

/// Takes the lock of every machine that can be reached. A step that an interrupted run left behind is waited for.
///
/// # Errors
/// When another `lbctl` holds a machine; the message says who.
pub async fn lock(world: &World<'_>, fleet: &Fleet<'_>, command: &str) -> Result<Locks, Failure> {
    let owner = owner(command).await;
    let mut machines = fleet
        .machines
        .values()
        .filter(|machine| machine.remote().is_ok());
    let mut held = Vec::new();
    // The first machine decides between two that begin at the same time.
    if let Some(first) = machines.next() {
        held.extend(take(world, first, &owner).await?);
    }
    let taking = machines.map(|machine| take(world, machine, &owner));
    let others: Vec<_> = stream::iter(taking)
        .buffer_unordered(CONCURRENCY)
        .collect()
        .await;
    for other in others {
        held.extend(other?);
    }
    Ok(Locks { _held: held })
}

async fn take(
    world: &World<'_>,
    machine: &MachineSession<'_>,
    owner: &str,
) -> Result<Option<Held>, Failure> {
    // Unreachable machines and missing programs are findings of the preflight, not of the lock.
    let Ok(remote) = machine.remote() else {
        return Ok(None);
    };
    let script = script::hold_lock(owner);
    let address = machine.address;
    let waiting = async {
        tokio::time::sleep(std::time::Duration::from_secs(2)).await;
        world.ui.note(&format!(
            "{address}: waiting for a step that an earlier lbctl left running"
        ));
        std::future::pending::<()>().await;
    };
    let outcome = tokio::select! {
        outcome = remote.hold(&script) => outcome,
        () = waiting => return Ok(None),
    };
    match outcome {
        Ok(Hold::Held(held)) => Ok(Some(held)),
        Ok(Hold::Ended(output)) if output.status == script::LOCK_TAKEN => {
            let holder = output.stdout.trim();
            let holder = if holder.is_empty() {
                "somebody"
            } else {
                holder
            };
            Err(
                Failure::failed(format!("{address} is being worked on by {holder}"))
                    .hint("wait until that one has ended, then run this command again"),
            )
        }
        Ok(Hold::Ended(_)) | Err(_) => Ok(None),
    }
}

/// Who asks: command, user, host, process and time.
async fn owner(command: &str) -> String {
    let user = std::env::var("USER").or_else(|_| std::env::var("LOGNAME"));
    let user = user.unwrap_or_else(|_| "unknown".to_owned());
    let host = tokio::process::Command::new("hostname").output().await;
    let host = host.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    let host = host.unwrap_or_else(|_| "unknown".to_owned());
    let since = jiff::Zoned::now()
        .strftime("%Y-%m-%d %H:%M:%S %Z")
        .to_string();
    format!(
        "`lbctl {command}` of {user}@{host} (pid {}) since {since}",
        std::process::id()
    )
}
