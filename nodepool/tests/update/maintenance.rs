//! `maintenanceBlocks`: nodes go out of service in order and come back, and nothing is asked of them meanwhile.

use std::net::IpAddr;

use nodepool::commands::{Consent, Outcome};
use nodepool::error::Exit;

use super::{FILE, SLOW, address, made, with_settings};
use crate::site::{Fault, Site};

const ROUTER: &str = "/etc/kubernetes/manifests/lb-vrrp.yaml";

/// A file, with these machines in maintenance.
fn maintained(file: &str, lasts: &[u8]) -> String {
    let begin = "  maintenanceBlocks:\n    cidrBlocks:\n";
    let lines = lasts
        .iter()
        .map(|last| format!("    - 10.10.0.{last}/32\n"));
    let block = format!("{begin}{}", lines.collect::<String>());
    let file = file.replacen("  loadBalancer:\n", &format!("{block}  loadBalancer:\n"), 1);
    assert!(file.contains(begin), "{file}");
    file
}

/// The machine is out of service and nobody needs it.
fn rests(site: &Site, last: u8, name: &str) -> bool {
    let inner = site.inner();
    let node = &inner.nodes[name];
    let noted = node.maintenance.as_ref();
    node.retired
        && noted.is_some_and(|noted| noted.drained)
        && !inner.machines[&address(last)].files.contains_key(ROUTER)
        && inner.balancers.owner != Some(address(last))
}

/// The machine serves, and nothing speaks of maintenance.
fn serves(site: &Site, last: u8, name: &str) -> bool {
    let inner = site.inner();
    let node = &inner.nodes[name];
    !node.retired && node.maintenance.is_none() && inner.well().contains(&address(last))
}

async fn nothing_to_do(site: &Site, when: &str) {
    site.inner().changes.clear();
    let outcome = site.update(Consent::Asked).await;
    assert_eq!(outcome, Ok(Outcome::NothingToDo), "{when}");
    assert_eq!(site.inner().changes, Vec::<String>::new(), "{when}");
}

#[tokio::test(start_paused = true)]
async fn a_node_goes_out_of_service_in_order_and_comes_back_as_a_backup() {
    for owner in [11, 12] {
        let mut site = made().await;
        site.inner().balancers.owner = Some(address(owner));
        site.edit(&maintained(FILE, &[12]));
        let failure = site
            .update(Consent::Asked)
            .await
            .expect_err("nobody is there");
        assert_eq!(failure.exit, Exit::Usage, "it is a change");
        assert_eq!(site.update(Consent::Given).await, Ok(Outcome::Changed));
        assert!(rests(&site, 12, "m1"));
        assert_eq!(
            site.inner().changes,
            [
                "api maintain m1 Begin",
                "10.10.0.12 stop-router 10.10.0.100",
                "api maintain m1 Drained",
            ]
        );
        let moves = usize::from(owner == 12);
        assert_eq!(site.inner().balancers.moves, moves);
        nothing_to_do(&site, "in maintenance").await;

        let before = site.inner().balancers.owner;
        site.edit(FILE);
        assert_eq!(site.update(Consent::Given).await, Ok(Outcome::Changed));
        assert!(serves(&site, 12, "m1"));
        let changes = site.inner().changes.clone();
        let begun = format!("10.10.0.12 put-file {ROUTER}");
        assert_eq!(
            changes,
            [
                "10.10.0.12 stop-router 10.10.0.100",
                begun.as_str(),
                "api maintain m1 End"
            ]
        );
        assert_eq!(
            site.inner().balancers.moves,
            moves,
            "no VIP moves back by itself"
        );
        assert_eq!(site.inner().balancers.owner, before);
        nothing_to_do(&site, "in service").await;
    }
}

#[tokio::test(start_paused = true)]
async fn one_comes_back_while_another_one_goes() {
    let mut site = made().await;
    site.edit(&maintained(FILE, &[12]));
    assert_eq!(site.update(Consent::Given).await, Ok(Outcome::Changed));
    site.inner().balancers.owner = Some(address(13));
    site.edit(&maintained(FILE, &[13]));
    assert_eq!(site.update(Consent::Given).await, Ok(Outcome::Changed));
    assert!(serves(&site, 12, "m1") && rests(&site, 13, "m2"));
    nothing_to_do(&site, "after both").await;
}

