//! Syntax errors in words, at the line that is to be mended: the parser often notices a mistake a line later.

use granit_parser::{ErrorKind, ScanError};

use super::invisible::named;
use super::read::MAX_DEPTH;
use super::{Span, is_invisible};
use crate::code::Code;
use crate::report::Report;

/// Reports a syntax error.
pub(super) fn explain(text: &str, error: &ScanError, report: &mut Report<'_>) {
    let at = floor(text, error.marker().byte_offset().unwrap_or(text.len()));
    let (code, message, hint) = in_words(error.kind());
    if is_about_keys(error.kind())
        && let Some(cause) = cause(text, at, error.kind())
    {
        // An invisible character may have been found in the value before.
        if !report.has(cause.code, cause.span) {
            report
                .error(cause.code, cause.span, cause.message)
                .hint(cause.hint);
        }
        return;
    }
    if code == Code::Y02
        && let Some(tab) = tab(text, at)
    {
        report
            .error(code, Span::new(tab, tab + 1), message.unwrap_or_default())
            .hint(hint);
        return;
    }
    let in_quotes = matches!(
        error.kind(),
        ErrorKind::UnclosedQuotedScalar
            | ErrorKind::InvalidQuotedScalarIndent
            | ErrorKind::DocumentIndicatorInQuotedScalar
    );
    let opening = text[..at].rfind(['"', '\'']).filter(|_| in_quotes);
    let span = word_at(
        text,
        opening.unwrap_or_else(|| at.min(text.trim_end().len())),
    );
    let message = message.unwrap_or_else(|| error.kind().to_string());
    report.error(code, span, message).hint(hint);
}

/// The mistake behind a syntax error.
struct Cause {
    code: Code,
    span: Span,
    message: String,
    hint: String,
}

/// One line with its place.
#[derive(Clone, Copy)]
struct Line<'t> {
    start: usize,
    text: &'t str,
}

impl<'t> Line<'t> {
    /// The line that holds a byte.
    fn of(text: &'t str, at: usize) -> Self {
        let start = text[..at].rfind('\n').map_or(0, |end| end + 1);
        let line = text[start..].split('\n').next().unwrap_or_default();
        Self {
            start,
            text: line.trim_end_matches('\r'),
        }
    }

    /// The line before that says something.
    fn before(self, text: &'t str) -> Option<Self> {
        let mut line = self;
        loop {
            line = Self::of(text, line.start.checked_sub(1)?);
            let content = line.text.trim_start();
            if !content.is_empty() && !content.starts_with('#') {
                return Some(line);
            }
        }
    }

    fn indentation(self) -> usize {
        self.text.len() - self.text.trim_start_matches(' ').len()
    }

    /// Without indentation and comment.
    fn content(self) -> &'t str {
        let content = self.text.trim_start_matches(' ');
        content.split(" #").next().unwrap_or_default().trim_end()
    }

    /// The place of the content, as far as one word goes.
    fn first_word(self) -> Span {
        let start = self.start + self.indentation();
        let word = self.content().split(' ').next().unwrap_or_default();
        Span::new(start, start + word.len().max(1))
    }

    fn has_key(self) -> bool {
        let content = self.content();
        !self.has_glued_dash() && (content.ends_with(':') || content.contains(": "))
    }

    fn has_glued_dash(self) -> bool {
        let entry = self.content().strip_prefix('-');
        entry.is_some_and(|entry| entry.starts_with(|c: char| c != ' ' && c != '-'))
    }
}

