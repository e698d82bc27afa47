//! Addresses of Services without any API server: nothing is lost, and a node's death costs what it costs otherwise.

use std::net::{Ipv4Addr, SocketAddr};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use lab_tests::cluster::Cluster;
use lab_tests::lifecycle::watch_service;
use lab_tests::service::{Fault, Setting, Web, expose_away_from_its_node, trial_of};
use lab_tests::{Machine, patience};

use crate::runner::{Context, Scenario};
use crate::services::{SECOND, judge, setting};

/// Leaves the shared cluster as it was.
pub(crate) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "ten_minutes_without_an_api_cost_nothing_and_a_power_cut_then_a_second_at_most",
    run: no_api,
}];

/// So long there is none.
const OUTAGE: Duration = Duration::from_secs(600);
/// Announcements that an address must have had meanwhile: there is one a minute.
const REFRESHED: f64 = 8.0;
/// Between two looks at who answers.
const LOOK: Duration = Duration::from_secs(10);

fn no_api(context: &Context) -> Result<()> {
    context.only_in_full()?;
    let setting = setting(context)?;
    let Setting {
        cluster,
        contestant,
        ..
    } = setting;
    contestant.settle(cluster)?;
    let web = Web::new(cluster, "no-api", "Cluster")?;
    let address = expose_away_from_its_node(setting, &web)?;
    let result = without_api(setting, address);
    let back = bring_back(cluster).and_then(|()| {
        contestant.settle(cluster)?;
        web.remove()
    });
    match (result, back) {
        (Err(why), Err(back)) => Err(anyhow!("{why:#}; and it is not as before: {back:#}")),
        (result, back) => result.and(back),
    }
}

fn without_api(setting: Setting<'_>, address: Ipv4Addr) -> Result<()> {
    let cluster = setting.cluster;
    let owner = cluster.lab.arp_owner(address)?;
    let owner = owner.with_context(|| format!("nobody answers ARP for {address}"))?;
    let (what, service) = ("no API server and no etcd", SocketAddr::from((address, 80)));
    let seen = watch_service(cluster, service, what, || {
        take_down(cluster)?;
        nothing_changes(cluster, owner, address)
    })?;
    seen.nothing_failed(what)?;
    ensure!(
        cluster.kubectl(&["get", "nodes"]).is_err(),
        "there is an API server"
    );
    judge(&trial_of(setting, address, Fault::PowerCut)?, SECOND)
}

/// Takes the static pods of API server and etcd from all machines, and waits until their processes have ended.
fn take_down(cluster: &Cluster<'_>) -> Result<()> {
    let aside =
        format!("mkdir -p {ASIDE} && cd {MANIFESTS} && mv kube-apiserver.yaml etcd.yaml {ASIDE}/");
    for machine in &cluster.machines {
        cluster.lab.ssh_ok(*machine, &aside)?;
    }
    for machine in &cluster.machines {
        let what = format!("API server and etcd of {machine} have ended");
        let pause = Duration::from_secs(1);
        patience::until(&what, Duration::from_secs(120), pause, || {
            let left = "pidof kube-apiserver etcd || true";
            let left = cluster.lab.ssh_ok(*machine, left)?;
            Ok(left.trim().is_empty().then_some(()))
        })?;
    }
    Ok(())
}

/// For as long as the outage takes: the same node answers, and goes on announcing.
fn nothing_changes(cluster: &Cluster<'_>, owner: Machine, address: Ipv4Addr) -> Result<()> {
    let before = announcements(cluster, owner)?;
    let begun = now();
    while begun.elapsed() < OUTAGE {
        let found = cluster.lab.arp_owner(address)?;
        ensure!(
            found == Some(owner),
            "{address} was on {owner}; {:.0} s after the last API server has ended it is on {found:?}",
            begun.elapsed().as_secs_f32()
        );
        thread::sleep(LOOK);
    }
    let announced = announcements(cluster, owner)? - before;
    println!("     {owner} announced its addresses {announced} times meanwhile");
    ensure!(
        announced >= REFRESHED,
        "{owner} announced only {announced} times"
    );
    Ok(())
}

/// How often the speaker of a machine has announced an address so far.
fn announcements(cluster: &Cluster<'_>, machine: Machine) -> Result<f64> {
    let page = "lbnode get http://127.0.0.1:11004/metrics";
    let text = cluster.lab.ssh_ok(machine, page)?;
    let count = text
        .lines()
        .find_map(|line| line.strip_prefix("metallb_layer2_gratuitous_sent_total "));
    let count = count.context("the speaker counts its announcements")?;
    Ok(count.trim().parse()?)
}

/// Puts everything back, wherever it was stopped. What has ended again and again meanwhile begins at once: the kubelet forgets how
/// often it has when it starts anew.
fn bring_back(cluster: &Cluster<'_>) -> Result<()> {
    let back = format!(
        "for name in etcd kube-apiserver; do [ ! -e {ASIDE}/$name.yaml ] || mv {ASIDE}/$name.yaml {MANIFESTS}/ || exit; done; \
         systemctl restart kubelet"
    );
    let lab = cluster.lab;
    let up = persistently("the machines are up", || lab.up(&cluster.machines));
    // All of them are tried.
    let results = cluster.machines.iter().map(|machine| {
        let what = format!("API server and etcd of {machine} are back");
        persistently(&what, || lab.ssh_ok(*machine, &back).map(drop))
    });
    let results: Vec<Result<()>> = results.collect();
    results.into_iter().fold(up, Result::and)
}

/// Tries again for a while: who comes later needs it.
fn persistently(what: &str, mut act: impl FnMut() -> Result<()>) -> Result<()> {
    let mut reason = None;
    let (limit, pause) = (Duration::from_secs(120), Duration::from_secs(5));
    let done = patience::until(what, limit, pause, || {
        Ok(act().map_err(|error| reason = Some(error)).ok())
    });
    done.map_err(|error| match reason {
        Some(reason) => reason.context(error.to_string()),
        None => error,
    })
}

#[expect(clippy::disallowed_methods, reason = "measures real time")]
fn now() -> Instant {
    Instant::now()
}

const MANIFESTS: &str = "/etc/kubernetes/manifests";
const ASIDE: &str = "/root/put-aside";
