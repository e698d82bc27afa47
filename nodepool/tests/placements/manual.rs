//! `mode: manual`: the virtual IP is on a load balancer of somebody else, which is tried before anything is changed.

use std::net::IpAddr;

use nodepool::commands::{Consent, Outcome};
use nodepool::core::preflight::{Check, Severity, assess};
use nodepool::error::Exit;

use super::FILE as BUNDLED;
use crate::site::{Fault, Site};

const FILE: &str = include_str!("../../../examples/manual.yaml");

fn node(last: u8) -> IpAddr {
    [10, 200, 0, last].into()
}

/// The machines, and a load balancer in front of all three control planes.
fn site() -> Site {
    let site = Site::new(FILE);
    let back_ends = [11, 12, 13].map(node).into();
    site.inner().network.front.back_ends = back_ends;
    site
}

/// What preflight says of the load balancer, a line for each machine; with it, that nothing is changed or left.
async fn found(spoil: impl FnOnce(&mut crate::site::network::Front)) -> Vec<String> {
    let site = site();
    spoil(&mut site.inner().network.front);
    let before = site.state();
    let looked = site.look().await.expect("nobody interrupts");
    assert_eq!(site.state(), before, "something was changed");
    assert!(site.inner().network.programs.is_empty());
    let lines = looked.findings.iter().map(|finding| {
        assert_eq!(
            (finding.check, finding.severity),
            (Check::ApiFront, Severity::Fail)
        );
        let node = finding.node.as_deref().unwrap_or("-");
        format!("{node}: {} -> {}", finding.cause, finding.fix)
    });
    lines.collect()
}

#[tokio::test(start_paused = true)]
async fn the_cluster_is_made_without_anything_of_ours_and_changes() {
    let mut site = site();
    assert_eq!(site.create().await, Ok(Outcome::Changed));
    {
        let inner = site.inner();
        let ours = |change: &&String| {
            ["lbnode", "/lb-", "stop-router"]
                .iter()
                .any(|word| change.contains(word))
        };
        assert_eq!(inner.changes.iter().find(ours), None);
        assert!(inner.applied.is_empty(), "{:?}", inner.applied);
        assert_eq!(inner.nodes.len(), 4);
        let label = "baremetal.cluster.gke.io/lbnode";
        assert!(
            inner
                .nodes
                .values()
                .all(|node| !node.labels.contains_key(label))
        );
    }
    site.inner().changes.clear();
    assert_eq!(site.create().await, Ok(Outcome::NothingToDo));
    assert_eq!(site.update(Consent::Asked).await, Ok(Outcome::NothingToDo));
    assert_eq!(site.inner().changes, Vec::<String>::new());

    let third = "      - address: 10.200.0.13\n";
    site.edit(&FILE.replace(third, &format!("{third}      - address: 10.200.0.14\n")));
    assert_eq!(site.update(Consent::Given).await, Ok(Outcome::Changed));
    assert!(site.inner().etcd.contains(&node(14)));
    // The virtual IP may be on the machine: it is left alone.
    let outcome = site.reset_nodes(&["10.200.0.14"], false).await;
    assert_eq!(outcome, Ok(Outcome::Changed));
    assert!(!site.inner().etcd.contains(&node(14)));
    site.edit(FILE);
    assert_eq!(site.update(Consent::Asked).await, Ok(Outcome::NothingToDo));
}

#[tokio::test(start_paused = true)]
async fn every_way_is_tried_once_and_each_control_plane_found() {
    let first = site();
    let looked = first.look().await.expect("nobody interrupts");
    assert_eq!(looked.findings, []);
    let results = assess(
        &first.desired,
        &looked.machines,
        &looked.findings,
        &looked.done,
    );
    for result in results {
        assert!(result.checks.contains_key(&Check::ApiFront));
        assert!(!result.checks.contains_key(&Check::VipFree));
    }
    let rounds = first.inner().network.stood.clone();
    let expected = [vec![11], vec![12, 13]];
    let sets = |rounds: &[Vec<u8>]| -> Vec<_> {
        let set = |round: &Vec<u8>| round.iter().map(|last| node(*last)).collect();
        rounds.iter().map(set).collect()
    };
    assert_eq!(rounds, sets(&expected));
    // Where clients stick to one back end, whoever was not found is tried alone.
    let second = site();
    second.inner().network.front.sticky = true;
    let looked = second.look().await.expect("nobody interrupts");
    assert_eq!(looked.findings, []);
    let rounds = second.inner().network.stood.clone();
    assert_eq!(rounds, sets(&[vec![11], vec![12, 13], vec![13]]));
}

