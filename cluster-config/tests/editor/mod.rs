//! A cluster file as editors see it: another YAML reader, and an independent validator of JSON Schema.

use std::sync::LazyLock;

use cluster_config::json_schema;
use serde::Deserialize as _;
use serde_json::Value;

static VALIDATOR: LazyLock<jsonschema::Validator> = LazyLock::new(|| {
    let schema: Value = serde_json::from_str(&json_schema()).expect("JSON");
    jsonschema::draft7::new(&schema).expect("a schema")
});

/// What the schema has against each document.
pub(crate) fn errors(text: &str) -> Vec<String> {
    documents(text)
        .iter()
        .flat_map(|document| VALIDATOR.iter_errors(document))
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect()
}

fn documents(text: &str) -> Vec<Value> {
    let text = text.trim_start_matches('\u{feff}');
    // Up to what this reader cannot read: from there on it says the same error for ever.
    serde_yaml::Deserializer::from_str(text)
        .map_while(|document| Value::deserialize(document).ok())
        .filter(|document| !document.is_null())
        .collect()
}
