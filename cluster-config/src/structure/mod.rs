//! Keys and values against the table: unknown keys, wrong kinds, formats, ranges. What passes here can be read
//! without further questions; whether values fit each other is judged in [`crate::check`].

mod scalar;

use crate::code::Code;
use crate::field::{Field, Shape};
use crate::report::Report;
use crate::suggest::nearest;
use crate::yaml::{Entry, Kind, Node, Span};
use scalar::{check_bool, check_int, check_text, check_word};

/// Checks a mapping against its keys. `place` is what the mapping is called in messages, `span` what is shown
/// when a key is missing.
pub(crate) fn check_map(
    node: &Node,
    span: Span,
    fields: &'static [Field],
    place: &str,
    report: &mut Report<'_>,
) {
    match &node.kind {
        Kind::Map(_) => {}
        Kind::Refused | Kind::Null => return,
        _ => {
            report
                .error(
                    Code::F02,
                    node.span,
                    format!("{place} is {}, not a mapping", node.describe()),
                )
                .hint(mapping_hint(node, fields));
            return;
        }
    }
    let mut mistyped = Vec::new();
    for entry in node.entries() {
        match fields.iter().find(|field| field.name == entry.key) {
            Some(field) => check_entry(entry, field, report),
            None => mistyped.extend(unknown(entry, fields, place, report)),
        }
    }
    for field in fields.iter().filter(|field| field.required) {
        let empty = match node.entry(field.name) {
            None if mistyped.contains(&field.name) => continue,
            None => None,
            Some(entry) if entry.value.kind == Kind::Null => Some(entry.key_span),
            Some(_) => continue,
        };
        let code = match field.code {
            Some(Code::V04) => Code::V04,
            _ => Code::F01,
        };
        let (span, message) = match empty {
            Some(span) => (span, format!("`{}` has no value", field.name)),
            None => (span, format!("{place} needs `{}`", field.name)),
        };
        report.error(code, span, message).hint(format!(
            "write `{}: …`: {}",
            field.name,
            advice(field)
        ));
    }
}

/// The table's words on a key, or what its value looks like.
fn advice(field: &Field) -> String {
    match field.shape {
        Shape::Word(words) => one_of(words),
        _ if field.about.is_empty() => "see the reference".to_owned(),
        _ => {
            let about = field.about.trim_end_matches('.');
            let mut chars = about.chars();
            match chars.next() {
                // Acronyms keep their capitals.
                Some(first) if !about.chars().nth(1).is_some_and(char::is_uppercase) => {
                    first.to_lowercase().chain(chars).collect()
                }
                _ => about.to_owned(),
            }
        }
    }
}

fn one_of(words: &[&str]) -> String {
    match words {
        [only] => format!("`{only}`"),
        [rest @ .., last] => {
            let rest: Vec<String> = rest.iter().map(|word| format!("`{word}`")).collect();
            format!("{} or `{last}`", rest.join(", "))
        }
        [] => String::new(),
    }
}

/// Complains about a key; the key that it was probably meant to be.
fn unknown(
    entry: &Entry,
    fields: &[Field],
    place: &str,
    report: &mut Report<'_>,
) -> Option<&'static str> {
    // Looking for a similar word costs time that nobody reads the fruit of.
    let search = !report.is_full();
    let found = report.error(
        Code::V01,
        entry.key_span,
        format!("unknown key `{}` in {place}", entry.key),
    );
    if !search {
        return None;
    }
    if let Some(near) = nearest(&entry.key, fields.iter().map(|field| field.name)) {
        found.hint(format!("did you mean `{near}`?"));
        return Some(near);
    }
    if let Some(path) = crate::field::elsewhere(&entry.key) {
        found.hint(format!("`{}` belongs to {path}", entry.key));
        return None;
    }
    found.hint(format!("known here: {}", known(fields)));
    None
}

fn known(fields: &[Field]) -> String {
    let names: Vec<String> = fields
        .iter()
        .filter(|field| !matches!(field.shape, Shape::Unused))
        .map(|field| format!("`{}`", field.name))
        .collect();
    names.join(", ")
}

fn check_entry(entry: &Entry, field: &'static Field, report: &mut Report<'_>) {
    let node = &entry.value;
    if matches!(field.shape, Shape::Unused) {
        // Rule V24 speaks about this one.
        if entry.key != "upgradeStrategy" && node.kind != Kind::Null {
            report.notice(
                Code::F06,
                entry.key_span,
                format!("`{}` is not used here", entry.key),
            );
        }
        return;
    }
    check_value(node, entry.key_span, field, &field.shape, report);
}

