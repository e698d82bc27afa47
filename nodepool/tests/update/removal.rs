//! Nodes leave, by an edited file or by name: their routers first, then their pods, etcd, the machine, the object.

use std::net::IpAddr;

use nodepool::commands::{Consent, Outcome};
use nodepool::error::{Exit, Failure};

use super::{FILE, SLOW, address, made, with_settings};
use crate::site::api::FakeNode;
use crate::site::{Fault, Site};

fn without_third() -> String {
    let file = FILE.replace("      - address: 10.10.0.13\n", "");
    assert_ne!(file, FILE);
    file
}

/// A worker that serves nobody but pods.
fn with_worker() -> String {
    format!(
        "{FILE}\n---\napiVersion: baremetal.cluster.gke.io/v1\nkind: NodePool\nmetadata:\n  name: workers\n  namespace: cluster-lab\n\
         spec:\n  clusterName: lab\n  nodes:\n  - address: 10.10.0.31\n"
    )
}

/// The third machine is as it was found, and nobody speaks of it.
fn gone(site: &Site, when: &str) {
    let inner = site.inner();
    let third = &inner.machines[&address(13)];
    assert_eq!(third.files.len(), 0, "{when}: {:?}", third.files.keys());
    assert!(!third.is_member(), "{when}");
    assert!(!inner.nodes.contains_key("m2"), "{when}");
    assert!(!inner.etcd.contains(&address(13)), "{when}");
    for last in [11, 12] {
        for (path, text) in &inner.machines[&address(last)].texts {
            assert!(!text.contains("10.10.0.13"), "{when}: {path} of {last}");
        }
    }
    assert_eq!(inner.well().len(), 2, "{when}");
}

#[tokio::test(start_paused = true)]
async fn who_left_the_file_leaves_the_cluster_in_order() {
    for owner in [11, 13] {
        let mut site = made().await;
        site.edit(&without_third());
        site.inner().balancers.owner = Some(address(owner));
        assert_eq!(site.update(Consent::Given).await, Ok(Outcome::Changed));
        gone(&site, "after the update");
        let changes = site.inner().changes.clone();
        let place = |words: &str| {
            let found = changes.iter().position(|change| change.starts_with(words));
            found.unwrap_or_else(|| panic!("{words}: {changes:?}"))
        };
        let order = [
            "10.10.0.13 stop-router",
            "10.10.0.12 put-file /etc/lbnode/vrrp.yaml",
            "api retire m2",
            "etcd remove 10.10.0.13",
            "10.10.0.13 reset",
            "api delete m2",
        ];
        assert!(order.map(place).is_sorted(), "{changes:?}");
        // Routes to its pods went last.
        let routes = "put-file /etc/systemd/system/lbctl-pod-routes.service";
        let last = changes.iter().rposition(|change| change.contains(routes));
        assert!(last > Some(place("api delete m2")), "{changes:?}");
        site.inner().changes.clear();
        assert_eq!(site.update(Consent::Asked).await, Ok(Outcome::NothingToDo));
        assert_eq!(site.inner().changes, Vec::<String>::new());
    }
}

#[tokio::test(start_paused = true)]
async fn every_interruption_of_a_removal_is_finished_by_the_next_run() {
    let by_name = made().await;
    let mut by_file = by_name.fork();
    by_file.edit(&without_third());
    let whole = by_file.fork();
    whole
        .update(Consent::Given)
        .await
        .expect("the undisturbed run works");
    let steps = whole.inner().changes.len();
    assert!(steps >= 14, "{:?}", whole.inner().changes);
    for begin in [&by_file, &by_name] {
        for fault in [Fault::Before, Fault::Half, Fault::After, Fault::CtrlC] {
            for at in 1..=steps {
                let site = begin.fork();
                site.inner().fault = Some((at, fault));
                let first = remove(&site).await;
                let step = site.inner().changes[at - 1].clone();
                let when = format!("{fault:?} at {step}");
                // Asked to stop during the very last step, it may have finished.
                assert!(first.is_err() || at == steps, "{when}");
                site.inner().fault = None;
                let second = remove(&site).await;
                assert!(second.is_ok(), "{when}: {second:?}");
                gone(&site, &when);
            }
        }
    }
}

