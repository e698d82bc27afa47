//! Hardware, kernel and settings of a machine.

use std::collections::{BTreeMap, BTreeSet};

/// What a machine is made of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Host {
    /// `ID` of os-release, and what it says it is like.
    pub os_ids: Vec<String>,
    /// Processors; 0: not known.
    pub processors: u32,
    /// Memory in KiB; 0: not known.
    pub memory_kib: u64,
    /// cgroup controllers that can be used; none: not known.
    pub controllers: BTreeSet<String>,
    /// Modules that the kernel neither has built in nor can load.
    pub kernel_lacks: BTreeSet<String>,
    /// Free space in KiB of file systems other than `/` that Kubernetes writes to, by mount point.
    pub disks: BTreeMap<String, u64>,
    /// Directories on file systems that run no programs.
    pub noexec: BTreeSet<String>,
    /// The login's umask.
    pub umask: Option<u32>,
    /// SELinux refuses, and does not only note.
    pub selinux_enforcing: bool,
}

impl Host {
    /// Takes a line of the report; another's is left alone.
    pub(super) fn take(&mut self, key: &str, value: &str) -> Option<()> {
        let words = || value.split_whitespace().map(str::to_owned);
        match key {
            "os_id" | "os_like" => self.os_ids.extend(words()),
            "processors" => self.processors = value.parse().ok()?,
            "memory_kib" => self.memory_kib = value.parse().ok()?,
            "controllers" => self.controllers.extend(words()),
            "kernel_lacks" => drop(self.kernel_lacks.insert(value.to_owned())),
            "disk" => {
                let (mount, free) = value.rsplit_once(' ')?;
                self.disks.insert(mount.to_owned(), free.parse().ok()?);
            }
            "noexec" => drop(self.noexec.insert(value.to_owned())),
            "umask" => self.umask = Some(u32::from_str_radix(value, 8).ok()?),
            "selinux" => self.selinux_enforcing = value == "enforcing",
            _ => {}
        }
        Some(())
    }
}
