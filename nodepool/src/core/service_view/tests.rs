use serde_json::json;

use super::*;

fn speaker(node: &str, phase: &str, network: &str, claims: &[(&str, u64)]) -> Value {
    let addresses: Vec<Value> = claims
        .iter()
        .map(|(address, term)| {
            json!({"address": address, "term": term, "interface": "eth0", "mac": "02:00:00:00:00:01",
                   "since": "2026-01-01T00:00:00Z", "why": "nobody had it"})
        })
        .collect();
    json!({
        "metadata": {"name": node},
        "status": {"phase": phase, "addresses": addresses, "silent": [], "version": "0.1.0",
                   "interfaces": [{"name": "eth0", "up": true, "networks": [network]}]},
    })
}

fn objects() -> Objects {
    let services = json!([
        {"metadata": {"namespace": "shop", "name": "web"},
         "spec": {"type": "LoadBalancer", "ports": [{"port": 80}, {"port": 53, "protocol": "UDP"}]},
         "status": {"loadBalancer": {"ingress": [{"ip": "10.0.0.5"}]},
                    "conditions": [{"type": "bundledlb.io/Allocated", "status": "True"}]}},
        {"metadata": {"namespace": "shop", "name": "waits"}, "spec": {"type": "LoadBalancer"},
         "status": {"conditions": [{"type": "bundledlb.io/Allocated", "status": "False",
                                     "reason": "PoolExhausted", "message": "front is full"}]}},
        {"metadata": {"namespace": "shop", "name": "inside"}, "spec": {"type": "ClusterIP"}},
    ]);
    let pools = json!([{
        "metadata": {"name": "front"},
        "status": {"ipv4": {"assigned": "1", "total": "9"}, "ipv6": {"assigned": "0", "total": "0"},
                   "conditions": [{"type": "Ready", "status": "True", "reason": "InForce", "message": "it gives addresses"}]},
    }]);
    let array = |value: Value| value.as_array().cloned().expect("an array");
    Objects {
        pools: Some(array(pools)),
        speakers: Some(vec![
            speaker("gone", "Serving", "10.0.0.0/24", &[("10.0.0.5", 3)]),
            speaker("owner", "Serving", "10.0.0.0/24", &[("10.0.0.5", 4)]),
            speaker("far", "Serving", "10.9.0.0/24", &[]),
            speaker("tired", "Leaving", "10.0.0.0/24", &[]),
        ]),
        services: array(services),
        pods: Vec::new(),
        workloads: Vec::new(),
        cilium: Vec::new(),
    }
}

#[test]
fn the_highest_claim_is_the_owner_and_plain_services_are_left_out() {
    let view = view(&objects());
    let names: Vec<_> = view.services.iter().map(|one| &*one.service).collect();
    assert_eq!(names, ["shop/waits", "shop/web"]);
    let web = &view.services[1];
    assert_eq!(web.owner.as_ref().map(|owner| &*owner.node), Some("owner"));
    assert_eq!(web.ports, ["TCP/80", "UDP/53"]);
    assert_eq!(view.pools[0].ipv4.total, "9");
}

#[test]
fn problems_are_the_conditions_in_words() {
    let mut objects = objects();
    assert_eq!(
        view(&objects).problems(),
        ["Service shop/waits: PoolExhausted: front is full"]
    );
    objects.pools.as_mut().expect("pools")[0]["status"] = Value::Null;
    objects.speakers.as_mut().expect("speakers")[1]["status"]["addresses"][0]["conflict"] =
        json!("02:00:00:00:00:99");
    let problems = view(&objects).problems();
    assert_eq!(problems.len(), 3, "{problems:?}");
    assert!(problems[0].contains("no controller"), "{problems:?}");
    assert!(
        problems[2].contains("02:00:00:00:00:99 answers for 10.0.0.5"),
        "{problems:?}"
    );
}

#[test]
fn everybody_s_reason_is_told() {
    let lines = view(&objects()).explain("10.0.0.5".parse().expect("an address"));
    assert_eq!(lines[0], "10.0.0.5 belongs to Service shop/web");
    assert!(lines[1].starts_with("owner answers for it on eth0 as 02:00:00:00:00:01"));
    let of = |node: &str| {
        let mut lines = lines.iter();
        lines.find(|line| line.starts_with(node)).expect(node)
    };
    assert!(of("far").contains("10.9.0.0/24"));
    assert!(of("tired").contains("cordoned"));
    assert!(of("gone").contains("stands by"));
    let nobody = view(&Objects::default()).explain("10.0.0.9".parse().expect("an address"));
    assert!(nobody[0].starts_with("no Service has 10.0.0.9"));
    assert!(nobody[2].contains("kubectl label node"), "{nobody:?}");
}

#[test]
fn the_last_report_of_a_dead_speaker_is_history() {
    let mut objects = objects();
    let speakers = objects.speakers.as_mut().expect("speakers");
    speakers[1]["status"]["addresses"][0]["conflict"] = json!("02:00:00:00:00:99");
    speakers[0]["status"]["silent"] = json!(["owner"]);
    let alive = view(&objects);
    assert_eq!(
        owner_of_web(&alive),
        Some("owner"),
        "most of the others hear it"
    );
    objects.speakers.as_mut().expect("speakers")[2]["status"]["silent"] = json!(["owner"]);
    let view = view(&objects);
    assert_eq!(
        owner_of_web(&view),
        Some("gone"),
        "the claim of who is heard counts"
    );
    let problems = view.problems();
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(problems[0].starts_with("the other speakers do not hear the one of owner"));
    let lines = view.explain("10.0.0.5".parse().expect("an address"));
    let line = lines
        .iter()
        .find(|line| line.starts_with("owner does not: "));
    assert!(line.expect("owner").contains("do not hear it"), "{lines:?}");
}

fn owner_of_web(view: &ServiceView) -> Option<&str> {
    view.services[1].owner.as_ref().map(|owner| &*owner.node)
}

#[test]
fn a_service_of_another_class_is_said_to_be_another_program_s() {
    let mut objects = objects();
    objects.services[1]["status"] = Value::Null;
    let problem = |objects: &Objects| view(objects).services[0].problem.clone().expect("one");
    assert!(problem(&objects).contains("lb-controller"));
    objects.services[1]["spec"]["loadBalancerClass"] = json!("io.cilium/l2");
    assert!(problem(&objects).contains("`io.cilium/l2`"));
    objects.services[1]["spec"]["loadBalancerClass"] = json!(CLASS);
    assert!(problem(&objects).contains("lb-controller"));
}
