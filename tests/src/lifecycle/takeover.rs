//! A cluster that kubeadm made, and whose virtual IP others keep, gets our load balancers while a client connects all the time.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::files;
use super::front::{self, Front};
use super::watch::{PACE, PATIENCE, Seen};
use crate::cluster::{Cluster, Programs};
use crate::lab::Lab;
use crate::prober::{Plan, Trust};
use crate::roster::{API_VIP, Machine};
use crate::scenario::Skip;
use crate::{bundle, patience, tool};

/// What `lbctl` has made on a machine, as its reset reads it.
const LEDGER: &str = "/var/lib/lbctl/ledger";
/// The ledger of what made the machines ready.
const KEPT_LEDGER: &str = "/root/ledger-before";

/// Who keeps the virtual IP before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeper {
    /// keepalived, with HAProxy, as units.
    Keepalived,
    /// kube-vip, as a static pod.
    KubeVip,
}

/// A cluster that was taken over.
#[derive(Debug)]
pub struct TakenOver<'lab> {
    /// It is ours now.
    pub cluster: Cluster<'lab>,
    /// What the client saw; [`Seen::last_failure`] is counted from its first failed attempt.
    pub seen: Seen,
    /// For how long more than one machine had the virtual IP, at most.
    pub twice: Duration,
}

/// Makes a cluster that is served by `keeper` on bare machines, and takes it over. What is in the lab goes.
///
/// # Errors
/// [`Skip`] where a program of others cannot be had; else when the cluster cannot be made or taken over, or connections fail
/// before or go on failing afterwards. A failed connection meanwhile is none.
pub fn take_over<'lab>(
    lab: &'lab Lab,
    programs: &Programs,
    example: &str,
    keeper: Keeper,
) -> Result<TakenOver<'lab>> {
    keeper.is_possible()?;
    lab.down()?;
    lab.up(&PLANES)?;
    let text = keeper.file(example)?;
    let foreign = foreign_cluster(lab, programs, &text, keeper.port())?;
    match keeper {
        Keeper::Keepalived => run_keepalived(lab)?,
        Keeper::KubeVip => run_kube_vip(lab)?,
    }
    let credentials = kept(&foreign)?;
    let cluster = Cluster::new(lab, programs.clone(), &PLANES, &text)?;
    installed(cluster, &credentials, keeper.port())
}

impl Keeper {
    /// The port of the API on the virtual IP. With kube-vip it is that of the API servers, as everywhere.
    const fn port(self) -> u16 {
        match self {
            Self::Keepalived => 443,
            Self::KubeVip => 6444,
        }
    }

    fn file(self, example: &str) -> Result<String> {
        let port = format!("controlPlaneLBPort: {}", self.port());
        files::edited(example, "controlPlaneLBPort: 443", &port)
    }

    fn is_possible(self) -> Result<()> {
        Front::is_possible()?;
        let there = OTHERS.iter().all(|program| Path::new(program).exists());
        if self == Self::Keepalived && !there {
            let reason =
                "there is no keepalived or no haproxy: `apt-get install keepalived haproxy`";
            return Err(Skip(reason).into());
        }
        Ok(())
    }
}

/// A cluster whose virtual IP is served from a client's place while it is made; nothing of `lbctl` is left on its machines
/// but the cluster.
fn foreign_cluster<'lab>(
    lab: &'lab Lab,
    programs: &Programs,
    text: &str,
    port: u16,
) -> Result<Cluster<'lab>> {
    let manual = files::without_balancers(text)?;
    let cluster = Cluster::new(lab, programs.clone(), &PLANES, &manual)?.with_balancers(&[]);
    let front = Front::start(lab, port)?;
    cluster.create()?;
    front.leave(lab)?;
    for machine in PLANES {
        let forget = format!("rm -f /var/lib/lbctl/member && mv {LEDGER} {KEPT_LEDGER}");
        lab.ssh_ok(machine, &forget)?;
    }
    Ok(cluster)
}

/// What made the machines ready for a cluster is `lbctl`'s own: its removal needs the ledger of that time as well.
///
/// # Errors
/// A machine does not answer.
pub fn remember_the_making(lab: &Lab) -> Result<()> {
    for machine in PLANES {
        let remember = format!("cat {KEPT_LEDGER} >>{LEDGER} && rm {KEPT_LEDGER}");
        lab.ssh_ok(machine, &remember)?;
    }
    Ok(())
}

/// The administrator's credentials, out of the way of what the installation keeps.
fn kept(foreign: &Cluster<'_>) -> Result<PathBuf> {
    let copy = foreign.lab.state_directory().join("admin.conf");
    fs::copy(foreign.kubeconfig(), &copy).context("cannot keep the kubeconfig")?;
    Ok(copy)
}

