use std::collections::BTreeSet;

use super::*;
use crate::core::facts::Facts;
use crate::core::from_config;

fn desired() -> Desired {
    let text = include_str!("../../../../examples/three-control-planes.yaml");
    let cluster = cluster_config::load(text, "x").cluster;
    from_config::desired(&cluster.expect("the example is valid"))
}

fn looked(desired: &Desired) -> Looked {
    let [first, second, third] = [0, 1, 2].map(|at| desired.machines[at].address);
    let up = |name: &str| {
        let facts = Facts {
            hostname: name.to_owned(),
            ..Facts::default()
        };
        Reach::Up(Box::new(facts))
    };
    let down = Reach::Down {
        check: Check::Ssh,
        cause: "not reachable over SSH: No route to host".to_owned(),
        fix: "see whether it is on".to_owned(),
    };
    let finding = |address, node: Option<&str>, check, severity, cause: &str, fix: &str| Finding {
        severity,
        address: Some(address),
        node: node.map(str::to_owned),
        check,
        cause: cause.to_owned(),
        fix: fix.to_owned(),
    };
    let findings = vec![
        finding(
            first,
            Some("cp1"),
            Check::Firewall,
            Severity::Warn,
            "firewalld runs",
            "let in what is needed",
        ),
        finding(
            second,
            Some("cp2"),
            Check::VrrpProtocol,
            Severity::Fail,
            "adverts (IP protocol 112) do not arrive from cp1 (10.10.0.11)",
            "let IP protocol 112 pass to cp2",
        ),
        finding(
            third,
            None,
            Check::Ssh,
            Severity::Fail,
            "not reachable over SSH: No route to host",
            "see whether it is on",
        ),
    ];
    let machine = [Check::Ssh, Check::Swap, Check::Firewall];
    let network = [Check::LayerTwo, Check::VrrpProtocol];
    let both: BTreeSet<Check> = machine.into_iter().chain(network).collect();
    Looked {
        machines: BTreeMap::from([(first, up("cp1")), (second, up("cp2")), (third, down)]),
        findings,
        done: Done::from([(first, both), (second, machine.into())]),
    }
}

#[test]
fn the_table_has_a_result_for_each_check_and_node_and_hints_below() {
    let desired = desired();
    insta::assert_snapshot!(text(&looked(&desired), &desired), @r"
    CHECK         cp1   cp2   10.10.0.13
    ssh           PASS  PASS  FAIL
    swap          PASS  PASS  -
    firewall      WARN  PASS  -
    layer-2       PASS  -     -
    protocol-112  PASS  FAIL  -
    RESULT        WARN  FAIL  FAIL

    warning: cp1 (10.10.0.11): firewalld runs [firewall]
      hint: let in what is needed
    error: cp2 (10.10.0.12): adverts (IP protocol 112) do not arrive from cp1 (10.10.0.11) [protocol-112]
      hint: let IP protocol 112 pass to cp2
    error: 10.10.0.13: not reachable over SSH: No route to host [ssh]
      hint: see whether it is on
    ");
}

#[test]
fn of_many_machines_only_those_with_findings_are_shown() {
    let mut desired = desired();
    let mut looked = looked(&desired);
    let machine = desired.machines[2].clone();
    for last in 1..=40u8 {
        let address = IpAddr::from([10, 10, 1, last]);
        let mut machine = machine.clone();
        machine.address = address;
        desired.machines.push(machine);
        looked
            .done
            .insert(address, BTreeSet::from([Check::Ssh, Check::Swap]));
    }
    let text = text(&looked, &desired);
    assert!(text.contains("40 machines passed every check"), "{text}");
    assert!(!text.contains("10.10.1."), "{text}");
    let head = text.lines().next().expect("a line");
    assert_eq!(head, "CHECK         cp1   cp2   10.10.0.13");
}

#[test]
fn programs_get_every_result_by_name() {
    let desired = desired();
    let looked = looked(&desired);
    let listing = Listing {
        result: Verdict::Fail,
        nodes: looked.results(&desired),
        findings: &looked.findings[1..2],
    };
    let value = serde_json::to_value(listing).expect("JSON");
    assert_eq!(value["result"], "FAIL");
    assert_eq!(value["nodes"][1]["node"], "cp2");
    assert_eq!(value["nodes"][1]["checks"]["protocol-112"], "FAIL");
    assert_eq!(value["nodes"][0]["checks"]["swap"], "PASS");
    assert_eq!(value["nodes"][2]["role"], "control-plane");
    assert_eq!(value["findings"][0]["check"], "protocol-112");
    assert_eq!(value["findings"][0]["severity"], "FAIL");
    assert_eq!(value["findings"][0]["address"], "10.10.0.12");
}

#[test]
fn what_holds_for_several_machines_is_said_once() {
    let finding = |last: u8, cause: &str| Finding {
        severity: Severity::Warn,
        address: Some([10, 10, 0, last].into()),
        node: Some(format!("n{last}")),
        check: Check::Cgroup,
        cause: cause.to_owned(),
        fix: "boot otherwise".to_owned(),
    };
    let mut findings: Vec<Finding> = (1..=2).map(|last| finding(last, "v1")).collect();
    findings.insert(1, finding(9, "the controllers pids are off"));
    let expected = [
        "warning: n1 (10.10.0.1), n2 (10.10.0.2): v1 [cgroup]\n  hint: boot otherwise",
        "warning: n9 (10.10.0.9): the controllers pids are off [cgroup]\n  hint: boot otherwise",
    ];
    assert_eq!(paragraphs(&findings), expected);
    let many: Vec<Finding> = (1..=100).map(|last| finding(last, "v1")).collect();
    let paragraphs = paragraphs(&many);
    assert_eq!(paragraphs.len(), 1);
    assert!(
        paragraphs[0].contains("n8 (10.10.0.8), 92 more: v1"),
        "{paragraphs:?}"
    );
}
