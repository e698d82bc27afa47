mod claims;
mod segment;

use std::collections::BTreeMap;

use cluster_config::probe::{
    Hearing, Neighbour, ReachReport, RouterHeard, SegmentReport, VipReport,
};

use super::*;
use crate::core::desired::Desired;
use crate::core::facts::{FileFact, Listener, Membership};
use crate::core::from_config;
use crate::core::preflight::tests::{desired, good, lbnode};

fn machines(desired: &Desired, change: impl Fn(usize, &mut Facts)) -> BTreeMap<IpAddr, Reach> {
    let machines = desired.machines.iter().enumerate();
    let machines = machines.map(|(index, machine)| {
        let mut facts = good(machine, &format!("cp{}", index + 1));
        change(index, &mut facts);
        (machine.address, Reach::Up(Box::new(facts)))
    });
    machines.collect()
}

fn survey_of(change: impl Fn(usize, &mut Facts)) -> Survey {
    let desired = desired();
    survey(
        &desired,
        &machines(&desired, change),
        &lbnode(),
        7,
        Listening::Briefly,
    )
}

fn mac(place: usize) -> String {
    format!("02:00:0a:0a:00:{:02x}", 11 + place)
}

fn link_local(place: u16) -> IpAddr {
    [0xfe80, 0, 0, 0, 0, 0, 0, 11 + place].into()
}

/// What the participants see when everything is well.
fn seen(survey: &Survey) -> Answers<SegmentReport> {
    let everybody: Vec<u16> = (0u16..).take(survey.participants.len()).collect();
    let reports = survey.participants.iter().map(|one| {
        let others = everybody
            .iter()
            .copied()
            .filter(|place| *place != one.plan.me);
        let hearing = Hearing {
            heard: others.collect(),
            trouble: None,
        };
        let neighbours = survey.participants.iter().enumerate();
        let neighbours = neighbours.map(|(place, other)| Neighbour {
            address: other.node_ip.into(),
            macs: vec![mac(place)],
        });
        let gateway = one.plan.gateway.map(|address| Neighbour {
            address,
            macs: vec!["02:00:0a:0a:00:01".to_owned()],
        });
        let report = SegmentReport {
            interface: "eth0".to_owned(),
            mac: mac(one.plan.me.into()),
            link_local: Some(link_local(one.plan.me)),
            neighbours: neighbours.chain(gateway).collect(),
            vrrp: Some(hearing.clone()),
            vrrp6: None,
            heartbeat: Some(hearing),
            routers: Vec::new(),
        };
        (one.address, Ok(report))
    });
    reports.collect()
}

fn address(place: u8) -> IpAddr {
    [10, 10, 0, 11 + place].into()
}

fn report(answers: &mut Answers<SegmentReport>, place: u8) -> &mut SegmentReport {
    let answer = answers.get_mut(&address(place)).expect("a participant");
    answer.as_mut().expect("an answer")
}

