//! Objects of the data plane: listed as they are, and removed.

use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, ListParams};
use kube::core::GroupVersionKind;
use serde_json::{Value, json};

use super::ApiFailure;
use super::client::{KubeApi, gone};
use crate::core::rivals::cilium;
use crate::core::service_view::Objects;

/// Pods of the data plane, as its manifest labels them.
const OURS: &str = "app in (lb-controller,lb-speaker)";

pub(super) fn resource(group: &str, kind: &str, plural: &str) -> ApiResource {
    versioned(group, "v1", kind, plural)
}

fn versioned(group: &str, version: &str, kind: &str, plural: &str) -> ApiResource {
    let gvk = GroupVersionKind::gvk(group, version, kind);
    ApiResource::from_gvk_with_plural(&gvk, plural)
}

fn pools() -> ApiResource {
    resource("bundledlb.io", "AddressPool", "addresspools")
}

fn advertisements() -> ApiResource {
    resource("bundledlb.io", "L2Advertisement", "l2advertisements")
}

pub(super) fn valued(object: &DynamicObject, kind: &ApiResource) -> serde_json::Result<Value> {
    let mut value = serde_json::to_value(object)?;
    // Items of lists of built-in kinds do not say what they are.
    value["kind"] = json!(kind.kind);
    Ok(value)
}

impl KubeApi {
    /// All objects of a kind; `None`: the API does not know it.
    async fn list(&self, kind: &ApiResource) -> Result<Option<Vec<Value>>, ApiFailure> {
        self.list_labelled(kind, "").await
    }

    /// Those of them that have these labels.
    async fn list_labelled(
        &self,
        kind: &ApiResource,
        labels: &str,
    ) -> Result<Option<Vec<Value>>, ApiFailure> {
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), kind);
        let params = ListParams::default().labels(labels);
        let what = format!("list {}", kind.plural);
        self.patiently(&what, || async {
            let items = match api.list(&params).await {
                Ok(list) => list.items,
                Err(kube::Error::Api(status)) if status.code == 404 => return Ok(None),
                Err(error) => return Err(error),
            };
            let values = items.iter().map(|object| valued(object, kind));
            values
                .collect::<Result<Vec<_>, _>>()
                .map(Some)
                .map_err(kube::Error::SerdeError)
        })
        .await
    }

    /// All objects of the first kind, then all of the second, as far as the API knows them.
    async fn list_both(
        &self,
        one: &ApiResource,
        two: &ApiResource,
    ) -> Result<Vec<Value>, ApiFailure> {
        let mut all = self.list(one).await?.unwrap_or_default();
        all.extend(self.list(two).await?.unwrap_or_default());
        Ok(all)
    }

    pub(super) async fn list_service_objects(&self) -> Result<Objects, ApiFailure> {
        let deployments = resource("apps", "Deployment", "deployments");
        let daemon_sets = resource("apps", "DaemonSet", "daemonsets");
        let speakers = resource("bundledlb.io", "Speaker", "speakers");
        let services = resource("", "Service", "services");
        let pods = resource("", "Pod", "pods");
        let pods = self.list_labelled(&pods, OURS).await?;
        let workloads = self.list_both(&deployments, &daemon_sets).await?;
        let cilium = match cilium::namespace(&workloads) {
            Some(namespace) => self.list_cilium(namespace).await?,
            None => Vec::new(),
        };
        Ok(Objects {
            pools: self.list(&pools()).await?,
            speakers: self.list(&speakers).await?,
            services: self.list(&services).await?.unwrap_or_default(),
            pods: pods.unwrap_or_default(),
            workloads,
            cilium,
        })
    }

    /// Its pools, policies and settings; its agents run in `namespace`.
    async fn list_cilium(&self, namespace: &str) -> Result<Vec<Value>, ApiFailure> {
        let mut all = Vec::new();
        for (kind, plural) in [
            (cilium::POOL, "ciliumloadbalancerippools"),
            (cilium::POLICY, "ciliuml2announcementpolicies"),
        ] {
            for version in ["v2", "v2alpha1"] {
                let kind = versioned("cilium.io", version, kind, plural);
                // A later version that is served has them all.
                if let Some(objects) = self.list(&kind).await? {
                    all.extend(objects);
                    break;
                }
            }
        }
        let settings = resource("", "ConfigMap", "configmaps");
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), namespace, &settings);
        let what = format!("read the ConfigMap {}", cilium::SETTINGS);
        let found = self.patiently(&what, || async {
            let found = api.get_opt(cilium::SETTINGS).await?;
            found
                .map(|object| valued(&object, &settings))
                .transpose()
                .map_err(kube::Error::SerdeError)
        });
        all.extend(found.await?);
        Ok(all)
    }

    pub(super) async fn list_pool_objects(&self) -> Result<Vec<Value>, ApiFailure> {
        self.list_both(&pools(), &advertisements()).await
    }

    pub(super) async fn delete_pool(&self, kind: &str, name: &str) -> Result<(), ApiFailure> {
        let resource = if kind == "AddressPool" {
            pools()
        } else {
            advertisements()
        };
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &resource);
        self.patiently(&format!("delete {kind} {name}"), || async {
            gone(api.delete(name, &DeleteParams::default()).await.map(|_| ()))
        })
        .await
    }
}
