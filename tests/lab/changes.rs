//! `lbctl update cluster` on the shared cluster, while a client connects all the time.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use lab_tests::cluster::Cluster;
use lab_tests::figures::milliseconds;
use lab_tests::prober::{Plan, Trust};
use lab_tests::scenario::Skip;
use lab_tests::{Machine, patience};
use nix::sys::signal::Signal;

use crate::interruptions::interrupt;
use crate::runner::{Context, Scenario};
use crate::shared::{example, files, said};

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
        name: "a_worker_comes_and_goes_and_no_connection_fails",
        run: a_worker_comes_and_goes,
    },
    Scenario {
        name: "a_control_plane_is_replaced_and_no_connection_fails",
        run: |context| patiently(context, a_control_plane_is_replaced),
    },
];

/// Minutes each.
fn patiently(context: &Context, scenario: fn(&Context) -> Result<()>) -> Result<()> {
    if !context.full {
        return Err(Skip("takes minutes: runs with --full").into());
    }
    scenario(context)
}

const SETTINGS: &str = "    vrrp:\n      advertisementIntervalMillis: 200\n    proxy:\n      connectTimeoutMillis: 3000\n";
const ALL: [Machine; 3] = Machine::CONTROL_PLANE;

/// The example with other settings of routers and proxies.
fn with_settings() -> Result<String> {
    let key = "  loadBalancer:\n";
    let text = example()?.replacen(key, &format!("{key}{SETTINGS}"), 1);
    ensure!(text.contains(SETTINGS), "the example has no load balancer");
    Ok(text)
}

/// The example with other control planes.
fn with_control_planes(machines: &[Machine]) -> Result<String> {
    let line = |machine: &Machine| format!("      - address: {}\n", machine.address());
    let lines = |machines: &[Machine]| machines.iter().map(line).collect::<String>();
    let text = example()?;
    let edited = text.replace(&lines(&ALL), &lines(machines));
    ensure!(edited != text, "the example has other control planes");
    Ok(edited)
}

fn nothing_to_do(context: &Context) -> Result<()> {
    let cluster = &context.fixture()?.cluster;
    cluster.settle()?;
    let begin = now();
    let output = cluster.update()?;
    let time = begin.elapsed();
    println!("     said so in {:.1} s", time.as_secs_f32());
    let text = said(&output);
    ensure!(text.contains("nothing to do"), "it says: {text}");
    ensure!(time < Duration::from_secs(2), "it took {time:?}");
    Ok(())
}

/// Between two handshakes of the client, in milliseconds.
const PACE: u64 = 10;
/// So long one of them may take, in milliseconds: TCP sends a lost SYN again after a second, so whatever is lost is a failure,
/// and what is only slow, because four machines start and stop on the processors of one, is not.
const PATIENCE: u64 = 900;

/// Does something while a client makes handshakes of TLS: none may fail.
fn under_a_client(
    cluster: &Cluster<'_>,
    what: &str,
    act: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let plan = Plan::handshake(Cluster::endpoint(), Trust::Anybody).paced(PACE, PATIENCE);
    let client = cluster.prober(plan)?;
    ensure!(
        client.wait_for_calm(Duration::from_secs(2), Duration::from_secs(30)),
        "connections fail before anything is done"
    );
    let begin = now();
    let done = act();
    let report = client.finish()?;
    println!(
        "     {what}: {:.1} s, {} of {} failed, the longest took {:.0} ms",
        begin.elapsed().as_secs_f32(),
        report.failed(),
        report.attempts().len(),
        milliseconds(report.longest())
    );
    done?;
    ensure!(
        report.failed() == 0,
        "{what}: {} connections failed: {:?}",
        report.failed(),
        report.reasons()
    );
    Ok(())
}

/// Updates the cluster to a file, under a client, and waits until it is settled.
fn update(shared: &Cluster<'_>, what: &str, machines: &[Machine], text: &str) -> Result<()> {
    let cluster = shared.edited(machines, text)?;
    under_a_client(&cluster, what, || cluster.update().map(drop))?;
    cluster.settle().map(drop)
}

fn settings_change(context: &Context) -> Result<()> {
    let shared = &context.fixture()?.cluster;
    shared.settle()?;
    update(shared, "other settings", &ALL, &with_settings()?)?;
    for machine in ALL {
        let settings = shared
            .lab
            .ssh_ok(machine, "cat /etc/lbnode/vrrp.yaml /etc/lbnode/proxy.yaml")?;
        for words in ["advertisementIntervalMillis: 200", "connectMillis: 3000"] {
            ensure!(settings.contains(words), "{machine} does not have {words}");
        }
    }
    update(shared, "and back", &ALL, &example()?)
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

fn quietly(command: &mut Command) -> Result<Child> {
    let command = command.stdout(Stdio::null()).stderr(Stdio::null());
    Ok(command.spawn()?)
}

fn two_updates_at_once(context: &Context) -> Result<()> {
    let shared = &context.fixture()?.cluster;
    shared.settle()?;
    let edited = shared.edited(&ALL, &with_settings()?)?;
    let step = "write /etc/lbnode/proxy.yaml";
    let times_before = edited.logs()?.matches(step).count();
    let mut first = quietly(&mut edited.update_command())?;
    patience::until(
        "the first update has begun",
        Duration::from_secs(120),
        Duration::from_millis(20),
        || Ok((edited.logs()?.matches(step).count() > times_before).then_some(())),
    )?;
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
    let before = files(shared.lab, worker)?;
    let text = format!(
        "{}\n---\napiVersion: baremetal.cluster.gke.io/v1\nkind: NodePool\nmetadata:\n  name: workers\n  namespace: cluster-lab\n\
         spec:\n  clusterName: lab\n  nodes:\n  - address: {}\n",
        example()?,
        worker.address()
    );
    update(shared, "a worker joins", &ALL, &text)?;
    let nodes = shared.kubectl(&["get", "nodes", "-o", "name"])?;
    ensure!(nodes.contains("node/w1"), "nodes: {nodes}");
    update(shared, "the worker leaves", &ALL, &example()?)?;
    let nodes = shared.kubectl(&["get", "nodes", "-o", "name"])?;
    ensure!(!nodes.contains("node/w1"), "nodes: {nodes}");
    let after = files(shared.lab, worker)?;
    let left: Vec<_> = after.difference(&before).collect();
    ensure!(left.is_empty(), "{worker} has files left: {left:?}");
    shared.lab.discard(worker)
}

fn a_control_plane_is_replaced(context: &Context) -> Result<()> {
    let [first, second, third] = ALL;
    let fourth = Machine::cp(4);
    let shared = &context.fixture()?.cluster;
    shared.settle()?;
    shared.lab.up(&[first, second, third, fourth])?;
    let rounds: [(&str, &[Machine]); 4] = [
        ("cp4 joins", &[first, second, third, fourth]),
        ("cp2 leaves", &[first, third, fourth]),
        ("cp2 joins again", &[first, second, third, fourth]),
        ("cp4 leaves", &ALL),
    ];
    for (what, machines) in rounds {
        let text = if machines == ALL {
            example()?
        } else {
            with_control_planes(machines)?
        };
        update(shared, what, machines, &text)?;
        let nodes = shared.kubectl(&["get", "nodes", "-o", "name"])?;
        let expected = machines.len();
        ensure!(
            nodes.lines().count() == expected,
            "{what}: {expected} nodes expected: {nodes}"
        );
    }
    shared.lab.discard(fourth)
}

#[expect(clippy::disallowed_methods, reason = "measures a real command")]
fn now() -> Instant {
    Instant::now()
}
