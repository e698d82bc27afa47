//! JSON Schema (draft 7, what editors understand) from the table of keys. One schema for every document of the
//! file; `kind` chooses the part.
//!
//! The schema cannot know what spans documents or compares addresses; `lbctl check config` does.

use serde_json::{Map, Value, json};

use crate::documents::UNUSED_KINDS;
use crate::field::{DOCUMENTS, Document, Field, Format, HEADER, Shape};

/// The schema as text, pretty-printed: `schema/cluster.schema.json`.
pub fn json_schema() -> String {
    let kinds: Vec<&str> = DOCUMENTS
        .iter()
        .map(|document| document.kind)
        .chain(UNUSED_KINDS.iter().copied())
        .collect();
    let mut choices = vec![json!({
        "if": { "not": { "required": ["kind"] } },
        "then": { "$ref": "#/definitions/header" },
    })];
    let mut definitions = Map::new();
    definitions.insert("header".to_owned(), document(&HEADER));
    for known in DOCUMENTS {
        choices.push(json!({
            "if": { "required": ["kind"], "properties": { "kind": { "const": known.kind } } },
            "then": { "$ref": format!("#/definitions/{}", known.kind) },
        }));
        let mut schema = document(known);
        if known.kind == "Cluster"
            && let Value::Object(schema) = &mut schema
        {
            schema.insert("allOf".to_owned(), conditions());
        }
        definitions.insert(known.kind.to_owned(), schema);
    }
    let schema = json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Cluster file",
        "description": "One document of a cluster file: header, Namespace, Cluster or NodePool.",
        "type": "object",
        "properties": { "kind": { "enum": kinds } },
        "allOf": choices,
        "definitions": definitions,
    });
    format!("{schema:#}\n")
}

fn document(document: &Document) -> Value {
    let mut schema = mapping(document.fields, true);
    if let Value::Object(schema) = &mut schema {
        schema.insert("description".to_owned(), document.about.into());
    }
    schema
}

fn mapping(fields: &[Field], required: bool) -> Value {
    let properties: Map<String, Value> = fields
        .iter()
        .map(|field| (field.name.to_owned(), property(field)))
        .collect();
    let needed: Vec<&str> = fields
        .iter()
        .filter(|field| field.required)
        .map(|field| field.name)
        .collect();
    let mut schema = json!({
        "type": kind("object", required),
        "properties": properties,
        "additionalProperties": false,
    });
    if !needed.is_empty() {
        schema["required"] = needed.into();
    }
    schema
}

fn property(field: &Field) -> Value {
    // Rule V24.
    if field.name == "upgradeStrategy" && matches!(field.shape, Shape::Unused) {
        return json!({ "type": "null", "description": field.about });
    }
    let mut schema = value(&field.shape, field.required);
    let Value::Object(entries) = &mut schema else {
        return schema;
    };
    if !field.about.is_empty() {
        entries.insert("description".to_owned(), field.about.into());
    }
    if let Ok(default) = serde_json::from_str::<Value>(field.default) {
        entries.insert("default".to_owned(), default);
    } else if let Shape::Word(words) = field.shape
        && words.contains(&field.default)
    {
        entries.insert("default".to_owned(), field.default.into());
    }
    schema
}

/// An optional key may be empty, which is `null`.
fn kind(kind: &str, required: bool) -> Value {
    if required {
        kind.into()
    } else {
        json!([kind, "null"])
    }
}

fn value(shape: &Shape, required: bool) -> Value {
    match shape {
        Shape::Text(format) => text(*format, required),
        Shape::Bool => json!({ "type": kind("boolean", required) }),
        Shape::Int { min, max } => {
            json!({ "type": kind("integer", required), "minimum": min, "maximum": max })
        }
        Shape::IntOrText { min, max } => json!({ "anyOf": [
            { "type": kind("integer", required), "minimum": min, "maximum": max },
            { "type": "string", "pattern": "^[1-9][0-9]{0,9}$" },
        ]}),
        Shape::Word(words) => {
            let mut allowed: Vec<Value> = words.iter().map(|word| (*word).into()).collect();
            if !required {
                allowed.push(Value::Null);
            }
            json!({ "enum": allowed })
        }
        Shape::Map(fields) => mapping(fields, required),
        Shape::Dictionary { key, value } => {
            let mut schema = json!({
                "type": kind("object", required),
                "additionalProperties": text(*value, false),
            });
            if let Some(pattern) = key.pattern() {
                schema["propertyNames"] = json!({ "pattern": pattern });
            }
            schema
        }
        Shape::List { item, min } => {
            let mut schema = json!({ "type": kind("array", required), "items": value(item, true) });
            if *min > 0 {
                schema["minItems"] = (*min).into();
            }
            schema
        }
        Shape::ListOrCommas(format) => json!({ "anyOf": [
            { "type": kind("string", required) },
            { "type": "array", "items": text(*format, true) },
        ]}),
        Shape::Unused => json!({}),
    }
}

fn text(format: Format, required: bool) -> Value {
    let mut schema = json!({ "type": kind("string", required) });
    if let Some(pattern) = format.pattern() {
        schema["pattern"] = pattern.into();
    }
    if format == Format::PrivateKeyPath {
        schema["not"] = json!({ "type": "string", "pattern": "\\.pub$" });
    }
    schema
}

/// Rules between keys of the Cluster: V06, V08, V09, V20, V25.
fn conditions() -> Value {
    let spec = |inner: Value| json!({ "properties": { "spec": { "properties": inner } } });
    let absent = json!({ "type": "null" });
    let when = |condition: Value, key: &str| {
        json!({
            "required": ["spec"],
            "properties": { "spec": { "required": [key], "properties": condition } },
        })
    };
    let mode_is = |key: &str, mode: &str| {
        when(
            json!({ key: { "required": ["mode"], "properties": { "mode": { "const": mode } } } }),
            key,
        )
    };
    let own_mode_is = |mode: &str| {
        when(
            json!({ "controlPlane": { "required": ["loadBalancer"], "properties": {
            "loadBalancer": { "required": ["mode"], "properties": { "mode": { "const": mode } } }
        } } }),
            "controlPlane",
        )
    };
    let then_mode = |mode: &str| {
        spec(json!({ "loadBalancer": { "properties": { "mode": { "const": mode } } } }))
    };
    json!([
        {
            "if": when(json!({ "type": { "const": "admin" } }), "type"),
            "then": spec(json!({ "loadBalancer": { "properties": {
                "addressPools": absent,
                "vips": { "properties": { "ingressVIP": absent } },
            } } })),
        },
        {
            "if": mode_is("loadBalancer", "manual"),
            "then": spec(json!({ "loadBalancer": { "properties": {
                "addressPools": absent,
                "nodePoolSpec": absent,
            } } })),
        },
        { "if": own_mode_is("manual"), "then": then_mode("manual") },
        { "if": own_mode_is("bundled"), "then": then_mode("bundled") },
        {
            "if": when(
                json!({ "loadBalancer": { "required": ["type", "mode"], "properties": {
                    "type": { "const": "bgp" }, "mode": { "const": "bundled" },
                } } }),
                "loadBalancer",
            ),
            "then": spec(json!({
                "loadBalancer": { "required": ["localASN", "bgpPeers"] },
                "clusterNetwork": {
                    "required": ["advancedNetworking"],
                    "properties": { "advancedNetworking": { "const": true } },
                },
            })),
        },
    ])
}
