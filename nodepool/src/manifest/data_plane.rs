//! What gives Services their addresses: controller, speakers, and the pools of the cluster file.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::LazyLock;

use cluster_config::derive::DataPlane;
use cluster_config::model::{AddressPool, Selector};
use serde_json::{Value, json};

use super::yaml;
use crate::core::desired::LBNODE_LABEL;
use crate::lbnode;

/// Namespace, definitions, rights, Deployment and DaemonSet; see `deploy/README.md`.
const MANIFEST: &str = include_str!("../../../deploy/bundled-lb.yaml");
static OBJECTS: LazyLock<Vec<Value>> = LazyLock::new(|| {
    serde_saphyr::from_multiple(MANIFEST).expect("the manifest of this program is YAML")
});
/// Name of the pool with the ingress VIP.
const INGRESS: &str = "ingress-vip";

/// Programs and rights. Everything runs where the image is: on the nodes that serve addresses.
pub fn programs(data_plane: &DataPlane, image_digest: &str) -> String {
    let fitted = OBJECTS.iter().cloned().map(|mut object| {
        if let Some(pods) = object.pointer_mut("/spec/template") {
            fit(pods, data_plane, image_digest);
        }
        object
    });
    documents(fitted)
}

/// The image is the one that was imported, named so that another one, and nothing else, restarts the pods.
fn fit(pods: &mut Value, data_plane: &DataPlane, image_digest: &str) {
    pods["metadata"]["annotations"] = json!({ "bundledlb.io/image-digest": image_digest });
    pods["spec"]["nodeSelector"] = json!({ LBNODE_LABEL: "true" });
    // The load-balancer pool of the file may have any taints, and the programs are there for it.
    pods["spec"]["tolerations"] = json!([{ "operator": "Exists" }]);
    let containers = pods["spec"]["containers"].as_array_mut();
    for container in containers.into_iter().flatten() {
        container["image"] = json!(lbnode::IMAGE);
        container["imagePullPolicy"] = json!("Never");
        if container["name"] == "speaker"
            && let Some(args) = container["args"].as_array_mut()
        {
            let (beat, silence) = (
                data_plane.heartbeat_interval_millis,
                data_plane.failover_millis,
            );
            args.push(json!(format!("--heartbeat-interval-millis={beat}")));
            args.push(json!(format!("--failover-millis={silence}")));
        }
    }
}

/// The pools of the cluster file, and where they are announced; `None`: there are none.
///
/// The ingress VIP is in a pool of its own: only who asks for it gets it.
pub fn pools(data_plane: &DataPlane) -> Option<String> {
    let objects = pool_objects(data_plane);
    (!objects.is_empty()).then(|| documents(objects))
}

/// The same, object by object.
pub fn pool_objects(data_plane: &DataPlane) -> Vec<Value> {
    let mut objects = Vec::new();
    for pool in &data_plane.pools {
        let vip = data_plane
            .ingress_vip
            .filter(|vip| pool.usable().contains(IpAddr::from(*vip)));
        objects.push(address_pool(pool, vip));
        objects.push(advertisement(pool.name(), pool));
        if let Some(vip) = vip {
            let name = ingress_name(&data_plane.pools);
            let spec = json!({ "addresses": [vip.to_string()], "manualAssign": true });
            objects.push(object("AddressPool", &name, &spec));
            objects.push(advertisement(&name, pool));
        }
    }
    objects
}

fn ingress_name(pools: &[AddressPool]) -> String {
    let mut name = INGRESS.to_owned();
    while pools.iter().any(|pool| pool.name() == name) {
        name.push_str("-1");
    }
    name
}

fn documents(objects: impl IntoIterator<Item = Value>) -> String {
    let texts = objects.into_iter().map(|object| yaml(&object));
    texts.map(|text| format!("---\n{text}")).collect()
}

