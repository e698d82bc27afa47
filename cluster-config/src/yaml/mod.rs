//! A YAML file as a tree in which every key and every value knows its place.
//!
//! The tree is what the checks work on: serde would stop at the first mistake and forgets where keys stood.
//! Anything in YAML that can surprise (anchors, merge keys, tags, duplicate keys) is refused while reading, so
//! that the tree holds only what the eye sees.

mod invisible;
mod read;
mod scalar;
mod syntax;

pub(crate) use invisible::is_invisible;
pub use read::MAX_BYTES;
pub(crate) use read::{read, too_large};
pub(crate) use scalar::{Plain, plain};

/// A byte range of the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Span {
    /// First byte.
    pub(crate) start: usize,
    /// One past the last byte.
    pub(crate) end: usize,
}

impl Span {
    pub(crate) const fn new(start: usize, end: usize) -> Self {
        Self { start, end }
    }
}

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) span: Span,
    pub(crate) kind: Kind,
}

/// What a value is, before anybody asks what it should be.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    /// Nothing, `~` or `null`: as if the key were absent.
    Null,
    /// Refused while reading and reported there; nothing more is said about it.
    Refused,
    /// A scalar; `plain` when it stands without quotes.
    Scalar { text: String, plain: bool },
    /// A list.
    List(Vec<Node>),
    /// A mapping, in the order of the file.
    Map(Vec<Entry>),
}

/// One entry of a mapping.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_span: Span,
    pub(crate) value: Node,
}

impl Node {
    /// The entry with this key; none when this is no mapping.
    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    /// The value with this key, unless it is empty.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        self.entry(key)
            .map(|entry| &entry.value)
            .filter(|value| value.kind != Kind::Null)
    }

    /// The value at the end of a path of keys.
    pub(crate) fn at(&self, path: &[&str]) -> Option<&Self> {
        path.iter().try_fold(self, |node, key| node.get(key))
    }

    /// The entries of a mapping; empty for anything else.
    pub(crate) fn entries(&self) -> &[Entry] {
        match &self.kind {
            Kind::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The items of a list; empty for anything else.
    pub(crate) fn items(&self) -> &[Self] {
        match &self.kind {
            Kind::List(items) => items,
            _ => &[],
        }
    }

    /// The text of a scalar.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    /// What this is, in words.
    pub(crate) fn describe(&self) -> &'static str {
        match &self.kind {
            Kind::Null | Kind::Refused => "nothing",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a mapping",
            Kind::Scalar { plain: false, .. } => "text in quotes",
            Kind::Scalar { text, plain: true } => match plain(text) {
                Plain::Bool(_) | Plain::OldBool => "a truth value",
                Plain::Int(_) | Plain::OddNumber(_) => "a number",
                Plain::Text => "text",
            },
        }
    }
}