/// Installs ours under a client.
fn installed<'lab>(
    cluster: Cluster<'lab>,
    credentials: &Path,
    port: u16,
) -> Result<TakenOver<'lab>> {
    let lab = cluster.lab;
    let owner = patience::until(
        "somebody has the VIP",
        Duration::from_secs(60),
        Duration::from_millis(500),
        || Ok(lab.owners(API_VIP)?.first().copied()),
    )?;
    tool::say(format_args!("before, {owner} has the VIP"));
    let target = SocketAddr::from((API_VIP, port));
    let client = Plan::handshake(target, Trust::Anybody).paced(PACE, PATIENCE);
    let client = cluster.prober(client)?;
    ensure!(
        client.wait_for_calm(Duration::from_secs(3), Duration::from_secs(60)),
        "connections fail before anything is done: {:?}",
        client.so_far().reasons()
    );
    let (over, twice) = (AtomicBool::new(false), AtomicU64::new(0));
    let begin = now();
    let output = thread::scope(|scope| {
        scope.spawn(|| owners_at_one_time(lab, &over, &twice));
        let output = tool::output(&mut cluster.install_command(credentials));
        over.store(true, Ordering::Relaxed);
        output
    })?;
    let took = begin.elapsed();
    let calm = client.wait_for_calm(Duration::from_secs(5), Duration::from_secs(60));
    let report = client.finish()?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    ensure!(output.status.success(), "`lbctl install` failed: {said}");
    ensure!(calm, "connections go on failing: {:?}", report.reasons());
    ensure!(said.contains(KEPT), "it does not say what is kept: {said}");
    let gone = begin + report.first_failure(begin);
    let seen = Seen::of(&report, gone, took);
    let twice = Duration::from_millis(twice.into_inner());
    let two = twice.as_millis();
    tool::say(format_args!(
        "taken over: {seen}; two owners for {two} ms at most"
    ));
    Ok(TakenOver {
        cluster,
        seen,
        twice,
    })
}

/// Looks until it is over; the longest time with several owners goes to `twice`, in milliseconds.
fn owners_at_one_time(lab: &Lab, over: &AtomicBool, twice: &AtomicU64) {
    let mut since = None;
    while !over.load(Ordering::Relaxed) {
        if lab.owners(API_VIP).is_ok_and(|owners| owners.len() > 1) {
            let begun = *since.get_or_insert_with(now);
            let millis = u64::try_from(begun.elapsed().as_millis());
            twice.fetch_max(millis.unwrap_or(u64::MAX), Ordering::Relaxed);
        } else {
            since = None;
        }
        thread::sleep(Duration::from_millis(50));
    }
}

fn run_keepalived(lab: &Lab) -> Result<()> {
    let others = packed(lab)?;
    for (index, machine) in PLANES.into_iter().enumerate() {
        let mut unpack = lab.ssh_command(machine);
        unpack.arg("mkdir -p /srv/other && tar -C /srv/other -xf -");
        tool::run(unpack.stdin(File::open(&others)?))?;
        let priority = if index == 0 { 101 } else { 100 };
        for (path, text) in [
            ("/etc/keepalived/keepalived.conf", keepalived(priority)),
            ("/etc/haproxy/haproxy.cfg", front::settings("*:443")),
        ] {
            put(lab, machine, path, &text)?;
        }
        for (name, arguments) in [
            ("haproxy", "-db -f /etc/haproxy/haproxy.cfg"),
            (
                "keepalived",
                "--dont-fork --log-console -f /etc/keepalived/keepalived.conf",
            ),
        ] {
            let path = format!("/etc/systemd/system/{name}.service");
            put(lab, machine, &path, &unit(name, arguments))?;
            let start = format!("systemctl daemon-reload && systemctl enable -q --now {name}");
            lab.ssh_ok(machine, &start)?;
        }
    }
    Ok(())
}

fn run_kube_vip(lab: &Lab) -> Result<()> {
    let images = bundle::kube_vip()?;
    for machine in PLANES {
        lab.import_images(machine, &images)?;
    }
    for machine in PLANES {
        let path = "/etc/kubernetes/manifests/kube-vip.yaml";
        put(lab, machine, path, include_str!("kube-vip.yaml"))?;
    }
    Ok(())
}

fn put(lab: &Lab, machine: Machine, path: &str, text: &str) -> Result<()> {
    let file = lab.state_directory().join("put");
    fs::write(&file, text)?;
    let mut put = lab.ssh_command(machine);
    put.arg(format!(
        "mkdir -p $(dirname {path}) && cat >{path}.new && mv {path}.new {path}"
    ));
    tool::run(put.stdin(File::open(&file)?)).map(drop)
}

/// The host's keepalived and HAProxy with their libraries, as a tree that the machines' systemd can run them in.
fn packed(lab: &Lab) -> Result<PathBuf> {
    const PACK: &str = "set -e; archive=$1; shift; d=$(mktemp -d); trap 'rm -rf $d' EXIT; \
        for p; do for f in $p $(ldd $p | grep -o '/[^ )]*'); do mkdir -p $d$(dirname $f); cp -L $f $d$f; done; done; \
        mkdir -p $d/run $d/tmp $d/etc $d/proc $d/sys $d/dev; tar -C $d -cf \"$archive\" .";
    let archive = lab.state_directory().join("others.tar");
    let mut pack = tool::command("sh", ["-c", PACK, "pack"]);
    tool::run(pack.arg(&archive).args(OTHERS))?;
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

const PLANES: [Machine; 3] = Machine::CONTROL_PLANE;
/// The host's programs that run on the machines.
const OTHERS: [&str; 2] = ["/usr/sbin/keepalived", "/usr/sbin/haproxy"];
/// Where `lbctl` keeps what it stopped.
const KEPT: &str = "/var/backups/lbctl-takeover";

#[expect(clippy::disallowed_methods, reason = "measures a real take-over")]
fn now() -> Instant {
    Instant::now()
}
