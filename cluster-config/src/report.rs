//! Collects diagnostics while a file is checked, and knows where a byte of the source stands.

use crate::code::Code;
use crate::diagnostic::{Diagnostic, Place, Related, Severity};
use crate::yaml::{Span, is_invisible};

/// More findings than anybody reads; the rest is counted.
const MAX_FINDINGS: usize = 1_000;
/// Longest excerpt, in characters.
const MAX_EXCERPT: usize = 120;

/// A file's text with the starts of its lines.
pub(crate) struct Source<'s> {
    file: &'s str,
    text: &'s str,
    line_starts: Vec<usize>,
}

impl<'s> Source<'s> {
    pub(crate) fn new(file: &'s str, text: &'s str) -> Self {
        let after_breaks = text.match_indices('\n').map(|(at, _)| at + 1);
        Self {
            file,
            text,
            line_starts: std::iter::once(0).chain(after_breaks).collect(),
        }
    }

    /// Line (from 1) of a byte offset.
    fn line(&self, offset: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= offset)
    }

    /// The word at a line and column, both from 1.
    pub(crate) fn span_at(&self, line: u64, column: u64) -> Span {
        let index = |from_one: u64| {
            usize::try_from(from_one)
                .unwrap_or(usize::MAX)
                .saturating_sub(1)
        };
        let start = self
            .line_starts
            .get(index(line))
            .copied()
            .unwrap_or(self.text.len());
        let rest = &self.text[start..];
        let start = start
            + rest
                .char_indices()
                .nth(index(column))
                .map_or(rest.len(), |(at, _)| at);
        let word = self.text[start..]
            .find(|c: char| c.is_whitespace() || c == ':')
            .unwrap_or(self.text.len() - start);
        Span::new(start, start + word)
    }

    pub(crate) fn place(&self, span: Span) -> Place {
        let start = floor_boundary(self.text, span.start);
        let line = self.line(start);
        let line_start = self.line_starts[line - 1];
        let rest = &self.text[line_start..];
        let content = rest
            .find('\n')
            .map_or(rest, |end| &rest[..end])
            .trim_end_matches('\r');
        let before = self.text[line_start..start].chars().count();
        let end = floor_boundary(self.text, span.end.max(start)).min(line_start + content.len());
        let width = self.text[start..end.max(start)].chars().count().max(1);
        // A window around the place when the line is long.
        let skip = if before + width.min(40) > MAX_EXCERPT {
            before - before.min(40)
        } else {
            0
        };
        let mut excerpt: String = content
            .chars()
            .skip(skip)
            .take(MAX_EXCERPT)
            .map(printable)
            .collect();
        let mut excerpt_offset = before - skip;
        if skip > 0 {
            excerpt.insert(0, '…');
            excerpt_offset += 1;
        }
        if content.chars().count() > skip + MAX_EXCERPT {
            excerpt.push('…');
        }
        let shown = excerpt.chars().count();
        Place {
            file: self.file.to_owned(),
            line,
            column: before + 1,
            width: width.min(shown.saturating_sub(excerpt_offset).max(1)),
            excerpt,
            excerpt_offset,
        }
    }
}

fn floor_boundary(text: &str, offset: usize) -> usize {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    offset
}

fn printable(c: char) -> char {
    match c {
        '\t' => '→',
        c if is_unprintable(c) => '·',
        c => c,
    }
}

/// Whether a terminal would obey the character, or hide it, instead of showing it.
fn is_unprintable(c: char) -> bool {
    c.is_control() || is_invisible(c)
}

/// Longest quotation of a value in a message, in characters.
const MAX_QUOTATION: usize = 80;

