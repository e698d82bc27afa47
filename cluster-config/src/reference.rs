//! `docs/config.md` from the table of keys and the list of codes.

use std::fmt::Write as _;

use crate::code::Code;
use crate::field::{DOCUMENTS, Document, Field, Format, HEADER, Rule, Shape, Touch};

/// The reference of the cluster file as Markdown: `docs/config.md`.
pub fn reference_markdown() -> String {
    let mut out = String::from(INTRODUCTION);
    for document in std::iter::once(&HEADER).chain(DOCUMENTS) {
        section(document, &mut out);
    }
    out.push_str(DIAGNOSTICS);
    for code in Code::ALL {
        let _ = writeln!(out, "| `{code}` | {} |", code.title());
    }
    out
}

const INTRODUCTION: &str = "\
<!-- Generated from the table of keys in cluster-config/src/field by `cargo xtask schema`; edit there. -->

# The cluster file

One file describes a cluster. It is the file of Google Distributed Cloud for bare metal, read as it is; what that
format has no key for is in extension keys, marked **ext**, each with a default.

The file holds several YAML documents, separated by `---`: the header, a Namespace, one Cluster, any number of
NodePools. `lbctl create config -c NAME` writes a file to begin with, `lbctl check config -f FILE` shows every mistake
at once, and `schema/cluster.schema.json` teaches editors the keys.

Reading is strict: an unknown key is an error. Keys of the original product that have no meaning here are accepted with a
notice. Of YAML the plain part is used: no anchors, no tags, no `yes` and `no` for truth values, no octal numbers.

*Change* says what may happen to a value on a live cluster: `no`, or `yes` with what an update touches. `lbctl diff`
explains each case.
";

const DIAGNOSTICS: &str = "
## Diagnostics

Codes are stable. Whether a finding is an error, a warning or a notice is printed with it.

| code | rule |
| --- | --- |
";

fn section(document: &Document, out: &mut String) {
    let title = match document.kind {
        "header" => "Header",
        kind => kind,
    };
    let _ = write!(
        out,
        "\n## {title}\n\n{}\n\n| key | value | default | change | |\n| --- | --- | --- | --- | --- |\n",
        document.about
    );
    let mut unused = Vec::new();
    rows(document.fields, "", out, &mut unused);
    unused.sort_unstable();
    unused.dedup();
    if !unused.is_empty() {
        let names: Vec<String> = unused.iter().map(|name| format!("`{name}`")).collect();
        let _ = writeln!(out, "\nAccepted and not used: {}.", names.join(", "));
    }
}

fn rows(fields: &[Field], path: &str, out: &mut String, unused: &mut Vec<String>) {
    for field in fields {
        let key = if path.is_empty() {
            field.name.to_owned()
        } else {
            format!("{path}.{}", field.name)
        };
        if matches!(field.shape, Shape::Unused) {
            unused.push(key);
            continue;
        }
        let inner = inner(&field.shape);
        let list = if matches!(field.shape, Shape::List { .. }) {
            "[]"
        } else {
            ""
        };
        if field.about.is_empty() {
            let Shape::Word([only]) = field.shape else {
                continue;
            };
            let _ = writeln!(out, "| `{key}` | `{only}` | required | | |");
            continue;
        }
        let default = match (field.required, field.default) {
            (true, _) => "required".to_owned(),
            (false, "") => "–".to_owned(),
            (false, default) if default.contains(' ') || default.contains('`') => {
                default.to_owned()
            }
            (false, default) => format!("`{default}`"),
        };
        let change = if inner.is_some() && !matches!(field.rule, Rule::Special(_)) {
            String::new()
        } else {
            change(field.rule)
        };
        let mark = if field.extension { "**ext** " } else { "" };
        let _ = writeln!(
            out,
            "| `{key}{list}` | {} | {default} | {change} | {mark}{} |",
            describe(&field.shape),
            field.about
        );
        if let Some(inner) = inner {
            rows(inner, &format!("{key}{list}"), out, unused);
        }
    }
}

fn inner(shape: &Shape) -> Option<&'static [Field]> {
    match shape {
        Shape::Map(fields) => Some(fields),
        Shape::List {
            item: Shape::Map(fields),
            ..
        } => Some(fields),
        _ => None,
    }
}

fn describe(shape: &Shape) -> String {
    match shape {
        Shape::Text(Format::Text | Format::Anything) => "text".to_owned(),
        Shape::Text(format) => format.expected().to_owned(),
        Shape::Bool => "`true`, `false`".to_owned(),
        Shape::Int { min, max } | Shape::IntOrText { min, max } => format!("{min} … {max}"),
        Shape::Word(words) => {
            let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
            words.join(", ")
        }
        Shape::Map(_) => "mapping".to_owned(),
        Shape::Dictionary { .. } => "keys and values".to_owned(),
        Shape::List { item, .. } => match item {
            Shape::Map(_) => "list".to_owned(),
            item => format!("list of {}", describe(item)),
        },
        Shape::ListOrCommas(_) => "list, or text with commas".to_owned(),
        Shape::Unused => String::new(),
    }
}

fn change(rule: Rule) -> String {
    match rule {
        Rule::Free(Touch::Nobody) => "yes".to_owned(),
        Rule::Free(Touch::Api) => "yes: objects in the API".to_owned(),
        Rule::Free(Touch::LoadBalancers) => {
            "yes: control-plane load balancers, one by one".to_owned()
        }
        Rule::Free(Touch::ControlPlane) => "yes: control-plane nodes".to_owned(),
        Rule::Free(Touch::Pool) => "yes: the pool's nodes".to_owned(),
        Rule::Free(Touch::AllNodes) => "yes: every node".to_owned(),
        Rule::Fixed(code) => format!("no ({code})"),
        Rule::Upgrade => "by upgrade".to_owned(),
        Rule::Special(why) => why.to_owned(),
    }
}
