//! Taking work off a node, and what is lost with it.

use k8s_openapi::api::core::v1::{PersistentVolume, Pod};
use kube::api::{Api, EvictParams, ListParams};

use super::ApiFailure;
use super::client::{KubeApi, chain};
use crate::core::cluster_view::Drain;

/// Namespace of the data plane.
const NAMESPACE: &str = "lb-system";

impl KubeApi {
    async fn pods_of(&self, node: &str) -> Result<Vec<Pod>, ApiFailure> {
        let pods: Api<Pod> = Api::all(self.client.clone());
        let params = ListParams::default().fields(&format!("spec.nodeName={node}"));
        let what = format!("list the pods of node {node}");
        let list = self.patiently(&what, || pods.list(&params)).await?;
        Ok(list.items)
    }

    pub(super) async fn evict_pods(
        &self,
        node: &str,
        drain: Drain,
    ) -> Result<Vec<String>, ApiFailure> {
        let mut left = Vec::new();
        for pod in &self.pods_of(node).await? {
            let name = full_name(pod);
            let ends = drain == Drain::Leaves && is_speaker(pod);
            if !moves(pod) && !ends {
                continue;
            }
            // A speaker goes because its node has no label any more.
            if pod.metadata.deletion_timestamp.is_some() || !moves(pod) {
                left.push(format!("{name} is ending"));
                continue;
            }
            let namespace = pod.metadata.namespace.as_deref().unwrap_or("default");
            let pods: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
            let own = pod.metadata.name.as_deref().unwrap_or_default();
            let refused = match pods.evict(own, &EvictParams::default()).await {
                Ok(_) => "is ending".to_owned(),
                Err(kube::Error::Api(status)) if status.code == 404 => continue,
                Err(kube::Error::Api(status)) => format!("stays: {}", status.message),
                Err(error) => format!("stays: {}", chain(&error)),
            };
            left.push(format!("{name} {refused}"));
        }
        Ok(left)
    }

    pub(super) async fn list_losses(
        &self,
        node: &str,
        drain: Drain,
    ) -> Result<Vec<String>, ApiFailure> {
        let mut losses = Vec::new();
        for pod in self.pods_of(node).await?.iter().filter(|pod| moves(pod)) {
            let owners = pod.metadata.owner_references.as_deref();
            if owners.unwrap_or_default().is_empty() {
                losses.push(format!(
                    "the pod {}, which nobody makes again",
                    full_name(pod)
                ));
            } else if has_local_data(pod) {
                losses.push(format!("the files of the pod {} on it", full_name(pod)));
            }
        }
        if drain == Drain::ComesBack {
            return Ok(losses);
        }
        let volumes: Api<PersistentVolume> = Api::all(self.client.clone());
        let params = ListParams::default();
        let list = self.patiently("list volumes", || volumes.list(&params));
        let bound = list.await?.items;
        let bound = bound.iter().filter(|volume| is_bound_to(volume, node));
        losses.extend(bound.map(|volume| {
            let name = volume.metadata.name.as_deref().unwrap_or_default();
            format!("the volume {name}, which is on it")
        }));
        Ok(losses)
    }
}

fn full_name(pod: &Pod) -> String {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    format!(
        "{}/{}",
        text(&pod.metadata.namespace),
        text(&pod.metadata.name)
    )
}

/// Whether a pod is one to be evicted: static pods and those of DaemonSets belong to the node.
fn moves(pod: &Pod) -> bool {
    let annotations = pod.metadata.annotations.as_ref();
    let mirror = annotations
        .is_some_and(|annotations| annotations.contains_key("kubernetes.io/config.mirror"));
    !mirror && !is_daemon(pod) && !has_ended(pod)
}

/// Whether a pod is a speaker that answers for addresses of Services.
fn is_speaker(pod: &Pod) -> bool {
    let ours = pod.metadata.namespace.as_deref() == Some(NAMESPACE);
    ours && is_daemon(pod) && !has_ended(pod)
}