/// A message that may quote values of the file: made safe for terminals, and short.
pub(crate) fn message(text: String) -> String {
    let long = text.len() > MAX_QUOTATION;
    if !long && !text.chars().any(is_unprintable) {
        return text;
    }
    let parts: Vec<String> = text
        .split('`')
        .enumerate()
        .map(|(index, part)| {
            // Every second part stands in quotation marks.
            let quoted = index % 2 == 1 && part.chars().count() > MAX_QUOTATION;
            let kept = if quoted { MAX_QUOTATION } else { usize::MAX };
            let mut out = String::new();
            for c in part.chars().take(kept) {
                if is_unprintable(c) {
                    out.extend(c.escape_default());
                } else {
                    out.push(c);
                }
            }
            if quoted {
                out.push('…');
            }
            out
        })
        .collect();
    parts.join("`")
}

/// The findings so far.
pub(crate) struct Report<'s> {
    source: &'s Source<'s>,
    diagnostics: Vec<Diagnostic>,
    /// The finding that a [`Finding`] is filled in for.
    dropped: usize,
    errors: usize,
}

impl<'s> Report<'s> {
    pub(crate) fn new(source: &'s Source<'s>) -> Self {
        Self {
            source,
            diagnostics: Vec::new(),
            dropped: 0,
            errors: 0,
        }
    }

    pub(crate) fn error(
        &mut self,
        code: Code,
        span: Span,
        message: impl Into<String>,
    ) -> Finding<'_, 's> {
        self.add(Severity::Error, code, span, message.into())
    }

    pub(crate) fn warning(
        &mut self,
        code: Code,
        span: Span,
        message: impl Into<String>,
    ) -> Finding<'_, 's> {
        self.add(Severity::Warning, code, span, message.into())
    }

    pub(crate) fn notice(
        &mut self,
        code: Code,
        span: Span,
        message: impl Into<String>,
    ) -> Finding<'_, 's> {
        self.add(Severity::Notice, code, span, message.into())
    }

    pub(crate) fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// Whether this was said of this place.
    pub(crate) fn has(&self, code: Code, span: Span) -> bool {
        let place = self.source.place(span);
        self.diagnostics
            .iter()
            .any(|found| found.code == code && found.place == place)
    }

    /// Whether further findings are counted only.
    pub(crate) fn is_full(&self) -> bool {
        self.diagnostics.len() >= MAX_FINDINGS
    }

    /// All findings in the order of the file.
    pub(crate) fn finish(mut self) -> Vec<Diagnostic> {
        self.diagnostics
            .sort_by_key(|found| (found.place.line, found.place.column, found.code));
        if self.dropped > 0
            && let Some(last) = self.diagnostics.last_mut()
        {
            last.hint = Some(format!(
                "{} more findings are not shown; mend these first",
                self.dropped
            ));
        }
        self.diagnostics
    }

    fn add(
        &mut self,
        severity: Severity,
        code: Code,
        span: Span,
        message: String,
    ) -> Finding<'_, 's> {
        self.errors += usize::from(severity == Severity::Error);
        let kept = !self.is_full();
        if kept {
            self.diagnostics.push(Diagnostic {
                code,
                severity,
                place: self.source.place(span),
                message: self::message(message),
                hint: None,
                related: Vec::new(),
            });
        } else {
            self.dropped += 1;
        }
        Finding {
            source: self.source,
            diagnostic: if kept {
                self.diagnostics.last_mut()
            } else {
                None
            },
        }
    }
}

/// The finding just added, to be completed.
pub(crate) struct Finding<'r, 's> {
    source: &'r Source<'s>,
    diagnostic: Option<&'r mut Diagnostic>,
}

impl Finding<'_, '_> {
    /// How to put it right.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        if let Some(diagnostic) = &mut self.diagnostic {
            diagnostic.hint = Some(message(hint.into()));
        }
        self
    }

    /// A second place.
    pub(crate) fn also(mut self, span: Span, message: impl Into<String>) -> Self {
        if let Some(diagnostic) = &mut self.diagnostic {
            diagnostic.related.push(Related {
                place: self.source.place(span),
                message: self::message(message.into()),
            });
        }
        self
    }
}
