//! Runs external programs; an error tells what was run and what it said.

use std::ffi::OsStr;
use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, Result, bail};

/// A command with its arguments, input closed.
pub(crate) fn command<I, S>(program: &str, arguments: I) -> Command
where
    I: IntoIterator<Item = S>,
    S: AsRef<OsStr>,
{
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    command
}

/// Runs to the end and returns what was written to stdout; anything but exit code 0 is an error.
pub(crate) fn run(command: &mut Command) -> Result<String> {
    let output = output(command)?;
    if !output.status.success() {
        bail!(
            "`{}` failed ({}): {}",
            words(command),
            output.status,
            last_lines(&output, 6)
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs to the end and returns everything, whatever the exit code.
pub(crate) fn output(command: &mut Command) -> Result<Output> {
    command
        .output()
        .with_context(|| format!("cannot run `{}`", words(command)))
}

/// Whether the program ended with exit code 0; what it says is dropped.
pub(crate) fn succeeds(command: &mut Command) -> Result<bool> {
    Ok(output(command)?.status.success())
}

/// One line for the person who waits, on stderr.
pub(crate) fn say(text: impl std::fmt::Display) {
    // A closed stderr is no reason to stop.
    let _ = writeln!(std::io::stderr().lock(), "lab: {text}");
}

/// The command as a person would type it.
pub(crate) fn words(command: &Command) -> String {
    let mut text = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        text.push(' ');
        text.push_str(&argument.to_string_lossy());
    }
    text
}

/// The end of what a program said: stderr, or stdout when that is empty.
pub(crate) fn last_lines(output: &Output, count: usize) -> String {
    let said = if output.stderr.iter().all(u8::is_ascii_whitespace) {
        &output.stdout
    } else {
        &output.stderr
    };
    let text = String::from_utf8_lossy(said);
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    lines[lines.len().saturating_sub(count)..].join("; ")
}
