//! Objects as a server sends them.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{
    core::pool::PoolApi,
    k8s::{
        crd::{AddressPool, L2Advertisement},
        metallb::IPAddressPool,
    },
};

const ANY: Classes = Classes { class: None };

fn api_service(edit: impl FnOnce(&mut Value)) -> ApiService {
    let mut value = json!({
        "metadata": {
            "name": "web", "namespace": "shop", "uid": "u1", "resourceVersion": "7",
            "creationTimestamp": "2026-01-02T03:04:05Z",
            "annotations": { "metallb.io/address-pool": "front" },
        },
        "spec": {
            "type": "LoadBalancer",
            "ports": [{ "port": 80 }, { "port": 53, "protocol": "UDP" }, { "port": 70000 }],
            "ipFamilies": ["IPv6", "IPv4"],
            "ipFamilyPolicy": "PreferDualStack",
            "externalTrafficPolicy": "Local",
            "loadBalancerSourceRanges": ["10.0.0.0/8"],
        },
        "status": { "loadBalancer": { "ingress": [{ "ip": "10.0.0.1", "ipMode": "VIP" }] } },
    });
    edit(&mut value);
    serde_json::from_value(value).unwrap()
}

#[test]
fn a_service_is_read_whole() {
    let seen = seen_service(&api_service(|_| {}), &ANY);
    assert_eq!((seen.uid.as_str(), seen.version.as_str()), ("u1", "7"));
    assert!(seen.plain && !seen.finalizer && !seen.deleting);
    let wants = seen.wants.unwrap();
    assert_eq!(wants.families, [Family::V6, Family::V4]);
    assert_eq!(wants.policy, FamilyPolicy::PreferDual);
    assert_eq!(wants.traffic_policy, TrafficPolicy::Local);
    assert_eq!(wants.ports.len(), 2, "a port that cannot be is left out");
    assert_eq!(wants.request.pool.as_deref(), Some("front"));
    assert_eq!(wants.observed, seen.addresses);
    assert!(wants.source_ranges.as_ref().unwrap()[0].contains(IpAddr::from([10, 1, 2, 3])));
}

#[test]
fn a_list_of_sources_holds_also_where_it_cannot_be_read() {
    let list = |spec: Value, annotation: Option<&str>| {
        let object = api_service(|value| {
            value["spec"]["loadBalancerSourceRanges"] = spec;
            if let Some(text) = annotation {
                value["metadata"]["annotations"][SOURCE_RANGES] = json!(text);
            }
        });
        let ranges = seen_service(&object, &ANY).wants.unwrap().source_ranges;
        ranges.map(|ranges| {
            let ends = |range: &AddressRange| format!("{}-{}", range.first(), range.last());
            ranges.iter().map(ends).collect::<Vec<_>>().join(" ")
        })
    };
    for (spec, annotation, expected) in [
        (json!(null), None, None),
        (json!([]), Some(" "), None),
        (
            json!(null),
            Some("10.0.0.0/8, fd00::/126"),
            Some("10.0.0.0-10.255.255.255 fd00::-fd00::3"),
        ),
        (
            json!(["10.0.0.7/32"]),
            Some("10.0.0.0/8"),
            Some("10.0.0.7-10.0.0.7"),
        ),
        // What API servers take as well.
        (
            json!(["010.001.0.0/016", "::ffff:10.2.0.0/112"]),
            None,
            Some("10.1.0.0-10.1.255.255 10.2.0.0-10.2.255.255"),
        ),
        // Nobody.
        (json!(["everyone"]), None, Some("")),
    ] {
        let seen = list(spec.clone(), annotation);
        assert_eq!(seen.as_deref(), expected, "{spec} {annotation:?}");
    }
}

#[test]
fn what_is_not_ours_wants_nothing() {
    for (what, pointer, value) in [
        ("another type", "/spec/type", json!("ClusterIP")),
        (
            "another class",
            "/spec/loadBalancerClass",
            json!("example.com/other"),
        ),
        (
            "being deleted",
            "/metadata/deletionTimestamp",
            json!("2026-01-02T03:04:05Z"),
        ),
    ] {
        let object = api_service(|service| {
            let (parent, name) = pointer.rsplit_once('/').unwrap();
            service.pointer_mut(parent).unwrap()[name] = value;
        });
        assert_eq!(seen_service(&object, &ANY).wants, None, "{what}");
        assert_eq!(announced_service(&object, &ANY), None, "{what}");
    }
}

#[test]
fn a_class_of_ones_own_excludes_everything_else() {
    let own = Classes {
        class: Some("example.com/own".to_owned()),
    };
    assert!(own.serve(Some("example.com/own")) && !own.serve(None) && !own.serve(Some(OWN_CLASS)));
    assert!(ANY.serve(None) && ANY.serve(Some(OWN_CLASS)) && !ANY.serve(Some("example.com/own")));
}

