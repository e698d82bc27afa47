//! Refused changes as findings: a caret in the new file, a second one in the old file.

use super::{Change, Verdict};
use crate::diagnostic::{Diagnostic, Place, Related, Severity};
use crate::report::{Report, Source, message};
use crate::yaml::{self, Kind, Node, Span};

/// A cluster file's text, with its name in messages.
#[derive(Debug, Clone, Copy)]
pub struct File<'t> {
    /// Name in messages.
    pub name: &'t str,
    /// What stands in it.
    pub text: &'t str,
}

/// Keys that tell the items of a list apart.
pub(super) const IDENTITIES: [&str; 5] = ["name", "address", "ip", "endpoint", "host"];

/// One finding for each refused change, in the order of the changes.
pub fn refusals(changes: &[Change], old: File<'_>, new: File<'_>) -> Vec<Diagnostic> {
    let (old, new) = (Tree::read(old), Tree::read(new));
    changes
        .iter()
        .filter_map(|change| {
            let Verdict::Refused { code, why, hint } = &change.verdict else {
                return None;
            };
            let in_new = change.in_new.as_deref().unwrap_or(&change.path);
            let in_old = change.in_old.as_deref().unwrap_or(&change.path);
            Some(Diagnostic {
                code: *code,
                severity: Severity::Error,
                place: new.place(new.find(in_new)),
                message: message(why.clone()),
                hint: Some(message(hint.clone())),
                related: old
                    .find(in_old)
                    .map(|before| Related {
                        message: if before.complete {
                            "in the old file".to_owned()
                        } else {
                            "not here in the old file".to_owned()
                        },
                        place: old.place(Some(before)),
                    })
                    .into_iter()
                    .collect(),
            })
        })
        .collect()
}

/// A file with the places of its keys and values.
struct Tree<'t> {
    source: Source<'t>,
    documents: Vec<Node>,
}

/// Where a path ends, or where it leaves the file.
struct Found {
    span: Span,
    complete: bool,
}

impl<'t> Tree<'t> {
    fn read(file: File<'t>) -> Self {
        let text = file.text.strip_prefix('\u{feff}').unwrap_or(file.text);
        let source = Source::new(file.name, text);
        // The file was checked before; nothing new can be found.
        let (documents, _) = yaml::read(text, &mut Report::new(&source));
        Self { source, documents }
    }

    /// The beginning of the file when there is nothing better.
    fn place(&self, found: Option<Found>) -> Place {
        self.source
            .place(found.map(|found| found.span).unwrap_or_default())
    }

    /// The place of a change's path, such as `nodePool[one].spec.nodes[10.0.0.1].k8sIP`.
    fn find(&self, path: &str) -> Option<Found> {
        let mut steps = steps(path);
        let is =
            |document: &&Node, kind: &str| document.get("kind").and_then(Node::text) == Some(kind);
        let document = match *steps.first()? {
            ("header", _) => self
                .documents
                .first()
                .filter(|first| first.get("kind").is_none()),
            ("nodePool", Some(name)) => self.documents.iter().find(|document| {
                let own = document.at(&["metadata", "name"]).and_then(Node::text);
                is(document, "NodePool") && own == Some(name)
            }),
            _ => {
                steps.insert(0, ("", None));
                self.documents
                    .iter()
                    .find(|document| is(document, "Cluster"))
            }
        }?;
        Some(walk(document, &steps[1..]))
    }
}

fn walk(document: &Node, steps: &[(&str, Option<&str>)]) -> Found {
    let (mut node, mut span) = (document, document.span);
    let missing = |span| Found {
        span,
        complete: false,
    };
    for (key, item) in steps {
        let Some(entry) = node
            .entry(key)
            .filter(|entry| entry.value.kind != Kind::Null)
        else {
            return missing(span);
        };
        (node, span) = (&entry.value, entry.key_span);
        let Some(item) = item else { continue };
        let named = node.items().iter().find_map(|candidate| {
            let mut names = IDENTITIES.iter().filter_map(|name| candidate.get(name));
            let name = names.find(|name| name.text() == Some(item))?;
            Some((candidate, name.span))
        });
        match named {
            Some(named) => (node, span) = named,
            None => return missing(span),
        }
    }
    let span = match (&node.kind, node.items()) {
        (Kind::Scalar { .. }, _) => node.span,
        (_, [only]) if only.text().is_some() => only.span,
        _ => span,
    };
    Found {
        span,
        complete: true,
    }
}

/// `a.b[c.d].e` as `a`, `b` with `c.d`, `e`.
fn steps(path: &str) -> Vec<(&str, Option<&str>)> {
    let mut steps = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        let end = rest.find(['.', '[']).unwrap_or(rest.len());
        let (key, after) = rest.split_at(end);
        let (item, after) = match after
            .strip_prefix('[')
            .and_then(|after| after.split_once(']'))
        {
            Some((item, after)) => (Some(item), after),
            None => (None, after),
        };
        steps.push((key, item));
        rest = after.strip_prefix('.').unwrap_or(after);
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_falls_into_steps() {
        assert_eq!(
            steps("nodePool[one].spec.nodes[10.0.0.1].k8sIP"),
            [
                ("nodePool", Some("one")),
                ("spec", None),
                ("nodes", Some("10.0.0.1")),
                ("k8sIP", None),
            ]
        );
        assert_eq!(steps("metadata.name"), [("metadata", None), ("name", None)]);
        assert_eq!(steps(""), []);
    }

    #[test]
    fn a_path_that_leaves_the_file_ends_at_the_last_key() {
        let text = "kind: Cluster\nspec:\n  vips:\n    controlPlaneVIP: 10.0.0.1\n  ports: ~\n";
        let tree = Tree::read(File { name: "x", text });
        let at = |path: &str| {
            let found = tree.find(path).expect("the Cluster");
            let place = tree.source.place(found.span);
            (place.line, place.column, found.complete)
        };
        assert_eq!(at("spec.vips.controlPlaneVIP"), (4, 22, true));
        assert_eq!(at("spec.vips"), (3, 3, true));
        assert_eq!(at("spec.vips.ingressVIP"), (3, 3, false));
        assert_eq!(at("spec.ports"), (2, 1, false));
        assert!(tree.find("header.registryMirrors").is_none());
        assert!(tree.find("nodePool[x].spec").is_none());
    }
}
