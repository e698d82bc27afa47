//! The look before everything else, on scripted machines: each fault is named with its node and a way out, and nothing
//! is left behind.

use std::net::IpAddr;

use cluster_config::probe::RouterHeard;
use nodepool::core::preflight::{Check, Finding, Severity, Verdict, assess};

use crate::site::{self, Site};

const FILE: &str = include_str!("../../../examples/three-control-planes.yaml");

fn address(last: u8) -> IpAddr {
    [10, 10, 0, last].into()
}

/// What is found after `spoil`; with it, that no machine was changed and no program is left.
async fn found(spoil: impl FnOnce(&mut site::Inner)) -> Vec<Finding> {
    let site = Site::new(FILE);
    spoil(&mut site.inner());
    let before = site.state();
    let looked = site.look().await.expect("nobody interrupts");
    assert_eq!(site.state(), before, "something was changed");
    assert_eq!(site.inner().changes, Vec::<String>::new());
    looked.findings
}

fn line(finding: &Finding) -> String {
    let node = finding.node.as_deref().unwrap_or("-");
    format!("{node} {}: {}", finding.check.name(), finding.cause)
}

#[tokio::test]
async fn good_machines_pass_every_check_and_each_claims_the_virtual_ip_once() {
    let site = Site::new(FILE);
    let looked = site.look().await.expect("nobody interrupts");
    assert_eq!(looked.findings, []);
    let results = assess(
        &site.desired,
        &looked.machines,
        &looked.findings,
        &looked.done,
    );
    for node in &results {
        assert_eq!(node.result, Verdict::Pass);
        let missing: Vec<&str> = Check::ALL
            .iter()
            // It is about load balancers of others.
            .filter(|check| **check != Check::ApiFront && !node.checks.contains_key(check))
            .map(|check| check.name())
            .collect();
        assert_eq!(missing, Vec::<&str>::new(), "of {}", node.address);
    }
    let inner = site.inner();
    assert_eq!(
        inner.network.claims,
        [address(11), address(12), address(13)]
    );
    assert_eq!(inner.network.brought.len(), 3);
    assert!(inner.network.programs.is_empty());
}

