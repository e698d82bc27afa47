//! Pools that an earlier cluster file made and this one does not have.

use std::collections::BTreeSet;

use serde_json::Value;

/// Kind and name of an object.
pub type Named = (String, String);

/// What is to become of the pools and advertisements that the file does not have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Leftovers {
    /// Made by `lbctl` and by nobody else: to be removed.
    pub remove: Vec<Named>,
    /// Made by `lbctl`, and then changed by these: to be left alone.
    pub keep: Vec<(Named, Vec<String>)>,
}

/// Kind and name of `object`.
pub fn named(object: &Value) -> Named {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (text(&object["kind"]), text(&object["metadata"]["name"]))
}

/// Judges what the API holds (`found`), given what the file has (`wanted`) and who `lbctl` is in `managedFields`.
pub fn leftovers(found: &[Value], wanted: &BTreeSet<Named>, manager: &str) -> Leftovers {
    let mut leftovers = Leftovers::default();
    for object in found {
        let name = named(object);
        let mut writers = writers(object);
        // Made by somebody else: none of our business.
        if wanted.contains(&name) || !writers.remove(manager) {
            continue;
        }
        if writers.is_empty() {
            leftovers.remove.push(name);
        } else {
            leftovers.keep.push((name, writers.into_iter().collect()));
        }
    }
    leftovers
}

/// Who wrote something of the specification.
fn writers(object: &Value) -> BTreeSet<String> {
    let fields = object["metadata"]["managedFields"].as_array();
    let writes = |one: &&Value| one["fieldsV1"].get("f:spec").is_some();
    let fields = fields.into_iter().flatten().filter(writes);
    let names = fields.filter_map(|one| one["manager"].as_str());
    names.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(kind: &str, name: &str, writers: &[&str]) -> Value {
        let spec = writers
            .iter()
            .map(|writer| json!({"manager": writer, "fieldsV1": {"f:spec": {}}}));
        let status = json!({"manager": "lbnode-controller", "fieldsV1": {"f:status": {}}});
        let fields: Vec<Value> = spec.chain([status]).collect();
        json!({"kind": kind, "metadata": {"name": name, "managedFields": fields}})
    }

    #[test]
    fn only_what_lbctl_alone_made_and_the_file_does_not_have_goes() {
        let found = [
            object("AddressPool", "kept", &["lbctl"]),
            object("AddressPool", "old", &["lbctl"]),
            object("L2Advertisement", "kept", &["lbctl"]),
            object("L2Advertisement", "old", &["lbctl"]),
            object("AddressPool", "theirs", &["kubectl-client-side-apply"]),
            object("AddressPool", "both", &["lbctl", "kubectl-edit"]),
            json!({"kind": "AddressPool", "metadata": {"name": "bare"}}),
        ];
        let pair = |kind: &str, name: &str| (kind.to_owned(), name.to_owned());
        let wanted = BTreeSet::from([pair("AddressPool", "kept"), pair("L2Advertisement", "kept")]);
        let leftovers = leftovers(&found, &wanted, "lbctl");
        assert_eq!(
            leftovers,
            Leftovers {
                remove: vec![pair("AddressPool", "old"), pair("L2Advertisement", "old")],
                keep: vec![(pair("AddressPool", "both"), vec!["kubectl-edit".to_owned()])],
            }
        );
    }
}