type Line = (&'static str, String, Severity);

fn lines(judgement: &Judgement) -> Vec<Line> {
    for finding in &judgement.findings {
        assert!(
            !finding.fix.is_empty() && finding.node.is_some(),
            "{finding:?}"
        );
    }
    let findings = judgement.findings.iter().map(|finding| {
        let node = finding.node.as_deref().unwrap_or_default();
        let line = format!("{node}: {}", finding.cause);
        (finding.check.name(), line, finding.severity)
    });
    findings.collect()
}

#[test]
fn bare_machines_look_at_the_segment_and_ask_for_all_virtual_ips() {
    let survey = survey_of(|_, _| {});
    assert!(survey.together && !survey.is_empty());
    assert_eq!(survey.asked().count(), 3);
    let keys: Vec<&str> = survey.vips.iter().map(|vip| vip.key).collect();
    assert_eq!(keys, ["controlPlaneVIP", "ingressVIP"]);
    assert!(survey.vips.iter().all(|vip| vip.carriers.len() == 3));
    let plan = &survey.participants[1].plan;
    assert_eq!((plan.me, plan.run, plan.multicast), (1, 7, false));
    assert!(plan.least_millis >= 1000 && plan.least_millis < plan.most_millis);
    assert_eq!(plan.gateway, Some([10, 10, 0, 1].into()));
    assert!(plan.stations.iter().all(|one| one.vrrp && one.heartbeat));
    let judged = survey.judge_segment(&seen(&survey));
    assert_eq!(judged.findings, []);
    let done: Vec<&str> = judged.done[&address(0)]
        .iter()
        .map(|check| check.name())
        .collect();
    let all = [
        "network-probe",
        "layer-2",
        "gateway",
        "protocol-112",
        "virtual-routers",
        "heartbeat-port",
    ];
    assert_eq!(done, all);
}

fn joined(facts: &mut Facts) {
    facts.member = Some(Membership {
        cluster: "lab".to_owned(),
        role: "control-plane".to_owned(),
    });
    let file = FileFact {
        sha256: "sum".to_owned(),
        mode: "644".to_owned(),
        inode: 1,
    };
    for path in [static_pod::VRRP.path(), lbnode::INSTALLED.to_owned()] {
        facts.files.insert(path, file.clone());
    }
    let process = Some(("lbnode".to_owned(), 9));
    facts.wiring.udp.push(Listener {
        address: None,
        port: HEARTBEAT_PORT,
        process,
    });
}

#[test]
fn a_cluster_that_lives_is_left_in_peace_and_a_new_node_is_not() {
    let with_vip = |facts: &mut Facts| {
        let vip = "10.10.0.100/32".parse().expect("an address");
        facts.addresses.push(("eth0".to_owned(), vip));
    };
    let settled = survey_of(|index, facts| {
        joined(facts);
        if index == 0 {
            with_vip(facts);
        }
    });
    assert!(settled.is_empty() && settled.asked().count() == 0);
    let grown = survey_of(|index, facts| {
        if index < 2 {
            joined(facts);
        }
        if index == 0 {
            with_vip(facts);
        }
    });
    assert!(grown.together && grown.vips.is_empty() && !grown.may_claim);
    assert!(grown.participants[0].installed && !grown.participants[2].installed);
    // Their speakers have the port.
    let beats: Vec<bool> = grown.participants[2]
        .plan
        .stations
        .iter()
        .map(|one| one.heartbeat)
        .collect();
    assert_eq!(beats, [false, false, true]);
}

#[test]
fn who_cannot_run_the_program_takes_no_part() {
    let survey = survey_of(|index, facts| {
        if index == 1 {
            facts.architecture = "arm64".to_owned();
        }
        if index == 2 {
            facts.addresses.clear();
        }
    });
    assert_eq!(survey.participants.len(), 1);
    assert_eq!(survey.participants[0].plan.stations.len(), 1);
    assert_eq!(survey.judge_segment(&seen(&survey)).findings, []);
}

#[test]
fn multicast_and_an_interface_of_the_file_go_into_the_plan() {
    let text = include_str!("../../../../../../examples/three-control-planes.yaml").replace(
        "    addressPools:",
        "    vrrp:\n      interface: eth7\n      unicast: false\n    addressPools:",
    );
    let cluster = cluster_config::load(&text, "x")
        .cluster
        .expect("it is valid");
    let desired = from_config::desired(&cluster);
    let survey = survey(
        &desired,
        &machines(&desired, |_, _| {}),
        &lbnode(),
        7,
        Listening::Briefly,
    );
    let one = &survey.participants[0];
    assert!(one.plan.multicast && one.plan.gateway.is_none());
    assert_eq!(
        one.place(desired.vip).join(" "),
        "--address 10.10.0.100 --source 10.10.0.11 --interface eth7"
    );
}

fn router(source: [u8; 4], vrid: u8, address: [u8; 4]) -> RouterHeard {
    RouterHeard {
        source: source.into(),
        vrid,
        priority: 100,
        addresses: vec![address.into()],
    }
}
