//! Words for the person in front: results on standard output, everything else on standard error.

use std::fmt::Display;
use std::io::{self, Write};

/// A line of a result. A reader that has gone away wanted no more.
pub(crate) fn result(line: impl Display) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// A line on what is being done.
pub(crate) fn progress(line: impl Display) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// The error that ends a command, with its causes.
pub(crate) fn error(error: &anyhow::Error) {
    progress(format!("error: {error:#}"));
}
