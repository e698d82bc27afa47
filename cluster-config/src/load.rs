//! Text to checked cluster.

use crate::check;
use crate::diagnostic::{Diagnostic, Severity};
use crate::documents;
use crate::lower;
use crate::model::Cluster;
use crate::report::{Report, Source};
use crate::yaml;

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
