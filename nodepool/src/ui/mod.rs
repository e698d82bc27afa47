//! What people see: results on stdout, everything else on stderr. The only module that prints.

mod progress;
mod table;

pub use progress::Progress;
pub use table::Table;

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use serde::Serialize;

use crate::cli;
use crate::error::Failure;
use crate::manifest;

/// Where text goes and how it looks.
#[derive(Debug, Clone, Copy)]
pub struct Ui {
    /// Only results and errors.
    pub quiet: bool,
    /// Colour on stderr.
    pub color: bool,
    /// Moving progress lines.
    pub animate: bool,
}

impl Ui {
    /// From the command line and the environment (`NO_COLOR`, <https://no-color.org>).
    pub fn new(quiet: bool, no_progress: bool) -> Self {
        let terminal = io::stderr().is_terminal();
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            quiet,
            color: terminal && !no_color,
            animate: terminal && !quiet && !no_progress,
        }
    }

    /// Prints a result.
    ///
    /// # Errors
    /// When stdout cannot be written. A closed pipe is no error: who closed it has seen enough.
    pub fn result(&self, text: &str) -> Result<(), Failure> {
        self.page(text).map(drop)
    }

    /// The same for one of many results; false: nobody reads any more.
    ///
    /// # Errors
    /// When stdout cannot be written.
    pub fn page(&self, text: &str) -> Result<bool, Failure> {
        let mut stdout = io::stdout().lock();
        let written = stdout
            .write_all(text.as_bytes())
            .and_then(|()| stdout.flush());
        match written {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
            Err(error) => Err(Failure::failed(format!("cannot write to stdout: {error}"))),
        }
    }

    /// What makes a result take the place of the one before: on a screen the cursor goes to the corner and everything
    /// below it goes; elsewhere they follow each other.
    pub fn page_break(&self) -> &'static str {
        if io::stdout().is_terminal() {
            "\x1b[H\x1b[J"
        } else {
            "\n"
        }
    }

    /// Prints a listing for programs; a table has a form of its own.
    ///
    /// # Errors
    /// When stdout cannot be written.
    pub fn listing<T: Serialize>(&self, form: cli::Output, value: &T) -> Result<(), Failure> {
        self.result(&listed(form, value)?)
    }

    /// Says what is going on.
    pub fn note(&self, text: &str) {
        if !self.quiet {
            self.say(text);
        }
    }

    /// Says what went wrong.
    pub fn failure(&self, failure: &Failure) {
        if failure.message.is_empty() {
            return;
        }
        let label = if self.color {
            "\x1b[1;31merror\x1b[0m"
        } else {
            "error"
        };
        self.say(&format!("{label}: {}", failure.message));
        if let Some(hint) = &failure.hint {
            self.say(&format!("hint: {hint}"));
        }
    }

    /// Prints to stderr whatever `quiet` says.
    pub fn say(&self, text: &str) {
        // Nobody can be told when stderr is closed.
        writeln!(io::stderr().lock(), "{text}").ok();
    }

    /// Asks a question; no terminal, or anything but yes, is no.
    pub fn confirm(&self, question: &str) -> bool {
        if !io::stdin().is_terminal() {
            return false;
        }
        write!(io::stderr().lock(), "{question} [y/N] ").ok();
        let mut answer = String::new();
        io::stdin().read_line(&mut answer).ok();
        matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
    }
}

/// A listing for programs, as text.
///
/// # Errors
/// When the value has no such form.
pub fn listed<T: Serialize>(form: cli::Output, value: &T) -> Result<String, Failure> {
    match form {
        cli::Output::Yaml => Ok(manifest::yaml(value)),
        cli::Output::Json | cli::Output::Table => {
            let text = serde_json::to_string_pretty(value)
                .map_err(|error| Failure::failed(format!("no JSON form: {error}")))?;
            Ok(text + "\n")
        }
    }
}

/// A duration for people: `0.8 s`, `12 s`, `2 min 5 s`.
pub fn seconds(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if duration < Duration::from_secs(10) {
        format!("{:.1} s", duration.as_secs_f64())
    } else if seconds < 60 {
        format!("{seconds} s")
    } else if seconds.is_multiple_of(60) {
        format!("{} min", seconds / 60)
    } else {
        format!("{} min {} s", seconds / 60, seconds % 60)
    }
}
