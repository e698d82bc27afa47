//! A node file from text, strictly: unknown keys, wrong kinds and values out of range are errors with a place.

use std::fmt;

use serde::de::DeserializeOwned;

use super::{API_VERSION, ProxyConfig, VrrpConfig, check};
use crate::code::Code;
use crate::diagnostic::Diagnostic;
use crate::render::render_text;
use crate::report::{Report, Source};
use crate::yaml::{self, Node, Span};

/// Why a node file cannot be used: every finding, with file, line, column, excerpt and hint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeFileError {
    diagnostics: Vec<Diagnostic>,
}

impl NodeFileError {
    /// The findings, in the order of the file; at least one.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }
}

impl fmt::Display for NodeFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(render_text(&self.diagnostics, false).trim_end())
    }
}

impl std::error::Error for NodeFileError {}

impl VrrpConfig {
    /// Reads `/etc/lbnode/vrrp.yaml`; `file` is its name in messages.
    ///
    /// # Errors
    /// Anything but a complete, valid file; all findings at once where possible.
    pub fn from_yaml(text: &str, file: &str) -> Result<Self, NodeFileError> {
        read(text, file, "VrrpConfig", check::vrrp)
    }
}

impl ProxyConfig {
    /// Reads `/etc/lbnode/proxy.yaml`; `file` is its name in messages.
    ///
    /// # Errors
    /// Anything but a complete, valid file; all findings at once where possible.
    pub fn from_yaml(text: &str, file: &str) -> Result<Self, NodeFileError> {
        read(text, file, "ProxyConfig", check::proxy)
    }
}

fn read<T: DeserializeOwned>(
    text: &str,
    file: &str,
    kind: &str,
    check: fn(&T, &mut Places<'_, '_, '_>),
) -> Result<T, NodeFileError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let source = Source::new(file, text);
    let mut report = Report::new(&source);
    let value = parse(text, kind, &source, &mut report, check);
    let diagnostics = report.finish();
    match value {
        Some(value) if diagnostics.is_empty() => Ok(value),
        _ => Err(NodeFileError { diagnostics }),
    }
}

fn parse<T: DeserializeOwned>(
    text: &str,
    kind: &str,
    source: &Source<'_>,
    report: &mut Report<'_>,
    check: fn(&T, &mut Places<'_, '_, '_>),
) -> Option<T> {
    // First the tree: it refuses what YAML has in store, and knows every place.
    let (documents, complete) = yaml::read(text, report);
    if report.has_errors() || !complete {
        return None;
    }
    let [root] = documents.as_slice() else {
        let span = documents
            .get(1)
            .map_or_else(Span::default, |second| second.span);
        report
            .error(Code::F08, span, format!("the file must hold one {kind}"))
            .hint(format!(
                "begin with `apiVersion: {API_VERSION}` and `kind: {kind}`"
            ));
        return None;
    };
    for (key, wanted) in [("apiVersion", API_VERSION), ("kind", kind)] {
        let found = root.get(key);
        let text = found.and_then(Node::text);
        if text == Some(wanted) {
            continue;
        }
        let span = found.map_or(root.span, |node| node.span);
        match text.filter(|text| of_another_release(text)) {
            Some(text) => report
                .error(
                    Code::F08,
                    span,
                    format!("`{text}` is of another release: this lbnode reads `{wanted}`"),
                )
                .hint(
                    "run `lbctl update cluster` with the `lbctl` and the `lbnode` of one release",
                ),
            None => report
                .error(Code::F08, span, format!("`{key}` is not `{wanted}`"))
                .hint(format!(
                    "write `{key}: {wanted}`; `lbctl render` writes the whole file"
                )),
        };
    }
    if report.has_errors() {
        return None;
    }
    let options = serde_saphyr::options! { with_snippet: false };
    match serde_saphyr::from_str_with_options::<T>(text, options) {
        Ok(value) => {
            check(&value, &mut Places { root, report });
            Some(value)
        }
        Err(error) => {
            let span = error
                .location()
                .map_or(root.span, |at| source.span_at(at.line(), at.column()));
            let message = error.render_with_formatter(&serde_saphyr::UserMessageFormatter);
            let message = message
                .lines()
                .next()
                .unwrap_or("not understood")
                .to_owned();
            report
                .error(Code::V01, span, message)
                .hint("`lbctl render` writes the whole file; a key of a newer release needs the `lbnode` of that release");
            None
        }
    }
}

/// An `apiVersion` of ours, and not the one that this release has.
fn of_another_release(version: &str) -> bool {
    let group = API_VERSION.split_once('/').map(|(group, _)| group);
    let found = version.split_once('/').map(|(group, _)| group);
    group.is_some() && group == found && version != API_VERSION
}

/// Reports by path of keys.
pub(super) struct Places<'n, 'r, 's> {
    root: &'n Node,
    report: &'r mut Report<'s>,
}

impl Places<'_, '_, '_> {
    /// An error at the value at the end of a path; numbers are positions in lists.
    pub(super) fn error(&mut self, path: &[&str], message: impl Into<String>, hint: &str) {
        let mut node = self.root;
        for step in path {
            let next = match step.parse::<usize>() {
                Ok(index) => node.items().get(index),
                Err(_) => node.get(step),
            };
            match next {
                Some(next) => node = next,
                None => break,
            }
        }
        self.report.error(Code::F04, node.span, message).hint(hint);
    }

    /// An error unless the condition holds.
    pub(super) fn demand(&mut self, holds: bool, path: &[&str], message: &str, hint: &str) {
        if !holds {
            self.error(path, message, hint);
        }
    }
}
