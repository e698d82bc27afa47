//! Manifests of any kind, applied server-side.

use kube::Client;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::discovery::{self, Scope};
use serde_json::Value;

use super::ApiFailure;
use super::client::KubeApi;

/// Field manager of everything `lbctl` applies.
pub const MANAGER: &str = "lbctl";

/// The objects of a manifest, lists unfolded, in order.
fn objects(text: &str, file: &str) -> Result<Vec<Value>, ApiFailure> {
    let broken = |reason: String| ApiFailure::Manifest {
        file: file.to_owned(),
        reason,
    };
    let documents: Vec<Value> =
        serde_saphyr::from_multiple(text).map_err(|error| broken(error.to_string()))?;
    let mut objects = Vec::new();
    for document in documents {
        match document.get("items").and_then(Value::as_array) {
            Some(items) if document["kind"] == "List" => objects.extend(items.iter().cloned()),
            _ if document.is_null() => {}
            _ => objects.push(document),
        }
    }
    for object in &objects {
        let has = |key: &str| object[key].as_str().is_some_and(|text| !text.is_empty());
        if !has("apiVersion") || !has("kind") || object["metadata"]["name"].as_str().is_none() {
            return Err(broken(
                "an object has no `apiVersion`, `kind` or `metadata.name`".to_owned(),
            ));
        }
    }
    if objects.is_empty() {
        return Err(broken("there is no object in it".to_owned()));
    }
    Ok(objects)
}

/// `Kind/name`, for messages.
fn describe(object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
    format!(
        "{}/{}",
        text(&object["kind"]),
        text(&object["metadata"]["name"])
    )
}

impl KubeApi {
    /// Applies every object of a manifest, and names those that were not so before.
    pub(super) async fn each_object(
        &self,
        text: &str,
        file: &str,
        rehearsed: bool,
    ) -> Result<Vec<String>, ApiFailure> {
        let mut changed = Vec::new();
        for object in objects(text, file)? {
            let name = describe(&object);
            let what = format!("apply {name}");
            let applied = self.patiently(&what, || apply(&self.client, &object, rehearsed));
            match applied.await {
                Ok(true) => changed.push(name),
                Ok(false) => {}
                // Its kind, or its namespace, comes first.
                Err(ApiFailure::Refused { code: 404, .. }) if rehearsed => changed.push(name),
                Err(failure) => return Err(failure),
            }
        }
        Ok(changed)
    }
}

/// Applies one object; true when it was not so before. `rehearsed`: the API only says what would come of it.
async fn apply(client: &Client, object: &Value, rehearsed: bool) -> Result<bool, kube::Error> {
    let version = object["apiVersion"].as_str().unwrap_or_default();
    let (group, version) = version.rsplit_once('/').unwrap_or(("", version));
    let kind = object["kind"].as_str().unwrap_or_default();
    let gvk = GroupVersionKind::gvk(group, version, kind);
    let (resource, capabilities) = discovery::pinned_kind(client, &gvk).await?;
    let namespace = object["metadata"]["namespace"]
        .as_str()
        .unwrap_or("default");
    let api: Api<DynamicObject> = match capabilities.scope {
        Scope::Cluster => Api::all_with(client.clone(), &resource),
        Scope::Namespaced => Api::namespaced_with(client.clone(), namespace, &resource),
    };
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let before = api.get_opt(name).await?;
    let mut params = PatchParams::apply(MANAGER).force();
    params.dry_run = rehearsed;
    let after = api.patch(name, &params, &Patch::Apply(object)).await?;
    let as_value = |object: &DynamicObject| serde_json::to_value(object).unwrap_or_default();
    Ok(before.is_none_or(|before| differs(object, &as_value(&before), &as_value(&after))))
}

/// Whether a field that `applied` names was changed. Others are not ours: controllers write statuses and
/// annotations at the same time.
fn differs(applied: &Value, before: &Value, after: &Value) -> bool {
    match applied {
        Value::Object(fields) => fields
            .iter()
            .any(|(key, applied)| differs(applied, &before[key], &after[key])),
        _ => before != after,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_unfolded_and_empty_documents_skipped() {
        let text = "---\n---\nkind: List\napiVersion: v1\nitems:\n- {kind: A, apiVersion: v1, metadata: {name: a}}\n---\n{kind: B, apiVersion: v1, metadata: {name: b}}\n";
        let objects = objects(text, "x.yaml").expect("two objects");
        let names: Vec<_> = objects.iter().map(describe).collect();
        assert_eq!(names, ["A/a", "B/b"]);
    }

    #[test]
    fn only_what_is_applied_counts_as_changed() {
        use serde_json::json;
        let applied = json!({"metadata": {"labels": {"a": "1"}}, "spec": {"list": [{"x": 1}]}});
        let before = json!({
            "metadata": {"labels": {"a": "1", "b": "2"}, "resourceVersion": "7"},
            "spec": {"list": [{"x": 1, "given": true}]},
            "status": {"ready": 1},
        });
        let mut after = before.clone();
        after["metadata"]["resourceVersion"] = json!("8");
        after["metadata"]["labels"]["b"] = json!("3");
        after["status"]["ready"] = json!(2);
        assert!(!differs(&applied, &before, &after));
        for path in ["/metadata/labels/a", "/spec/list/0/x"] {
            let mut after = after.clone();
            *after.pointer_mut(path).expect("a field") = json!("other");
            assert!(differs(&applied, &before, &after), "{path}");
        }
        assert!(
            differs(&applied, &json!({}), &after),
            "a field that was not there"
        );
    }

    #[test]
    fn what_is_no_object_is_refused_with_the_file() {
        for text in ["", "a: b", "kind: A\napiVersion: v1\n", "- 1"] {
            let error = objects(text, "x.yaml").expect_err("no object").to_string();
            assert!(error.starts_with("`x.yaml`:"), "{error}");
        }
    }
}
