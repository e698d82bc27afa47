//! What a check has to say: code, place, words, advice.

use crate::code::Code;

/// How much a diagnostic weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The file is not used.
    Error,
    /// The file is used; something in it is likely a mistake.
    Warning,
    /// The file is used; worth knowing.
    Notice,
}

impl Severity {
    /// `error`, `warning`, `notice`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Notice => "notice",
        }
    }
}

/// A place in a file, with enough of the line to show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file, as the user named it.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Characters to underline, at least 1.
    pub width: usize,
    /// The line, cut to a readable length, without control characters.
    pub excerpt: String,
    /// Characters of `excerpt` before the place.
    pub excerpt_offset: usize,
}

/// A second place that belongs to a diagnostic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Related {
    /// Where.
    pub place: Place,
    /// What stands there: `also here`.
    pub message: String,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Stable code.
    pub code: Code,
    /// Weight.
    pub severity: Severity,
    /// Where.
    pub place: Place,
    /// What is wrong, in one sentence without period.
    pub message: String,
    /// How to put it right.
    pub hint: Option<String>,
    /// Other places that take part.
    pub related: Vec<Related>,
}