fn is_daemon(pod: &Pod) -> bool {
    let owners = pod.metadata.owner_references.as_deref();
    let mut owners = owners.unwrap_or_default().iter();
    owners.any(|owner| owner.kind == "DaemonSet")
}

fn has_ended(pod: &Pod) -> bool {
    let status = pod.status.as_ref();
    let phase = status.and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

fn has_local_data(pod: &Pod) -> bool {
    let spec = pod.spec.as_ref();
    let volumes = spec.and_then(|spec| spec.volumes.as_deref());
    let mut volumes = volumes.unwrap_or_default().iter();
    volumes.any(|volume| volume.empty_dir.is_some())
}

fn is_bound_to(volume: &PersistentVolume, node: &str) -> bool {
    let terms = volume
        .spec
        .as_ref()
        .and_then(|spec| spec.node_affinity.as_ref())
        .and_then(|affinity| affinity.required.as_ref())
        .map(|required| required.node_selector_terms.as_slice());
    let mut expressions = terms
        .unwrap_or_default()
        .iter()
        .flat_map(|term| term.match_expressions.iter().flatten());
    expressions.any(|expression| {
        expression.key == "kubernetes.io/hostname"
            && expression.operator == "In"
            && expression
                .values
                .as_ref()
                .is_some_and(|values| values.len() == 1 && values[0] == node)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(metadata: Value, spec: Value, phase: &str) -> Pod {
        let object = json!({"metadata": metadata, "spec": spec, "status": {"phase": phase}});
        serde_json::from_value(object).expect("a pod")
    }

    fn owned_by(kind: &str) -> Value {
        json!({"namespace": "a", "name": "b", "ownerReferences": [
            {"apiVersion": "v1", "kind": kind, "name": "x", "uid": "1"},
        ]})
    }

    #[test]
    fn pods_of_the_node_itself_stay_and_finished_ones_do_not_count() {
        let plain = || json!({"containers": []});
        assert!(moves(&pod(owned_by("ReplicaSet"), plain(), "Running")));
        assert!(!moves(&pod(owned_by("DaemonSet"), plain(), "Running")));
        assert!(!moves(&pod(owned_by("Job"), plain(), "Succeeded")));
        let mirror = json!({"name": "b", "annotations": {"kubernetes.io/config.mirror": "x"}});
        assert!(!moves(&pod(mirror, plain(), "Running")));
        assert!(moves(&pod(json!({"name": "bare"}), plain(), "Pending")));
    }

    #[test]
    fn a_speaker_is_waited_for_while_it_runs() {
        let of = |kind: &str, phase: &str| {
            let mut metadata = owned_by(kind);
            metadata["namespace"] = json!(NAMESPACE);
            pod(metadata, json!({"containers": []}), phase)
        };
        assert!(is_speaker(&of("DaemonSet", "Running")));
        assert!(!is_speaker(&of("DaemonSet", "Failed")));
        assert!(!is_speaker(&of("ReplicaSet", "Succeeded")));
        let other = pod(owned_by("DaemonSet"), json!({"containers": []}), "Running");
        assert!(!is_speaker(&other));
    }

    #[test]
    fn data_on_the_node_is_seen() {
        let with = json!({"containers": [], "volumes": [{"name": "scratch", "emptyDir": {}}]});
        let without = json!({"containers": [], "volumes": [{"name": "x", "configMap": {}}]});
        assert!(has_local_data(&pod(
            owned_by("ReplicaSet"),
            with,
            "Running"
        )));
        assert!(!has_local_data(&pod(
            owned_by("ReplicaSet"),
            without,
            "Running"
        )));
        let volume = json!({"metadata": {"name": "v"}, "spec": {"nodeAffinity": {"required": {"nodeSelectorTerms": [
            {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["w1"]}]},
        ]}}}});
        let volume: PersistentVolume = serde_json::from_value(volume).expect("a volume");
        assert!(is_bound_to(&volume, "w1") && !is_bound_to(&volume, "w2"));
    }
}
