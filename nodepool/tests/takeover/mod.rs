//! `install` against scripted machines of a cluster that kubeadm made: whoever serves the virtual IP is taken over from, and
//! nobody has it twice.

use std::net::IpAddr;

use nodepool::commands::{Consent, Outcome};
use nodepool::error::Exit;

use crate::site::{Fault, Site, api};

const FILE: &str = include_str!("../../../examples/three-control-planes.yaml");

fn address(last: u8) -> IpAddr {
    [10, 10, 0, last].into()
}

fn vip() -> IpAddr {
    address(100)
}

/// The port of the API is the same on the virtual IP and on the machines.
fn shared() -> String {
    let file = FILE.replace(
        "controlPlaneLBPort: 443",
        "controlPlaneLBPort: 6443\n      apiServerPort: 6443",
    );
    assert_ne!(file, FILE);
    file
}

/// A cluster of kubeadm's, without any load balancer.
fn kubeadm(file: &str) -> Site {
    let site = Site::new(file);
    {
        let mut inner = site.inner();
        let port = site.desired.api_port;
        let machines = std::mem::take(&mut inner.machines);
        for (index, (address, machine)) in machines.into_iter().enumerate() {
            let name = machine.hostname.clone();
            let node = api::FakeNode::new(index, "control-plane", address);
            inner.nodes.insert(name, node);
            inner.machines.insert(address, machine.of_kubeadm(port));
        }
        inner.made = api::made(&site.desired);
    }
    site
}

/// Served by keepalived and HAProxy, as kubeadm's guide has it.
fn keepalived(how: &str, holder: u8) -> Site {
    let site = kubeadm(FILE);
    for machine in site.inner().machines.values_mut() {
        let name = |program: &str| match how {
            "unit" => format!("unit {program}"),
            _ => format!("pod {program}.yaml"),
        };
        machine.with_other("haproxy", &name("haproxy"), "-");
        machine.with_other("keepalived", &name("keepalived"), "10.10.0.100");
        machine.listeners.push("*:443 haproxy 7".to_owned());
    }
    give(&site, holder);
    site
}

fn kube_vip(holder: u8) -> Site {
    let site = kubeadm(&shared());
    for machine in site.inner().machines.values_mut() {
        machine.with_other("kube-vip", "pod kube-vip.yaml", "10.10.0.100");
    }
    give(&site, holder);
    site
}

fn give(site: &Site, holder: u8) {
    let mut inner = site.inner();
    let machine = inner.machines.get_mut(&address(holder)).expect("a machine");
    machine.take_address(vip());
}

/// What was changed, without the paths that every machine gets.
fn changes(site: &Site, id: &str) -> Vec<String> {
    let inner = site.inner();
    let changes = inner.changes.iter().filter(|change| change.contains(id));
    changes.cloned().collect()
}

