//! Threads in other network namespaces.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use nix::sched::{CloneFlags, setns};
use nix::unistd::Pid;

/// A network namespace to enter.
#[derive(Debug)]
pub(crate) struct Namespace(File);

impl Namespace {
    /// The namespace that the file stands for.
    pub(crate) fn open(file: &Path) -> Result<Self> {
        let open = File::open(file)
            .with_context(|| format!("no network namespace {}; is it up?", file.display()))?;
        Ok(Self(open))
    }

    /// The processes whose first thread is in it, this one left out.
    pub(crate) fn processes(&self) -> Vec<Pid> {
        let Ok(own) = self.0.metadata().map(|file| file.ino()) else {
            return Vec::new();
        };
        fs::read_dir("/proc")
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter(|process| Pid::from_raw(*process) != Pid::this())
            .filter(|process| {
                fs::metadata(format!("/proc/{process}/ns/net")).is_ok_and(|file| file.ino() == own)
            })
            .map(Pid::from_raw)
            .collect()
    }

    /// Moves the calling thread, and only it, into the namespace.
    pub(crate) fn enter(&self) -> Result<()> {
        setns(&self.0, CloneFlags::CLONE_NEWNET).context("cannot enter the network namespace")
    }
}
