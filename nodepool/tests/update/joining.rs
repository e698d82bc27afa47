//! Machines join a cluster that lives: its routers know of new ones before these begin.

use nodepool::commands::{Consent, Outcome};

use super::{FILE, address, made};
use crate::site::{Fault, Site};

fn with_fourth() -> String {
    let third = "      - address: 10.10.0.13\n";
    FILE.replace(third, &format!("{third}      - address: 10.10.0.14\n"))
}

fn with_worker() -> String {
    format!(
        "{FILE}\n---\napiVersion: baremetal.cluster.gke.io/v1\nkind: NodePool\nmetadata:\n  name: workers\n  namespace: cluster-lab\n\
         spec:\n  clusterName: lab\n  nodes:\n  - address: 10.10.0.31\n  labels:\n    tier: front\n"
    )
}

#[tokio::test(start_paused = true)]
async fn a_control_plane_joins_after_the_others_know_of_it() {
    let mut site = made().await;
    site.edit(&with_fourth());
    assert_eq!(site.update(Consent::Given).await, Ok(Outcome::Changed));
    let inner = site.inner().clone();
    assert_eq!(inner.well().len(), 4);
    assert!(inner.etcd.contains(&address(14)));
    for last in [11, 12, 13] {
        let proxy = &inner.machines[&address(last)].texts["/etc/lbnode/proxy.yaml"];
        assert!(proxy.contains("10.10.0.14"), "its API server is a back end");
    }
    let place = |words: &str| {
        inner
            .changes
            .iter()
            .position(|change| change.contains(words))
    };
    assert!(
        place("10.10.0.11 put-file /etc/kubernetes/manifests/lb-vrrp.yaml") < place("kubeadm-join")
    );
    assert_eq!(inner.balancers.moves, 1, "the VIP moves once");
    site.inner().changes.clear();
    assert_eq!(site.update(Consent::Asked).await, Ok(Outcome::NothingToDo));
    assert_eq!(site.inner().changes, Vec::<String>::new());
    // One of the first leaves: a control plane was replaced.
    site.edit(&with_fourth().replace("      - address: 10.10.0.11\n", ""));
    assert_eq!(site.update(Consent::Given).await, Ok(Outcome::Changed));
    let inner = site.inner();
    assert!(!inner.nodes.contains_key("m0") && !inner.etcd.contains(&address(11)));
    assert_eq!(inner.well().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_worker_joins_and_no_router_is_touched() {
    let mut site = made().await;
    site.edit(&with_worker());
    assert_eq!(site.update(Consent::Given).await, Ok(Outcome::Changed));
    let inner = site.inner();
    assert_eq!(inner.nodes["m3"].labels["tier"], "front");
    assert!(inner.balancers.restarts.is_empty());
    for machine in inner.machines.values() {
        let routes = "/etc/systemd/system/lbctl-pod-routes.service";
        assert!(machine.files.contains_key(routes), "{}", machine.hostname);
    }
}

#[tokio::test(start_paused = true)]
async fn one_worker_takes_the_place_of_another() {
    let mut site = Site::new(&with_worker());
    site.create().await.expect("the cluster is made");
    site.edit(&with_worker().replace("10.10.0.31", "10.10.0.32"));
    assert_eq!(site.update(Consent::Given).await, Ok(Outcome::Changed));
    let nodes: Vec<String> = site.inner().nodes.keys().cloned().collect();
    assert_eq!(nodes, ["m0", "m1", "m2", "m4"]);
}

#[tokio::test(start_paused = true)]
async fn what_preflight_finds_on_a_new_machine_is_said_and_nothing_is_changed() {
    let mut site = made().await;
    site.edit(&with_fourth());
    site.inner()
        .machines
        .get_mut(&address(14))
        .expect("a machine")
        .swap = true;
    let failure = site.update(Consent::Given).await.expect_err("swap is on");
    assert_eq!(
        failure.message,
        "preflight found 1 problem; nothing was changed"
    );
    assert_eq!(site.inner().changes, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn every_interruption_of_a_join_is_finished_by_the_next_run() {
    let mut begin = made().await;
    begin.edit(&with_fourth());
    let whole = begin.fork();
    whole
        .update(Consent::Given)
        .await
        .expect("the undisturbed run works");
    let steps = whole.inner().changes.len();
    assert!(steps > 25, "{:?}", whole.inner().changes);
    // `create` tries the others at the same steps.
    for fault in [Fault::Half, Fault::After] {
        for at in 1..=steps {
            let site = begin.fork();
            site.inner().fault = Some((at, fault));
            let first = site.update(Consent::Given).await;
            let step = site.inner().changes[at - 1].clone();
            let when = format!("{fault:?} at {step}");
            assert!(first.is_err(), "{when}");
            site.inner().fault = None;
            let second = site.update(Consent::Given).await;
            assert!(second.is_ok(), "{when}: {second:?}");
            let (inner, expected) = (site.inner(), whole.inner());
            assert_eq!(inner.well(), expected.well(), "{when}");
            assert_eq!(inner.etcd, expected.etcd, "{when}");
            // A token that an interrupted run has left dies by itself within two hours.
            for (address, machine) in &expected.machines {
                let paths = |machine: &crate::site::Machine| {
                    machine.files.keys().cloned().collect::<Vec<_>>()
                };
                assert_eq!(paths(&inner.machines[address]), paths(machine), "{when}");
                assert_eq!(inner.machines[address].member, machine.member, "{when}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_does_not_become_ready_is_named_with_how_long_was_waited() {
    let mut site = made().await;
    site.edit(&with_worker());
    site.inner().nodes.get_mut("m1").expect("a node").ready = false;
    let failure = site.create().await.expect_err("it stays so");
    assert_eq!(
        failure.message,
        "not Ready after 3 min:\n  m1: no condition `Ready` yet"
    );
    assert!(
        failure
            .hint
            .expect("a hint")
            .contains("kubectl describe node")
    );
}