/// By name where the file still has it.
async fn remove(site: &Site) -> Result<Outcome, Failure> {
    if site.desired.machine(address(13)).is_some() {
        site.reset_nodes(&["10.10.0.13"], false).await
    } else {
        site.update(Consent::Given).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_is_named_by_name_or_address() {
    for name in ["m2", "10.10.0.13"] {
        let site = made().await;
        assert_eq!(site.reset_nodes(&[name], false).await, Ok(Outcome::Changed));
        gone(&site, name);
    }
    let site = made().await;
    for name in ["m7", "10.10.0.77"] {
        let failure = site.reset_nodes(&[name], false).await.expect_err(name);
        assert_eq!(failure.exit, Exit::Usage, "{failure:?}");
    }
    assert_eq!(site.inner().changes, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_worker_leaves_and_no_router_is_touched() {
    let mut site = Site::new(&with_worker());
    site.create().await.expect("the cluster is made");
    site.inner().changes.clear();
    site.edit(FILE);
    assert_eq!(site.update(Consent::Given).await, Ok(Outcome::Changed));
    let inner = site.inner();
    assert!(!inner.nodes.contains_key("m3"));
    assert_eq!(inner.balancers.restarts, Vec::<IpAddr>::new());
    assert!(
        inner
            .changes
            .contains(&"10.10.0.31 reset 10.10.0.100".to_owned()),
        "{:?}",
        inner.changes
    );
}

#[tokio::test(start_paused = true)]
async fn what_would_break_the_cluster_is_refused() {
    // Two of three are not Ready.
    let site = made().await;
    for node in ["m0", "m1"] {
        site.inner().nodes.get_mut(node).expect("a node").ready = false;
    }
    let failure = site
        .reset_nodes(&["m2"], false)
        .await
        .expect_err("no quorum");
    assert!(
        failure
            .message
            .contains("only 1 of 3 control planes are Ready"),
        "{failure:?}"
    );

    // Of those who stay one is ill: without the third there is no majority.
    let site = made().await;
    site.inner().nodes.get_mut("m1").expect("a node").ready = false;
    let failure = site
        .reset_nodes(&["m2"], false)
        .await
        .expect_err("no majority");
    assert!(
        failure.message.contains("without m2 only 1 of 2"),
        "{failure:?}"
    );
    // The ill one may go.
    assert_eq!(site.reset_nodes(&["m1"], false).await, Ok(Outcome::Changed));

    let site = made().await;
    let all = ["m0", "m1", "m2"];
    let failure = site
        .reset_nodes(&all, false)
        .await
        .expect_err("the last ones");
    assert!(
        failure.message.contains("no control plane would be left"),
        "{failure:?}"
    );
    assert_eq!(site.inner().changes, Vec::<String>::new());

    let annotation = "  annotations:\n    baremetal.cluster.gke.io/prevent-deletion: \"true\"\nspec:\n  type: hybrid\n";
    let mut site = made().await;
    site.edit(&FILE.replace("spec:\n  type: hybrid\n", annotation));
    let failure = site
        .reset_nodes(&["m2"], true)
        .await
        .expect_err("the file forbids it");
    assert!(failure.message.contains("prevent-deletion"), "{failure:?}");
    assert_eq!(site.inner().changes, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_dead_machine_leaves_by_force_only() {
    let mut site = made().await;
    {
        let mut inner = site.inner();
        inner.dark.insert(address(13));
        inner.nodes.get_mut("m2").expect("a node").ready = false;
        inner.lose(address(13));
    }
    let failure = site
        .reset_nodes(&["m2"], false)
        .await
        .expect_err("it does not answer");
    assert!(
        failure.message.contains("10.10.0.13: not reachable"),
        "{failure:?}"
    );
    site.edit(&without_third());
    let failure = site
        .update(Consent::Given)
        .await
        .expect_err("it does not answer");
    assert!(failure.hint.expect("a hint").contains("--force"));
    assert_eq!(site.inner().changes, Vec::<String>::new());
    site.edit(FILE);
    site.inner().nodes.get_mut("m2").expect("a node").ready = true;
    let failure = site
        .reset_nodes(&["m2"], true)
        .await
        .expect_err("only SSH is dead");
    assert!(
        failure.message.contains("its kubelet is alive"),
        "{failure:?}"
    );
    assert_eq!(site.inner().changes, Vec::<String>::new());
    site.inner().nodes.get_mut("m2").expect("a node").ready = false;
    assert_eq!(site.reset_nodes(&["m2"], true).await, Ok(Outcome::Changed));
    let inner = site.inner();
    assert!(!inner.nodes.contains_key("m2") && !inner.etcd.contains(&address(13)));
    assert_eq!(inner.well().len(), 2);
}

/// A pod that never ends, for example because of its PodDisruptionBudget.
#[tokio::test(start_paused = true)]
async fn a_drain_ends_after_ten_minutes_and_names_the_pods() {
    let mut site = made().await;
    site.edit(&without_third());
    site.inner().nodes.get_mut("m2").expect("a node").pods = u32::MAX;
    let begun = tokio::time::Instant::now();
    let failure = site
        .update(Consent::Given)
        .await
        .expect_err("it never ends");
    let took = begun.elapsed().as_secs();
    assert!((600..660).contains(&took), "{took} s");
    assert_eq!(
        failure.message,
        "m2: after 10 min not gone: default/web is ending"
    );
    assert!(
        failure
            .hint
            .expect("a hint")
            .contains("PodDisruptionBudget")
    );
    assert!(site.inner().machines[&address(13)].is_member());
    // Once it is gone the same command goes on.
    site.inner().nodes.get_mut("m2").expect("a node").pods = 1;
    assert_eq!(site.update(Consent::Given).await, Ok(Outcome::Changed));
    gone(&site, "after the second run");
}

#[tokio::test(start_paused = true)]
async fn host_names_with_dots_are_names_like_others() {
    let mut site = Site::new(FILE);
    for (address, machine) in &mut site.inner().machines {
        let IpAddr::V4(v4) = address else { continue };
        machine.hostname = format!("cp{}.rack-1.example.org", v4.octets()[3]);
    }
    assert_eq!(site.create().await, Ok(Outcome::Changed));
    assert_eq!(site.create().await, Ok(Outcome::NothingToDo));
    let names: Vec<String> = site.inner().nodes.keys().cloned().collect();
    let wanted = [11, 12, 13].map(|last| format!("cp{last}.rack-1.example.org"));
    assert_eq!(names, wanted);
    site.edit(&without_third());
    assert_eq!(site.update(Consent::Given).await, Ok(Outcome::Changed));
    let names: Vec<String> = site.inner().nodes.keys().cloned().collect();
    assert_eq!(names, wanted[..2]);
}

#[tokio::test(start_paused = true)]
async fn a_machine_of_another_name_is_left_alone() {
    let mut site = made().await;
    site.edit(&without_third());
    site.inner()
        .machines
        .get_mut(&address(13))
        .expect("a machine")
        .hostname = "db1".to_owned();
    let failure = site
        .update(Consent::Given)
        .await
        .expect_err("it is somebody else");
    assert_eq!(
        failure.message,
        "the machine at 10.10.0.13 is called db1, not m2; nothing was changed"
    );
    assert_eq!(site.inner().changes, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_control_plane_without_its_label_leaves_etcd() {
    let mut site = made().await;
    site.edit(&without_third());
    let node = |site: &Site| site.inner().nodes.get_mut("m2").expect("a node").clone();
    assert!(!node(&site).labels.is_empty());
    let mut bare = node(&site);
    bare.labels.clear();
    site.inner().nodes.insert("m2".to_owned(), bare);
    {
        let mut inner = site.inner();
        let third = inner.machines.get_mut(&address(13)).expect("a machine");
        third.further.push("etcd_data=present".to_owned());
        inner.nodes.get_mut("m1").expect("a node").ready = false;
    }
    let failure = site.update(Consent::Given).await.expect_err("no majority");
    assert!(
        failure.message.contains("m2 cannot leave etcd"),
        "{failure:?}"
    );
    assert_eq!(site.inner().changes, Vec::<String>::new());
    site.inner().nodes.get_mut("m1").expect("a node").ready = true;
    assert_eq!(site.update(Consent::Given).await, Ok(Outcome::Changed));
    gone(&site, "without a label");
}

#[tokio::test(start_paused = true)]
async fn a_router_whose_node_nobody_knows_is_not_forgotten() {
    let mut site = made().await;
    site.edit(&without_third());
    site.inner().nodes.remove("m2");
    let failure = site
        .update(Consent::Given)
        .await
        .expect_err("its router may run");
    assert!(
        failure.message.contains("the peer 10.10.0.13"),
        "{failure:?}"
    );
    assert_eq!(site.inner().changes, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn create_forgets_no_router_and_heeds_maintenance() {
    let mut site = made().await;
    site.edit(&without_third());
    let failure = site.create().await.expect_err("one is not in the file");
    assert!(
        failure
            .message
            .contains("the control plane m2 is not in the file"),
        "{failure:?}"
    );
    let maintained = format!(
        "{}  maintenanceBlocks:\n    cidrBlocks:\n    - 10.10.0.12/32\n",
        with_settings(SLOW)
    );
    site.edit(&maintained);
    let failure = site.create().await.expect_err("somebody works on it");
    assert!(
        failure
            .message
            .contains("m1 (10.10.0.12) is in maintenance"),
        "{failure:?}"
    );
    assert_eq!(site.inner().changes, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn the_node_of_an_earlier_machine_takes_no_routes() {
    let site = made().await;
    let stale = FakeNode::new(9, "worker", address(12));
    site.inner().nodes.insert("old".to_owned(), stale);
    assert_eq!(site.update(Consent::Asked).await, Ok(Outcome::NothingToDo));
    assert_eq!(site.inner().changes, Vec::<String>::new());
}
