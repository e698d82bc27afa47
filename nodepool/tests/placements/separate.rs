//! The API's load balancers on the control planes, Service addresses on a pool of their own.

use nodepool::commands::{Consent, Outcome};
use nodepool::core::desired::LBNODE_LABEL;

use super::FILE as TOGETHER;
use crate::site::Site;

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
