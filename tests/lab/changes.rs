//! `lbctl update cluster` on the shared cluster, while clients connect all the time.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lab_tests::cluster::Cluster;
use lab_tests::lifecycle::{self, begun, files, interrupt};
use lab_tests::{Machine, service};
use nix::sys::signal::Signal;

use crate::runner::{Context, Scenario};
use crate::shared::{self, example, said};

/// Each leaves the cluster as its example file says.
pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "updating_with_nothing_to_do_takes_two_seconds_at_most",
        run: nothing_to_do,
    },
    Scenario {
        name: "settings_change_and_no_connection_fails",
        run: settings_change,
    },
    Scenario {
        name: "an_interrupted_update_is_finished_by_the_next",
        run: |context| patiently(context, an_interrupted_update),
    },
    Scenario {
        name: "the_second_of_two_updates_is_told_who_is_at_work",
        run: |context| patiently(context, two_updates_at_once),
    },
    Scenario {
        name: "a_full_disk_stops_an_update_and_the_vip_stays",
        run: |context| patiently(context, a_full_disk),
    },
    Scenario {
        name: "a_node_that_is_cut_off_stops_an_update_and_the_next_finishes_it",
        run: |context| patiently(context, a_node_is_cut_off),
    },
    Scenario {
        name: "a_worker_comes_and_goes_and_no_connection_fails",
        run: a_worker_comes_and_goes,
    },
    Scenario {
        name: "each_control_plane_is_replaced_in_turn_and_no_connection_fails",
        run: |context| {
            patiently(context, |context| {
                restored(context, each_control_plane_is_replaced)
            })
        },
    },
];

/// What fails half-way leaves nothing to those who come later.
pub(crate) fn restored(context: &Context, scenario: fn(&Context) -> Result<()>) -> Result<()> {
    let result = scenario(context);
    if result.is_err() {
        let cluster = &context.fixture()?.cluster;
        let restored = context.lab.up(&ALL).and_then(|()| {
            let cluster = cluster.edited(&ALL, &example()?)?;
            cluster.update()?;
            service::remove_all(&cluster)
        });
        if let Err(error) = restored {
            println!("     the cluster is not as before: {error:#}");
        }
    }
    result
}

/// Minutes each.
pub(crate) fn patiently(context: &Context, scenario: fn(&Context) -> Result<()>) -> Result<()> {
    context.only_in_full()?;
    scenario(context)
}

pub(crate) const ALL: [Machine; 3] = Machine::CONTROL_PLANE;

/// The example with other settings of routers and proxies.
fn with_settings() -> Result<String> {
    files::with_settings(&example()?)
}

fn nothing_to_do(context: &Context) -> Result<()> {
    says_so_soon(&context.fixture()?.cluster)
}

/// `lbctl update cluster` says within two seconds that there is nothing to do.
pub(crate) fn says_so_soon(cluster: &Cluster<'_>) -> Result<()> {
    let took = lifecycle::nothing_to_do(cluster)?;
    println!("     said so in {:.1} s", took.as_secs_f32());
    ensure!(took < Duration::from_secs(2), "it took {took:?}");
    Ok(())
}

/// Does something while a client makes handshakes of TLS: none may fail.
fn under_a_client(
    cluster: &Cluster<'_>,
    what: &str,
    act: impl FnOnce() -> Result<()>,
) -> Result<()> {
    lifecycle::watch(cluster, None, what, act)?.nothing_failed(what)
}

/// Updates the cluster to a file, under a client, and waits until it is settled.
fn update(shared: &Cluster<'_>, what: &str, machines: &[Machine], text: &str) -> Result<()> {
    lifecycle::update(shared, None, what, machines, text)?.nothing_failed(what)
}

fn settings_change(context: &Context) -> Result<()> {
    let shared = &context.fixture()?.cluster;
    shared.settle()?;
    let (web, address) = lifecycle::service(shared, &ALL)?;
    let under_two_clients = |what: &str, text: &str| {
        lifecycle::update(shared, Some(address), what, &ALL, text)?.nothing_failed(what)
    };
    under_two_clients("other settings", &with_settings()?)?;
    for machine in ALL {
        let settings = shared
            .lab
            .ssh_ok(machine, "cat /etc/lbnode/vrrp.yaml /etc/lbnode/proxy.yaml")?;
        for words in ["advertisementIntervalMillis: 200", "connectMillis: 3000"] {
            ensure!(settings.contains(words), "{machine} does not have {words}");
        }
    }
    under_two_clients("and back", &example()?)?;
    web.remove()
}

fn an_interrupted_update(context: &Context) -> Result<()> {
    let shared = &context.fixture()?.cluster;
    shared.settle()?;
    let edited = shared.edited(&ALL, &with_settings()?)?;
    let steps = [
        "write /etc/lbnode/proxy.yaml",
        "write /etc/kubernetes/manifests/lb-vrrp.yaml",
        "write /etc/kubernetes/manifests/lb-proxy.yaml",
    ];
    under_a_client(&edited, "killed and run again", || {
        for step in steps.iter().rev() {
            interrupt(&edited, edited.update_command(), step, Signal::SIGKILL)
                .with_context(|| format!("killed at `{step}`"))?;
        }
        edited.update().map(drop)
    })?;
    edited.settle()?;
    update(shared, "and back", &ALL, &example()?)
}

