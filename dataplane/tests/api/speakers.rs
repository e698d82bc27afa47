//! Speakers of two nodes: they share, hand over and take over.

use std::{thread, time::Duration};

use crate::{
    nodes::{answering, cluster, list, owners, wait_for},
    pinger::{Outage, Pinger},
    role::Role,
    segment::{Segment, seconds},
};

#[test]
fn two_nodes_share_hand_over_and_take_over() {
    let segment = Segment::new();
    let (server, conf) = cluster(&segment);
    list(&server);
    let [controller_conf, speaker_conf] = &conf[..] else {
        unreachable!()
    };
    let client = segment.place("c");
    let _controller = Role::start(&client, "controller", "", controller_conf);
    let speaker = |node: &str| {
        Role::start(
            &segment.place(node),
            "speaker",
            &format!("n{node}"),
            speaker_conf,
        )
    };
    let mut speakers = [Some(speaker("1")), Some(speaker("2"))];
    let services = [0, 1, 2, 3, 4, 5].map(|number| format!("s{number}"));
    let announced = || {
        let path =
            r#"jsonpath={.items[*].status.conditions[?(@.type=="bundledlb.io/Reachable")].status}"#;
        server
            .must(&["get", "services", "-o", path])
            .matches("True")
            .count()
    };
    wait_for("every Service is announced and reachable", || {
        announced() == services.len()
    });

    // Twelve addresses, six each; one answers for each, and the others are quiet.
    let owned = owners(&server);
    assert_eq!(owned.len(), 12, "{owned:?}");
    let first = owned.iter().filter(|(_, node)| node == "n1").count();
    assert_eq!(first, 6, "{owned:?}");
    for (address, _) in &owned {
        let reached = client
            .command("ping")
            .args(["-c", "1", "-W", "1", address])
            .output()
            .unwrap();
        assert!(reached.status.success(), "no echo from {address}");
        if !address.contains(':') {
            assert_eq!(answering(&client, address).len(), 1, "{address}");
        }
    }

    // A speaker that is killed: the other one has everything within a second.
    let one = |node: &str| {
        owned
            .iter()
            .find(|(address, owner)| owner == node && !address.contains(':'))
            .unwrap()
            .0
            .clone()
    };
    let address = one("n1");
    let pinger = Pinger::start(&client, &address);
    thread::sleep(Duration::from_secs(2));
    let killed = seconds();
    speakers[0].take().unwrap().kill();
    thread::sleep(Duration::from_secs(4));
    let (answers, _) = pinger.stop();
    let outage = Outage::after(&answers, killed);
    println!("speaker killed: {outage}");
    let back = answers.last().is_some_and(|last| *last > killed + 3.0);
    assert!(back && outage.over < 1.5, "{outage}");
    wait_for("the other has all", || {
        owners(&server)
            .iter()
            .filter(|(_, node)| node == "n2")
            .count()
            == 12
    });

    // It comes back and takes nothing; then the owner of everything is asked to end, and not one ping is lost.
    speakers[0] = Some(speaker("1"));
    thread::sleep(Duration::from_secs(4));
    assert_eq!(answering(&client, &address).len(), 1);
    let pinger = Pinger::start(&client, &address);
    thread::sleep(Duration::from_secs(1));
    speakers[1].take().unwrap().terminate();
    thread::sleep(Duration::from_secs(2));
    let (answers, lost) = pinger.stop();
    println!(
        "speaker asked to end: {lost} of {} pings lost",
        answers.len()
    );
    assert_eq!(lost, 0);
}

#[test]
fn nodes_that_do_not_list_each_other_meet_all_the_same() {
    let segment = Segment::new();
    let (server, conf) = cluster(&segment);
    let [controller_conf, speaker_conf] = &conf[..] else {
        unreachable!()
    };
    let client = segment.place("c");
    let _controller = Role::start(&client, "controller", "", controller_conf);
    let speaker = |node: &str| {
        let name = format!("n{node}");
        Role::start(&segment.place(node), "speaker", &name, speaker_conf)
    };
    let _first = speaker("1");
    wait_for("the first has all", || owners(&server).len() == 12);
    let _second = speaker("2");
    wait_for("the second reports", || {
        let path = "jsonpath={.items[*].status.phase}";
        server.must(&["get", "speakers", "-o", path]) == "Serving Serving"
    });
    // Longer than a starting node waits for others before it takes what it believes to be nobody's.
    thread::sleep(Duration::from_secs(3));
    let owned = owners(&server);
    assert_eq!(owned.len(), 12, "{owned:?}");
    for (address, node) in &owned {
        assert_eq!(node, "n1", "{address}");
        if !address.contains(':') {
            assert_eq!(answering(&client, address).len(), 1, "{address}");
        }
    }
}