/// It is as if `create cluster` had made it.
async fn is_ours(site: &Site) {
    {
        let inner = site.inner();
        assert!(!inner.somebody_elses());
        assert_eq!(inner.well().len(), 3);
        assert!(inner.balancers.owner.is_some());
        for machine in inner.machines.values() {
            assert!(machine.is_member());
            let text = &machine.texts["/etc/lbnode/vrrp.yaml"];
            assert!(!text.contains("standBack"), "{text}");
            let others = machine
                .further
                .iter()
                .any(|line| line.starts_with("other="));
            assert!(!others, "{:?}", machine.further);
        }
        assert!(inner.applied.contains_key("DaemonSet/lb-speaker"));
        let label = nodepool::core::desired::LBNODE_LABEL;
        assert_eq!(inner.nodes["m0"].labels[label], "true");
    }
    site.inner().changes.clear();
    assert_eq!(site.install(Consent::Asked).await, Ok(Outcome::NothingToDo));
    assert_eq!(site.update(Consent::Asked).await, Ok(Outcome::NothingToDo));
    assert_eq!(site.inner().changes, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_cluster_without_a_load_balancer_gets_one() {
    let site = kubeadm(FILE);
    assert_eq!(site.install(Consent::Given).await, Ok(Outcome::Changed));
    for never in [
        "kubeadm",
        "containerd",
        "stop-others",
        "keep-to-address",
        "enable",
    ] {
        assert_eq!(changes(&site, never), Vec::<String>::new());
    }
    assert_eq!(changes(&site, " adopt ").len(), 3);
    is_ours(&site).await;
}

#[tokio::test(start_paused = true)]
async fn keepalived_and_haproxy_stop_on_the_backups_first_and_on_the_holder_last() {
    for how in ["unit", "pod"] {
        for holder in [11, 12, 13] {
            let site = keepalived(how, holder);
            assert_eq!(site.install(Consent::Given).await, Ok(Outcome::Changed));
            let stops = changes(&site, "stop-others");
            let on = |machine: u8, mode: &str| format!("{} stop-others {mode}", address(machine));
            let mut backups = vec![11, 12, 13];
            backups.retain(|machine| *machine != holder);
            // Routers side by side, then one machine after the other.
            for backup in &backups {
                assert!(stops[..2].contains(&on(*backup, "backup")), "{stops:?}");
                assert!(stops[2..4].contains(&on(*backup, "backup")), "{stops:?}");
            }
            assert_eq!(stops[4..], [on(holder, "owner"), on(holder, "backup")]);
            is_ours(&site).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn kube_vip_hands_over_and_its_api_servers_leave_the_port() {
    let site = kube_vip(12);
    assert_eq!(site.install(Consent::Given).await, Ok(Outcome::Changed));
    let order = changes(&site, "10.10.0.12 ");
    let stop = order.iter().position(|change| change.contains("owner"));
    let keep = order.iter().position(|change| change.contains("keep-to"));
    assert!(stop < keep && stop.is_some(), "{order:?}");
    assert_eq!(changes(&site, "keep-to-address").len(), 3);
    let patch = "kube-apiserver0+json.json";
    assert_eq!(changes(&site, patch).len(), 3);
    is_ours(&site).await;
}

/// Each change with one of the faults in turn; `LBNODE_TEST_FULL=1`: with each of them.
#[tokio::test(start_paused = true)]
async fn wherever_it_is_interrupted_it_goes_on_and_nobody_has_the_vip_twice() {
    const FAULTS: [Fault; 4] = [Fault::Before, Fault::Half, Fault::After, Fault::CtrlC];
    let full = std::env::var_os("LBNODE_TEST_FULL").is_some();
    for make in [
        (|| keepalived("unit", 12)) as fn() -> Site,
        || kube_vip(13),
        || kubeadm(FILE),
    ] {
        let whole = make();
        assert_eq!(whole.install(Consent::Given).await, Ok(Outcome::Changed));
        let order = whole.inner().changes.clone();
        for (index, change) in order.iter().enumerate() {
            let faults = FAULTS.iter().enumerate();
            for (_, fault) in faults.filter(|(turn, _)| full || index % FAULTS.len() == *turn) {
                let site = make();
                site.inner().fault = Some((index + 1, *fault));
                let first = site.install(Consent::Given).await;
                if *fault != Fault::CtrlC {
                    assert!(first.is_err(), "{fault:?} at {change}");
                }
                site.inner().fault = None;
                let again = site.install(Consent::Given).await;
                assert!(
                    again.is_ok(),
                    "{fault:?} at {change} of {order:#?}: {again:?}"
                );
                is_ours(&site).await;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_update_does_not_begin_what_an_install_has_not_ended() {
    let site = keepalived("unit", 11);
    // After the first routers have stopped.
    site.inner().fault = Some((6, Fault::Before));
    site.install(Consent::Given)
        .await
        .expect_err("it is interrupted");
    site.inner().fault = None;
    let before = site.inner().changes.len();
    let failure = site
        .update(Consent::Given)
        .await
        .expect_err("it is refused");
    assert!(
        failure.message.contains("serves the virtual IP as well"),
        "{failure}"
    );
    let hint = format!("{failure:?}");
    assert!(hint.contains("lbctl install"), "{hint}");
    assert_eq!(site.inner().changes.len(), before);
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_changes_nothing() {
    type Spoil = fn(&Site);
    let cases: [(Spoil, &str); 6] = [
        (
            |site| {
                site.inner().made["controlPlaneEndpoint"] = serde_json::json!("10.10.0.11:6444");
            },
            "certificates do not carry the virtual IP",
        ),
        (
            |site| site.inner().made["clusterName"] = serde_json::json!("kubernetes"),
            "the cluster is called kubernetes",
        ),
        (
            |site| {
                let mut inner = site.inner();
                let stranger = api::FakeNode::new(9, "worker", address(50));
                inner.nodes.insert("w1".to_owned(), stranger);
            },
            "the node w1 is not in the file",
        ),
        (
            |site| {
                let mut inner = site.inner();
                let machine = inner.machines.get_mut(&address(11)).expect("a machine");
                machine
                    .further
                    .retain(|line| !line.starts_with("api_server="));
                machine.further.push("api_server=6443 ".to_owned());
            },
            "the API server of m0 listens on 6443",
        ),
        (
            |site| {
                site.inner().dark.insert(address(13));
            },
            "preflight found",
        ),
        (
            |site| {
                let mut inner = site.inner();
                let machine = inner.machines.get_mut(&address(12)).expect("a machine");
                machine.listeners.push("*:11000 nginx 5".to_owned());
            },
            "preflight found 1 problem",
        ),
    ];
    for (spoil, words) in cases {
        let site = keepalived("unit", 11);
        spoil(&site);
        let failure = site.install(Consent::Given).await.expect_err(words);
        assert!(failure.message.contains(words), "{failure}");
        assert!(failure.message.contains("nothing was changed"), "{failure}");
        assert_eq!(site.inner().changes, Vec::<String>::new());
    }
    // The very port of its proxy; and somebody unknown who has the virtual IP.
    let site = kubeadm(FILE);
    give(&site, 12);
    let failure = site.install(Consent::Given).await.expect_err("unknown");
    assert!(
        failure.message.contains("nothing known keeps it"),
        "{failure}"
    );
    let site = kubeadm(FILE);
    let stranger = (vip(), "02:00:00:00:00:99".to_owned());
    site.inner().network.strangers.push(stranger);
    let failure = site.install(Consent::Given).await.expect_err("a stranger");
    assert!(failure.message.contains("preflight found"), "{failure}");
}

#[tokio::test(start_paused = true)]
async fn nobody_agrees_and_nothing_is_changed() {
    let site = keepalived("unit", 11);
    let failure = site
        .install(Consent::Asked)
        .await
        .expect_err("nobody is there to ask");
    assert_eq!(failure.exit, Exit::Usage);
    let failure = site
        .install(Consent::Withheld)
        .await
        .expect_err("a dry run");
    assert_eq!(failure.exit, Exit::Drift);
    assert_eq!(site.inner().changes, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn one_that_does_not_become_well_leaves_the_virtual_ip_where_it_is() {
    let site = keepalived("unit", 11);
    site.inner().balancers.poison = Some("standBack: true".to_owned());
    let failure = site
        .install(Consent::Given)
        .await
        .expect_err("it is not well");
    assert!(failure.message.contains("not well after"), "{failure}");
    assert!(format!("{failure:?}").contains("/var/backups/lbctl-takeover"));
    let inner = site.inner();
    assert!(inner.somebody_elses());
    let owner = inner.changes.iter().filter(|one| one.contains("owner"));
    assert_eq!(owner.count(), 0);
}
