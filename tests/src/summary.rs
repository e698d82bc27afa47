//! How a run of scenarios went, told in a file to whoever started it.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

/// How a run went, for programs.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Scenarios that held.
    pub passed: usize,
    /// Scenarios that did not.
    pub failures: Vec<Remark>,
    /// Those that could not be tried here.
    pub skipped: Vec<Remark>,
}

/// A scenario and what is to be said about it.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remark {
    /// The scenario.
    pub name: String,
    /// Why it failed or was skipped.
    pub reason: String,
}

impl Summary {
    /// One more held.
    pub fn pass(&mut self) {
        self.passed += 1;
    }

    /// One more did not hold.
    pub fn fail(&mut self, name: &str, reason: &str) {
        self.failures.push(Remark::new(name, reason));
    }

    /// One more could not be tried.
    pub fn skip(&mut self, name: &str, reason: &str) {
        self.skipped.push(Remark::new(name, reason));
    }

    /// The line that ends the run of one program.
    pub fn closing_line(&self) -> String {
        format!(
            "{} passed, {} failed, {} skipped",
            self.passed,
            self.failures.len(),
            self.skipped.len()
        )
    }

    /// Writes `target/NAME-test.json`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn publish(&self, name: &str) -> Result<()> {
        let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
        let file = target.join(format!("{name}-test.json"));
        let text = serde_json::to_string_pretty(self)? + "\n";
        fs::create_dir_all(&target)
            .and_then(|()| fs::write(&file, text))
            .with_context(|| format!("cannot write {}", file.display()))
    }
}

impl Remark {
    fn new(name: &str, reason: &str) -> Self {
        Self {
            name: name.to_owned(),
            reason: reason.to_owned(),
        }
    }
}
