//! Both load balancers on a pool of their own: its kubelets run them before there is a cluster, and join later.

use std::net::IpAddr;

use nodepool::commands::{Consent, Outcome};
use nodepool::core::desired::LBNODE_LABEL;

use crate::site::{Fault, Site};

const FILE: &str = include_str!("../../../examples/dedicated-load-balancers.yaml");
/// Two control planes, three load balancers, a worker: every kind of step, and fewer of them.
fn small() -> String {
    let file = FILE.replace("      - address: 10.10.0.13\n", "");
    file.replace("  - address: 10.10.0.32\n", "")
}

fn address(last: u8) -> IpAddr {
    [10, 10, 0, last].into()
}

const ROUTER: &str = "/etc/kubernetes/manifests/lb-vrrp.yaml";

fn place(changes: &[String], words: &str) -> usize {
    let place = changes.iter().position(|change| change.contains(words));
    place.unwrap_or_else(|| panic!("{words} is not among {changes:?}"))
}

#[tokio::test(start_paused = true)]
async fn load_balancers_run_before_the_cluster_and_join_it_as_they_run() {
    let site = Site::new(FILE);
    assert_eq!(site.create().await, Ok(Outcome::Changed));
    let changes = std::mem::take(&mut site.inner().changes);
    let init = place(&changes, "kubeadm-init");
    assert!(place(&changes, "make-authority") < place(&changes, "put-file /etc/lbnode/ca.crt"));
    for last in [21, 22, 23] {
        let at = |words: &str| place(&changes, &format!("10.10.0.{last} {words}"));
        assert!(at("put-file /etc/lbnode/ca.crt") < at("stand-alone"));
        assert!(at(&format!("put-file {ROUTER}")) < at("stand-alone"));
        assert!(at("stand-alone") < init);
        assert!(init < at("kubeadm-join"));
        // Nothing is done to its pods from then on.
        let later = changes.iter().skip(at("kubeadm-join"));
        let touched = later.filter(|change| change.starts_with(&format!("10.10.0.{last} ")));
        let touched: Vec<&String> = touched.filter(|change| change.contains("/lb-")).collect();
        assert_eq!(touched, Vec::<&String>::new());
    }
    {
        let inner = site.inner();
        for (name, node) in &inner.nodes {
            let pool = ["m3", "m4", "m5"].contains(&name.as_str());
            assert_eq!(node.labels.contains_key(LBNODE_LABEL), pool, "{name}");
            let taint = "node-role.kubernetes.io/load-balancer";
            let tainted = node.taints.iter().any(|one| one.key == taint);
            assert_eq!(tainted, pool, "{name}");
        }
        for (at, machine) in &inner.machines {
            let pool = [21, 22, 23].map(address).contains(at);
            assert_eq!(machine.files.contains_key(ROUTER), pool, "{at}");
            assert!(!machine.stands_alone && !machine.handing_over, "{at}");
            let left = machine
                .files
                .keys()
                .find(|path| path.contains("standalone"));
            assert_eq!(left, None, "{at}");
        }
        let ca = "hostPath:\n      path: /etc/lbnode/ca.crt";
        let pod = &inner.machines[&address(21)].texts[ROUTER];
        assert!(pod.contains(ca), "{pod}");
    }
    let state = site.state();
    assert_eq!(site.create().await, Ok(Outcome::NothingToDo));
    assert_eq!(site.update(Consent::Asked).await, Ok(Outcome::NothingToDo));
    assert_eq!(site.inner().changes, Vec::<String>::new());
    assert_eq!(site.state(), state);
}

