//! A cluster that others made, and whose virtual IP others keep, gets our load balancers while a client connects all the time.
//!
//! Each has a cluster of its own on the shared lab's machines, so these scenarios are among the last.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use lab_tests::cluster::Cluster;
use lab_tests::figures::milliseconds;
use lab_tests::lifecycle::files::edited;
use lab_tests::prober::{Plan, Trust};
use lab_tests::roster::API_VIP;
use lab_tests::scenario::Skip;
use lab_tests::{Machine, Place, bundle, failover, patience};

use crate::changes::patiently;
use crate::placements::{Balancer, Ground, PLANES};
use crate::runner::{Context, Scenario};
use crate::shared::{example, programs, said};

/// Each begins and ends with bare machines.
pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "keepalived_and_haproxy_are_taken_over_from",
        run: |context| patiently(context, from_keepalived),
    },
    Scenario {
        name: "kube_vip_is_taken_over_from",
        run: |context| patiently(context, from_kube_vip),
    },
];

/// All that clients may see of a take-over.
const LIMIT: Duration = Duration::from_secs(1);

fn from_keepalived(context: &Context) -> Result<()> {
    let others = packed(context)?;
    let ground = Ground::new(context, &PLANES)?;
    let text = example()?;
    let foreign = foreign_cluster(context, &text, 443)?;
    for (index, machine) in PLANES.iter().enumerate() {
        let input = File::open(&others)?;
        let mut push = context.lab.ssh_command(*machine);
        let unpack = "mkdir -p /srv/other && tar -C /srv/other -xf -";
        succeeds(push.arg(unpack).stdin(input))?;
        let priority = if index == 0 { 101 } else { 100 };
        put(
            context,
            *machine,
            "/etc/keepalived/keepalived.conf",
            &keepalived(priority),
        )?;
        put(context, *machine, "/etc/haproxy/haproxy.cfg", &haproxy())?;
        for (name, arguments) in [
            ("haproxy", "-db -f /etc/haproxy/haproxy.cfg"),
            (
                "keepalived",
                "--dont-fork --log-console -f /etc/keepalived/keepalived.conf",
            ),
        ] {
            let path = format!("/etc/systemd/system/{name}.service");
            put(context, *machine, &path, &unit(name, arguments))?;
            let start = format!("systemctl daemon-reload && systemctl enable -q --now {name}");
            context.lab.ssh_ok(*machine, &start)?;
        }
    }
    drop(ground);
    let cluster = taken_over(context, &foreign, &text, 443)?;
    let owner = cluster.settle()?;
    println!("     {owner} has the VIP");
    let again = said(&cluster.update()?);
    ensure!(again.contains("nothing to do"), "it says: {again}");
    let trial = failover::trial(&cluster, failover::Fault::PowerCut)?;
    println!("     the owner's power cut afterwards: {trial}");
    reset(&cluster)
}

fn from_kube_vip(context: &Context) -> Result<()> {
    let images = bundle::kube_vip()?;
    let ground = Ground::new(context, &PLANES)?;
    // As with kube-vip everywhere: the API servers' port is that of the virtual IP.
    let text = edited(
        &example()?,
        "controlPlaneLBPort: 443",
        "controlPlaneLBPort: 6444",
    )?;
    let foreign = foreign_cluster(context, &text, 6444)?;
    for machine in PLANES {
        context.lab.import_images(machine, &images)?;
    }
    for machine in PLANES {
        let path = "/etc/kubernetes/manifests/kube-vip.yaml";
        put(context, machine, path, include_str!("kube-vip.yaml"))?;
    }
    drop(ground);
    let cluster = taken_over(context, &foreign, &text, 6444)?;
    for machine in PLANES {
        let server = "ss -Hltn | grep -c \"^LISTEN.* $(hostname -I | cut -d' ' -f1):6444 \"";
        let listens = context.lab.ssh_ok(machine, server)?;
        ensure!(listens.trim() != "0", "{machine}: {listens}");
    }
    let again = said(&cluster.update()?);
    ensure!(again.contains("nothing to do"), "it says: {again}");
    reset(&cluster)
}

