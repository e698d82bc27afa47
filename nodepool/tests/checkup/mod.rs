//! `lbctl status` and `lbctl check cluster` against scripted machines: what is seen of them, and that nothing is changed.

use std::net::IpAddr;

use nodepool::core::checkup::{Check, Judgement, Row};
use nodepool::core::cluster_view::Maintenance;
use nodepool::core::preflight::Verdict;
use nodepool::digest::sha256;
use serde_json::{Value, json};

use crate::site::Site;

const FILE: &str = include_str!("../../../examples/three-control-planes.yaml");
const VRRP: &str = "/etc/lbnode/vrrp.yaml";

fn address(last: u8) -> IpAddr {
    [10, 10, 0, last].into()
}

/// What a machine says of a certificate that is valid until this year.
fn certificate(path: &str, until: i32) -> String {
    let mut params = rcgen::CertificateParams::new(vec!["api".to_owned()]).expect("a name");
    params.not_after = rcgen::date_time_ymd(until, 1, 1);
    let key = rcgen::KeyPair::generate().expect("a key");
    let pem = params.self_signed(&key).expect("a certificate").pem();
    let lines = pem.lines().filter(|line| !line.starts_with("-----"));
    format!("cert 644 {path} {}\n", lines.collect::<String>())
}

/// A pod of the data plane.
fn pod(app: &str, node: &str) -> Value {
    let condition =
        json!({"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"});
    json!({
        "metadata": {"labels": {"app": app}},
        "spec": {"nodeName": node},
        "status": {"conditions": [condition]},
    })
}

/// A cluster that is well.
async fn made() -> Site {
    let site = Site::new(FILE);
    site.create().await.expect("the cluster is made");
    let authority = certificate("/etc/kubernetes/pki/ca.crt", 2049);
    {
        let mut inner = site.inner();
        inner.changes.clear();
        inner.pods = vec![pod("lb-controller", "m0")];
        for name in ["m0", "m1", "m2"] {
            inner.pods.push(pod("lb-speaker", name));
            let status = json!({"phase": "Serving", "count": 2, "silent": [], "version": "0.1.0"});
            let speaker = json!({"metadata": {"name": name}, "status": status});
            inner.speakers.push(speaker);
        }
        for machine in inner.machines.values_mut() {
            machine.certificates.clone_from(&authority);
        }
    }
    site
}

/// Somebody edits a file of a machine.
fn edit(site: &Site, last: u8, path: &str, from: &str, to: &str) {
    let mut inner = site.inner();
    let machine = inner.machines.get_mut(&address(last));
    let machine = machine.expect("a machine");
    let text = machine.texts[path].replace(from, to);
    assert_ne!(text, machine.texts[path]);
    let fact = machine.files.get_mut(path).expect("a file");
    fact.1 = sha256(text.as_bytes());
    machine.texts.insert(path.to_owned(), text);
}

