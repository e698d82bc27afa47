//! How a command ends.

use std::fmt;
use std::process::ExitCode;

/// Exit codes, the same for every command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Something did not work.
    Failed = 1,
    /// Wrong arguments.
    Usage = 2,
    /// The cluster file is not valid, or a change is refused.
    Config = 3,
    /// Some machines were served, others not.
    Partial = 4,
    /// What is differs from what should be.
    Drift = 5,
}

/// A command that did not succeed: what, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Exit code.
    pub exit: Exit,
    /// What happened; empty when everything was said already.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

impl Failure {
    /// A failure with a message.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            hint: None,
        }
    }

    /// Something did not work.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(Exit::Failed, message)
    }

    /// Ends with this code; the reason was printed.
    pub fn silent(exit: Exit) -> Self {
        Self::new(exit, "")
    }

    /// Adds what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl From<crate::api::ApiFailure> for Failure {
    fn from(failure: crate::api::ApiFailure) -> Self {
        Self::failed(failure.to_string())
    }
}
