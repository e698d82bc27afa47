//! Maintenance, as a node object carries it: cordoned, tainted, and annotated with the time.
//!
//! The annotations say what `lbctl` did, so that it takes back that and nothing else.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};

use super::ApiFailure;
use super::client::KubeApi;
use crate::core::cluster_view::{Maintain, Maintenance};

/// How far it is: `draining` or `drained`.
const STATE: &str = "bundledlb.io/maintenance";
/// Since when.
const SINCE: &str = "bundledlb.io/maintenance-since";
/// Somebody else had cordoned the node before.
const CORDONED_BEFORE: &str = "bundledlb.io/cordoned-before-maintenance";
/// Taint of nodes in maintenance, the one that GDCV uses.
const TAINT: &str = "baremetal.cluster.gke.io/maintenance";
const DRAINED: &str = "drained";

impl KubeApi {
    pub(super) async fn maintain_node(
        &self,
        name: &str,
        change: Maintain,
    ) -> Result<(), ApiFailure> {
        let nodes: Api<Node> = Api::all(self.client.clone());
        let params = PatchParams::default();
        let what = match change {
            Maintain::Begin => format!("take node {name} out of service"),
            Maintain::Drained => format!("note that node {name} is out of service"),
            Maintain::End => format!("take node {name} into service again"),
        };
        self.patiently(&what, || async {
            let node = nodes.get(name).await?;
            let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ");
            let patch = patch(&node, change, &now.to_string());
            nodes.patch(name, &params, &Patch::Merge(&patch)).await?;
            Ok(())
        })
        .await
    }
}

/// What the annotations of a node say.
pub(super) fn noted(annotations: Option<&BTreeMap<String, String>>) -> Option<Maintenance> {
    let annotations = annotations?;
    let state = annotations.get(STATE)?;
    Some(Maintenance {
        since: annotations.get(SINCE).cloned().unwrap_or_default(),
        drained: state == DRAINED,
    })
}

/// The change of a node as it is; refused by the API when somebody changed the node meanwhile, for taints are replaced whole.
fn patch(node: &Node, change: Maintain, now: &str) -> Value {
    let spec = node.spec.as_ref();
    let annotations = node.metadata.annotations.clone().unwrap_or_default();
    let before = annotations.contains_key(STATE);
    let cordoned = spec.and_then(|spec| spec.unschedulable) == Some(true);
    let mut taints = spec
        .and_then(|spec| spec.taints.clone())
        .unwrap_or_default();
    taints.retain(|taint| taint.key != TAINT);
    let mut taints = json!(taints);
    let version = &node.metadata.resource_version;
    let tainted = json!({"key": TAINT, "value": "true", "effect": "NoSchedule"});
    match change {
        Maintain::Begin => {
            if let Some(taints) = taints.as_array_mut() {
                taints.push(tainted);
            }
            let mut noted = json!({ STATE: "draining" });
            if !before {
                noted[SINCE] = json!(now);
                noted[CORDONED_BEFORE] = json!(cordoned.then_some("true"));
            }
            json!({
                "metadata": {"annotations": noted, "resourceVersion": version},
                "spec": {"taints": taints, "unschedulable": true},
            })
        }
        Maintain::Drained => json!({
            "metadata": {"annotations": {STATE: DRAINED}, "resourceVersion": version},
        }),
        Maintain::End => {
            let stays = annotations.contains_key(CORDONED_BEFORE);
            let gone = json!({STATE: null, SINCE: null, CORDONED_BEFORE: null});
            json!({
                "metadata": {"annotations": gone, "resourceVersion": version},
                "spec": {"taints": taints, "unschedulable": stays.then_some(true)},
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A merge patch, as the API applies it (RFC 7396).
    fn merge(into: &mut Value, patch: &Value) {
        let Value::Object(patch) = patch else {
            *into = patch.clone();
            return;
        };
        if !into.is_object() {
            *into = json!({});
        }
        for (key, value) in patch {
            match value {
                Value::Null => drop(into.as_object_mut().expect("an object").remove(key)),
                value => merge(&mut into[key], value),
            }
        }
    }

    fn changed(node: &Value, change: Maintain, now: &str) -> Value {
        let object: Node = serde_json::from_value(node.clone()).expect("a node");
        let mut node = node.clone();
        merge(&mut node, &patch(&object, change, now));
        node
    }

    fn view(node: &Value) -> Option<Maintenance> {
        let object: Node = serde_json::from_value(node.clone()).expect("a node");
        noted(object.metadata.annotations.as_ref())
    }

    #[test]
    fn a_node_goes_and_comes_back_as_it_was() {
        let other = json!({"key": "own", "value": "x", "effect": "NoSchedule"});
        for cordoned in [false, true] {
            let mut node = json!({
                "metadata": {"name": "w1", "resourceVersion": "7", "annotations": {"a": "b"}},
                "spec": {"taints": [other]},
            });
            if cordoned {
                node["spec"]["unschedulable"] = json!(true);
            }
            let away = changed(&node, Maintain::Begin, "2026-01-01T00:00:00Z");
            assert_eq!(away["spec"]["unschedulable"], true);
            assert_eq!(away["spec"]["taints"][1]["key"], TAINT);
            let again = changed(&away, Maintain::Begin, "2026-01-02T00:00:00Z");
            assert_eq!(again, away, "what was begun keeps its time");
            let drained = changed(&again, Maintain::Drained, "x");
            let expected = Maintenance {
                since: "2026-01-01T00:00:00Z".to_owned(),
                drained: true,
            };
            assert_eq!(view(&drained), Some(expected));
            assert_eq!(changed(&drained, Maintain::End, "x"), node);
        }
    }
}