fn check_value(
    node: &Node,
    span: Span,
    field: &'static Field,
    shape: &'static Shape,
    report: &mut Report<'_>,
) {
    if matches!(node.kind, Kind::Refused | Kind::Null) {
        if node.kind == Kind::Null && !std::ptr::eq(shape, &field.shape) {
            report
                .error(
                    Code::F02,
                    node.span,
                    format!("an entry of `{}` is empty", field.name),
                )
                .hint("write a value behind the `-`, or remove the line");
        }
        return;
    }
    let mut wrong_kind = |wanted: &str| {
        report
            .error(
                field.code.unwrap_or(Code::F02),
                node.span,
                format!("`{}` is {}, not {wanted}", field.name, node.describe()),
            )
            .hint(kind_hint(node, shape));
    };
    match shape {
        Shape::Unused => {}
        Shape::Map(fields) => {
            let place = if std::ptr::eq(shape, &field.shape) {
                format!("`{}`", field.name)
            } else {
                format!("an entry of `{}`", field.name)
            };
            check_map(node, span, fields, &place, report);
        }
        Shape::List { item, min } => {
            let Kind::List(items) = &node.kind else {
                return wrong_kind("a list");
            };
            if items.len() < *min {
                report
                    .error(Code::F01, node.span, format!("`{}` is empty", field.name))
                    .hint("list at least one entry");
            }
            for node in items {
                check_value(node, node.span, field, item, report);
            }
        }
        Shape::ListOrCommas(format) => match &node.kind {
            Kind::List(items) => {
                for item in items {
                    match item.text() {
                        Some(text) => check_text(item, text, *format, field, report),
                        None => {
                            report
                                .error(
                                    Code::F02,
                                    item.span,
                                    format!(
                                        "an entry of `{}` is {}, not text",
                                        field.name,
                                        item.describe()
                                    ),
                                )
                                .hint("write one text per line");
                        }
                    }
                }
            }
            Kind::Scalar { .. } => {}
            _ => wrong_kind("a list or text with commas"),
        },
        Shape::Dictionary { key, value } => {
            let Kind::Map(entries) = &node.kind else {
                return wrong_kind("a mapping");
            };
            for entry in entries {
                if let Err(complaint) = key.check(&entry.key) {
                    report
                        .error(Code::F05, entry.key_span, complaint.message)
                        .hint(complaint.hint);
                }
                match &entry.value.kind {
                    Kind::Scalar { text, .. } => {
                        check_text(&entry.value, text, *value, field, report);
                    }
                    Kind::Null | Kind::Refused => {}
                    _ => {
                        report
                            .error(
                                Code::F02,
                                entry.value.span,
                                format!("`{}` is {}, not text", entry.key, entry.value.describe()),
                            )
                            .hint("write one text per key");
                    }
                }
            }
        }
        Shape::Text(format) => match &node.kind {
            Kind::Scalar { text, .. } => check_text(node, text, *format, field, report),
            _ => wrong_kind("text"),
        },
        Shape::Word(words) => match &node.kind {
            Kind::Scalar { text, .. } => check_word(node, text, words, field, report),
            _ => wrong_kind("text"),
        },
        Shape::Bool => check_bool(node, field, report),
        Shape::Int { min, max } => check_int(node, field, (*min, *max), false, report),
        Shape::IntOrText { min, max } => check_int(node, field, (*min, *max), true, report),
    }
}

/// How to write a mapping where something else stands.
fn mapping_hint(node: &Node, fields: &[Field]) -> String {
    let alone = fields.iter().find(|field| field.required);
    match (node.text(), alone.map(|field| (field.name, field.shape))) {
        (Some(text), Some((name, Shape::Text(format)))) if format.check(text).is_ok() => {
            format!("write `{name}: {text}`")
        }
        _ => format!(
            "write `key: value` lines, indented below; known here: {}",
            known(fields)
        ),
    }
}

fn kind_hint(node: &Node, shape: &Shape) -> String {
    match (shape, &node.kind) {
        (Shape::List { .. }, Kind::Scalar { text, .. }) => {
            format!("write it as a list: a line `- {text}` below the key")
        }
        (Shape::List { .. }, _) => "begin each entry with `- `".to_owned(),
        (Shape::Dictionary { .. }, _) => "write `key: value` lines, indented below".to_owned(),
        _ => "write one value behind the key".to_owned(),
    }
}
