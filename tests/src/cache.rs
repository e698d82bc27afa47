//! Things that are made once and kept by the hash of what they are made from.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use sha2::{Digest as _, Sha256};

use crate::{paths, tool};

/// The directory `<kind>-<hash of ingredients>` in the cache; `make` fills it when it is missing.
///
/// `make` gets a temporary directory, which takes the final name only when all is done; a second
/// process that wants the same waits for the first.
pub(crate) fn directory(
    kind: &str,
    ingredients: &[&[u8]],
    make: impl FnOnce(&Path, &Log) -> Result<()>,
) -> Result<PathBuf> {
    let root = paths::cache()?;
    directory_in(&root, kind, ingredients, make)
}

/// The name that [`directory`] gives to what is made from these ingredients.
pub(crate) fn name(kind: &str, ingredients: &[&[u8]]) -> String {
    format!("{kind}-{}", &digest(ingredients)[..16])
}

fn directory_in(
    root: &Path,
    kind: &str,
    ingredients: &[&[u8]],
    make: impl FnOnce(&Path, &Log) -> Result<()>,
) -> Result<PathBuf> {
    let name = name(kind, ingredients);
    let done = root.join(&name);
    if done.is_dir() {
        return Ok(done);
    }
    fs::create_dir_all(root).with_context(|| format!("cannot create {}", root.display()))?;
    let lock = root.join(format!("{name}.lock"));
    let lock = File::create(&lock).with_context(|| format!("cannot create {}", lock.display()))?;
    lock.lock().context("cannot lock the cache")?;
    if done.is_dir() {
        return Ok(done);
    }
    let unfinished = root.join(format!("{name}.unfinished"));
    remove_tree(&unfinished)?;
    fs::create_dir(&unfinished)?;
    let log = Log(root.join(format!("{name}.log")));
    let _ = fs::remove_file(&log.0);
    make(&unfinished, &log)?;
    fs::rename(&unfinished, &done)
        .with_context(|| format!("cannot give {} its final name", unfinished.display()))?;
    Ok(done)
}

/// The SHA-256 of the parts, each with its length, in hex.
fn digest(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hex(&hash.finalize())
}

/// Bytes as lower-case hex digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Removes a directory and all in it, unless something is mounted there; missing is fine.
pub(crate) fn remove_tree(path: &Path) -> Result<()> {
    if let Some(mount) = mounts_below(path)?.first() {
        bail!(
            "{} is still mounted: not removing {}",
            mount.display(),
            path.display()
        );
    }
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// What is mounted at or below a path, innermost first.
pub(crate) fn mounts_below(path: &Path) -> Result<Vec<PathBuf>> {
    let table = fs::read_to_string("/proc/self/mounts").context("cannot read /proc/self/mounts")?;
    let mut mounts: Vec<PathBuf> = table
        .lines()
        .filter_map(|line| line.split(' ').nth(1))
        .map(PathBuf::from)
        .filter(|mount| mount.starts_with(path))
        .collect();
    mounts.reverse();
    Ok(mounts)
}

/// The log file of one build.
pub(crate) struct Log(PathBuf);

impl Log {
    /// Runs a step of the build, with a line before and after it; what it says goes to the file.
    #[expect(clippy::disallowed_methods, reason = "says how long a build step took")]
    pub(crate) fn step(&self, what: &str, command: &mut Command) -> Result<()> {
        let file = File::options()
            .create(true)
            .append(true)
            .open(&self.0)
            .with_context(|| format!("cannot write {}", self.0.display()))?;
        tool::say(format_args!("{what} (log: {})", self.0.display()));
        let begin = Instant::now();
        let status = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .status()
            .with_context(|| format!("cannot run `{}`", tool::words(command)))?;
        if !status.success() {
            let log = fs::read_to_string(&self.0).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            bail!(
                "{what} failed ({status}); the end of {}:\n{}",
                self.0.display(),
                lines[lines.len().saturating_sub(12)..].join("\n")
            );
        }
        tool::say(format_args!(
            "{what}: done in {:.0} s",
            begin.elapsed().as_secs_f32()
        ));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_made_once_for_the_same_ingredients() {
        let root = tempfile::tempdir().expect("a directory");
        let make = |text: &'static str| {
            move |path: &Path, _: &Log| Ok(fs::write(path.join("file"), text)?)
        };
        let first = directory_in(root.path(), "kind", &[b"a", b"b"], make("1")).expect("made");
        let again = directory_in(root.path(), "kind", &[b"a", b"b"], make("2")).expect("kept");
        let other = directory_in(root.path(), "kind", &[b"ab", b""], make("3")).expect("made");
        assert_eq!(first, again);
        assert_ne!(first, other);
        assert_eq!(fs::read_to_string(again.join("file")).expect("file"), "1");
    }

    #[test]
    fn a_failed_build_leaves_no_directory_and_can_be_repeated() {
        let root = tempfile::tempdir().expect("a directory");
        let failed = directory_in(root.path(), "kind", &[b"a"], |path, log| {
            fs::write(path.join("half"), "")?;
            log.step(
                "failing",
                &mut tool::command("sh", ["-c", "echo broken >&2; exit 3"]),
            )
        });
        let error = format!("{:#}", failed.expect_err("failed"));
        assert!(
            error.contains("failing failed") && error.contains("broken"),
            "{error}"
        );
        let made = directory_in(root.path(), "kind", &[b"a"], |_, _| Ok(())).expect("made");
        assert!(!made.join("half").exists());
    }
}
