//! Where the load balancers of a cluster run: each placement is created, loses whoever has its addresses, and is reset.
//!
//! Each has a cluster of its own on the shared lab's machines, so these scenarios are the last.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use lab_tests::cluster::Cluster;
use lab_tests::failover::{self, Fault};
use lab_tests::figures::milliseconds;
use lab_tests::lifecycle::files::{
    edited, on_control_planes, with_control_planes, with_pool, without_balancers,
};
use lab_tests::lifecycle::{Front, POOL};
use lab_tests::prober::{Plan, Trust};
use lab_tests::roster::API_VIP;
use lab_tests::{Machine, service};

use crate::changes::patiently;
use crate::cluster::nothing_of_ours;
use crate::runner::{Context, Scenario};
use crate::services::fault_on;
use crate::shared::{example, files, programs, said};

/// Each begins and ends with bare machines.
pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "a_single_control_plane_comes_back_and_grows_under_another_login_user",
        run: |context| patiently(context, a_single_control_plane),
    },
    Scenario {
        name: "service_addresses_live_on_a_pool_beside_control_planes_with_the_vip",
        run: |context| patiently(context, separate),
    },
    Scenario {
        name: "both_load_balancers_live_on_a_pool_that_runs_before_the_cluster",
        run: |context| patiently(context, dedicated),
    },
    Scenario {
        name: "a_load_balancer_of_somebody_else_serves_the_api",
        run: |context| patiently(context, manual),
    },
];

const PLANES: [Machine; 3] = Machine::CONTROL_PLANE;
const LIMIT: Duration = Duration::from_secs(1);

/// Machines without anything, and what their disks hold.
pub(crate) struct Ground {
    before: Vec<(Machine, BTreeSet<String>)>,
}

impl Ground {
    pub(crate) fn new(context: &Context, machines: &[Machine]) -> Result<Self> {
        let lab = context.lab;
        lab.kubernetes_bundle()?;
        lab.down()?;
        lab.up(machines)?;
        let before = machines.iter();
        let before = before.map(|machine| Ok((*machine, files(lab, *machine)?)));
        Ok(Self {
            before: before.collect::<Result<_>>()?,
        })
    }

    /// Resets the cluster: nothing of it is left on any machine.
    pub(crate) fn reset(self, cluster: &Cluster<'_>) -> Result<()> {
        let output = cluster.reset_command().output()?;
        ensure!(output.status.success(), "reset failed: {}", said(&output));
        for (machine, before) in &self.before {
            nothing_of_ours(cluster.lab, *machine, before)?;
        }
        Ok(())
    }
}

/// The owner of the API's VIP loses its power, then the owner of a Service's address.
fn owners_die(cluster: &Cluster<'_>) -> Result<()> {
    let trial = failover::trial(cluster, Fault::PowerCut)?;
    println!("     the API's VIP: {trial}");
    ensure!(
        trial.seen.last_failure <= LIMIT && trial.most_owners <= 1,
        "last failure after {:.0} ms, {} owners at one time",
        milliseconds(trial.seen.last_failure),
        trial.most_owners
    );
    fault_on(cluster, service::Fault::PowerCut, LIMIT)?;
    cluster.settle().map(drop)
}

fn a_single_control_plane(context: &Context) -> Result<()> {
    let [first, second, third] = PLANES;
    let ground = Ground::new(context, &PLANES)?;
    let user = |text: &str| {
        edited(
            text,
            "  clusterNetwork:\n",
            "  nodeAccess:\n    loginUser: debian\n  clusterNetwork:\n",
        )
    };
    let single = user(&with_control_planes(&example()?, &[first])?)?;
    let cluster = Cluster::new(context.lab, programs()?, &[first], &single)?;
    cluster.create()?;
    ensure!(cluster.settle()? == first, "another machine has the VIP");
    // Nobody takes over from it: it comes back with everything.
    context.lab.kill(first)?;
    context.lab.start(first)?;
    ensure!(cluster.settle()? == first, "it did not come back");
    let grown = cluster.edited(&[first, second, third], &user(&example()?)?)?;
    grown.update()?;
    owners_die(&grown)?;
    ground.reset(&grown)
}

fn separate(context: &Context) -> Result<()> {
    let machines = [&PLANES[..], &POOL[..]].concat();
    let ground = Ground::new(context, &machines)?;
    let text = on_control_planes(&with_pool(&example()?, &POOL)?)?;
    let cluster = Cluster::new(context.lab, programs()?, &PLANES, &text)?;
    cluster.create()?;
    let owner = cluster.settle()?;
    ensure!(PLANES.contains(&owner), "{owner} has the VIP");
    pool_is_labelled(&cluster)?;
    owners_die(&cluster)?;
    ground.reset(&cluster)
}

pub(crate) fn pool_is_labelled(cluster: &Cluster<'_>) -> Result<()> {
    let label = "baremetal.cluster.gke.io/lbnode=true";
    let nodes = cluster.kubectl(&["get", "nodes", "-l", label, "-o", "name"])?;
    let names: BTreeSet<&str> = nodes.lines().collect();
    let pool = BTreeSet::from(["node/lb1", "node/lb2"]);
    ensure!(names == pool, "nodes with the label: {names:?}");
    Ok(())
}