/// An early step of an update, as the logs name it.
const STEP: &str = "write /etc/lbnode/proxy.yaml";

/// A machine that does not have the VIP loses its cable while the update is at work.
fn a_node_is_cut_off(context: &Context) -> Result<()> {
    let shared = &context.fixture()?.cluster;
    let owner = shared.settle()?;
    let silent = ALL.into_iter().rfind(|machine| *machine != owner);
    let silent = silent.context("there are several machines")?;
    let edited = shared.edited(&ALL, &with_settings()?)?;
    let told = under_a_client(&edited, "a node is cut off", || {
        let mut command = edited.update_command();
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let update = begun(&edited, command, STEP)?;
        shared.lab.cut(silent)?;
        let output = update.wait_with_output()?;
        let text = said(&output);
        println!("     {}", text.lines().last().unwrap_or_default());
        let named = text.contains(&silent.to_string());
        ensure!(
            !output.status.success() && named && text.contains("run the same command again"),
            "it ended with {} and said: {text}",
            output.status
        );
        Ok(())
    });
    shared.lab.heal(silent)?;
    told?;
    shared.settle()?;
    update(shared, "with its cable again", &ALL, &with_settings()?)?;
    update(shared, "and back", &ALL, &example()?)
}

fn two_updates_at_once(context: &Context) -> Result<()> {
    let shared = &context.fixture()?.cluster;
    shared.settle()?;
    let edited = shared.edited(&ALL, &with_settings()?)?;
    let mut command = edited.update_command();
    let command = command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut first = begun(&edited, command, STEP)?;
    let second = edited.update_command().output()?;
    let text = said(&second);
    let ended = first.wait()?;
    ensure!(ended.success(), "the first update failed");
    ensure!(
        second.status.code() == Some(1)
            && text.contains("is being worked on by `lbctl update cluster`"),
        "the second ended with {} and said: {text}",
        second.status
    );
    edited.settle()?;
    update(shared, "and back", &ALL, &example()?)
}

/// The settings lie on a file system without room on one of the machines.
fn a_full_disk(context: &Context) -> Result<()> {
    const FILL: &str = "mkdir -p /run/kept && cp -a /etc/lbnode/. /run/kept && mount -t tmpfs -o size=16k tmpfs /etc/lbnode \
        && cp -a /run/kept/. /etc/lbnode && { dd if=/dev/zero of=/etc/lbnode/.ballast bs=4k 2>/dev/null || true; }";
    let shared = &context.fixture()?.cluster;
    let owner = shared.settle()?;
    let full = ALL.into_iter().find(|machine| *machine != owner);
    let full = full.context("there are several machines")?;
    let edited = shared.edited(&ALL, &with_settings()?)?;
    shared.lab.ssh_ok(full, FILL)?;
    let refused = under_a_client(&edited, "a full disk", || {
        let output = edited.update_command().output()?;
        let text = said(&output);
        ensure!(
            output.status.code() == Some(1) && text.contains("No space left on device"),
            "it ended with {} and said: {text}",
            output.status
        );
        Ok(())
    });
    shared
        .lab
        .ssh_ok(full, "umount -l /etc/lbnode && rm -rf /run/kept")?;
    refused?;
    ensure!(shared.owner()? == owner, "the VIP has moved");
    update(shared, "with room again", &ALL, &with_settings()?)?;
    update(shared, "and back", &ALL, &example()?)
}

fn a_worker_comes_and_goes(context: &Context) -> Result<()> {
    let worker = Machine::w(1);
    let shared = &context.fixture()?.cluster;
    shared.settle()?;
    shared.lab.up(&[ALL[0], ALL[1], ALL[2], worker])?;
    let before = shared::files(shared.lab, worker)?;
    let (web, address) = lifecycle::service(shared, &ALL)?;
    let [came, went] = lifecycle::worker(shared, Some(address), &example()?, worker)?;
    web.remove()?;
    came.nothing_failed("a worker joins")?;
    went.nothing_failed("the worker leaves")?;
    let after = shared::files(shared.lab, worker)?;
    let left: Vec<_> = after.difference(&before).collect();
    ensure!(left.is_empty(), "{worker} has files left: {left:?}");
    shared.lab.discard(worker)
}

fn each_control_plane_is_replaced(context: &Context) -> Result<()> {
    let spare = Machine::cp(4);
    let shared = &context.fixture()?.cluster;
    shared.settle()?;
    shared.lab.up(&[ALL[0], ALL[1], ALL[2], spare])?;
    // All of them in any case: then the cluster is as it was.
    let mut replaced = Vec::new();
    lifecycle::replaced_in_turn(shared, &example()?, spare, |old, seen| {
        replaced.push((old, seen));
        Ok(())
    })?;
    shared.lab.discard(spare)?;
    for (old, seen) in replaced {
        seen.nothing_failed(&format!("{old} is replaced"))?;
    }
    Ok(())
}