fn address_pool(pool: &AddressPool, ingress_vip: Option<Ipv4Addr>) -> Value {
    let ranges: Vec<String> = pool.ranges().map(|range| range.to_string()).collect();
    let mut spec = json!({ "addresses": ranges });
    if let Some(vip) = ingress_vip {
        spec["excluded"] = json!([vip.to_string()]);
    }
    if pool.avoid_buggy_ips() {
        spec["avoidBuggyIPs"] = json!(true);
    }
    if pool.manual_assign() {
        spec["manualAssign"] = json!(true);
    }
    if pool.priority() > 0 {
        spec["priority"] = json!(pool.priority());
    }
    if let Some(one) = pool.service_selector() {
        spec["serviceSelectors"] = json!([selector(one)]);
    }
    if let Some(one) = pool.namespace_selector() {
        spec["namespaceSelectors"] = json!([selector(one)]);
    }
    object("AddressPool", pool.name(), &spec)
}

fn advertisement(name: &str, pool: &AddressPool) -> Value {
    let mut spec = json!({ "pools": [name] });
    if !pool.interfaces().is_empty() {
        spec["interfaces"] = json!(pool.interfaces());
    }
    object("L2Advertisement", name, &spec)
}

fn object(kind: &str, name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "bundledlb.io/v1",
        "kind": kind,
        "metadata": { "name": name },
        "spec": spec,
    })
}

fn selector(selector: &Selector) -> Value {
    let expressions: Vec<Value> = selector
        .match_expressions
        .iter()
        .map(|one| {
            let mut expression = json!({ "key": one.key, "operator": one.operator.as_str() });
            if !one.values.is_empty() {
                expression["values"] = json!(one.values);
            }
            expression
        })
        .collect();
    json!({ "matchLabels": selector.match_labels, "matchExpressions": expressions })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data_plane(example: &str) -> DataPlane {
        let loaded = cluster_config::load(example, "cluster.yaml");
        cluster_config::derive::data_plane(&loaded.cluster.expect("the example is valid"))
    }

    fn parsed(text: &str) -> Vec<Value> {
        serde_saphyr::from_multiple(text).expect("YAML")
    }

    const THREE: &str = include_str!("../../../examples/three-control-planes.yaml");

    #[test]
    fn pods_run_the_imported_image_on_nodes_that_serve_addresses() {
        let mut plane = data_plane(THREE);
        (plane.heartbeat_interval_millis, plane.failover_millis) = (40, 160);
        let objects = parsed(&programs(&plane, "sha256:abc"));
        let pods: Vec<&Value> = objects
            .iter()
            .filter_map(|object| object.pointer("/spec/template"))
            .collect();
        assert_eq!(pods.len(), 2, "a Deployment and a DaemonSet");
        for pods in pods {
            let container = &pods["spec"]["containers"][0];
            assert_eq!(container["image"], lbnode::IMAGE);
            assert_eq!(container["imagePullPolicy"], "Never");
            assert_eq!(pods["spec"]["nodeSelector"][LBNODE_LABEL], "true");
            let annotations = &pods["metadata"]["annotations"];
            assert_eq!(annotations["bundledlb.io/image-digest"], "sha256:abc");
            let args = container["args"].to_string();
            let tuned = args.contains("--heartbeat-interval-millis=40")
                && args.contains("--failover-millis=160");
            assert_eq!(tuned, container["name"] == "speaker", "{args}");
        }
    }

    #[test]
    fn the_ingress_vip_is_given_only_to_who_asks_for_it() {
        let objects = parsed(&pools(&data_plane(THREE)).expect("pools"));
        let words = |object: &Value| format!("{} {}", object["kind"], object["metadata"]["name"]);
        assert_eq!(
            objects.iter().map(words).collect::<Vec<_>>(),
            [
                r#""AddressPool" "default""#,
                r#""L2Advertisement" "default""#,
                r#""AddressPool" "ingress-vip""#,
                r#""L2Advertisement" "ingress-vip""#,
            ]
        );
        assert_eq!(
            objects[0]["spec"],
            json!({ "addresses": ["10.10.0.200-10.10.0.239"], "excluded": ["10.10.0.200"] })
        );
        let manual = json!({ "addresses": ["10.10.0.200"], "manualAssign": true });
        assert_eq!(objects[2]["spec"], manual);
    }

    #[test]
    fn a_file_without_pools_makes_no_objects() {
        let mut plane = data_plane(THREE);
        plane.pools.clear();
        assert_eq!(pools(&plane), None);
    }
}
