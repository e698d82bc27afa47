//! `update cluster` against scripted machines: one node at a time, the owner last, and on from every interruption.

mod joining;
mod maintenance;
mod releases;
mod removal;

use std::net::IpAddr;

use nodepool::commands::{Consent, Outcome};
use nodepool::error::Exit;

use crate::site::{Fault, Site};

const FILE: &str = include_str!("../../../examples/three-control-planes.yaml");

fn address(last: u8) -> IpAddr {
    [10, 10, 0, last].into()
}

/// Below `spec.loadBalancer`.
fn with_settings(text: &str) -> String {
    let file = FILE.replacen("  loadBalancer:\n", &format!("  loadBalancer:\n{text}"), 1);
    assert_ne!(file, FILE);
    file
}

const SLOW: &str = "    proxy:\n      connectTimeoutMillis: 3000\n    vrrp:\n      advertisementIntervalMillis: 200\n";

/// A cluster that was made by the file as it is.
async fn made() -> Site {
    let site = Site::new(FILE);
    site.create().await.expect("the cluster is made");
    site.inner().changes.clear();
    site
}

/// The same, with another file since.
async fn edited(text: &str) -> Site {
    let mut site = made().await;
    site.edit(text);
    site
}

#[tokio::test(start_paused = true)]
async fn nothing_to_do_is_said_without_a_change() {
    let site = made().await;
    let state = site.state();
    assert_eq!(site.update(Consent::Asked).await, Ok(Outcome::NothingToDo));
    assert_eq!(site.inner().changes, Vec::<String>::new());
    assert_eq!(site.state(), state);
    let asked = site.inner().balancers.asked.clone();
    assert!(asked.values().all(|times| *times == 1), "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn settings_reach_backups_first_and_the_owner_last_one_at_a_time() {
    for owner in [11, 12, 13] {
        let site = edited(&with_settings(SLOW)).await;
        site.inner().balancers.owner = Some(address(owner));
        assert_eq!(site.update(Consent::Given).await, Ok(Outcome::Changed));
        // The lowest priority first: 240, 160, 80 by address.
        let mut order = vec![address(13), address(12), address(11)];
        order.retain(|machine| *machine != address(owner));
        order.push(address(owner));
        let (balancers, changes) = {
            let inner = site.inner();
            (inner.balancers.clone(), inner.changes.clone())
        };
        assert_eq!(balancers.restarts, order);
        assert_eq!(balancers.moves, 1, "the VIP moves once");
        let other = changes
            .iter()
            .filter(|change| !change.contains("/lb-") && !change.contains("/etc/lbnode/"));
        assert_eq!(other.count(), 0, "{changes:?}");
        site.inner().changes.clear();
        assert_eq!(site.update(Consent::Asked).await, Ok(Outcome::NothingToDo));
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_image_is_everywhere_before_anybody_restarts() {
    let mut site = made().await;
    site.artefacts.lbnode.image.digest = "sha256:new".to_owned();
    site.artefacts.lbnode.image.bytes = b"sha256:new".as_slice().into();
    assert_eq!(site.update(Consent::Given).await, Ok(Outcome::Changed));
    let changes = site.inner().changes.clone();
    let imports = changes
        .iter()
        .rposition(|change| change.contains("import-images"));
    let restart = changes
        .iter()
        .position(|change| change.contains("/manifests/"));
    assert!(imports < restart, "{changes:?}");
    assert_eq!(site.inner().balancers.restarts.len(), 3);
    let programs = site.inner().applied["DaemonSet/lb-speaker"].to_string();
    assert!(programs.contains("sha256:new"), "{programs}");
}

#[tokio::test(start_paused = true)]
async fn nobody_agrees_and_nothing_is_changed() {
    let site = edited(&with_settings(SLOW)).await;
    let failure = site
        .update(Consent::Asked)
        .await
        .expect_err("nobody is there to ask");
    assert_eq!(failure.exit, Exit::Usage);
    let failure = site.update(Consent::Withheld).await.expect_err("a dry run");
    assert_eq!((failure.exit, failure.message.as_str()), (Exit::Drift, ""));
    assert_eq!(site.inner().changes, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn pools_are_changed_after_a_yes_only() {
    let renamed = FILE.replace("name: default\n", "name: front\n");
    assert_ne!(renamed, FILE);
    let site = edited(&renamed).await;
    let before = site.inner().applied.clone();
    let failure = site
        .update(Consent::Asked)
        .await
        .expect_err("nobody is there");
    assert_eq!(failure.exit, Exit::Usage);
    let failure = site.update(Consent::Withheld).await.expect_err("a dry run");
    assert_eq!(failure.exit, Exit::Drift);
    assert_eq!(site.inner().applied, before);
    assert_eq!(site.update(Consent::Given).await, Ok(Outcome::Changed));
    let after = site.inner().applied.clone();
    assert!(after.contains_key("AddressPool/front") && !after.contains_key("AddressPool/default"));
    assert_eq!(site.inner().balancers.restarts, Vec::<IpAddr>::new());
    assert_eq!(site.update(Consent::Asked).await, Ok(Outcome::NothingToDo));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_does_not_become_well_ends_it_and_the_others_keep_what_they_have() {
    let site = edited(&with_settings(SLOW)).await;
    site.inner().balancers.poison = Some("connectMillis: 3000".to_owned());
    let failure = site
        .update(Consent::Given)
        .await
        .expect_err("the first stays ill");
    assert!(
        failure.message.contains("m2: ")
            && failure
                .message
                .ends_with("2 nodes still have their old settings"),
        "{failure:?}"
    );
    assert_eq!(site.inner().balancers.restarts, [address(13)]);
    // Put back, that node is corrected first, and nobody else is touched.
    let mut site = site;
    site.edit(FILE);
    assert_eq!(site.update(Consent::Given).await, Ok(Outcome::Changed));
    assert_eq!(site.inner().balancers.restarts, [address(13)]);
    assert_eq!(site.inner().balancers.moves, 0);
}

#[tokio::test(start_paused = true)]
async fn every_interruption_is_finished_by_the_next_run() {
    let mut begin = edited(&with_settings(SLOW)).await;
    begin.artefacts.lbnode.image.digest = "sha256:new".to_owned();
    begin.artefacts.lbnode.image.bytes = b"sha256:new".as_slice().into();
    let whole = begin.fork();
    whole
        .update(Consent::Given)
        .await
        .expect("the undisturbed run works");
    let steps = whole.inner().changes.len();
    assert!(steps >= 15, "{steps} steps");
    for fault in [Fault::Before, Fault::Half, Fault::After, Fault::CtrlC] {
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
            for (address, expected) in &whole.inner().machines {
                assert_eq!(
                    site.inner().machines[address].files,
                    expected.files,
                    "{when}"
                );
            }
            assert_eq!(site.inner().well().len(), 3, "{when}");
            assert_eq!(site.inner().applied, whole.inner().applied, "{when}");
            site.inner().changes.clear();
            assert_eq!(
                site.update(Consent::Asked).await,
                Ok(Outcome::NothingToDo),
                "{when}"
            );
            assert_eq!(site.inner().changes, Vec::<String>::new(), "{when}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_stops_before_anybody_restarts() {
    let mut site = made().await;
    site.artefacts.lbnode.sha256 = nodepool::digest::sha256(b"new");
    std::fs::write(&site.artefacts.lbnode.path, b"new").expect("a file");
    site.inner()
        .machines
        .get_mut(&address(12))
        .expect("a machine")
        .disk_full = true;
    let failure = site
        .update(Consent::Given)
        .await
        .expect_err("the disk is full");
    assert!(
        failure.message.contains("No space left on device"),
        "{failure:?}"
    );
    assert_eq!(site.inner().balancers.restarts, Vec::<IpAddr>::new());
    site.inner()
        .machines
        .get_mut(&address(12))
        .expect("a machine")
        .disk_full = false;
    assert_eq!(site.update(Consent::Given).await, Ok(Outcome::Changed));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_changed_is_refused_with_the_reason() {
    let cases: [(String, &str); 5] = [
        (
            with_settings("    vrrp:\n      virtualRouterID: 77\n"),
            "virtualRouterID",
        ),
        (
            with_settings("    vrrp:\n      unicast: false\n"),
            "unicast",
        ),
        (
            FILE.replace("10.10.0.13", "10.10.0.14"),
            "m2 leaves and 10.10.0.14 joins, and both have the API load balancer",
        ),
        (
            FILE.replace("10.10.0.100", "10.10.0.101"),
            "controlPlaneVIP",
        ),
        (
            format!(
                "{}  maintenanceBlocks:\n    cidrBlocks:\n    - 10.10.0.12/32\n",
                with_settings(SLOW)
            ),
            "m1 (10.10.0.12) is in maintenance",
        ),
    ];
    let begin = made().await;
    for (text, words) in cases {
        let mut site = begin.fork();
        site.edit(&text);
        let failure = site.update(Consent::Given).await.expect_err(words);
        assert_eq!(failure.exit, Exit::Config, "{words}");
        assert!(failure.message.contains(words), "{words}: {failure:?}");
        assert_eq!(site.inner().changes, Vec::<String>::new(), "{words}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_cluster_there_is_nothing_to_update() {
    let site = Site::new(FILE);
    let failure = site
        .update(Consent::Given)
        .await
        .expect_err("there is none");
    assert!(
        failure.message.contains("there is no cluster"),
        "{failure:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_second_lbctl_is_told_who_is_at_work() {
    let site = edited(&with_settings(SLOW)).await;
    site.inner().locked_by = Some("`lbctl update cluster` of ann@desk".to_owned());
    let failure = site.update(Consent::Given).await.expect_err("it is locked");
    assert_eq!(
        failure.message,
        "10.10.0.11 is being worked on by `lbctl update cluster` of ann@desk"
    );
    assert_eq!(site.inner().changes, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_worker_without_power_does_not_stop_the_others() {
    let worker = "\n---\napiVersion: baremetal.cluster.gke.io/v1\nkind: NodePool\nmetadata:\n  name: workers\n  namespace: cluster-lab\n\
         spec:\n  clusterName: lab\n  nodes:\n  - address: 10.10.0.31\n";
    let mut site = Site::new(&format!("{FILE}{worker}"));
    site.create().await.expect("the cluster is made");
    site.edit(&format!("{}{worker}", with_settings(SLOW)));
    site.inner().dark.insert(address(31));
    site.inner().nodes.get_mut("m3").expect("a node").ready = false;
    let failure = site
        .update(Consent::Given)
        .await
        .expect_err("one is missing");
    assert_eq!(failure.exit, Exit::Partial);
    assert!(failure.message.contains("10.10.0.31: "), "{failure:?}");
    assert_eq!(site.inner().balancers.restarts.len(), 3);
    // A control plane is another matter.
    let site = edited(&with_settings(SLOW)).await;
    site.inner().dark.insert(address(12));
    let failure = site
        .update(Consent::Given)
        .await
        .expect_err("one is missing");
    assert_eq!(failure.exit, Exit::Failed);
    assert_eq!(site.inner().changes, Vec::<String>::new());
}
