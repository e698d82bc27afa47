//! `lbctl reset cluster`: takes everything off the machines that `create cluster` put there.

use std::net::IpAddr;

use futures::StreamExt as _;
use futures::stream;

use super::target::Target;
use crate::cli;
use crate::core::desired::{Desired, Machine};
use crate::error::{Exit, Failure};
use crate::run::{CONCURRENCY, Fleet, Interrupt, World, lock};
use crate::script;
use crate::ui::{Progress, Ui};

/// Name of the command in logs and locks.
const COMMAND: &str = "reset cluster";

pub(super) async fn run(args: &cli::ResetCluster, ui: Ui) -> Result<(), Failure> {
    let target = Target::open(&args.target, COMMAND, ui)?;
    let desired = &target.desired;
    let question = format!(
        "Remove the cluster {} with all its data from {} machines?",
        desired.name,
        desired.machines.len()
    );
    if !args.yes && !ui.confirm(&question) {
        return Err(
            Failure::new(Exit::Usage, "not confirmed; nothing was changed")
                .hint("`--yes` resets without asking"),
        );
    }
    let interrupt = Interrupt::install(ui);
    let world = target.world(ui, &interrupt);
    let failures = reset(&world, desired).await?;
    if failures.is_empty() {
        target.workspace.forget_kubeconfig();
        return ui.result(&format!(
            "cluster {}: removed from {} machines\n",
            desired.name,
            desired.machines.len()
        ));
    }
    let text: Vec<String> = failures
        .iter()
        .map(|(address, why)| format!("{address}: {why}"))
        .collect();
    let exit = if failures.len() < desired.machines.len() {
        Exit::Partial
    } else {
        Exit::Failed
    };
    Err(Failure::new(
        exit,
        format!("not removed from every machine\n  {}", text.join("\n  ")),
    )
    .hint(format!(
        "correct the cause and run the same command again; logs are in {}",
        target.log.path().display()
    )))
}

/// Removes the cluster from every machine and says where something is left, and what.
///
/// # Errors
/// When another `lbctl` is at work.
pub(super) async fn reset(
    world: &World<'_>,
    desired: &Desired,
) -> Result<Vec<(IpAddr, String)>, Failure> {
    let fleet = Fleet::connect(world, desired).await?;
    let _locks = lock(world, &fleet, COMMAND).await?;
    let progress = Progress::begin(world.ui, "remove the cluster from its machines");
    let resetting = desired
        .machines
        .iter()
        .map(|machine| reset_machine(world, &fleet, desired, machine, &progress));
    let outcomes: Vec<_> = stream::iter(resetting)
        .buffer_unordered(CONCURRENCY)
        .collect()
        .await;
    progress.end();
    world.interrupt.check()?;
    let mut failures: Vec<_> = outcomes.into_iter().flatten().collect();
    failures.sort();
    Ok(failures)
}

async fn reset_machine(
    world: &World<'_>,
    fleet: &Fleet<'_>,
    desired: &Desired,
    machine: &Machine,
    progress: &Progress,
) -> Option<(IpAddr, String)> {
    let address = machine.address;
    let name = address.to_string();
    let session = fleet.machine(address);
    let scripts = [
        (script::reset(desired.vips()), "remove"),
        (script::leftovers(desired.vips()), "look for leftovers"),
    ];
    for (index, (script, title)) in scripts.iter().enumerate() {
        if world.interrupt.asked() {
            return Some((address, "interrupted".to_owned()));
        }
        progress.step(address, &name, index, scripts.len(), title);
        let why = match session.run(script, title).await {
            Ok(output) if output.status != 0 => {
                let words = format!("{}{}", output.stdout, output.stderr);
                words
                    .lines()
                    .last()
                    .unwrap_or("it ended with an error")
                    .to_owned()
            }
            Ok(output) if index == 1 && !output.stdout.trim().is_empty() => {
                format!("left: {}", output.stdout.trim().replace('\n', ", "))
            }
            Ok(_) => continue,
            Err(failure) => failure.to_string(),
        };
        progress.failed(address, &name, &why);
        return Some((address, why));
    }
    progress.done(address, &name, scripts.len());
    None
}
