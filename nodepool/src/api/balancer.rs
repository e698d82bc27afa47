//! The API load balancer's own pods, and how the cluster was made.

use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{Api, ListParams};
use serde_json::Value;

use super::ApiFailure;
use super::client::KubeApi;
use crate::core::cluster_view::BalancerPod;

/// Namespace of both.
const NAMESPACE: &str = "kube-system";
/// What `manifest::static_pod` labels its pods with; the data plane's are in a namespace of their own.
const SELECTOR: &str = "app.kubernetes.io/part-of=lbnode";

impl KubeApi {
    pub(super) async fn list_balancer_pods(&self) -> Result<Vec<BalancerPod>, ApiFailure> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), NAMESPACE);
        let params = ListParams::default().labels(SELECTOR);
        let what = "list the load balancers' pods";
        let list = self.patiently(what, || pods.list(&params)).await?;
        Ok(list.items.into_iter().map(balancer_pod).collect())
    }

    pub(super) async fn read_cluster_configuration(&self) -> Result<Value, ApiFailure> {
        let maps: Api<ConfigMap> = Api::namespaced(self.client.clone(), NAMESPACE);
        let what = "read the ConfigMap kubeadm-config";
        let map = self.patiently(what, || maps.get_opt("kubeadm-config"));
        let data = map.await?.and_then(|map| map.data).unwrap_or_default();
        let text = data.get("ClusterConfiguration");
        Ok(text
            .and_then(|text| serde_saphyr::from_str(text).ok())
            .unwrap_or_default())
    }
}

fn balancer_pod(pod: Pod) -> BalancerPod {
    let labels = pod.metadata.labels.unwrap_or_default();
    let annotations = pod.metadata.annotations.unwrap_or_default();
    let value = |key: &str| annotations.get(key).cloned().unwrap_or_default();
    let conditions = pod.status.and_then(|status| status.conditions);
    let mut conditions = conditions.into_iter().flatten();
    BalancerPod {
        node: pod.spec.and_then(|spec| spec.node_name).unwrap_or_default(),
        name: labels
            .get("app.kubernetes.io/name")
            .cloned()
            .unwrap_or_default(),
        config_sha256: value("bundledlb.io/config-sha256"),
        image_digest: value("bundledlb.io/image-digest"),
        ready: conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_mirror_pod_says_what_it_runs() {
        let object = json!({
            "metadata": {
                "name": "lb-vrrp-cp1",
                "labels": {"app.kubernetes.io/name": "lb-vrrp"},
                "annotations": {
                    "bundledlb.io/config-sha256": "c",
                    "bundledlb.io/image-digest": "sha256:i",
                },
            },
            "spec": {"nodeName": "cp1", "containers": []},
            "status": {"conditions": [
                {"type": "Initialized", "status": "True"},
                {"type": "Ready", "status": "True"},
            ]},
        });
        let pod: Pod = serde_json::from_value(object).expect("a pod");
        let expected = BalancerPod {
            node: "cp1".to_owned(),
            name: "lb-vrrp".to_owned(),
            config_sha256: "c".to_owned(),
            image_digest: "sha256:i".to_owned(),
            ready: true,
        };
        assert_eq!(balancer_pod(pod), expected);
    }
}
