//! Node objects: what is read of them, and what is changed.

use k8s_openapi::api::core::v1::{Node, NodeAddress};
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};

use super::ApiFailure;
use super::client::{KubeApi, gone};
use super::maintenance::noted;
use crate::core::cluster_view::NodeView;
use crate::core::desired::{LBNODE_LABEL, Taint};
use crate::core::step::Mark;

impl KubeApi {
    pub(super) async fn try_mark(&self, mark: &Mark) -> Result<(), kube::Error> {
        let Mark {
            node: name,
            labels,
            add_taints: add,
            remove_taints: remove,
        } = mark;
        let nodes: Api<Node> = Api::all(self.client.clone());
        let node = nodes.get(name).await?;
        let mut taints = node.spec.unwrap_or_default().taints.unwrap_or_default();
        taints.retain(|taint| {
            !remove.contains(&taint.key)
                && !add
                    .iter()
                    .any(|new| new.key == taint.key && new.effect == taint.effect)
        });
        let mut patch = json!({
            // The list of taints is replaced whole: refuse if somebody changed it meanwhile.
            "metadata": {"labels": labels, "resourceVersion": node.metadata.resource_version},
        });
        if !add.is_empty() || !remove.is_empty() {
            let mut all = json!(taints);
            if let Some(list) = all.as_array_mut() {
                list.extend(add.iter().map(
                    |taint| json!({"key": taint.key, "value": taint.value, "effect": taint.effect}),
                ));
            }
            patch["spec"] = json!({"taints": all});
        }
        nodes
            .patch(name, &PatchParams::default(), &Patch::Merge(&patch))
            .await?;
        Ok(())
    }

    /// Without its label the node's speaker ends in order.
    pub(super) async fn retire_node(&self, node: &str) -> Result<(), ApiFailure> {
        let patch = json!({
            "metadata": {"labels": {LBNODE_LABEL: null}},
            "spec": {"unschedulable": true},
        });
        self.change(node, &patch, &format!("cordon node {node}"))
            .await
    }

    pub(super) async fn withdraw_node(&self, node: &str) -> Result<(), ApiFailure> {
        let patch = json!({"metadata": {"labels": {LBNODE_LABEL: null}}});
        self.change(node, &patch, &format!("take a label from node {node}"))
            .await
    }

    /// A node that is gone needs no change.
    async fn change(&self, node: &str, patch: &Value, what: &str) -> Result<(), ApiFailure> {
        let nodes: Api<Node> = Api::all(self.client.clone());
        let params = PatchParams::default();
        self.patiently(what, || async {
            gone(
                nodes
                    .patch(node, &params, &Patch::Merge(patch))
                    .await
                    .map(|_| ()),
            )
        })
        .await
    }
}

pub(super) fn node_view(node: Node) -> NodeView {
    let spec = node.spec.unwrap_or_default();
    let status = node.status.unwrap_or_default();
    let conditions = status.conditions.unwrap_or_default();
    let ready = conditions
        .iter()
        .find(|condition| condition.type_ == "Ready");
    let is_ready = ready.is_some_and(|condition| condition.status == "True");
    let words = |condition: &k8s_openapi::api::core::v1::NodeCondition| {
        let reason = condition.reason.clone().unwrap_or_default();
        let message = condition.message.clone().unwrap_or_default();
        format!("{reason}: {message}")
    };
    let cidrs = spec
        .pod_cidrs
        .or_else(|| spec.pod_cidr.map(|cidr| vec![cidr]));
    let internal = |address: &NodeAddress| address.type_ == "InternalIP";
    let addresses = status.addresses.unwrap_or_default();
    NodeView {
        maintenance: noted(node.metadata.annotations.as_ref()),
        cordoned: spec.unschedulable == Some(true),
        addresses: addresses
            .iter()
            .filter(|address| internal(address))
            .filter_map(|address| address.address.parse().ok())
            .collect(),
        ready: is_ready,
        since: ready
            .and_then(|condition| condition.last_transition_time.as_ref())
            .map(|time| time.0.to_string()),
        why: ready.filter(|_| !is_ready).map(words),
        pod_cidrs: cidrs
            .into_iter()
            .flatten()
            .filter_map(|cidr| cidr.parse().ok())
            .collect(),
        labels: node.metadata.labels.unwrap_or_default(),
        taints: spec
            .taints
            .unwrap_or_default()
            .into_iter()
            .map(|taint| Taint {
                key: taint.key,
                value: taint.value.unwrap_or_default(),
                effect: taint.effect,
            })
            .collect(),
        runtime: status
            .node_info
            .as_ref()
            .map(|info| info.container_runtime_version.clone()),
        version: status
            .node_info
            .map(|info| info.kubelet_version)
            .unwrap_or_default(),
    }
}
