//! Text to checked cluster.

use crate::check;
use crate::code::Code;
use crate::diagnostic::{Diagnostic, Severity};
use crate::documents;
use crate::lower;
use crate::model::Cluster;
use crate::report::{Report, Source};
use crate::yaml::{self, MAX_BYTES, Span};

/// What came of a file.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Loaded {
    /// Everything there is to say, in the order of the file.
    pub diagnostics: Vec<Diagnostic>,
    /// The cluster; none when there is an error.
    pub cluster: Option<Cluster>,
}

impl Loaded {
    /// Whether the file cannot be used.
    pub fn has_errors(&self) -> bool {
        self.diagnostics
            .iter()
            .any(|found| found.severity == Severity::Error)
    }
}

/// Reads and checks a cluster file; `file` is its name in messages.
///
/// Never panics, and is bounded in time and memory for any input.
pub fn load(text: &str, file: &str) -> Loaded {
    // A byte order mark would shift the columns of the first line.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let source = Source::new(file, text);
    let mut report = Report::new(&source);
    let (tree, complete) = yaml::read(text, &mut report);
    let documents = documents::sort(&tree, complete, &mut report);
    let cluster = documents.cluster.map(|node| {
        let cluster = lower::lower(&documents, node);
        check::check(&cluster, &documents, &mut report);
        cluster
    });
    let usable = !report.has_errors();
    Loaded {
        diagnostics: report.finish(),
        cluster: cluster.filter(|_| usable),
    }
}

/// Reads and checks a cluster file as it is on disk; a file that is no UTF-8 text is one finding.
pub fn load_bytes(bytes: &[u8], file: &str) -> Loaded {
    // Too large is said of any file, and a cut one may end inside a character.
    let bytes = bytes.get(..=MAX_BYTES).unwrap_or(bytes);
    let valid = match std::str::from_utf8(bytes) {
        Ok(text) => return load(text, file),
        Err(_) if bytes.len() > MAX_BYTES => MAX_BYTES,
        Err(error) => error.valid_up_to(),
    };
    let text = String::from_utf8_lossy(bytes);
    let source = Source::new(file, &text);
    let mut report = Report::new(&source);
    if bytes.len() > MAX_BYTES {
        yaml::too_large(&mut report);
    } else {
        let (message, hint) = not_utf8(bytes, valid);
        let after = text[valid..].chars().next().map_or(0, char::len_utf8);
        report
            .error(Code::V02, Span::new(valid, valid + after), message)
            .hint(hint);
    }
    Loaded {
        diagnostics: report.finish(),
        cluster: None,
    }
}

/// What the bytes seem to be, and how to make text of them.
fn not_utf8(bytes: &[u8], valid: usize) -> (String, &'static str) {
    match bytes {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => (
            "the file is UTF-16 text, not UTF-8".to_owned(),
            "save it as UTF-8: `iconv -f UTF-16 -t UTF-8 OLD > NEW`",
        ),
        _ if bytes.contains(&0) => ("the file is not text".to_owned(), "is this the right file?"),
        _ => (
            format!("the byte 0x{:02X} is not UTF-8 text", bytes[valid]),
            "save the file as UTF-8, or replace the character",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_no_text_is_one_finding_at_its_first_bad_byte() {
        let place = |bytes: &[u8]| {
            let loaded = load_bytes(bytes, "x.yaml");
            assert!(loaded.cluster.is_none());
            let [found] = loaded.diagnostics.as_slice() else {
                panic!("{:?}", loaded.diagnostics);
            };
            let place = (found.place.line, found.place.column);
            (found.code, place, found.message.clone())
        };
        let said = |text: &str| text.to_owned();
        assert_eq!(
            place(b"a: b\nname: \xe9t\xe9\n"),
            (Code::V02, (2, 7), said("the byte 0xE9 is not UTF-8 text"))
        );
        assert_eq!(
            place(b"\xff\xfea\0:\0"),
            (
                Code::V02,
                (1, 1),
                said("the file is UTF-16 text, not UTF-8")
            )
        );
        assert_eq!(
            place(b"\x7fELF\0\xff"),
            (Code::V02, (1, 6), said("the file is not text"))
        );
        let (code, ..) = place(&vec![0xff; MAX_BYTES + 7]);
        assert_eq!(code, Code::Y07);
        let text = include_bytes!("../../examples/three-control-planes.yaml");
        assert!(load_bytes(text, "x.yaml").cluster.is_some());
    }
}
