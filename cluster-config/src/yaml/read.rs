//! Text to tree, with budgets: no input costs more than a bounded amount of time, memory or stack.

use std::collections::BTreeMap;

use granit_parser::{Event, Parser, ScalarStyle};

use super::invisible::{named, without};
use super::{Entry, Kind, Node, Span, is_invisible, syntax};
use crate::code::Code;
use crate::report::Report;

/// Largest file read, in bytes. A cluster of ten thousand nodes needs less.
pub const MAX_BYTES: usize = 4 << 20;
pub(super) const MAX_DEPTH: usize = 48;
const MAX_NODES: usize = 400_000;

/// The documents of a file; empty ones are left out. What YAML allows but the cluster file does not is reported.
///
/// The second value is false when the text broke off at a syntax error: what follows is unknown.
pub(crate) fn read(text: &str, report: &mut Report<'_>) -> (Vec<Node>, bool) {
    if text.len() > MAX_BYTES {
        too_large(report);
        return (Vec::new(), false);
    }
    let mut options = granit_parser::options! {
        flow_nesting_limit: MAX_DEPTH,
        block_nesting_limit: MAX_DEPTH,
        disallow_directives: true,
        // Both are refused here, each at its place.
        emit_anchor_events: true,
        emit_unresolved_aliases: true,
    };
    options.set_emit_comments(false);
    let mut builder = Builder {
        text,
        report,
        open: Vec::new(),
        documents: Vec::new(),
        nodes: 0,
    };
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = match event {
            Ok(next) => next,
            Err(error) => {
                syntax::explain(text, &error, builder.report);
                return (builder.documents, false);
            }
        };
        if let Some(tag) = span.tag_span().and_then(|tag| tag.byte_range()) {
            builder.tag(Span::new(tag.start, tag.end));
        }
        let span = span
            .byte_range()
            .map_or_else(Span::default, |range| Span::new(range.start, range.end));
        if !builder.event(event, span) {
            return (builder.documents, false);
        }
    }
    (builder.documents, true)
}

/// The complaint about a file above [`MAX_BYTES`].
pub(crate) fn too_large(report: &mut Report<'_>) {
    report
        .error(
            Code::Y07,
            Span::new(0, 0),
            format!("the file is larger than {} MiB", MAX_BYTES >> 20),
        )
        .hint("a cluster file is far smaller: is this the right file?");
}

/// Collections that are still open, innermost last.
enum Open {
    List {
        span: Span,
        items: Vec<Node>,
    },
    Map {
        span: Span,
        entries: Vec<Entry>,
        seen: BTreeMap<String, Span>,
        /// A key that waits for its value; `None` in the pair: a key that was refused.
        key: Option<(Option<String>, Span)>,
    },
}

struct Builder<'t, 'r, 's> {
    text: &'t str,
    report: &'r mut Report<'s>,
    open: Vec<Open>,
    documents: Vec<Node>,
    nodes: usize,
}