#[tokio::test(start_paused = true)]
async fn what_is_missing_is_said_with_what_to_set_up() {
    let lines = found(|front| front.back_ends.clear()).await;
    assert_eq!(lines.len(), 4, "{lines:?}");
    assert!(
        lines[0].starts_with("m0: connections to 10.200.0.101:443 do not arrive at 10.200.0.11:6444: connection refused -> set up your load balancer: 10.200.0.101:443 to 10.200.0.11:6444, 10.200.0.12:6444, 10.200.0.13:6444 ("),
        "{lines:?}"
    );

    let lines = found(|front| {
        front.back_ends.remove(&node(13));
    })
    .await;
    assert_eq!(
        lines,
        [
            "m2: no connection to 10.200.0.101:443 arrives at 10.200.0.13:6444 -> make 10.200.0.13:6444 a back end of your load balancer too, and let it through"
        ]
    );

    let lines = found(|front| front.no_way_back = true).await;
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].starts_with("m0: its own connections to 10.200.0.101:443 do not come back to it"),
        "{lines:?}"
    );

    let lines = found(|front| front.blind = true).await;
    assert!(
        !lines.is_empty() && lines.iter().all(|line| line.contains("connection reset")),
        "{lines:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn nothing_is_begun_without_the_load_balancer() {
    let site = site();
    site.inner().network.front.back_ends.clear();
    let failure = site.create().await.expect_err("refused");
    assert_eq!(
        failure.message,
        "preflight found 4 problems; nothing was changed"
    );
    assert_eq!(site.inner().changes, Vec::<String>::new());
}

/// What an interrupted run has begun is not tried again: a stand-in would be in the way of a real API server.
#[tokio::test(start_paused = true)]
async fn every_interruption_is_finished_by_the_next_run() {
    let whole = site();
    whole.create().await.expect("the undisturbed run works");
    let steps = whole.inner().changes.len();
    for fault in [Fault::Before, Fault::Half, Fault::After, Fault::CtrlC] {
        for at in (1..=steps).filter(|at| at % 5 == 0 || *at > steps - 5) {
            let site = site();
            site.inner().fault = Some((at, fault));
            let step = || format!("{fault:?} at {at}");
            assert!(site.create().await.is_err(), "{}", step());
            site.inner().fault = None;
            let second = site.create().await;
            assert!(second.is_ok(), "{}: {second:?}", step());
            assert_eq!(site.inner().etcd, whole.inner().etcd, "{}", step());
            assert_eq!(site.create().await, Ok(Outcome::NothingToDo), "{}", step());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_cluster_keeps_its_kind_of_load_balancer() {
    let bundled = |text: &str| {
        text.replace("mode: manual", "mode: bundled")
            .replace("      ingressVIP: 10.200.0.102\n", "")
    };
    let mut made = site();
    made.create().await.expect("the cluster is made");
    made.inner().changes.clear();
    made.edit(&bundled(FILE));
    let failure = made.update(Consent::Given).await.expect_err("refused");
    assert_eq!(failure.exit, Exit::Config);
    assert!(
        failure
            .message
            .contains("no API load balancer of ours serves this cluster"),
        "{failure:?}"
    );
    let failure = made.create().await.expect_err("refused");
    assert_eq!(failure.exit, Exit::Config, "{failure:?}");
    assert_eq!(made.inner().changes, Vec::<String>::new());

    let pools = BUNDLED.find("    addressPools:").expect("pools");
    let manual = BUNDLED[..pools].replace("mode: bundled", "mode: manual");
    let mut site = Site::new(BUNDLED);
    site.create().await.expect("the cluster is made");
    site.inner().changes.clear();
    site.edit(&manual);
    let failure = site.update(Consent::Given).await.expect_err("refused");
    assert_eq!(failure.exit, Exit::Config);
    assert!(
        failure.message.contains("the API load balancer runs on m0"),
        "{failure:?}"
    );
    assert_eq!(site.inner().changes, Vec::<String>::new());
}