fn bad(rows: &[Row]) -> Vec<(Check, Option<&str>, Verdict)> {
    let bad = rows.iter().filter(|row| row.result != Verdict::Pass);
    bad.map(|row| (row.check, row.node.as_deref(), row.result))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_is_well_passes_every_check_and_stays_as_it_is() {
    let site = made().await;
    let state = site.state();
    let checked = site.check_cluster().await.expect("it is looked at");
    assert_eq!(bad(&checked.rows), Vec::new());
    assert_eq!(checked.judgement, Judgement::Well);
    for check in Check::ALL {
        let mut rows = checked.rows.iter();
        assert!(rows.any(|row| row.check == *check), "{check:?} is not made");
    }
    assert_eq!(site.inner().changes, Vec::<String>::new());
    assert_eq!(site.state(), state);
}

#[tokio::test(start_paused = true)]
async fn status_names_speakers_versions_and_no_drift() {
    let site = made().await;
    let picture = site.status().await.expect("it is looked at");
    assert_eq!(picture.problems(), Vec::<String>::new());
    let json = serde_json::to_value(&picture).expect("JSON");
    for (node, name) in json["nodes"]
        .as_array()
        .expect("nodes")
        .iter()
        .zip(["m0", "m1", "m2"])
    {
        assert_eq!((&node["node"], &node["drift"]), (&json!(name), &json!([])));
        assert_eq!(node["images"], json!(["sha256:image"]));
        assert_eq!(node["containerd"], "1.7.0");
    }
    let speaker = &json["dataPlane"]["speakers"][1];
    assert_eq!(
        *speaker,
        json!({
            "node": "m1", "phase": "Serving", "ready": true, "since": "2026-01-01T00:00:00Z", "addresses": 2,
            "hears": ["m0", "m2"], "silent": [], "lost": false, "networks": [], "version": "0.1.0",
        })
    );
    assert_eq!(json["dataPlane"]["controllers"][0]["ready"], true);
    assert_eq!(json["drift"], json!([]));
    assert_eq!(json["versions"][0]["component"], "lbnode");
    assert_eq!(json["versions"][0]["mixed"], false);
}

#[tokio::test(start_paused = true)]
async fn an_edited_file_is_drift_and_nothing_else() {
    let site = made().await;
    edit(&site, 12, VRRP, "priority: 160", "priority: 200");
    let picture = site.status().await.expect("it is looked at");
    let drift: Vec<_> = picture
        .nodes
        .iter()
        .map(|node| node.drift.clone())
        .collect();
    let line = "write /etc/lbnode/vrrp.yaml: vrrp routers[0].priority: 200 becomes 160";
    let expected = [vec![], vec![line.to_owned()], vec![]];
    assert_eq!(drift, expected.map(Some));

    let checked = site.check_cluster().await.expect("it is looked at");
    let rows = bad(&checked.rows);
    assert_eq!(rows, [(Check::Drift, Some("m1"), Verdict::Fail)]);
    assert_eq!(checked.judgement, Judgement::Differs);
    assert_eq!(site.inner().changes, Vec::<String>::new());

    // A comment is no setting, and is overwritten all the same.
    let site = made().await;
    edit(&site, 13, VRRP, "routers:", "# by hand\nrouters:");
    let picture = site.status().await.expect("it is looked at");
    let line = "write /etc/lbnode/vrrp.yaml: the same settings in other words";
    assert_eq!(picture.nodes[2].drift, Some(vec![line.to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn what_is_applied_and_who_is_not_in_the_file_is_drift_too() {
    let mut site = made().await;
    let renamed = FILE.replace("name: default\n", "name: front\n");
    site.edit(&renamed);
    let checked = site.check_cluster().await.expect("it is looked at");
    let rows = bad(&checked.rows);
    assert!(!rows.is_empty());
    for row in &rows {
        assert_eq!(*row, (Check::Drift, None, Verdict::Fail));
    }
    assert_eq!(checked.judgement, Judgement::Differs);
    let words = checked.picture.drift.join("\n");
    assert!(words.contains("AddressPool/front"), "{words}");
    assert!(words.contains("remove AddressPool default"), "{words}");
    assert!(site.inner().applied.contains_key("AddressPool/default"));
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_does_not_answer_leaves_the_rest_judged() {
    let site = made().await;
    site.inner().dark.insert(address(13));
    let checked = site.check_cluster().await.expect("it is looked at");
    assert_eq!(checked.judgement, Judgement::Partial);
    let mut rows = checked.rows.iter();
    let row = rows.find(|row| row.check == Check::Ssh && row.result == Verdict::Fail);
    assert_eq!(row.expect("a row").address, Some(address(13)));
    let broken = made().await;
    broken.inner().balancers.owner = None;
    let checked = broken.check_cluster().await.expect("it is looked at");
    assert_eq!(checked.judgement, Judgement::Broken);
    let rows = bad(&checked.rows);
    assert!(
        rows.contains(&(Check::VipOwner, None, Verdict::Fail)),
        "{rows:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn maintenance_that_was_left_over_and_an_old_certificate_are_found() {
    let site = made().await;
    {
        let mut inner = site.inner();
        inner.nodes.get_mut("m1").expect("a node").maintenance = Some(Maintenance {
            since: "2026-02-03T04:05:06Z".to_owned(),
            drained: true,
        });
    }
    let checked = site.check_cluster().await.expect("it is looked at");
    assert_eq!(
        bad(&checked.rows),
        [
            (Check::Maintenance, Some("m1"), Verdict::Fail),
            (Check::Drift, Some("m1"), Verdict::Fail),
        ]
    );
    assert_eq!(checked.judgement, Judgement::Differs);

    let site = made().await;
    {
        let mut inner = site.inner();
        let machine = inner.machines.get_mut(&address(11));
        let line = certificate("/etc/kubernetes/pki/apiserver.crt", 2021);
        machine.expect("a machine").certificates.push_str(&line);
    }
    let checked = site.check_cluster().await.expect("it is looked at");
    let rows = bad(&checked.rows);
    assert_eq!(rows, [(Check::Certificates, Some("m0"), Verdict::Fail)]);
    assert_eq!(checked.judgement, Judgement::Broken);
}