#[tokio::test]
async fn each_fault_of_the_network_is_named_with_its_node() {
    type Case = (&'static str, fn(&mut site::Inner));
    let cases: [Case; 12] = [
        (
            "m0 vip-free: the virtual IP 10.10.0.100 is already in use: 02:00:0a:0a:00:32 answers for it on eth0",
            |inner| {
                inner
                    .network
                    .strangers
                    .push((address(100), "02:00:0a:0a:00:32".to_owned()));
            },
        ),
        (
            "m0 vip-free: the virtual IP 10.10.0.200 is already in use: 02:00:0a:0a:00:33",
            |inner| {
                inner
                    .network
                    .strangers
                    .push((address(200), "02:00:0a:0a:00:33".to_owned()));
            },
        ),
        (
            "m1 protocol-112: adverts (IP protocol 112) do not arrive from m0 (10.10.0.11); in the other direction they pass",
            |inner| {
                inner
                    .network
                    .adverts_lost
                    .insert((address(11), address(12)));
            },
        ),
        (
            "m2 heartbeat-port: heartbeats (UDP 7946) do not arrive from m1 (10.10.0.12)",
            |inner| {
                inner
                    .network
                    .heartbeats_lost
                    .insert((address(12), address(13)));
            },
        ),
        (
            "m0 layer-2: no answer to ARP on eth0 from m2 (10.10.0.13)",
            |inner| {
                inner.network.arp_lost.insert((address(11), address(13)));
            },
        ),
        (
            "m1 layer-2: several machines answer ARP for m0 (10.10.0.11)",
            |inner| {
                inner
                    .network
                    .strangers
                    .push((address(11), "02:00:00:00:00:99".to_owned()));
            },
        ),
        (
            "m2 gateway: the gateway 10.10.0.1 does not answer ARP",
            |inner| {
                inner.network.arp_lost.insert((address(13), address(1)));
            },
        ),
        (
            "m0 virtual-routers: 10.10.0.77 announces 10.10.0.100 as a virtual router (ID 9, priority 200)",
            |inner| {
                inner.network.routers.push(RouterHeard {
                    source: address(77),
                    vrid: 9,
                    priority: 200,
                    addresses: vec![address(100)],
                });
            },
        ),
        (
            "m1 vip-claim: it claims 10.10.0.100, but m0 (10.10.0.11) gets no answer to ARP for it",
            |inner| {
                inner.network.claims_dropped.insert(address(12));
            },
        ),
        (
            "m1 vip-gateway: the gateway 10.10.0.1 does not bring packets for 10.10.0.100 to m1",
            |inner| {
                inner.network.gateway_keeps_to = Some(address(11));
            },
        ),
        (
            "m2 network-probe: lbnode could not look at the network: the program did not arrive whole",
            |inner| {
                inner.network.cut_off = Some(address(13));
            },
        ),
        (
            "m1 kernel-features: its kernel 6.1.0-18-amd64 has no nf_tables",
            |inner| {
                let machine = inner.machines.get_mut(&address(12)).expect("a machine");
                machine.further.push("kernel_lacks=nf_tables".to_owned());
            },
        ),
    ];
    for (expected, spoil) in cases {
        let findings = found(spoil).await;
        let lines: Vec<String> = findings.iter().map(line).collect();
        assert!(
            lines.iter().any(|line| line.starts_with(expected)),
            "{lines:#?}\nhas not: {expected}"
        );
        assert!(
            findings.iter().all(|finding| !finding.fix.is_empty()),
            "{findings:#?}"
        );
        // One cause is told by those it concerns, under one name.
        let checks: std::collections::BTreeSet<Check> =
            findings.iter().map(|finding| finding.check).collect();
        assert_eq!(checks.len(), 1, "{lines:#?}");
    }
}

#[tokio::test]
async fn an_address_that_somebody_has_is_never_claimed() {
    let site = Site::new(FILE);
    for last in [100, 200] {
        let stranger = (address(last), "02:00:0a:0a:00:32".to_owned());
        site.inner().network.strangers.push(stranger);
    }
    let looked = site.look().await.expect("nobody interrupts");
    assert_eq!(looked.findings.len(), 6, "{:#?}", looked.findings);
    assert_eq!(site.inner().network.claims, Vec::<IpAddr>::new());
}

#[tokio::test]
async fn ctrl_c_ends_it_after_what_runs_and_nothing_is_left() {
    for probe in ["probe-segment", "probe-vip", "probe-reach"] {
        let site = Site::new(FILE);
        site.inner().network.ctrl_c = Some(probe);
        let failure = site.look().await.err().expect("it was interrupted");
        assert_eq!(failure.message, "interrupted");
        let inner = site.inner();
        let rounds = inner.network.claims.len();
        assert_eq!(rounds, usize::from(probe == "probe-reach"), "{probe}");
        assert!(inner.network.programs.is_empty());
        assert_eq!(inner.network.brought.len(), 3);
    }
}

#[tokio::test]
async fn a_cluster_that_lives_is_not_disturbed() {
    let site = Site::new(FILE);
    site.create().await.expect("the cluster is made");
    {
        let mut inner = site.inner();
        inner.network.claims.clear();
        inner.network.brought.clear();
        let owner = inner.machines.get_mut(&address(11)).expect("a machine");
        owner.further.push("address=eth0 10.10.0.100/32".to_owned());
        for machine in inner.machines.values_mut() {
            machine
                .further
                .push("address=veth1 10.244.0.1/32".to_owned());
            machine
                .further
                .push("listen_udp=*:7946 lbnode 77".to_owned());
        }
    }
    let looked = site.look().await.expect("nobody interrupts");
    let lines: Vec<String> = looked.findings.iter().map(line).collect();
    assert_eq!(lines, Vec::<String>::new());
    let inner = site.inner();
    assert_eq!(inner.network.claims, Vec::<IpAddr>::new());
    assert_eq!(inner.network.brought, Vec::<IpAddr>::new());
}

#[tokio::test]
async fn warnings_do_not_keep_a_cluster_from_being_made() {
    let site = Site::new(FILE);
    let machine = site
        .inner()
        .machines
        .keys()
        .next()
        .copied()
        .expect("a machine");
    {
        let mut inner = site.inner();
        let machine = inner.machines.get_mut(&machine).expect("a machine");
        machine.further.push("service=firewalld".to_owned());
    }
    let looked = site.look().await.expect("nobody interrupts");
    let severities: Vec<Severity> = looked
        .findings
        .iter()
        .map(|finding| finding.severity)
        .collect();
    assert_eq!(severities, [Severity::Warn]);
    site.create().await.expect("the cluster is made");
}
