//! Objects for a snapshot: what runs where and what happened. No Secrets, no ConfigMaps.

use kube::api::{Api, DynamicObject, ListParams};
use serde_json::Value;

use super::ApiFailure;
use super::client::KubeApi;
use super::objects::{resource, valued};
use crate::core::snapshot::Collected;

/// Most objects of one kind.
const MOST: u32 = 2000;

/// Group, kind, plural, and labels of those that are wanted.
const KINDS: [(&str, &str, &str, &str); 9] = [
    ("", "Node", "nodes", ""),
    ("", "Event", "events", ""),
    ("", "Service", "services", ""),
    ("", "Pod", "pods", "app in (lb-controller, lb-speaker)"),
    ("", "Pod", "static-pods", "app.kubernetes.io/part-of=lbnode"),
    ("coordination.k8s.io", "Lease", "leases", ""),
    ("bundledlb.io", "Speaker", "speakers", ""),
    ("bundledlb.io", "AddressPool", "addresspools", ""),
    ("bundledlb.io", "L2Advertisement", "l2advertisements", ""),
];

impl KubeApi {
    pub(super) async fn collect_objects(&self) -> Vec<Collected> {
        let mut all = Vec::new();
        for (group, kind, name, labels) in KINDS {
            let objects = self.collect_kind(group, kind, name, labels).await;
            all.push(Collected {
                kind: name,
                objects: objects.map_err(|failure| failure.to_string()),
            });
        }
        all
    }

    async fn collect_kind(
        &self,
        group: &str,
        kind: &str,
        name: &str,
        labels: &str,
    ) -> Result<Vec<Value>, ApiFailure> {
        let plural = name.trim_start_matches("static-");
        let kind = resource(group, kind, plural);
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &kind);
        let params = ListParams::default().limit(MOST).labels(labels);
        self.patiently(&format!("list {name}"), || async {
            let list = api.list(&params).await?;
            let values = list.items.iter().map(|object| valued(object, &kind));
            values
                .collect::<Result<Vec<_>, _>>()
                .map_err(kube::Error::SerdeError)
        })
        .await
    }
}
