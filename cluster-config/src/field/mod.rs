//! The one table of the file's keys. Structure checks, the JSON Schema, `docs/config.md` and the change rules
//! all read it, so that they cannot contradict each other.

mod cluster;
mod documents;
mod format;
mod load_balancer;
mod meant;
mod nodes;

pub(crate) use documents::{DOCUMENTS, Document, HEADER};
pub(crate) use format::Format;

use crate::code::Code;

/// One key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) shape: Shape,
    pub(crate) required: bool,
    /// As written in the file; empty: none.
    pub(crate) default: &'static str,
    pub(crate) rule: Rule,
    /// Code of complaints about the value, where it is not the one of its shape.
    pub(crate) code: Option<Code>,
    /// Not part of the original format.
    pub(crate) extension: bool,
    pub(crate) about: &'static str,
}

/// What a value looks like.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Shape {
    /// Text of a format.
    Text(Format),
    /// `true` or `false`.
    Bool,
    /// A whole number, both ends included.
    Int { min: i64, max: i64 },
    /// A whole number, with or without quotes.
    IntOrText { min: i64, max: i64 },
    /// One of these words.
    Word(&'static [&'static str]),
    /// These keys.
    Map(&'static [Field]),
    /// Any keys of one format, all values of another.
    Dictionary { key: Format, value: Format },
    /// A list with at least `min` items.
    List { item: &'static Self, min: usize },
    /// A list of texts, or one text with commas.
    ListOrCommas(Format),
    /// Belongs to the original product; anything goes, nothing is used.
    Unused,
}

/// What may happen to a value on a live cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    /// May change; the update touches these nodes.
    Free(Touch),
    /// Never changes.
    Fixed(Code),
    /// Changes through an upgrade only.
    Upgrade,
    /// Judged entry by entry: node lists, pools, Service ranges.
    Special(&'static str),
}

/// Who notices a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Touch {
    /// Only the operator's own tool.
    Nobody,
    /// Objects in the Kubernetes API.
    Api,
    /// Nodes with the control-plane load balancer.
    LoadBalancers,
    /// Control-plane nodes.
    ControlPlane,
    /// The nodes of the pool that the value belongs to.
    Pool,
    /// Every node.
    AllNodes,
}

impl Field {
    pub(crate) const fn new(name: &'static str, shape: Shape, about: &'static str) -> Self {
        Self {
            name,
            shape,
            required: false,
            default: "",
            rule: Rule::Free(Touch::Nobody),
            code: None,
            extension: false,
            about,
        }
    }

    /// A key of the original product that is not used here.
    pub(crate) const fn unused(name: &'static str, about: &'static str) -> Self {
        Self::new(name, Shape::Unused, about)
    }

    pub(crate) const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    pub(crate) const fn default(mut self, text: &'static str) -> Self {
        self.default = text;
        self
    }

    pub(crate) const fn rule(mut self, rule: Rule) -> Self {
        self.rule = rule;
        self
    }

    pub(crate) const fn fixed(self, code: Code) -> Self {
        self.rule(Rule::Fixed(code))
    }

    pub(crate) const fn touches(self, touch: Touch) -> Self {
        self.rule(Rule::Free(touch))
    }

    pub(crate) const fn code(mut self, code: Code) -> Self {
        self.code = Some(code);
        self
    }

    pub(crate) const fn extension(mut self) -> Self {
        self.extension = true;
        self
    }
}

/// A word list as a shape.
pub(crate) const fn word(words: &'static [&'static str]) -> Shape {
    Shape::Word(words)
}

/// A number as a shape.
pub(crate) const fn int(min: i64, max: i64) -> Shape {
    Shape::Int { min, max }
}

/// A list that may be empty.
pub(crate) const fn list(item: &'static Shape) -> Shape {
    Shape::List { item, min: 0 }
}

/// A list with at least one item.
pub(crate) const fn some(item: &'static Shape) -> Shape {
    Shape::List { item, min: 1 }
}

/// Where a key that was found in a wrong place belongs.
pub(crate) fn elsewhere(name: &str) -> Option<String> {
    DOCUMENTS
        .iter()
        .find_map(|document| find(document.fields, name, &mut Vec::new()))
        .or_else(|| {
            find(HEADER.fields, name, &mut Vec::new())
                .map(|_| "the header: a line `---` ends it".to_owned())
        })
}

fn find(fields: &'static [Field], name: &str, path: &mut Vec<&'static str>) -> Option<String> {
    // Short, common names would be found anywhere.
    const COMMON: [&str; 6] = ["name", "key", "value", "kind", "apiVersion", "mode"];
    if COMMON.contains(&name) {
        return None;
    }
    if fields.iter().any(|field| field.name == name) {
        return Some(if path.is_empty() {
            "the top of a document".to_owned()
        } else {
            format!("`{}`", path.join("."))
        });
    }
    fields.iter().find_map(|field| {
        let inner = match field.shape {
            Shape::Map(inner) => inner,
            Shape::List {
                item: Shape::Map(inner),
                ..
            } => inner,
            _ => return None,
        };
        path.push(field.name);
        let found = find(inner, name, path);
        path.pop();
        found
    })
}
