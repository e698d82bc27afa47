//! What kind of host this is, and how a machine's processes are kept together on it.
//!
//! Two kinds can run machines: cgroup v1 hierarchies without systemd as process 1 (`v1`: build
//! machines), and the unified cgroup v2 hierarchy under systemd (`v2`: ordinary Linux systems).

mod requirements;
mod v1;
mod v2;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::paths::Prefix;
use crate::patience;
use crate::roster::Machine;

pub use requirements::{Shortcoming, is_installed, shortcomings, tight_disk};

/// A host that can run machines.
#[derive(Debug)]
pub enum Host {
    /// cgroup v1 hierarchies, no systemd as process 1.
    WithoutSystemd(v1::Hierarchies),
    /// cgroup v2 and systemd as process 1.
    WithSystemd,
}

impl Host {
    /// Finds out what host this is.
    ///
    /// # Errors
    /// Says what is missing, all at once.
    pub fn detect() -> Result<Self> {
        let missing = shortcomings();
        if !missing.is_empty() {
            let list: Vec<String> = missing.iter().map(|one| format!("  - {one}")).collect();
            bail!("this host cannot run the lab:\n{}", list.join("\n"));
        }
        match Kind::of_this_host() {
            Kind::V1 => Ok(Self::WithoutSystemd(v1::Hierarchies::mounted()?)),
            Kind::V2WithSystemd => Ok(Self::WithSystemd),
            Kind::Other(why) => bail!("this host cannot run the lab: {why}"),
        }
    }

    /// Starts `systemd-nspawn` with these arguments in the cell; returns once it is on its way.
    pub(crate) fn start(&self, cell: &Cell, nspawn: &[String], console: &Path) -> Result<()> {
        match self {
            Self::WithoutSystemd(hierarchies) => hierarchies.start(cell, nspawn, console),
            Self::WithSystemd => v2::start(cell, nspawn, console),
        }
    }

    /// Ends all processes in the cell with SIGKILL and removes its cgroups.
    pub(crate) fn annihilate(&self, cell: &Cell) -> Result<()> {
        patience::until(
            &format!("{cell} has no processes left"),
            Duration::from_secs(20),
            Duration::from_millis(10),
            || {
                let alive = self.processes(cell);
                for process in &alive {
                    // It may have ended by itself meanwhile.
                    let _ = kill(*process, Signal::SIGKILL);
                }
                Ok(alive.is_empty().then_some(()))
            },
        )?;
        match self {
            Self::WithoutSystemd(hierarchies) => hierarchies.remove(cell),
            Self::WithSystemd => v2::remove(cell),
        }
    }

    /// Gives the cell this many per cent of an ordinary machine's claim to the processors.
    pub(crate) fn weigh(&self, cell: &Cell, per_cent: u32) -> Result<()> {
        match self {
            Self::WithoutSystemd(hierarchies) => hierarchies.weigh(cell, per_cent),
            Self::WithSystemd => v2::weigh(cell, per_cent),
        }
    }

    /// The processes in the cell, ended ones that nobody has collected left out.
    pub(crate) fn processes(&self, cell: &Cell) -> Vec<Pid> {
        let mut processes: Vec<i32> = self
            .directories(cell)
            .iter()
            .flat_map(|directory| processes_below(directory))
            .filter(|process| !is_zombie(*process))
            .collect();
        processes.sort_unstable();
        processes.dedup();
        processes.into_iter().map(Pid::from_raw).collect()
    }

    /// Memory that the cell's processes and their page cache use, in bytes.
    pub(crate) fn memory(&self, cell: &Cell) -> Option<u64> {
        let file = match self {
            Self::WithoutSystemd(hierarchies) => hierarchies.memory_file(cell)?,
            Self::WithSystemd => v2::directory(cell).join("memory.current"),
        };
        fs::read_to_string(file).ok()?.trim().parse().ok()
    }

    /// The machines of the prefix that have cgroups, running or left over.
    pub(crate) fn cells(&self, prefix: &Prefix) -> Vec<Machine> {
        match self {
            Self::WithoutSystemd(hierarchies) => hierarchies.cells(prefix),
            Self::WithSystemd => v2::cells(prefix),
        }
    }

    /// The file that moves a thread beside the machines, where the host has one.
    pub(crate) fn tasks_beside_machines(&self, prefix: &Prefix) -> Option<PathBuf> {
        match self {
            Self::WithoutSystemd(hierarchies) => hierarchies.tasks_beside_machines(prefix),
            Self::WithSystemd => None,
        }
    }

    /// The file that moves a thread, and what it starts, to where the operator's programs share the processors
    /// with the machines, where the host has one.
    pub(crate) fn tasks_of_the_operator(&self, prefix: &Prefix) -> Option<PathBuf> {
        match self {
            Self::WithoutSystemd(hierarchies) => hierarchies.tasks_of_the_operator(prefix),
            Self::WithSystemd => None,
        }
    }

