//! A cluster from one file: it is there, it stays as it is, it goes without a trace.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use lab_tests::cluster::Cluster;
use lab_tests::failover::{self, Fault, Trial};
use lab_tests::figures::milliseconds;
use lab_tests::roster::API_VIP;
use lab_tests::{Lab, Machine};

use crate::runner::{Context, Scenario};
use crate::shared::{files, said};

/// In this order: the cluster is created, used, and reset.
pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "one_file_becomes_three_ready_control_planes",
        run: one_file_becomes_three_ready_control_planes,
    },
    Scenario {
        name: "creating_the_cluster_again_does_nothing",
        run: creating_again_does_nothing,
    },
    Scenario {
        name: "a_power_cut_of_the_vip_owner_costs_clients_a_second_at_most",
        run: |context| fault_costs(context, Fault::PowerCut, Duration::from_secs(1)),
    },
    Scenario {
        name: "a_cut_cable_of_the_vip_owner_costs_clients_a_second_at_most",
        run: |context| fault_costs(context, Fault::LinkCut, Duration::from_secs(1)),
    },
    Scenario {
        name: "a_graceful_stop_of_the_vip_owner_costs_clients_nothing",
        run: |context| fault_costs(context, Fault::Graceful, Duration::ZERO),
    },
    Scenario {
        name: "reset_leaves_nothing_and_create_works_again",
        run: reset_leaves_nothing,
    },
];

/// The limit for `lbctl create cluster` on booted machines; generous, the measured time is printed.
const CREATION: Duration = Duration::from_secs(180);

fn one_file_becomes_three_ready_control_planes(context: &Context) -> Result<()> {
    let fixture = context.fixture()?;
    println!("     created in {:.1} s", fixture.creation.as_secs_f32());
    ensure!(
        fixture.creation < CREATION,
        "it took {:?}",
        fixture.creation
    );
    let cluster = &fixture.cluster;
    let owner = cluster.settle()?;
    ensure!(
        cluster.lab.arp_owner(API_VIP)? == Some(owner),
        "{owner} has the VIP, and somebody else answers ARP for it"
    );
    let labelled = "baremetal.cluster.gke.io/lbnode=true";
    let nodes = cluster.kubectl(&["get", "nodes", "-l", labelled, "-o", "name"])?;
    let names: BTreeSet<&str> = nodes.lines().collect();
    let all = BTreeSet::from(["node/cp1", "node/cp2", "node/cp3"]);
    ensure!(names == all, "nodes with the label: {names:?}");
    // The owner of a pod's address is a node, and the cluster's own name service answers.
    cluster
        .kubectl(&[
            "-n",
            "kube-system",
            "rollout",
            "status",
            "deploy/coredns",
            "--timeout=90s",
        ])
        .map(drop)
}

fn creating_again_does_nothing(context: &Context) -> Result<()> {
    let cluster = &context.fixture()?.cluster;
    cluster.settle()?;
    let before = observe(cluster)?;
    let begin = now();
    let output = cluster.create()?;
    let time = begin.elapsed();
    println!("     said so in {:.1} s", time.as_secs_f32());
    let text = said(&output);
    ensure!(text.contains("nothing to do"), "it says: {text}");
    ensure!(time < Duration::from_secs(5), "it took {time:?}");
    let after = observe(cluster)?;
    let changed: Vec<_> = before.symmetric_difference(&after).collect();
    ensure!(changed.is_empty(), "it changed {changed:?}");
    Ok(())
}

