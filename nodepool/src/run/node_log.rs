//! One log file per machine and run, without secrets.

#![expect(clippy::disallowed_methods, reason = "driver: reads the clock")]

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Instant;

use super::redact::Redactor;
use crate::error::Failure;
use crate::remote::{Output, RemoteFailure, Script};

/// `<workspace>/<cluster>/log/<command>-<time>/`, made when the first line is written.
#[derive(Debug)]
pub struct LogDirectory {
    path: PathBuf,
    begun: Instant,
    redactor: Mutex<Redactor>,
}

impl LogDirectory {
    /// The directory of this run.
    pub fn new(cluster_directory: &Path, command: &str) -> Self {
        let time = jiff::Zoned::now().strftime("%Y%m%d-%H%M%S").to_string();
        let name = format!("{}-{time}", command.replace(' ', "-"));
        Self {
            path: cluster_directory.join("log").join(name),
            begun: Instant::now(),
            redactor: Mutex::new(Redactor::default()),
        }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Hides these secrets from here on.
    pub fn hide(&self, redactor: Redactor) {
        if let Ok(mut current) = self.redactor.lock() {
            *current = redactor;
        }
    }

    /// `text` without secrets.
    pub fn clean(&self, text: &str) -> String {
        self.redactor
            .lock()
            .map_or_else(|_| String::new(), |redactor| redactor.clean(text))
    }

    /// Opens the log of one machine.
    ///
    /// # Errors
    /// When the directory or the file cannot be made.
    pub fn machine(&self, name: &str) -> Result<NodeLog<'_>, Failure> {
        let path = self.path.join(format!("{name}.log"));
        let open = || {
            fs::create_dir_all(&self.path)?;
            OpenOptions::new()
                .create(true)
                .append(true)
                .mode(0o600)
                .open(&path)
        };
        let file = open().map_err(|error| {
            Failure::failed(format!(
                "cannot write the log `{}`: {error}",
                path.display()
            ))
        })?;
        Ok(NodeLog {
            directory: self,
            path,
            file: Mutex::new(file),
        })
    }
}

/// The log of one machine.
#[derive(Debug)]
pub struct NodeLog<'a> {
    directory: &'a LogDirectory,
    path: PathBuf,
    file: Mutex<File>,
}

impl NodeLog<'_> {
    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Records that a script is about to run.
    pub fn begin(&self, script: &Script, title: &str) {
        self.write(&format!("{} ({})", title, script.id), "");
    }

    /// Records something that is no script.
    pub fn note(&self, text: &str) {
        self.write(text, "");
    }

    /// Records how a script ended.
    pub fn end(&self, script: &Script, outcome: &Result<Output, RemoteFailure>) {
        match outcome {
            Ok(output) => {
                let text = if script.secret_output {
                    String::new()
                } else {
                    format!("{}{}", output.stdout, output.stderr)
                };
                self.write(
                    &format!("{} ended with {}", script.id, output.status),
                    &text,
                );
            }
            Err(failure) => self.write(&format!("{}: {failure}", script.id), ""),
        }
    }

    /// `text` without secrets.
    pub fn clean(&self, text: &str) -> String {
        self.directory.clean(text)
    }

    fn write(&self, head: &str, body: &str) {
        let at = self.directory.begun.elapsed().as_secs_f64();
        let mut entry = format!("[{at:8.2} s] {head}\n");
        for line in body.lines() {
            entry.push_str("    ");
            entry.push_str(&without_colour(line));
            entry.push('\n');
        }
        let entry = self.clean(&entry);
        if let Ok(mut file) = self.file.lock() {
            // A full disk must not stop the work on the machines.
            file.write_all(entry.as_bytes()).ok();
        }
    }
}

/// kubeadm colours its output even when nobody looks.
fn without_colour(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut parts = line.split("\x1b[");
    plain.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let end = part
            .find(|c: char| c.is_ascii_alphabetic())
            .map_or(part.len(), |at| at + 1);
        plain.push_str(&part[end..]);
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_taken_out() {
        assert_eq!(
            without_colour("\x1b[0;37mOS\x1b[0m: \x1b[0;32mLinux\x1b[0m"),
            "OS: Linux"
        );
        assert_eq!(without_colour("plain [x]"), "plain [x]");
    }
}
