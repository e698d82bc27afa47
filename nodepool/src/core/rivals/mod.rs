//! Other programs in the cluster that give Services addresses, or answer for them.

pub mod cilium;

use std::{collections::BTreeMap, fmt};

use serde::Serialize;
use serde_json::Value;

use crate::core::leftovers::named;

/// One that serves the same Services.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(into = "String")]
pub struct Rival {
    words: String,
    hint: &'static str,
}

impl Rival {
    fn new(name: &str, places: &[String], hint: &'static str) -> Self {
        let places = places.join(", ");
        let words = format!("{name} serves Services of `type: LoadBalancer` as well ({places})");
        Self { words, hint }
    }

    /// What to do about it.
    pub const fn hint(&self) -> &'static str {
        self.hint
    }
}

impl fmt::Display for Rival {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

impl From<Rival> for String {
    fn from(rival: Rival) -> Self {
        rival.words
    }
}

/// What to do about one that does nothing else.
const HINT: &str = "let only one serve the same Services: scale the other's Deployment to 0 and delete its DaemonSet (pools of MetalLB go on being read), or give ours a class of their own with `--load-balancer-class` of lb-controller and lb-speaker";

/// A program that is known by its images.
struct Known {
    name: &'static str,
    /// In the name of the image.
    image: &'static str,
    /// Whether a container leaves Services without a class alone.
    aside: fn(&Value) -> bool,
}

const KNOWN: [Known; 6] = [
    Known {
        name: "MetalLB",
        image: "metallb",
        aside: |container| has_argument(container, "--lb-class="),
    },
    // It can also serve the control plane's address and nothing else.
    Known {
        name: "kube-vip",
        image: "kube-vip",
        aside: |container| {
            variable(container, "svc_enable") != Some("true")
                || variable(container, "lb_class_only") == Some("true")
        },
    },
    Known {
        name: "the service load balancer of k3s",
        image: "klipper-lb",
        aside: |_| false,
    },
    Known {
        name: "PureLB",
        image: "purelb",
        aside: |_| false,
    },
    Known {
        name: "OpenELB",
        image: "openelb",
        aside: |_| false,
    },
    Known {
        name: "LoxiLB",
        image: "loxilb",
        aside: |container| has_argument(container, "--setLBClass="),
    },
];

/// What runs beside ours; nothing when ours serve a class of their own. `workloads`: Deployments and DaemonSets of all
/// namespaces; `cilium`: what [`cilium`] looks at.
pub fn rivals(workloads: &[Value], cilium: &[Value]) -> Vec<Rival> {
    if workloads.iter().any(has_own_class) {
        return Vec::new();
    }
    let mut found: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for workload in workloads {
        for container in containers(workload) {
            let image = container["image"].as_str().unwrap_or_default();
            for known in &KNOWN {
                if image.contains(known.image) && !(known.aside)(container) && runs(workload) {
                    let places = found.entry(known.name).or_default();
                    let place = place(workload);
                    if !places.contains(&place) {
                        places.push(place);
                    }
                }
            }
        }
    }
    let found = found
        .into_iter()
        .map(|(name, places)| Rival::new(name, &places, HINT));
    cilium::rival(workloads, cilium)
        .into_iter()
        .chain(found)
        .collect()
}

fn containers(workload: &Value) -> &[Value] {
    workload["spec"]["template"]["spec"]["containers"]
        .as_array()
        .map_or(&[], Vec::as_slice)
}

/// A Deployment that was scaled to nothing does not.
fn runs(workload: &Value) -> bool {
    workload["spec"]["replicas"] != 0
}

fn place(object: &Value) -> String {
    let (kind, name) = named(object);
    match object["metadata"]["namespace"].as_str() {
        Some(namespace) => format!("{kind} {namespace}/{name}"),
        None => format!("{kind} {name}"),
    }
}

fn has_own_class(workload: &Value) -> bool {
    named(workload).1 == "lb-controller"
        && containers(workload)
            .iter()
            .any(|container| has_argument(container, "--load-balancer-class"))
}

fn has_argument(container: &Value, start: &str) -> bool {
    let lists = [&container["args"], &container["command"]];
    let mut words = lists.into_iter().filter_map(Value::as_array).flatten();
    words.any(|word| word.as_str().is_some_and(|word| word.starts_with(start)))
}

fn variable<'a>(container: &'a Value, name: &str) -> Option<&'a str> {
    let mut all = container["env"].as_array()?.iter();
    all.find(|one| one["name"] == name)?["value"].as_str()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn workload(kind: &str, name: &str, container: &Value) -> Value {
        json!({
            "kind": kind,
            "metadata": {"namespace": "there", "name": name},
            "spec": {"template": {"spec": {"containers": [container]}}},
        })
    }

    #[test]
    fn metallb_beside_us_is_named_once_with_all_its_places() {
        let all = [
            workload(
                "Deployment",
                "lb-controller",
                &json!({"image": "lbnode:0.1.0", "args": ["controller"]}),
            ),
            workload(
                "Deployment",
                "controller",
                &json!({"image": "quay.io/metallb/controller:v0.16.2"}),
            ),
            workload(
                "DaemonSet",
                "speaker",
                &json!({"image": "quay.io/metallb/speaker:v0.16.2"}),
            ),
            workload(
                "DaemonSet",
                "proxy",
                &json!({"image": "registry.k8s.io/kube-proxy:v1.36.3"}),
            ),
        ];
        let words: Vec<String> = rivals(&all, &[]).into_iter().map(String::from).collect();
        assert_eq!(
            words,
            [
                "MetalLB serves Services of `type: LoadBalancer` as well (Deployment there/controller, DaemonSet there/speaker)"
            ]
        );
    }

    #[test]
    fn who_leaves_our_services_alone_is_no_rival() {
        let mut scaled = workload(
            "Deployment",
            "controller",
            &json!({"image": "quay.io/metallb/controller:v1"}),
        );
        scaled["spec"]["replicas"] = json!(0);
        let classed =
            json!({"image": "quay.io/metallb/controller:v1", "args": ["--lb-class=metallb"]});
        let vip = |value: &str| {
            let env = json!([{"name": "svc_enable", "value": value}]);
            workload(
                "DaemonSet",
                "kube-vip",
                &json!({"image": "ghcr.io/kube-vip/kube-vip:v1", "env": env}),
            )
        };
        assert!(rivals(&[scaled], &[]).is_empty());
        assert!(rivals(&[workload("Deployment", "controller", &classed)], &[]).is_empty());
        assert!(rivals(&[vip("false")], &[]).is_empty());
        assert_eq!(rivals(&[vip("true")], &[]).len(), 1);
        let own = json!({"image": "lbnode:0.1.0", "args": ["controller", "--load-balancer-class=bundledlb.io/l2"]});
        let ours = workload("Deployment", "lb-controller", &own);
        let agent = workload("DaemonSet", "cilium", &json!({"name": "cilium-agent"}));
        let pool = json!({"kind": cilium::POOL, "metadata": {"name": "blue"}});
        let pool = std::slice::from_ref(&pool);
        assert_eq!(rivals(std::slice::from_ref(&agent), pool).len(), 1);
        assert!(rivals(&[vip("true"), agent, ours], pool).is_empty());
    }
}