fn dedicated(context: &Context) -> Result<()> {
    let planes = [PLANES[0]];
    let machines = [&planes[..], &POOL[..]].concat();
    let ground = Ground::new(context, &machines)?;
    let text = with_pool(&with_control_planes(&example()?, &planes)?, &POOL)?;
    let cluster = Cluster::new(context.lab, programs()?, &planes, &text)?.with_balancers(&POOL);
    let (looks, gaps) = created_under_watch(&cluster)?;
    println!(
        "     the VIP was looked at {looks} times while the cluster was made, and gone {gaps} times"
    );
    ensure!(looks > 5, "the VIP was hardly ever there");
    ensure!(gaps == 0, "the VIP was gone {gaps} times after it had come");
    let owner = cluster.settle()?;
    ensure!(POOL.contains(&owner), "{owner} has the VIP");
    pool_is_labelled(&cluster)?;
    for machine in POOL {
        pods_are_older_than_membership(&cluster, machine)?;
    }
    owners_die(&cluster)?;
    // A control plane joins: those who balance learn of it one after the other.
    let [first, second, third] = PLANES;
    context.lab.up(&[second, third])?;
    let grown = cluster.edited(&[first, second, third], &with_pool(&example()?, &POOL)?)?;
    grown.update()?;
    let owner = grown.settle()?;
    ensure!(POOL.contains(&owner), "{owner} has the VIP");
    ground.reset(&grown)
}

/// How often the VIP was looked at after somebody had it, while the cluster was created, and how often nobody had it.
fn created_under_watch(cluster: &Cluster<'_>) -> Result<(usize, usize)> {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watching = scope.spawn(|| {
            let (mut looks, mut gaps) = (0, 0);
            while !over.load(Ordering::Relaxed) {
                match cluster.lab.owners(API_VIP) {
                    Ok(owners) if !owners.is_empty() => looks += 1,
                    Ok(_) if looks > 0 => gaps += 1,
                    Ok(_) | Err(_) => {}
                }
                std::thread::sleep(Duration::from_millis(100));
            }
            (looks, gaps)
        });
        let created = cluster.create();
        over.store(true, Ordering::Relaxed);
        let watched = watching.join();
        created?;
        watched.map_err(|_| anyhow::anyhow!("the watch panicked"))
    })
}

/// The router and the proxy were not restarted by the join.
fn pods_are_older_than_membership(cluster: &Cluster<'_>, machine: Machine) -> Result<()> {
    let ages = "joined=$(($(date +%s) - $(stat -c %Y /var/lib/lbctl/member))); \
        for process in $(pgrep -f '^/lbnode (vrrp|proxy)'); do \
        echo \"$joined $(ps -o etimes= -p $process)\"; done";
    let lines = cluster.lab.ssh_ok(machine, ages)?;
    ensure!(
        lines.lines().count() >= 2,
        "{machine} runs no load balancer"
    );
    for line in lines.lines() {
        let mut words = line.split_whitespace().map(str::parse::<u64>);
        let joined = words.next().context("an age")??;
        let age = words.next().context("an age")??;
        ensure!(
            age > joined,
            "{machine}: a process of the load balancer is {age} s old, the node is a member for {joined} s"
        );
    }
    let restarts = "jsonpath={.status.containerStatuses[*].restartCount}";
    for pod in ["lb-vrrp", "lb-proxy"] {
        let pod = format!("{pod}-{machine}");
        let words = ["-n", "kube-system", "get", "pod", &pod, "-o", restarts];
        let count = cluster.kubectl(&words)?;
        ensure!(count.trim() == "0", "{pod} was restarted {count} times");
    }
    Ok(())
}

fn manual(context: &Context) -> Result<()> {
    Front::is_possible()?;
    let ground = Ground::new(context, &PLANES)?;
    let text = example()?;
    let text = without_balancers(&text)?;
    let cluster = Cluster::new(context.lab, programs()?, &PLANES, &text)?.with_balancers(&[]);
    // Without it nothing is begun.
    let output = cluster.create_command().output()?;
    let words = said(&output);
    ensure!(
        !output.status.success() && words.contains("set up your load balancer"),
        "it says: {words}"
    );
    for (machine, before) in &ground.before {
        nothing_of_ours(context.lab, *machine, before)?;
    }
    let front = Front::start(context.lab, 443)?;
    cluster.create()?;
    cluster.calm()?;
    let owners = context.lab.owners(API_VIP)?;
    ensure!(owners.is_empty(), "{owners:?} have the VIP");
    let status = said(&cluster.lbctl(&["status"]).output()?);
    ensure!(
        status.contains("a load balancer that is not ours"),
        "it says: {status}"
    );
    a_back_end_dies(&cluster)?;
    let again = said(&cluster.create()?);
    ensure!(again.contains("nothing to do"), "it says: {again}");
    ground.reset(&cluster)?;
    drop(front);
    Ok(())
}

/// The others serve, as soon as the load balancer sees it.
fn a_back_end_dies(cluster: &Cluster<'_>) -> Result<()> {
    let client = cluster.prober(Plan::handshake(Cluster::endpoint(), Trust::Anybody))?;
    ensure!(
        client.wait_for_calm(Duration::from_secs(2), Duration::from_secs(30)),
        "connections fail before the fault"
    );
    let instant = now();
    cluster.lab.kill(PLANES[0])?;
    let calm = client.wait_for_calm(Duration::from_secs(5), Duration::from_secs(60));
    let report = client.finish()?;
    cluster.lab.start(PLANES[0])?;
    println!(
        "     a back end's power cut behind HAProxy: last failure after {:.0} ms",
        milliseconds(report.last_failure(instant))
    );
    ensure!(calm, "connections go on failing: {:?}", report.reasons());
    cluster.calm()
}

#[expect(clippy::disallowed_methods, reason = "measures real time")]
fn now() -> Instant {
    Instant::now()
}