/// Every file with its inode, size and times, every container's process and every pod's identity.
fn observe(cluster: &Cluster<'_>) -> Result<BTreeSet<String>> {
    const LOOK: &str = "find /etc /usr/local /opt /root /lib/systemd/system \
        /var/lib/kubelet/config.yaml /var/lib/kubelet/kubeadm-flags.env \
        -type f -printf '%p %i %s %T@ %C@\\n'; ctr -n k8s.io tasks ls | awk '{print $1, $2}'";
    let mut seen = BTreeSet::new();
    for machine in &cluster.machines {
        let lines = cluster.lab.ssh_ok(*machine, LOOK)?;
        seen.extend(lines.lines().map(|line| format!("{machine}: {line}")));
    }
    let pods = cluster.kubectl(&[
        "get", "pods", "-A", "-o",
        "jsonpath={range .items[*]}{.metadata.uid} {.metadata.name} {.status.containerStatuses[*].restartCount}{\"\\n\"}{end}",
    ])?;
    seen.extend(pods.lines().map(str::to_owned));
    Ok(seen)
}

/// The median of the last failures stays within the limit, and nobody else takes the VIP.
fn fault_costs(context: &Context, fault: Fault, limit: Duration) -> Result<()> {
    let cluster = &context.fixture()?.cluster;
    let runs = if context.full { 5 } else { 1 };
    let trials: Vec<Trial> = (0..runs)
        .map(|_| failover::trial(cluster, fault))
        .collect::<Result<_>>()?;
    let mut times: Vec<Duration> = trials.iter().map(|trial| trial.seen.last_failure).collect();
    times.sort_unstable();
    let median = times[times.len() / 2];
    for trial in &trials {
        println!("     {trial}");
        ensure!(
            fault == Fault::Graceful || trial.most_owners <= 1,
            "{} machines had the VIP at one time",
            trial.most_owners
        );
    }
    ensure!(
        median <= limit,
        "last failure after {:.0} ms in the median, at most {:.0} allowed",
        milliseconds(median),
        milliseconds(limit)
    );
    Ok(())
}

fn reset_leaves_nothing(context: &Context) -> Result<()> {
    let fixture = context.fixture()?;
    let cluster = &fixture.cluster;
    let output = cluster.reset_command().output()?;
    ensure!(output.status.success(), "reset failed: {}", said(&output));
    for (machine, before) in &fixture.before {
        nothing_of_ours(cluster.lab, *machine, before)?;
    }
    ensure!(
        cluster.lab.owners(API_VIP)?.is_empty(),
        "somebody still has the VIP"
    );
    let answers = cluster.lab.arp_answers(API_VIP)?;
    ensure!(
        answers.is_empty(),
        "{answers:?} still answer ARP for the VIP"
    );
    cluster.create()?;
    cluster.settle().map(drop)
}

/// Fails when the machine has a file, process, container, image, rule, route or interface more
/// than before the cluster was created.
pub(crate) fn nothing_of_ours(
    lab: &Lab,
    machine: Machine,
    before: &BTreeSet<String>,
) -> Result<()> {
    let after = files(lab, machine)?;
    let left: Vec<_> = after.difference(before).collect();
    ensure!(left.is_empty(), "{machine} has files left: {left:?}");
    let lost: Vec<_> = before.difference(&after).collect();
    ensure!(lost.is_empty(), "{machine} has lost files: {lost:?}");
    for (what, look) in [
        ("containers", "ctr -n k8s.io containers ls -q"),
        (
            "images of ours",
            "ctr -n k8s.io images ls -q | grep lbnode || true",
        ),
        (
            "processes",
            "ps -eo args= | grep -E 'lbnode|kubelet|kube-|etcd|containerd-shim' | grep -v grep || true",
        ),
        ("nft tables", "nft list tables"),
        (
            "iptables rules",
            "iptables-save 2>/dev/null | grep -E '^-A' || true",
        ),
        ("routes to pods", "ip route | grep 10.244. || true"),
        (
            "interfaces",
            "ip -o link | grep -v -E '^[0-9]+: (lo|eth0)[:@]' || true",
        ),
        (
            "mounts of pods",
            "grep /var/lib/kubelet/pods /proc/mounts || true",
        ),
    ] {
        let found = lab.ssh_ok(machine, look)?;
        ensure!(
            found.trim().is_empty(),
            "{machine} has {what} left: {found}"
        );
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "measures a real command")]
fn now() -> Instant {
    Instant::now()
}
