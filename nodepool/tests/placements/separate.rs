//! The API's load balancers on the control planes, Service addresses on a pool of their own.

use nodepool::commands::{Consent, Outcome};
use nodepool::core::desired::LBNODE_LABEL;

use super::FILE as TOGETHER;
use crate::site::{Fault, Site};

const FILE: &str = include_str!("../../../examples/separate-load-balancers.yaml");

/// Nodes with the label, in order.
fn labelled(site: &Site) -> Vec<String> {
    let inner = site.inner();
    let nodes = inner.nodes.iter();
    let nodes = nodes.filter(|(_, node)| node.labels.contains_key(LBNODE_LABEL));
    nodes.map(|(name, _)| name.clone()).collect()
}

#[tokio::test(start_paused = true)]
async fn each_load_balancer_is_where_the_file_has_it() {
    let site = Site::new(FILE);
    assert_eq!(site.create().await, Ok(Outcome::Changed));
    // m0, m1, m2 are control planes, m3 and m4 the pool, m5 and m6 workers.
    assert_eq!(labelled(&site), ["m3", "m4"]);
    {
        let inner = site.inner();
        let router = "/etc/kubernetes/manifests/lb-vrrp.yaml";
        let routers = inner.machines.values();
        let routers = routers.filter(|machine| machine.files.contains_key(router));
        let names: Vec<&str> = routers.map(|machine| machine.hostname.as_str()).collect();
        assert_eq!(names, ["m0", "m1", "m2"]);
        assert!(inner.applied.contains_key("DaemonSet/lb-speaker"));
    }
    site.inner().changes.clear();
    assert_eq!(site.create().await, Ok(Outcome::NothingToDo));
    assert_eq!(site.update(Consent::Asked).await, Ok(Outcome::NothingToDo));
    assert_eq!(site.inner().changes, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_machine_of_the_pool_leaves_and_no_router_is_touched() {
    let mut site = Site::new(FILE);
    site.create().await.expect("the cluster is made");
    site.edit(&FILE.replace("      - address: 10.10.0.22\n", ""));
    assert_eq!(site.update(Consent::Given).await, Ok(Outcome::Changed));
    assert_eq!(labelled(&site), ["m3"]);
    assert!(site.inner().balancers.restarts.is_empty());
    assert!(!site.inner().nodes.contains_key("m4"));
}

/// A pool for the API's load balancers is no place for those of a cluster that has them on its control planes.
#[tokio::test(start_paused = true)]
async fn the_api_load_balancer_keeps_its_place() {
    let mut site = Site::new(TOGETHER);
    site.create().await.expect("the cluster is made");
    site.inner().changes.clear();
    let key = "    addressPools:\n";
    let pool = "    nodePoolSpec:\n      nodes:\n      - address: 10.10.0.21\n";
    site.edit(&TOGETHER.replacen(key, &format!("{pool}{key}"), 1));
    let failure = site.update(Consent::Given).await.expect_err("refused");
    assert!(
        failure.message.contains("the API load balancer runs on m0"),
        "{failure:?}"
    );
    assert_eq!(site.inner().changes, Vec::<String>::new());
}

/// A cluster with both load balancers on its control planes, and the two keys by which Service addresses move to a pool.
fn with_pool() -> String {
    let key = "    addressPools:\n";
    let pool = "    nodePoolSpec:\n      nodes:\n      - address: 10.10.0.21\n      - address: 10.10.0.22\n";
    let text = TOGETHER.replacen(key, &format!("{pool}{key}"), 1);
    let mode = "  controlPlane:\n    loadBalancer:\n      mode: bundled\n";
    let text = text.replacen("  controlPlane:\n", mode, 1);
    assert!(text.contains(pool) && text.contains(mode), "{text}");
    text
}

async fn about_to_move() -> Site {
    let mut site = Site::new(TOGETHER);
    site.create().await.expect("the cluster is made");
    assert_eq!(labelled(&site), ["m0", "m1", "m2"]);
    site.edit(&with_pool());
    site.inner().changes.clear();
    site.inner().slow_speakers = 3;
    site
}

/// Nobody is left out of service.
fn all_serve(site: &Site, when: &str) {
    assert_eq!(labelled(site), ["m3", "m4"], "{when}");
    for (name, node) in &site.inner().nodes {
        let serves = !node.retired && node.maintenance.is_none();
        assert!(serves, "{when}: {name} is out of service");
    }
}

#[tokio::test(start_paused = true)]
async fn service_addresses_move_to_a_pool_in_one_update_one_node_at_a_time() {
    let site = about_to_move().await;
    assert_eq!(site.update(Consent::Given).await, Ok(Outcome::Changed));
    all_serve(&site, "moved");
    assert!(site.inner().balancers.restarts.is_empty());
    let changes = site.inner().changes.clone();
    let place = |words: &str| {
        let found = changes.iter().rposition(|change| change.contains(words));
        found.unwrap_or_else(|| panic!("{words} is not among {changes:?}"))
    };
    let mut order = vec![place("kubeadm-join")];
    for node in ["m0", "m1", "m2"] {
        order.push(place(&format!("api maintain {node} Begin")));
        order.push(place(&format!("api withdraw {node}")));
        order.push(place(&format!("api maintain {node} End")));
    }
    assert!(order.is_sorted(), "{changes:?}");
    site.inner().changes.clear();
    assert_eq!(site.update(Consent::Asked).await, Ok(Outcome::NothingToDo));
    assert_eq!(site.inner().changes, Vec::<String>::new());
}

/// The image of another release is on the nodes.
fn of_another_release(site: &mut Site) {
    site.artefacts.lbnode.image.digest = "sha256:new".to_owned();
    site.artefacts.lbnode.image.bytes = b"sha256:new".as_slice().into();
}

#[tokio::test(start_paused = true)]
async fn service_addresses_move_together_with_another_release() {
    let mut site = about_to_move().await;
    of_another_release(&mut site);
    assert_eq!(site.update(Consent::Given).await, Ok(Outcome::Changed));
    all_serve(&site, "moved");
    assert_eq!(site.update(Consent::Asked).await, Ok(Outcome::NothingToDo));

    // A machine of the pool becomes a worker: nothing but its speaker runs there, until it has handed over.
    let mut site = Site::new(FILE);
    site.create().await.expect("the cluster is made");
    of_another_release(&mut site);
    let member = "      - address: 10.10.0.22\n";
    let workers = "  - address: 10.10.0.31\n";
    let text = FILE.replacen(member, "", 1);
    let text = text.replacen(workers, &format!("  - address: 10.10.0.22\n{workers}"), 1);
    assert!(text.contains("  - address: 10.10.0.22\n  - address: 10.10.0.31"));
    site.edit(&text);
    assert_eq!(site.update(Consent::Given).await, Ok(Outcome::Changed));
    assert_eq!(labelled(&site), ["m3"]);
    assert_eq!(site.update(Consent::Asked).await, Ok(Outcome::NothingToDo));
}

#[tokio::test(start_paused = true)]
async fn every_interruption_of_such_a_move_is_finished_by_the_next_run() {
    let begin = about_to_move().await;
    let whole = begin.fork();
    whole.update(Consent::Given).await.expect("undisturbed");
    let steps = whole.inner().changes.clone();
    let moves = |step: &String| step.contains("api maintain") || step.contains("api withdraw");
    assert_eq!(steps.iter().filter(|step| moves(step)).count(), 9);
    for fault in [Fault::Before, Fault::After, Fault::CtrlC] {
        for (index, step) in steps.iter().enumerate().filter(|(_, step)| moves(step)) {
            let site = begin.fork();
            site.inner().fault = Some((index + 1, fault));
            let first = site.update(Consent::Given).await;
            let when = format!("{fault:?} at {step}");
            assert!(first.is_err(), "{when}");
            site.inner().fault = None;
            let second = site.update(Consent::Given).await;
            assert!(second.is_ok(), "{when}: {second:?}");
            all_serve(&site, &when);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_keeps_its_service_addresses_while_nobody_else_can_take_them() {
    let site = about_to_move().await;
    site.inner().slow_speakers = u32::MAX;
    let failure = site.update(Consent::Given).await.expect_err("they listen");
    assert!(
        failure.message.contains("m0 keeps its Service addresses")
            && failure.message.contains("`Listening`"),
        "{failure:?}"
    );
    assert_eq!(labelled(&site), ["m0", "m1", "m2", "m3", "m4"]);
    site.inner().slow_speakers = 0;
    assert_eq!(site.update(Consent::Given).await, Ok(Outcome::Changed));
    all_serve(&site, "afterwards");
}
