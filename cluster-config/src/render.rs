//! Diagnostics as text for people and as JSON for programs.

use std::fmt::Write as _;

use serde::{Serialize, Serializer};

use crate::diagnostic::{Diagnostic, Place, Severity};

/// Compiler-style text: excerpt, caret, second carets, `hint:` line. Notices take one line each.
pub fn render_text(diagnostics: &[Diagnostic], color: bool) -> String {
    let paint = Paint { color };
    let mut out = String::new();
    for found in diagnostics {
        let label = paint.bold(
            found.severity,
            &format!("{}[{}]", found.severity.as_str(), found.code),
        );
        let at = &found.place;
        if found.severity == Severity::Notice {
            let _ = writeln!(
                out,
                "{label}: {}:{}:{}: {}",
                at.file, at.line, at.column, found.message
            );
            if let Some(hint) = &found.hint {
                let _ = writeln!(out, "  hint: {hint}");
            }
            continue;
        }
        let last_line = found
            .related
            .iter()
            .map(|related| related.place.line)
            .fold(at.line, usize::max);
        let gutter = last_line.to_string().len();
        let _ = writeln!(out, "{label}: {}", found.message);
        let _ = writeln!(
            out,
            "{:gutter$}--> {}:{}:{}",
            "", at.file, at.line, at.column
        );
        let _ = writeln!(out, "{:gutter$} |", "");
        excerpt(
            &mut out,
            at,
            gutter,
            &paint.bold(found.severity, &carets(at, '^')),
            "",
        );
        for related in &found.related {
            let place = &related.place;
            let _ = writeln!(
                out,
                "{:gutter$}::: {}:{}:{}",
                "", place.file, place.line, place.column
            );
            excerpt(
                &mut out,
                place,
                gutter,
                &carets(place, '-'),
                &related.message,
            );
        }
        if let Some(hint) = &found.hint {
            let _ = writeln!(out, "{:gutter$} = hint: {hint}", "");
        }
        out.push('\n');
    }
    out
}

/// `[{code, severity, file, line, column, message, hint, related[]}]`, pretty-printed.
pub fn render_json(diagnostics: &[Diagnostic]) -> String {
    // Strings and numbers always serialise.
    let mut text = serde_json::to_string_pretty(diagnostics).unwrap_or_default();
    text.push('\n');
    text
}

impl Serialize for Diagnostic {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let row = Row {
            code: self.code.as_str(),
            severity: self.severity.as_str(),
            at: At::new(&self.place, &self.message),
            hint: self.hint.as_deref(),
            related: self
                .related
                .iter()
                .map(|related| At::new(&related.place, &related.message))
                .collect(),
        };
        row.serialize(serializer)
    }
}

#[derive(Serialize)]
struct Row<'d> {
    code: &'static str,
    severity: &'static str,
    #[serde(flatten)]
    at: At<'d>,
    hint: Option<&'d str>,
    related: Vec<At<'d>>,
}

#[derive(Serialize)]
struct At<'d> {
    file: &'d str,
    line: usize,
    column: usize,
    message: &'d str,
}

impl<'d> At<'d> {
    fn new(place: &'d Place, message: &'d str) -> Self {
        Self {
            file: &place.file,
            line: place.line,
            column: place.column,
            message,
        }
    }
}

/// `3 errors, 1 warning, 5 notices`; `no findings` when there are none.
pub fn summary(diagnostics: &[Diagnostic]) -> String {
    let parts: Vec<String> = [Severity::Error, Severity::Warning, Severity::Notice]
        .into_iter()
        .filter_map(|severity| {
            let count = diagnostics
                .iter()
                .filter(|found| found.severity == severity)
                .count();
            let plural = if count == 1 { "" } else { "s" };
            (count > 0).then(|| format!("{count} {}{plural}", severity.as_str()))
        })
        .collect();
    if parts.is_empty() {
        "no findings".to_owned()
    } else {
        parts.join(", ")
    }
}

fn excerpt(out: &mut String, place: &Place, gutter: usize, carets: &str, label: &str) {
    let _ = writeln!(out, "{:>gutter$} | {}", place.line, place.excerpt);
    let _ = writeln!(
        out,
        "{:gutter$} | {}",
        "",
        format!(
            "{:offset$}{carets} {label}",
            "",
            offset = place.excerpt_offset
        )
        .trim_end()
    );
}

fn carets(place: &Place, mark: char) -> String {
    std::iter::repeat_n(mark, place.width).collect()
}

struct Paint {
    color: bool,
}

impl Paint {
    fn bold(&self, severity: Severity, text: &str) -> String {
        if !self.color {
            return text.to_owned();
        }
        let color = match severity {
            Severity::Error => 31,
            Severity::Warning => 33,
            Severity::Notice => 36,
        };
        format!("\u{1b}[1;{color}m{text}\u{1b}[0m")
    }
}