#[tokio::test(start_paused = true)]
async fn every_interruption_of_maintenance_is_finished_by_the_next_run() {
    let mut into = made().await;
    into.inner().balancers.owner = Some(address(12));
    let text = maintained(FILE, &[12]);
    into.edit(&text);
    let mut out = into.fork();
    out.update(Consent::Given).await.expect("it goes");
    out.edit(FILE);
    out.inner().changes.clear();
    for (begin, goes) in [(&into, true), (&out, false)] {
        let whole = begin.fork();
        whole.update(Consent::Given).await.expect("undisturbed");
        let steps = whole.inner().changes.len();
        assert!(steps >= 2, "{steps}");
        for fault in [Fault::Before, Fault::Half, Fault::After, Fault::CtrlC] {
            for at in 1..=steps {
                let site = begin.fork();
                site.inner().fault = Some((at, fault));
                let first = site.update(Consent::Given).await;
                let step = site.inner().changes[at - 1].clone();
                let when = format!("{fault:?} at {step}");
                // Asked to stop during the very last step, it may have finished.
                assert!(first.is_err() || at == steps, "{when}");
                site.inner().fault = None;
                // Whatever the operator wants by then.
                let mut other = site.fork();
                other.edit(if goes { FILE } else { &text });
                let second = site.update(Consent::Given).await;
                assert!(second.is_ok(), "{when}: {second:?}");
                let done = if goes {
                    rests(&site, 12, "m1")
                } else {
                    serves(&site, 12, "m1")
                };
                assert!(done, "{when}");
                nothing_to_do(&site, &when).await;
                let back = other.update(Consent::Given).await;
                assert!(back.is_ok(), "{when}, and back: {back:?}");
                let done = if goes {
                    serves(&other, 12, "m1")
                } else {
                    rests(&other, 12, "m1")
                };
                assert!(done, "{when}, and back");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_in_maintenance_may_be_switched_off_and_nothing_else_is_changed_over_it() {
    let mut site = made().await;
    site.edit(&maintained(FILE, &[12]));
    assert_eq!(site.update(Consent::Given).await, Ok(Outcome::Changed));
    // As it is: what others get, it would get too.
    site.edit(&maintained(&with_settings(SLOW), &[12]));
    site.inner().changes.clear();
    let failure = site.update(Consent::Given).await.expect_err("settings");
    assert!(
        failure.message.contains(
            "m1 (10.10.0.12) is in maintenance, and its API load balancer would be restarted"
        ),
        "{failure:?}"
    );
    {
        let mut inner = site.inner();
        inner.dark.insert(address(12));
        inner.nodes.get_mut("m1").expect("a node").ready = false;
    }
    let failure = site.update(Consent::Given).await.expect_err("settings");
    assert_eq!(failure.exit, Exit::Config);
    assert!(
        failure
            .message
            .contains("m1 (10.10.0.12) is in maintenance and does not answer"),
        "{failure:?}"
    );
    site.edit(&maintained(FILE, &[12]));
    nothing_to_do(&site, "switched off").await;
    // Out of the block it is wanted.
    site.edit(FILE);
    let failure = site.update(Consent::Given).await.expect_err("it is off");
    assert!(failure.message.starts_with("10.10.0.12: "), "{failure:?}");
    assert_eq!(site.inner().changes, Vec::<String>::new());
    // It is put back, with settings that changed meanwhile.
    {
        let mut inner = site.inner();
        inner.dark.clear();
        inner.nodes.get_mut("m1").expect("a node").ready = true;
    }
    site.edit(&with_settings(SLOW));
    assert_eq!(site.update(Consent::Given).await, Ok(Outcome::Changed));
    assert!(serves(&site, 12, "m1"));
    assert_eq!(site.inner().well().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_was_never_emptied_must_answer() {
    let mut site = made().await;
    site.edit(&maintained(FILE, &[12]));
    site.inner().dark.insert(address(12));
    let failure = site
        .update(Consent::Given)
        .await
        .expect_err("its router runs");
    assert!(
        failure
            .message
            .ends_with("m1 has not been taken out of service yet; nothing was changed"),
        "{failure:?}"
    );
    assert_eq!(site.inner().changes, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn too_few_in_service_is_refused() {
    let mut site = made().await;
    site.edit(&maintained(FILE, &[12, 13]));
    let failure = site.update(Consent::Given).await.expect_err("no majority");
    assert_eq!(failure.exit, Exit::Config);
    assert_eq!(
        failure.message,
        "with m1, m2 in maintenance only 1 of 3 control planes would be Ready and in service, no majority; nothing was changed"
    );
    site.edit(&maintained(FILE, &[12]));
    site.inner().nodes.get_mut("m2").expect("a node").ready = false;
    let failure = site.update(Consent::Given).await.expect_err("one is ill");
    assert!(failure.message.contains("only 1 of 3"), "{failure:?}");
    site.edit(&maintained(FILE, &[11, 12, 13]));
    let failure = site.update(Consent::Given).await.expect_err("all of them");
    assert!(
        failure
            .message
            .contains("no load-balancer node that is well would be left"),
        "{failure:?}"
    );
    assert_eq!(site.inner().changes, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn create_and_preflight_leave_a_node_in_maintenance_alone() {
    let mut site = made().await;
    site.edit(&maintained(FILE, &[12]));
    assert_eq!(site.update(Consent::Given).await, Ok(Outcome::Changed));
    site.inner().changes.clear();
    for dark in [false, true] {
        if dark {
            site.inner().dark.insert(address(12));
        }
        assert_eq!(site.create().await, Ok(Outcome::NothingToDo));
        assert!(rests(&site, 12, "m1"));
        let looked = site.look().await.expect("nobody interrupts");
        assert_eq!(looked.findings, [], "dark: {dark}");
    }
    assert_eq!(site.inner().changes, Vec::<String>::new());
    let bare = Site::new(&maintained(FILE, &[12]));
    let looked = bare.look().await.expect("nobody interrupts");
    assert_eq!(looked.findings, []);
    assert_eq!(
        bare.inner().network.brought,
        [address(11), address(13)],
        "nothing is asked of it"
    );
    let failure = bare.create().await.expect_err("it would join");
    assert!(
        failure
            .message
            .contains("10.10.0.12 is in maintenance and is to join"),
        "{failure:?}"
    );
    assert_eq!(bare.inner().changes, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_worker_is_only_emptied_and_gets_a_new_lbnode_when_it_is_back() {
    let worker = "\n---\napiVersion: baremetal.cluster.gke.io/v1\nkind: NodePool\nmetadata:\n  name: workers\n  namespace: cluster-lab\n\
         spec:\n  clusterName: lab\n  nodes:\n  - address: 10.10.0.31\n";
    let mut site = Site::new(&format!("{FILE}{worker}"));
    site.create().await.expect("the cluster is made");
    site.inner().changes.clear();
    site.edit(&format!("{}{worker}", maintained(FILE, &[31])));
    assert_eq!(site.update(Consent::Given).await, Ok(Outcome::Changed));
    let changes = site.inner().changes.clone();
    assert_eq!(
        changes,
        ["api maintain m3 Begin", "api maintain m3 Drained"]
    );
    site.artefacts.lbnode.sha256 = nodepool::digest::sha256(b"new");
    std::fs::write(&site.artefacts.lbnode.path, b"new").expect("a file");
    site.inner().changes.clear();
    assert_eq!(site.update(Consent::Given).await, Ok(Outcome::Changed));
    let brought = |site: &Site| {
        let changes = site.inner().changes.clone();
        changes
            .iter()
            .any(|change| change == "10.10.0.31 put-file /usr/local/bin/lbnode")
    };
    assert!(!brought(&site));
    site.edit(&format!("{FILE}{worker}"));
    assert_eq!(site.update(Consent::Given).await, Ok(Outcome::Changed));
    assert!(brought(&site));
    let restarts = site.inner().balancers.restarts.clone();
    assert_eq!(restarts, Vec::<IpAddr>::new());
}
