//! A small tree of YAML values and its notation.

use std::fmt::Write as _;

use crate::yaml::{Plain, plain};

/// A value to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    /// Not written at all.
    Absent,
    /// Text, quoted where needed.
    Text(String),
    /// A number or truth value.
    Bare(String),
    /// A list.
    List(Vec<Self>),
    /// A mapping.
    Map(Vec<(String, Self)>),
}

pub(super) fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

pub(super) fn number(number: u32) -> Value {
    Value::Bare(number.to_string())
}

pub(super) fn flag(flag: bool) -> Value {
    Value::Bare(flag.to_string())
}

/// Absent when there are no items.
pub(super) fn list(items: impl Iterator<Item = Value>) -> Value {
    Value::List(items.collect()).absent_if_empty()
}

/// Absent when there are no texts.
pub(super) fn texts(items: &[String]) -> Value {
    list(items.iter().map(|item| text(item)))
}

/// Absent when all values are.
pub(super) fn map<const N: usize>(entries: [(&str, Value); N]) -> Value {
    Value::Map(
        entries
            .into_iter()
            .filter(|(_, value)| *value != Value::Absent)
            .map(|(key, value)| (key.to_owned(), value))
            .collect(),
    )
    .absent_if_empty()
}

impl Value {
    pub(super) fn absent_if_empty(self) -> Self {
        if self.is_empty() { Self::Absent } else { self }
    }

    pub(super) fn even_if_empty(self) -> Self {
        match self {
            Self::Absent => Self::Map(Vec::new()),
            other => other,
        }
    }

    /// Whether there is nothing to write.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Absent => true,
            Self::List(items) => items.is_empty(),
            Self::Map(entries) => entries.is_empty(),
            Self::Text(_) | Self::Bare(_) => false,
        }
    }

    /// The value with this key.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Map(entries) => entries
                .iter()
                .find(|(name, _)| name == key)
                .map(|(_, value)| value),
            _ => None,
        }
    }

    /// The items of a list; empty for anything else.
    pub(crate) fn items(&self) -> &[Self] {
        match self {
            Self::List(items) => items,
            _ => &[],
        }
    }

    /// On one line, for people.
    pub(crate) fn inline(&self) -> String {
        match self {
            Self::Absent => String::new(),
            Self::Text(text) | Self::Bare(text) => text.clone(),
            Self::List(items) => {
                let items: Vec<String> = items.iter().map(Self::inline).collect();
                items.join(", ")
            }
            Self::Map(entries) => {
                let entries: Vec<String> = entries
                    .iter()
                    .map(|(key, value)| format!("{key}: {}", value.inline()))
                    .collect();
                format!("{{{}}}", entries.join(", "))
            }
        }
    }

    /// As a YAML document.
    pub(crate) fn to_yaml(&self) -> String {
        let mut out = String::new();
        self.write(&mut out, 0, false);
        out
    }

    /// `inside`: the first line follows a `- `.
    fn write(&self, out: &mut String, indent: usize, inside: bool) {
        match self {
            Self::Map(entries) => {
                for (index, (key, value)) in entries.iter().enumerate() {
                    if index > 0 || !inside {
                        let _ = write!(out, "{:indent$}", "");
                    }
                    let _ = write!(out, "{}:", scalar(key));
                    match value {
                        Self::List(items) if !items.is_empty() => {
                            out.push('\n');
                            value.write(out, indent, false);
                        }
                        Self::Map(entries) if !entries.is_empty() => {
                            out.push('\n');
                            value.write(out, indent + 2, false);
                        }
                        other => {
                            out.push(' ');
                            other.write(out, indent, true);
                        }
                    }
                }
                if entries.is_empty() {
                    out.push_str("{}\n");
                }
            }
            Self::List(items) => {
                for item in items {
                    let _ = write!(out, "{:indent$}- ", "");
                    item.write(out, indent + 2, true);
                }
            }
            Self::Text(text) => {
                let _ = writeln!(out, "{}", scalar(text));
            }
            Self::Bare(text) => {
                let _ = writeln!(out, "{text}");
            }
            Self::Absent => out.push_str("null\n"),
        }
    }
}

/// Text without quotes where no reader can take it for anything else.
fn scalar(text: &str) -> String {
    let harmless = |b: u8| b.is_ascii_alphanumeric() || b"./_-".contains(&b);
    let first = |b: u8| b.is_ascii_alphanumeric() || b == b'/';
    let safe = text.bytes().next().is_some_and(first)
        && text.bytes().all(harmless)
        && !matches!(text.to_ascii_lowercase().as_str(), "null")
        && plain(text) == Plain::Text;
    if safe {
        return text.to_owned();
    }
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                quoted.push('\\');
                quoted.push(c);
            }
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}') => {
                let _ = write!(quoted, "\\U{:08X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
