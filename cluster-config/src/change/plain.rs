//! Keys that are judged one by one: both printed files side by side, along the table of keys.

use std::net::Ipv4Addr;

use super::refusal::IDENTITIES;
use super::{Change, Verdict};
use crate::code::Code;
use crate::derive::{Placement, Pool, placement};
use crate::field::{DOCUMENTS, Field, HEADER, Rule, Shape, Touch};
use crate::model::Cluster;
use crate::print::{Value, print};

pub(super) fn changes(old: &Cluster, new: &Cluster) -> Vec<Change> {
    let (was, is) = (print(old), print(new));
    let mut walk = Walk {
        placement: placement(new),
        changes: Vec::new(),
    };
    walk.map(
        Some(&was.header),
        Some(&is.header),
        HEADER.fields,
        "header",
        None,
    );
    let fields = |kind: &str| {
        DOCUMENTS
            .iter()
            .find(|document| document.kind == kind)
            .map_or(&[][..], |document| document.fields)
    };
    walk.map(
        Some(&was.cluster),
        Some(&is.cluster),
        fields("Cluster"),
        "",
        None,
    );
    for (name, pool) in &is.node_pools {
        let before = was.node_pools.iter().find(|(other, _)| other == name);
        if let Some((_, before)) = before {
            let path = format!("nodePool[{name}]");
            let of = Some(Pool::Worker(name.clone()));
            walk.map(Some(before), Some(pool), fields("NodePool"), &path, of);
        }
    }
    walk.changes
}

struct Walk {
    placement: Placement,
    changes: Vec<Change>,
}

impl Walk {
    fn map(
        &mut self,
        old: Option<&Value>,
        new: Option<&Value>,
        fields: &'static [Field],
        path: &str,
        pool: Option<Pool>,
    ) {
        for field in fields {
            let path = match path {
                "" => field.name.to_owned(),
                path => format!("{path}.{}", field.name),
            };
            let pool = match path.as_str() {
                "spec.controlPlane.nodePoolSpec" => Some(Pool::ControlPlane),
                "spec.loadBalancer.nodePoolSpec" => Some(Pool::LoadBalancer),
                _ => pool.clone(),
            };
            let (old, new) = (
                old.and_then(|value| value.get(field.name)),
                new.and_then(|value| value.get(field.name)),
            );
            self.field(old, new, field, &path, pool);
        }
    }

    fn field(
        &mut self,
        old: Option<&Value>,
        new: Option<&Value>,
        field: &'static Field,
        path: &str,
        pool: Option<Pool>,
    ) {
        match field.shape {
            // A pool that comes or goes is judged as a whole.
            Shape::Map(_) if field.name == "nodePoolSpec" && (old.is_none() || new.is_none()) => {}
            Shape::Map(fields) if !is_selector(field) => self.map(old, new, fields, path, pool),
            Shape::List {
                item: Shape::Map(fields),
                ..
            } if identity(fields).is_some() => self.list(old, new, field, fields, path, pool),
            _ if matches!(field.rule, Rule::Special(_)) => {}
            _ => self.leaf(old, new, field, path, pool),
        }
    }