/// A cluster whose virtual IP is served from a client's place while it is made; nothing of `lbctl` is left on its machines
/// but the cluster.
fn foreign_cluster(context: &Context, text: &str, port: u16) -> Result<Cluster<'static>> {
    let pools = text.find("    addressPools:\n").context("pools")?;
    let manual = edited(&text[..pools], "    mode: bundled\n", "    mode: manual\n")?;
    let cluster = Cluster::new(context.lab, programs()?, &PLANES, &manual)?.with_balancers(&[]);
    let balancer = Balancer::start(context, port)?;
    cluster.create()?;
    drop(balancer);
    let address = format!("{API_VIP}/32");
    let mut remove = context.lab.command_in(Place::Client, "ip");
    succeeds(remove.args(["addr", "del", &address, "dev", "eth0"]))?;
    for machine in PLANES {
        context
            .lab
            .ssh_ok(machine, "rm -f /var/lib/lbctl/member /var/lib/lbctl/ledger")?;
    }
    Ok(cluster)
}

/// Installs ours under a client; afterwards the cluster is one of ours.
#[expect(clippy::disallowed_methods, reason = "measures real time")]
fn taken_over(
    context: &Context,
    foreign: &Cluster<'_>,
    text: &str,
    port: u16,
) -> Result<Cluster<'static>> {
    let lab = context.lab;
    let target = SocketAddr::from((API_VIP, port));
    let kubeconfig = kept(foreign)?;
    let owner = patience::until(
        "somebody has the VIP",
        Duration::from_secs(60),
        Duration::from_millis(500),
        || Ok(lab.owners(API_VIP)?.first().copied()),
    )?;
    println!("     before: {owner} has the VIP");
    let client = foreign.prober(Plan::handshake(target, Trust::Anybody))?;
    ensure!(
        client.wait_for_calm(Duration::from_secs(3), Duration::from_secs(60)),
        "connections fail before anything is done: {:?}",
        client.finish()?.reasons()
    );
    let cluster = Cluster::new(lab, programs()?, &PLANES, text)?;
    let (over, twice) = (AtomicBool::new(false), AtomicU64::new(0));
    let begin = Instant::now();
    let output = thread::scope(|scope| {
        scope.spawn(|| {
            let mut since = None;
            while !over.load(Ordering::Relaxed) {
                if lab.owners(API_VIP).is_ok_and(|owners| owners.len() > 1) {
                    let begun = *since.get_or_insert_with(Instant::now);
                    let millis = u64::try_from(begun.elapsed().as_millis());
                    twice.fetch_max(millis.unwrap_or(u64::MAX), Ordering::Relaxed);
                } else {
                    since = None;
                }
                thread::sleep(Duration::from_millis(50));
            }
        });
        let output = cluster.install_command(&kubeconfig).output();
        over.store(true, Ordering::Relaxed);
        output
    })?;
    let took = begin.elapsed();
    let calm = client.wait_for_calm(Duration::from_secs(5), Duration::from_secs(60));
    let report = client.finish()?;
    succeeded(&output)?;
    let words = said(&output);
    ensure!(
        words.contains("/var/backups/lbctl-takeover"),
        "it says: {words}"
    );
    let (first, last) = (report.first_failure(begin), report.last_failure(begin));
    let outage = last.saturating_sub(first);
    println!(
        "     taken over in {:.0} s: {} connections failed within {:.0} ms, two owners for {} ms at most",
        took.as_secs_f32(),
        report.failed(),
        milliseconds(outage),
        twice.load(Ordering::Relaxed)
    );
    ensure!(calm, "connections go on failing: {:?}", report.reasons());
    ensure!(
        outage <= LIMIT,
        "clients were without the API for {outage:?}: {:?}",
        report.reasons()
    );
    ensure!(
        twice.load(Ordering::Relaxed) < 500,
        "two had the VIP for longer than a hand-over"
    );
    Ok(cluster)
}