#[test]
fn foreign_entries_in_a_status_are_noticed() {
    let hostname = json!([{ "ip": "10.0.0.1" }, { "hostname": "lb.example.com" }]);
    let object = api_service(|one| one["status"]["loadBalancer"]["ingress"] = hostname);
    assert!(!seen_service(&object, &ANY).plain);
    let proxied = json!([{ "ip": "10.0.0.1", "ipMode": "Proxy" }]);
    let object = api_service(|one| one["status"]["loadBalancer"]["ingress"] = proxied);
    assert!(
        announced_service(&object, &ANY).is_none(),
        "somebody else's proxy answers for it"
    );
}

fn api_node(spec: Value, labels: Value) -> Node {
    let status = json!({ "addresses": [
        { "type": "Hostname", "address": "n1" },
        { "type": "InternalIP", "address": "192.0.2.1" },
    ] });
    let object =
        json!({ "metadata": { "name": "n1", "labels": labels }, "spec": spec, "status": status });
    serde_json::from_value(object).unwrap()
}

#[test]
fn our_label_makes_a_node_serve_whatever_kubeadm_says() {
    let labels = json!({
        LOAD_BALANCER_NODE_LABEL: "true",
        "node.kubernetes.io/exclude-from-external-load-balancers": "",
    });
    let serving = node(&api_node(json!({}), labels.clone()));
    assert!(serving.may_serve && !serving.cordoned);
    assert_eq!(serving.address, Some(IpAddr::from([192, 0, 2, 1])));
    assert!(node(&api_node(json!({ "unschedulable": true }), labels)).cordoned);
    assert!(
        !node(&api_node(
            json!({}),
            json!({ LOAD_BALANCER_NODE_LABEL: "yes" })
        ))
        .may_serve
    );
}

#[test]
fn endpoints_without_conditions_are_ready() {
    let slice: EndpointSlice = serde_json::from_value(json!({
        "metadata": {
            "name": "web-1", "namespace": "shop", "labels": { "kubernetes.io/service-name": "web" },
        },
        "addressType": "IPv4",
        "endpoints": [
            { "addresses": ["10.1.0.1"], "nodeName": "n1" },
            { "addresses": ["10.1.0.2"], "conditions": { "ready": false, "serving": true } },
            { "addresses": ["10.1.0.3"], "conditions": { "ready": false } },
        ],
    }))
    .unwrap();
    let (key, found) = endpoints(&slice).unwrap();
    assert_eq!(key, ServiceKey::new("shop", "web"));
    let facts: Vec<_> = found.iter().map(|one| (one.ready, one.serving)).collect();
    assert_eq!(facts, [(true, true), (false, true), (false, false)]);
}

#[test]
fn metallb_pools_and_ours_become_the_same() {
    let theirs: IPAddressPool = serde_json::from_value(json!({
        "metadata": { "name": "p" },
        "spec": {
            "addresses": ["10.0.0.0/30", "fd00::1-fd00::9"], "autoAssign": false, "avoidBuggyIPs": true,
            "serviceAllocation": { "priority": 3, "namespaces": ["a"] },
        },
    }))
    .unwrap();
    let ours: AddressPool = serde_json::from_value(json!({
        "metadata": { "name": "p" },
        "spec": {
            "addresses": ["10.0.0.0/30", "fd00::1-fd00::9"], "manualAssign": true, "avoidBuggyIPs": true,
            "priority": 3, "namespaces": ["a"],
        },
    }))
    .unwrap();
    let (theirs, mut ours) = (metallb_pool(&theirs).unwrap(), pool(&ours).unwrap());
    ours.id.api = PoolApi::MetalLb;
    assert_eq!(theirs, ours);
}

#[test]
fn a_pool_that_makes_no_sense_says_which_entry() {
    let object = AddressPool::new(
        "p",
        super::super::crd::AddressPoolSpec {
            addresses: vec!["10.0.0.9-10.0.0.1".to_owned()],
            ..Default::default()
        },
    );
    assert!(
        pool(&object)
            .unwrap_err()
            .starts_with("`10.0.0.9-10.0.0.1`: ")
    );
}

proptest! {
    #[test]
    fn no_text_in_an_object_makes_it_panic(text in "\\PC{0,40}", list in prop::collection::vec("\\PC{0,20}", 0..4)) {
        let spec = super::super::crd::AddressPoolSpec {
            addresses: list.clone(),
            excluded: vec![text.clone()],
            ..Default::default()
        };
        let _ = pool(&AddressPool::new("p", spec));
        let spec = super::super::crd::L2AdvertisementSpec { interfaces: list, ..Default::default() };
        let _ = advertisement(&L2Advertisement::new("a", spec));
        let object = api_service(|one| {
            one["metadata"]["annotations"] = json!({
                "bundledlb.io/addresses": text, "bundledlb.io/sharing-key": text,
                "service.beta.kubernetes.io/load-balancer-source-ranges": text,
            });
            one["spec"]["loadBalancerIP"] = json!(text);
            one["status"]["loadBalancer"]["ingress"] = json!([{ "ip": text }]);
        });
        let _ = seen_service(&object, &ANY);
    }
}