impl Builder<'_, '_, '_> {
    /// Takes one event; false: the budget is spent.
    fn event(&mut self, event: Event<'_>, span: Span) -> bool {
        let kind = match event {
            Event::Scalar(text, style, anchor, tag) => {
                if tag.is_some() || anchor != 0 {
                    Kind::Refused
                } else {
                    let plain = style == ScalarStyle::Plain;
                    match text.as_ref() {
                        "" | "~" | "null" | "Null" | "NULL" if plain => Kind::Null,
                        _ => Kind::Scalar {
                            text: text.into_owned(),
                            plain,
                        },
                    }
                }
            }
            Event::Alias(_) | Event::UnresolvedAlias(_) => {
                self.reference(span);
                Kind::Refused
            }
            Event::Anchor(..) => {
                self.reference(span);
                return true;
            }
            Event::SequenceStart(..) => {
                self.open.push(Open::List {
                    span,
                    items: Vec::new(),
                });
                return true;
            }
            Event::MappingStart(..) => {
                self.open.push(Open::Map {
                    span,
                    entries: Vec::new(),
                    seen: BTreeMap::new(),
                    key: None,
                });
                return true;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(closed) = self.open.pop() else {
                    return true;
                };
                let (start, kind) = match closed {
                    Open::List { span, items } => (span, Kind::List(items)),
                    Open::Map { span, entries, .. } => (span, Kind::Map(entries)),
                };
                self.value(Node {
                    span: self.collection_span(&kind, start, span),
                    kind,
                });
                return self.within_budget(span);
            }
            _ => return true,
        };
        self.value(Node { span, kind });
        self.within_budget(span)
    }

    fn within_budget(&mut self, span: Span) -> bool {
        self.nodes += 1;
        if self.nodes <= MAX_NODES {
            return true;
        }
        self.report
            .error(
                Code::Y07,
                span,
                format!("the file holds more than {MAX_NODES} values"),
            )
            .hint("a cluster file is far smaller: is this the right file?");
        false
    }

    /// A collection is shown by what it begins with: all of it would be too much to underline.
    fn collection_span(&self, kind: &Kind, start: Span, end: Span) -> Span {
        match kind {
            Kind::Map(entries) if !entries.is_empty() => entries[0].key_span,
            Kind::List(items) if !items.is_empty() => items[0].span,
            _ => Span::new(start.start, end.end.max(start.end)),
        }
    }

    fn value(&mut self, node: Node) {
        let node = self.visible(node);
        match self.open.last_mut() {
            None => {
                if node.kind != Kind::Null {
                    self.documents.push(node);
                }
            }
            Some(Open::List { items, .. }) => items.push(node),
            Some(Open::Map {
                entries, seen, key, ..
            }) => match key.take() {
                None => {
                    let span = node.span;
                    let name = match node.kind {
                        Kind::Scalar { text, .. } => Some(text),
                        // A key such as `null:` is a key like others here.
                        Kind::Null => self.text.get(span.start..span.end).map(str::to_owned),
                        Kind::Refused => None,
                        Kind::List(_) | Kind::Map(_) => {
                            self.report
                                .error(Code::Y09, span, "a list or mapping cannot be a key")
                                .hint("quote the text if it is meant as a key, or check for a stray `?`, `[` or `{`");
                            None
                        }
                    };
                    let name = match name {
                        Some(name) if name == "<<" => {
                            self.report
                                .error(Code::Y05, span, "merge keys (`<<`) are not supported")
                                .hint("write the merged keys out");
                            None
                        }
                        other => other,
                    };
                    *key = Some((name, span));
                }
                Some((None, _)) => {}
                Some((Some(name), key_span)) => {
                    if let Some(first) = seen.get(&name) {
                        self.report
                            .error(Code::Y01, key_span, format!("`{name}` is written twice"))
                            .also(*first, "also here")
                            .hint("keep one of the two; which one counts differs between programs");
                        return;
                    }
                    seen.insert(name.clone(), key_span);
                    entries.push(Entry {
                        key: name,
                        key_span,
                        value: node,
                    });
                }
            },
        }
    }

    /// Refuses what stands without quotes and does not look like what it is. A key keeps its readable part, so
    /// that it is not missing as well.
    fn visible(&mut self, node: Node) -> Node {
        let Kind::Scalar { text, plain: true } = &node.kind else {
            return node;
        };
        let Some(hidden) = text.chars().find(|c| is_invisible(*c)) else {
            return node;
        };
        let source = self.text.get(node.span.start..node.span.end);
        let span = source
            .and_then(|source| source.find(hidden))
            .map_or(node.span, |at| {
                let start = node.span.start + at;
                Span::new(start, start + hidden.len_utf8())
            });
        self.report
            .error(Code::Y10, span, named(hidden))
            .hint("replace it by a space, or remove it; in quotes it would be part of the text");
        let is_key = matches!(self.open.last(), Some(Open::Map { key: None, .. }));
        Node {
            span: node.span,
            kind: if is_key {
                Kind::Scalar {
                    text: without(text),
                    plain: true,
                }
            } else {
                Kind::Refused
            },
        }
    }

    fn tag(&mut self, span: Span) {
        self.report
            .error(Code::Y08, span, "tags (`!…`) are not supported")
            .hint("remove the tag; quote the value if it must stay text");
    }

    fn reference(&mut self, span: Span) {
        self.report
            .error(
                Code::Y05,
                span,
                "anchors and aliases (`&name`, `*name`) are not supported",
            )
            .hint("write the value out, or quote it if `&` or `*` belongs to it");
    }
}
