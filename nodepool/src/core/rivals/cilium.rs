//! Cilium is the network of many clusters, and serves their Services too once somebody says so: a pool gives addresses,
//! a policy answers for those that others gave as well.

use serde_json::Value;

use super::{Rival, containers, place};

/// Name of the ConfigMap with its settings.
pub const SETTINGS: &str = "cilium-config";
/// The kind of its pools.
pub const POOL: &str = "CiliumLoadBalancerIPPool";
/// The kind of what says where it answers for addresses.
pub const POLICY: &str = "CiliumL2AnnouncementPolicy";

/// Removing Cilium would remove the pods' network: only this part of it is in the way.
const HINT: &str = "let only one serve the same Services: take Cilium's pools (`spec.disabled: true`) and policies (`spec.loadBalancerIPs: false`) out of use, or give ours a class of their own with `--load-balancer-class` of lb-controller and lb-speaker";

/// The namespace in which its agents run.
pub fn namespace(workloads: &[Value]) -> Option<&str> {
    let is_agent = |container: &Value| container["name"] == "cilium-agent";
    let agents = workloads
        .iter()
        .find(|workload| containers(workload).iter().any(is_agent))?;
    agents["metadata"]["namespace"].as_str()
}

/// It, if it serves Services without a class. `objects`: its pools, its policies and its settings.
pub(super) fn rival(workloads: &[Value], objects: &[Value]) -> Option<Rival> {
    namespace(workloads)?;
    let settings = objects.iter().find(|object| object["kind"] == "ConfigMap");
    let in_force = |object: &&Value| match object["kind"].as_str() {
        Some(POOL) => gives_addresses(settings) && object["spec"]["disabled"] != true,
        Some(POLICY) => answers(settings) && object["spec"]["loadBalancerIPs"] == true,
        Some("ConfigMap") => gives_nodes_addresses(settings),
        _ => false,
    };
    let places: Vec<String> = objects.iter().filter(in_force).map(place).collect();
    (!places.is_empty()).then(|| Rival::new("Cilium", &places, HINT))
}

/// Pools give addresses unless something else is said.
fn gives_addresses(settings: Option<&Value>) -> bool {
    setting(settings, "default-lb-service-ipam").is_none_or(|default| default == "lbipam")
        && setting(settings, "enable-lb-ipam") != Some("false")
}

/// It answers only where that is said; settings that cannot be read may say it.
fn answers(settings: Option<&Value>) -> bool {
    settings.is_none() || setting(settings, "enable-l2-announcements") == Some("true")
}

/// Services without a class get the addresses of nodes, without any pool.
fn gives_nodes_addresses(settings: Option<&Value>) -> bool {
    setting(settings, "default-lb-service-ipam") == Some("nodeipam")
        && setting(settings, "enable-node-ipam") == Some("true")
}

fn setting<'a>(settings: Option<&'a Value>, name: &str) -> Option<&'a str> {
    settings?["data"][name].as_str()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn agents() -> Vec<Value> {
        let container = json!({"name": "cilium-agent", "image": "mirror/cilium:v1.20.2"});
        vec![json!({
            "kind": "DaemonSet",
            "metadata": {"namespace": "kube-system", "name": "cilium"},
            "spec": {"template": {"spec": {"containers": [container]}}},
        })]
    }

    fn pool(spec: &Value) -> Value {
        json!({"kind": POOL, "metadata": {"name": "blue"}, "spec": spec})
    }

    fn policy(spec: &Value) -> Value {
        json!({"kind": POLICY, "metadata": {"name": "all"}, "spec": spec})
    }

    fn settings(data: &Value) -> Value {
        json!({"kind": "ConfigMap", "metadata": {"namespace": "kube-system", "name": SETTINGS}, "data": data})
    }

    fn words(objects: &[Value]) -> Option<String> {
        rival(&agents(), objects).map(|rival| rival.to_string())
    }

    #[test]
    fn the_network_alone_is_no_rival() {
        assert_eq!(words(&[]), None);
        let usual = json!({"default-lb-service-ipam": "lbipam", "enable-lb-ipam": "true"});
        assert_eq!(words(&[settings(&usual)]), None);
        // What it left behind when it was removed does nothing.
        assert_eq!(rival(&[], &[pool(&json!({}))]), None);
    }

    #[test]
    fn pools_and_policies_in_force_are_named() {
        let on = settings(&json!({"enable-l2-announcements": "true"}));
        let objects = [
            on,
            pool(&json!({"blocks": [{"cidr": "10.0.0.0/24"}]})),
            policy(&json!({"loadBalancerIPs": true})),
        ];
        assert_eq!(
            words(&objects).as_deref(),
            Some(
                "Cilium serves Services of `type: LoadBalancer` as well (CiliumLoadBalancerIPPool blue, CiliumL2AnnouncementPolicy all)"
            )
        );
        assert!(
            words(&objects[1..]).is_some_and(|words| words.contains("Policy all")),
            "settings that nobody could read may say it"
        );
        let rival = rival(&agents(), &objects).expect("a rival");
        assert!(
            !rival.hint().contains("DaemonSet"),
            "the pods need their network: {}",
            rival.hint()
        );
    }

    #[test]
    fn what_is_out_of_use_is_no_rival() {
        for objects in [
            vec![pool(&json!({"disabled": true}))],
            vec![policy(&json!({"externalIPs": true}))],
            vec![
                policy(&json!({"loadBalancerIPs": true})),
                settings(&json!({})),
            ],
            vec![
                pool(&json!({})),
                settings(&json!({"default-lb-service-ipam": "none"})),
            ],
            vec![
                pool(&json!({})),
                settings(&json!({"enable-lb-ipam": "false"})),
            ],
            vec![settings(&json!({"default-lb-service-ipam": "nodeipam"}))],
        ] {
            assert_eq!(words(&objects), None, "{objects:?}");
        }
    }

    #[test]
    fn addresses_of_nodes_need_no_pool() {
        let nodes = json!({"default-lb-service-ipam": "nodeipam", "enable-node-ipam": "true"});
        let words = words(&[settings(&nodes)]).expect("a rival");
        assert!(words.contains("ConfigMap kube-system/cilium-config"));
    }
}