/// The administrator's credentials, out of the way of what the installation keeps.
fn kept(foreign: &Cluster<'_>) -> Result<PathBuf> {
    let copy = foreign.lab.state_directory().join("admin.conf");
    fs::copy(foreign.kubeconfig(), &copy).context("cannot keep the kubeconfig")?;
    Ok(copy)
}

fn reset(cluster: &Cluster<'_>) -> Result<()> {
    let words = ["reset", "cluster", "--yes", "--no-progress"];
    succeeded(&cluster.lbctl(&words).output()?)
}

fn put(context: &Context, machine: Machine, path: &str, text: &str) -> Result<()> {
    let file = context.lab.state_directory().join("put");
    fs::write(&file, text)?;
    let command = format!("mkdir -p $(dirname {path}) && cat >{path}.new && mv {path}.new {path}");
    let mut put = context.lab.ssh_command(machine);
    succeeds(put.arg(command).stdin(File::open(&file)?))
}

/// The host's keepalived and HAProxy with their libraries, as a tree that the machines' systemd can run them in.
fn packed(context: &Context) -> Result<PathBuf> {
    let archive = context.lab.state_directory().join("others.tar");
    let pack = "set -e; for p in /usr/sbin/keepalived /usr/sbin/haproxy; do [ -x $p ] || exit 3; done; \
        d=$(mktemp -d); trap 'rm -rf $d' EXIT; \
        for p in /usr/sbin/keepalived /usr/sbin/haproxy; do \
        for f in $p $(ldd $p | grep -o '/[^ )]*'); do mkdir -p $d$(dirname $f); cp -L $f $d$f; done; done; \
        mkdir -p $d/run $d/tmp $d/etc $d/proc $d/sys $d/dev; tar -C $d -cf \"$1\" .";
    let mut command = Command::new("sh");
    command.args(["-c", pack, "pack"]).arg(&archive);
    let output = command.output().context("cannot run sh")?;
    if output.status.code() == Some(3) {
        let reason = "there is no keepalived or no haproxy: `apt-get install keepalived haproxy`";
        return Err(Skip(reason).into());
    }
    succeeded(&output)?;
    Ok(archive)
}

fn unit(name: &str, arguments: &str) -> String {
    format!(
        "[Unit]\nDescription={name} of somebody else\n\n[Service]\nRootDirectory=/srv/other\nMountAPIVFS=yes\n\
         BindReadOnlyPaths=/etc/{name}\nExecStart=/usr/sbin/{name} {arguments}\nRestart=always\n\n\
         [Install]\nWantedBy=multi-user.target\n"
    )
}

/// As in kubeadm's guide, without a check of its own.
fn keepalived(priority: u8) -> String {
    format!(
        "global_defs {{\n  router_id lab\n}}\nvrrp_instance api {{\n  state BACKUP\n  interface eth0\n  virtual_router_id 51\n\
         \x20 priority {priority}\n  advert_int 1\n  virtual_ipaddress {{ {API_VIP} }}\n}}\n"
    )
}

fn haproxy() -> String {
    let servers: String = PLANES
        .iter()
        .map(|machine| {
            format!(
                "  server {machine} {}:6444 check check-ssl verify none\n",
                machine.address()
            )
        })
        .collect();
    format!(
        "defaults\n  mode tcp\n  timeout connect 2s\n  timeout client 1h\n  timeout server 1h\nlisten api\n  bind *:443\n\
         \x20 option httpchk GET /readyz\n  http-check expect status 200\n  default-server inter 500ms fall 2 rise 1\n{servers}"
    )
}

fn succeeds(command: &mut Command) -> Result<()> {
    succeeded(&command.output().context("cannot run a program")?)
}

fn succeeded(output: &Output) -> Result<()> {
    ensure!(output.status.success(), "it failed: {}", said(output));
    Ok(())
}