    /// Lists whose items have a name: matched by it.
    fn list(
        &mut self,
        old: Option<&Value>,
        new: Option<&Value>,
        field: &'static Field,
        fields: &'static [Field],
        path: &str,
        pool: Option<Pool>,
    ) {
        let Some(key) = identity(fields) else { return };
        let items = |value: Option<&'_ Value>| -> Vec<(String, Value)> {
            value
                .map(Value::items)
                .unwrap_or_default()
                .iter()
                .map(|item| {
                    (
                        item.get(key).map(Value::inline).unwrap_or_default(),
                        item.clone(),
                    )
                })
                .collect()
        };
        let (old, new) = (items(old), items(new));
        let find = |list: &[(String, Value)], name: &str| {
            list.iter()
                .find(|(other, _)| other == name)
                .map(|(_, item)| item.clone())
        };
        for (name, item) in &new {
            let path = format!("{path}[{name}]");
            match find(&old, name) {
                Some(before) => self.map(Some(&before), Some(item), fields, &path, pool.clone()),
                None => self.item(None, Some(item), field, &path, pool.clone()),
            }
        }
        for (name, item) in &old {
            if find(&new, name).is_none() {
                let path = format!("{path}[{name}]");
                self.item(Some(item), None, field, &path, pool.clone());
            }
        }
    }

    /// An item that came or went.
    fn item(
        &mut self,
        old: Option<&Value>,
        new: Option<&Value>,
        field: &'static Field,
        path: &str,
        pool: Option<Pool>,
    ) {
        if !matches!(field.rule, Rule::Special(_)) {
            self.leaf(old, new, field, path, pool);
        }
    }

    fn leaf(
        &mut self,
        old: Option<&Value>,
        new: Option<&Value>,
        field: &Field,
        path: &str,
        pool: Option<Pool>,
    ) {
        if old.map(canonical) == new.map(canonical) {
            return;
        }
        let mut nodes = Vec::new();
        let mut api = false;
        let verdict = match field.rule {
            Rule::Free(touch) => {
                nodes = self.nodes(touch, pool.as_ref());
                api = touch == Touch::Api;
                Verdict::Allowed
            }
            Rule::Fixed(code) => Verdict::Refused {
                code,
                why: format!("`{path}` cannot be changed on a live cluster"),
                hint: instead(code, old),
            },
            Rule::Upgrade => Verdict::Refused {
                code: Code::F11,
                why: format!("`{path}` changes through an upgrade only"),
                hint: again(old),
            },
            Rule::Special(why) => Verdict::Refused {
                code: Code::F11,
                why: format!("`{path}` {why}"),
                hint: again(old),
            },
        };
        self.changes.push(Change {
            path: path.to_owned(),
            from: old.map(Value::inline),
            to: new.map(Value::inline),
            verdict,
            nodes,
            api,
            in_new: None,
            in_old: None,
        });
    }

    fn nodes(&self, touch: Touch, pool: Option<&Pool>) -> Vec<Ipv4Addr> {
        self.placement
            .roles()
            .iter()
            .filter(|role| match touch {
                Touch::Nobody | Touch::Api => false,
                Touch::AllNodes => true,
                Touch::LoadBalancers => role.control_plane_load_balancer,
                Touch::ControlPlane => role.pool == Pool::ControlPlane,
                Touch::Pool => Some(&role.pool) == pool,
            })
            .map(|role| role.node.address())
            .collect()
    }
}

/// The key that tells items apart.
fn identity(fields: &[Field]) -> Option<&'static str> {
    fields
        .iter()
        .find(|field| field.required && IDENTITIES.contains(&field.name))
        .map(|field| field.name)
}

/// Selectors are compared as a whole: half a selector says nothing.
fn is_selector(field: &Field) -> bool {
    field.name.ends_with("Selector")
}

/// Without the order of lists.
fn canonical(value: &Value) -> Value {
    match value {
        Value::List(items) => {
            let mut items: Vec<Value> = items.iter().map(canonical).collect();
            items.sort_by_key(Value::inline);
            items.dedup();
            Value::List(items)
        }
        Value::Map(entries) => Value::Map(
            entries
                .iter()
                .map(|(key, value)| (key.clone(), canonical(value)))
                .collect(),
        ),
        other => other.clone(),
    }
}

fn instead(code: Code, old: Option<&Value>) -> String {
    match code {
        Code::V17 => "remove the node, update, then add it with the new `k8sIP`".to_owned(),
        Code::V31 => format!(
            "{}, or make a new cluster in the other namespace",
            again(old)
        ),
        _ => format!("{}, or make a new cluster", again(old)),
    }
}

/// What the file has to say for everything to stay as it is.
fn again(old: Option<&Value>) -> String {
    match old {
        Some(old) => format!("write `{}` again", old.inline()),
        None => "remove it again".to_owned(),
    }
}