    /// Removes what the prefix's cells have in common, once all of them are gone.
    pub(crate) fn forget(&self, prefix: &Prefix) {
        match self {
            Self::WithoutSystemd(hierarchies) => hierarchies.forget(prefix),
            Self::WithSystemd => v2::forget(prefix),
        }
    }

    fn directories(&self, cell: &Cell) -> Vec<PathBuf> {
        match self {
            Self::WithoutSystemd(hierarchies) => hierarchies.directories(cell),
            Self::WithSystemd => vec![v2::directory(cell)],
        }
    }
}

/// Moves the calling thread, and what it starts, to the cgroup whose list of threads this is.
pub(crate) fn take_share(tasks: &Path) -> Result<()> {
    // 0 stands for whoever writes it.
    fs::write(tasks, "0").context("cannot take a share of the processors")
}

/// What holds one machine's processes: a cgroup (in every hierarchy) that nothing else is in.
#[derive(Debug, Clone)]
pub(crate) struct Cell {
    pub(crate) prefix: Prefix,
    pub(crate) machine: Machine,
}

impl std::fmt::Display for Cell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.prefix, self.machine)
    }
}

/// How the host manages processes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    V1,
    V2WithSystemd,
    Other(&'static str),
}

impl Kind {
    pub(crate) fn of_this_host() -> Self {
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        Self::of(&mounts, Path::new("/run/systemd/system").is_dir())
    }

    /// The kind, from the table of mounts and whether systemd runs the host.
    fn of(mounts: &str, systemd: bool) -> Self {
        let file_system_at = |place: &str| {
            mounts
                .lines()
                .filter_map(|line| {
                    let mut fields = line.split(' ').skip(1);
                    (fields.next() == Some(place)).then(|| fields.next())?
                })
                .next_back()
        };
        let v1 = mounts
            .lines()
            .any(|line| line.contains(" /sys/fs/cgroup/memory cgroup "));
        match (file_system_at("/sys/fs/cgroup"), systemd) {
            (Some("cgroup2"), true) => Self::V2WithSystemd,
            (Some("cgroup2"), false) => Self::Other(
                "it has cgroup v2 but systemd is not process 1 (a container?); \
                 run the lab on the machine itself or in a virtual machine",
            ),
            (_, true) if v1 => Self::Other(
                "its systemd still uses cgroup v1; \
                 boot it with systemd.unified_cgroup_hierarchy=1",
            ),
            (_, false) if v1 => Self::V1,
            _ => Self::Other("no cgroup hierarchies are mounted below /sys/fs/cgroup"),
        }
    }
}

/// The processes in a cgroup directory and all below it.
fn processes_below(directory: &Path) -> Vec<i32> {
    let mut found: Vec<i32> = fs::read_to_string(directory.join("cgroup.procs"))
        .unwrap_or_default()
        .lines()
        .filter_map(|line| line.parse().ok())
        .filter(|process| *process > 0)
        .collect();
    for child in children(directory) {
        found.extend(processes_below(&child));
    }
    found
}

/// Removes a cgroup directory and all below it; a cgroup is removed by `rmdir` alone.
fn remove_cgroup(directory: &Path) -> Result<()> {
    patience::until(
        &format!("{} can be removed", directory.display()),
        Duration::from_secs(5),
        Duration::from_millis(20),
        || Ok(remove_now(directory).then_some(())),
    )
}

fn remove_now(directory: &Path) -> bool {
    let children_gone = children(directory).iter().all(|child| remove_now(child));
    children_gone
        && match fs::remove_dir(directory) {
            Ok(()) => true,
            Err(error) => error.kind() == std::io::ErrorKind::NotFound,
        }
}

/// The directories directly below one.
fn children(directory: &Path) -> Vec<PathBuf> {
    fs::read_dir(directory)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

fn is_zombie(process: i32) -> bool {
    fs::read_to_string(format!("/proc/{process}/stat"))
        .ok()
        .and_then(|stat| Some(stat.rsplit_once(") ")?.1.starts_with('Z')))
        .unwrap_or(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_follows_from_the_mounts_and_from_systemd() {
        let v1 = "tmpfs /sys/fs/cgroup tmpfs rw 0 0\ncgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0\n";
        let v2 = "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n";
        assert_eq!(Kind::of(v1, false), Kind::V1);
        assert_eq!(Kind::of(v2, true), Kind::V2WithSystemd);
        assert!(matches!(Kind::of(v2, false), Kind::Other(why) if why.contains("container")));
        assert!(matches!(Kind::of(v1, true), Kind::Other(why) if why.contains("unified")));
        assert!(matches!(Kind::of("", false), Kind::Other(_)));
    }

    #[test]
    fn this_process_is_no_zombie_and_process_0_is_none_to_kill() {
        let own = i32::try_from(std::process::id()).expect("a process id");
        assert!(!is_zombie(own));
        assert!(processes_below(Path::new("/nonexistent")).is_empty());
    }
}