/// What a person would call the mistake, looking at the line of the error and the one above.
fn cause(text: &str, at: usize, kind: &ErrorKind) -> Option<Cause> {
    let here = Line::of(text, at);
    let above = here.before(text);
    for line in std::iter::once(here).chain(above) {
        let content = line.content();
        if let Some((at, c)) = content.char_indices().find(|(_, c)| is_invisible(*c)) {
            let start = line.start + line.indentation() + at;
            return Some(Cause {
                code: Code::Y10,
                span: Span::new(start, start + c.len_utf8()),
                message: named(c),
                hint: "replace it by a space, or remove it".to_owned(),
            });
        }
        if ["<<<<<<<", "=======", ">>>>>>>"]
            .iter()
            .any(|mark| content.starts_with(mark))
        {
            return Some(Cause {
                code: Code::V02,
                span: line.first_word(),
                message: "a merge left a conflict mark here".to_owned(),
                hint: "keep one of the two versions, and remove the marks".to_owned(),
            });
        }
    }
    let line = if *kind == ErrorKind::CommentInterceptedScalar {
        // The comment stands behind the text that should have been a key.
        (!here.has_key()).then_some(here)
    } else {
        above.filter(|above| {
            here.has_key() && !above.has_key() && above.indentation() == here.indentation()
        })
    }?;
    let content = line.content();
    let (message, hint) = match content.strip_prefix('-') {
        Some(entry) if line.has_glued_dash() => (
            "a list entry needs a space behind its `-`",
            format!("write `- {entry}`"),
        ),
        Some(_) => return None,
        None => match content.split_once(':') {
            Some((key, value)) if is_word(key) => (
                "a space is missing behind the `:`",
                format!("write `{key}: {value}`"),
            ),
            _ => match content.split_once(' ') {
                Some((key, value)) if is_word(key) => (
                    "a key with `:` is expected here",
                    format!("write `{key}: {}`", value.trim_start()),
                ),
                _ => (
                    "a key with `:` is expected here",
                    "check the indentation of this line, and for a missing `:`".to_owned(),
                ),
            },
        },
    };
    Some(Cause {
        code: Code::V02,
        span: line.first_word(),
        message: message.to_owned(),
        hint,
    })
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// Whether the parser missed a key, or found one where none can be.
const fn is_about_keys(kind: &ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::MappingValueNotAllowed
            | ErrorKind::InvalidIndentation
            | ErrorKind::ExpectedBlockMappingKey
            | ErrorKind::InvalidSimpleKey
            | ErrorKind::SimpleKeyExpected
            | ErrorKind::ExpectedBlockSequenceEntry
            | ErrorKind::BlockSequenceEntryNotAllowed
            | ErrorKind::CommentInterceptedScalar
    )
}

/// The first tab of the line.
fn tab(text: &str, at: usize) -> Option<usize> {
    let line = Line::of(text, at);
    line.text.find('\t').map(|tab| line.start + tab)
}

/// From a byte to the end of the word there.
fn word_at(text: &str, at: usize) -> Span {
    let start = floor(text, at);
    let word = text[start..]
        .find(char::is_whitespace)
        .unwrap_or(text.len() - start)
        .min(40);
    let mut end = start + word.max(1);
    while end < text.len() && !text.is_char_boundary(end) {
        end += 1;
    }
    Span::new(start, end.min(text.len()).max(start))
}

fn floor(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// Code, words and advice for a syntax error; without words the parser's own are used.
fn in_words(kind: &ErrorKind) -> (Code, Option<String>, &'static str) {
    let own = |text: &str| Some(text.to_owned());
    match kind {
        ErrorKind::TabNotAllowed
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabInIndentation
        | ErrorKind::TabAtBlockScalarStart
        | ErrorKind::TabInPlainScalar => (
            Code::Y02,
            own("a tab stands where YAML wants spaces"),
            "replace the tab by spaces",
        ),
        ErrorKind::RecursionLimitExceeded => (
            Code::Y06,
            Some(format!("more than {MAX_DEPTH} levels of nesting")),
            "a cluster file has about ten levels: is this the right file?",
        ),
        ErrorKind::DirectiveDisallowed => (
            Code::Y08,
            own("YAML directives (`%…`) are not supported"),
            "remove the line",
        ),
        ErrorKind::MappingValueNotAllowed => (
            Code::V02,
            own("a `:` is not allowed here"),
            "check the indentation of this line and the one above; quote text that contains `: `",
        ),
        ErrorKind::UnclosedQuotedScalar
        | ErrorKind::InvalidQuotedScalarIndent
        | ErrorKind::DocumentIndicatorInQuotedScalar => (
            Code::V02,
            own("the closing quote is missing"),
            "close the quote on the same line",
        ),
        ErrorKind::InvalidIndentation
        | ErrorKind::ExpectedBlockMappingKey
        | ErrorKind::InvalidSimpleKey
        | ErrorKind::SimpleKeyExpected => (
            Code::V02,
            own("a key with `:` is expected here"),
            "check the indentation of this line, and for a missing `:`",
        ),
        ErrorKind::ExpectedBlockSequenceEntry | ErrorKind::BlockSequenceEntryNotAllowed => (
            Code::V02,
            own("a list entry (`- `) does not fit here"),
            "check the indentation: entries of one list stand below each other",
        ),
        ErrorKind::UnexpectedCharacter { character } => (
            Code::V02,
            Some(format!("a value cannot begin with `{character}`")),
            "put the value in quotes, or replace the placeholder",
        ),
        _ => (
            Code::V02,
            None,
            "check indentation, quotes and brackets on this line and the one above",
        ),
    }
}