#[tokio::test(start_paused = true)]
async fn every_interruption_is_finished_by_the_next_run() {
    let whole = Site::new(&small());
    whole.create().await.expect("the undisturbed run works");
    let steps = whole.inner().changes.clone();
    let concerned = |step: &(usize, &String)| {
        [
            "authority",
            "stand-alone",
            "kubeadm",
            "ca.crt",
            "/lb-",
            "kubelet",
        ]
        .iter()
        .any(|word| step.1.contains(word))
    };
    let places: Vec<usize> = steps
        .iter()
        .enumerate()
        .filter(concerned)
        .map(|(at, _)| at + 1)
        .collect();
    assert!(places.len() > 20, "{steps:?}");
    for fault in [Fault::Before, Fault::Half, Fault::After, Fault::CtrlC] {
        for at in &places {
            let site = Site::new(&small());
            site.inner().fault = Some((*at, fault));
            let first = site.create().await;
            let step = format!("{fault:?} at {}", site.inner().changes[at - 1]);
            assert!(first.is_err(), "{step}");
            site.inner().fault = None;
            let second = site.create().await;
            assert!(second.is_ok(), "{step}: {second:?}");
            let (whole, site_inner) = (whole.inner().clone(), site.inner().clone());
            assert_eq!(site_inner.etcd, whole.etcd, "{step}");
            for (address, expected) in &whole.machines {
                let machine = &site_inner.machines[address];
                assert_eq!(machine.member, expected.member, "{step}");
                let paths = |machine: &crate::site::Machine| {
                    machine.files.keys().cloned().collect::<Vec<_>>()
                };
                assert_eq!(paths(machine), paths(expected), "{step}");
            }
            // Whoever checks API servers does it with the CA that there is.
            let ca = "/etc/lbnode/ca.crt";
            let made = site_inner.machines[&address(11)]
                .authority
                .clone()
                .expect("a CA");
            let sum = nodepool::digest::sha256(made.as_bytes());
            for last in [21, 22, 23] {
                assert_eq!(
                    site_inner.machines[&address(last)].files[ca].1,
                    sum,
                    "{step}"
                );
            }
            assert_eq!(site.create().await, Ok(Outcome::NothingToDo), "{step}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn settings_reach_one_load_balancer_after_the_other() {
    let mut site = Site::new(FILE);
    site.create().await.expect("the cluster is made");
    let settings = "  loadBalancer:\n    proxy:\n      connectTimeoutMillis: 3000\n";
    site.edit(&FILE.replacen("  loadBalancer:\n", settings, 1));
    site.inner().balancers.owner = Some(address(23));
    assert_eq!(site.update(Consent::Given).await, Ok(Outcome::Changed));
    let order = [22, 21, 23].map(address);
    assert_eq!(site.inner().balancers.restarts, order);
    assert_eq!(site.inner().balancers.moves, 1);
}

#[tokio::test(start_paused = true)]
async fn load_balancers_and_control_planes_come_and_go() {
    let mut site = Site::new(FILE);
    site.create().await.expect("the cluster is made");
    let third = "      - address: 10.10.0.23\n";
    let with_fourth = FILE.replace(third, &format!("{third}      - address: 10.10.0.24\n"));
    site.edit(&with_fourth);
    site.inner().changes.clear();
    assert_eq!(site.update(Consent::Given).await, Ok(Outcome::Changed));
    assert_eq!(site.inner().well().len(), 4);
    let changes = site.inner().changes.clone();
    // The others know of its router before it begins, and it needs no kubelet that stands alone.
    let join = place(&changes, "10.10.0.24 kubeadm-join");
    assert!(place(&changes, &format!("10.10.0.21 put-file {ROUTER}")) < join);
    assert!(place(&changes, "10.10.0.24 put-file /etc/lbnode/ca.crt") < join);
    assert!(!changes.iter().any(|change| change.contains("stand-alone")));

    // A load balancer leaves while another one joins: refused, as both have routers.
    let swapped = FILE.replace(third, "      - address: 10.10.0.25\n");
    let mut other = site.fork();
    other.edit(&swapped);
    let failure = other.update(Consent::Given).await.expect_err("refused");
    assert!(
        failure.message.contains("both have the API load balancer"),
        "{failure:?}"
    );

    site.edit(FILE);
    assert_eq!(site.update(Consent::Given).await, Ok(Outcome::Changed));
    assert_eq!(site.inner().well().len(), 3);

    // A control plane is replaced in one go: the routers are elsewhere.
    site.edit(&FILE.replace("10.10.0.13\n", "10.10.0.14\n"));
    assert_eq!(site.update(Consent::Given).await, Ok(Outcome::Changed));
    assert_eq!(site.inner().etcd, [11, 12, 14].map(address).into());
    for last in [21, 22, 23] {
        let proxy = site.inner().machines[&address(last)].texts["/etc/lbnode/proxy.yaml"].clone();
        assert!(
            proxy.contains("10.10.0.14") && !proxy.contains("10.10.0.13"),
            "{proxy}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_load_balancers_do_not_leave() {
    let mut site = Site::new(FILE);
    site.create().await.expect("the cluster is made");
    let outcome = site.reset_nodes(&["m3"], false).await;
    assert_eq!(outcome, Ok(Outcome::Changed));
    site.edit(&FILE.replace("      - address: 10.10.0.21\n", ""));
    site.inner().changes.clear();
    let failure = site
        .reset_nodes(&["m4", "m5"], false)
        .await
        .expect_err("refused");
    assert!(
        failure
            .message
            .contains("no load-balancer node that is well would be left"),
        "{failure:?}"
    );
    assert_eq!(site.inner().changes, Vec::<String>::new());
}
