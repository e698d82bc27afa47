//! Hosts with cgroup v1 hierarchies and no systemd as process 1.
//!
//! `systemd-nspawn` takes the path of its cgroup that it reads in `/proc` for the path below
//! `/sys/fs/cgroup`. So that this is true, and machines do not end up in each other's cgroups, a
//! machine is started from a cgroup of its own in every hierarchy, inside a cgroup namespace, and
//! with every hierarchy mounted anew in a mount namespace: its cgroup is the root it sees.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::{Cell, children, remove_cgroup};
use crate::paths::Prefix;
use crate::roster::Machine;
use crate::tool;

const ENTER: &str = include_str!("enter-hierarchies.sh");

/// The host's cgroup hierarchies.
#[derive(Debug)]
pub struct Hierarchies(Vec<Hierarchy>);

#[derive(Debug, PartialEq, Eq)]
struct Hierarchy {
    directory: PathBuf,
    file_system: String,
    /// Mount options that choose this hierarchy, such as `memory` or `none,name=systemd`.
    options: String,
}

impl Hierarchies {
    /// Reads which hierarchies are mounted.
    pub(super) fn mounted() -> Result<Self> {
        let mounts = fs::read_to_string("/proc/self/mounts").context("cannot read the mounts")?;
        Ok(Self(mounts.lines().filter_map(hierarchy).collect()))
    }

    pub(super) fn start(&self, cell: &Cell, nspawn: &[String], console: &Path) -> Result<()> {
        for hierarchy in &self.0 {
            hierarchy.create(cell)?;
        }
        let table: Vec<String> = self
            .0
            .iter()
            .map(|hierarchy| {
                format!(
                    "{} {} {}",
                    hierarchy.file_system,
                    hierarchy.options,
                    hierarchy.directory.display()
                )
            })
            .collect();
        let console = File::create(console)
            .with_context(|| format!("cannot create {}", console.display()))?;
        let status = tool::command("sh", ["-euc", ENTER, "enter-hierarchies"])
            .args(nspawn)
            .env("LAB_HIERARCHIES", table.join("\n"))
            .env("LAB_CGROUP", path_in_hierarchy(cell))
            .env("SYSTEMD_NSPAWN_API_VFS_WRITABLE", "yes")
            .stdout(console.try_clone()?)
            .stderr(console)
            .status()
            .context("cannot run `sh`")?;
        anyhow::ensure!(
            status.success(),
            "{cell} cannot enter its cgroups ({status})"
        );
        Ok(())
    }

    pub(super) fn directories(&self, cell: &Cell) -> Vec<PathBuf> {
        self.0
            .iter()
            .map(|hierarchy| hierarchy.directory.join(path_in_hierarchy(cell)))
            .collect()
    }

    pub(super) fn weigh(&self, cell: &Cell, per_cent: u32) -> Result<()> {
        const ORDINARY: u32 = 1024;
        let Some(shares) = self.file(cell, "cpu.shares") else {
            return Ok(());
        };
        fs::write(shares, (ORDINARY * per_cent / 100).to_string())
            .with_context(|| format!("cannot weigh {cell}"))
    }

    pub(super) fn memory_file(&self, cell: &Cell) -> Option<PathBuf> {
        self.file(cell, "memory.usage_in_bytes")
    }

    /// A file of the cell, in the hierarchy that has one of that name.
    fn file(&self, cell: &Cell, name: &str) -> Option<PathBuf> {
        self.directories(cell)
            .into_iter()
            .map(|directory| directory.join(name))
            .find(|file| file.is_file())
    }

    pub(super) fn remove(&self, cell: &Cell) -> Result<()> {
        self.directories(cell)
            .iter()
            .try_for_each(|directory| remove_cgroup(directory))
    }

    pub(super) fn cells(&self, prefix: &Prefix) -> Vec<Machine> {
        let mut machines: Vec<Machine> = self
            .0
            .iter()
            .flat_map(|hierarchy| children(&hierarchy.directory.join(family(prefix))))
            .filter_map(|directory| directory.file_name()?.to_str()?.parse().ok())
            .collect();
        machines.sort_unstable();
        machines.dedup();
        machines
    }

    /// The list of threads in the cgroup with the lab's share of the processors.
    pub(super) fn tasks_beside_machines(&self, prefix: &Prefix) -> Option<PathBuf> {
        self.processors(prefix)
            .map(|directory| directory.join("tasks"))
    }

    /// The list of threads in the cgroup of programs at the operator's place. Beside busy machines they get a quarter
    /// of one machine's share: they would have processors of their own, and do not take a node's.
    pub(super) fn tasks_of_the_operator(&self, prefix: &Prefix) -> Option<PathBuf> {
        let directory = self.processors(prefix)?.join(OPERATOR);
        fs::create_dir_all(&directory).ok()?;
        fs::write(directory.join("cpu.shares"), SHARES_OF_THE_OPERATOR).ok()?;
        Some(directory.join("tasks"))
    }

    /// The cgroup that shares out the processors among the machines.
    fn processors(&self, prefix: &Prefix) -> Option<PathBuf> {
        self.0
            .iter()
            .map(|hierarchy| hierarchy.directory.join(family(prefix)))
            .find(|directory| directory.join("cpu.shares").is_file())
    }

    pub(super) fn forget(&self, prefix: &Prefix) {
        for hierarchy in &self.0 {
            let family = hierarchy.directory.join(family(prefix));
            for directory in [family.join(OPERATOR), family] {
                // Not there, or not empty: nothing more can be done about it here.
                let _ = fs::remove_dir(directory);
            }
        }
    }
}

impl Hierarchy {
    fn create(&self, cell: &Cell) -> Result<()> {
        let mut directory = self.directory.clone();
        for part in [family(&cell.prefix), cell.machine.to_string()] {
            let parent = directory.clone();
            directory.push(part);
            fs::create_dir_all(&directory)
                .with_context(|| format!("cannot create the cgroup {}", directory.display()))?;
            // A cpuset without processors and memory nodes accepts no process.
            for file in ["cpuset.cpus", "cpuset.mems"] {
                if parent.join(file).is_file() {
                    let all = fs::read_to_string(parent.join(file))?;
                    fs::write(directory.join(file), all.trim())?;
                }
            }
        }
        let family = self.directory.join(family(&cell.prefix));
        let shares = family.join("cpu.shares");
        if shares.is_file() {
            fs::write(shares, SHARES).context("cannot give the lab its share of the processors")?;
        }
        for (directory, micros) in [(family, REALTIME_OF_A_LAB), (directory, REALTIME)] {
            let budget = directory.join("cpu.rt_runtime_us");
            if budget.is_file() {
                // Refused where other labs have taken what there is: this one's routers run without.
                let _ = fs::write(budget, micros);
            }
        }
        Ok(())
    }
}

/// A lab's share of the processors, in the unit in which a busy program of the host has 1024:
/// machines have processors of their own, and must not wait for a compiler beside them.
const SHARES: &str = "16384";

/// In the same unit, beside machines with 1024 each.
const SHARES_OF_THE_OPERATOR: &str = "256";

/// What realtime programs of a lab, and of one machine, may take of a second of each processor, in microseconds.
/// Kernels with these hierarchies may give realtime by cgroup; a machine's own Debian kernel asks for no budget.
const REALTIME_OF_A_LAB: &str = "450000";
const REALTIME: &str = "90000";

/// The cgroup beside the machines' for programs at the operator's place.
const OPERATOR: &str = "operator";

fn family(prefix: &Prefix) -> String {
    format!("lbnode-lab-{prefix}")
}

fn path_in_hierarchy(cell: &Cell) -> String {
    format!("{}/{}", family(&cell.prefix), cell.machine)
}

/// The hierarchy that a line of the table of mounts is about.
fn hierarchy(line: &str) -> Option<Hierarchy> {
    let mut fields = line.split(' ').skip(1);
    let (directory, file_system, options) = (fields.next()?, fields.next()?, fields.next()?);
    let below = directory.strip_prefix("/sys/fs/cgroup/")?;
    let chosen = match file_system {
        "cgroup2" => "rw".to_owned(),
        "cgroup" => chosen_by(options)?,
        _ => return None,
    };
    (!below.is_empty()).then(|| Hierarchy {
        directory: PathBuf::from(directory),
        file_system: file_system.to_owned(),
        options: chosen,
    })
}

/// The mount options of a v1 hierarchy that name it, without those that only describe the mount.
fn chosen_by(options: &str) -> Option<String> {
    const DESCRIPTIVE: [&str; 9] = [
        "rw",
        "ro",
        "relatime",
        "nosuid",
        "nodev",
        "noexec",
        "xattr",
        "clone_children",
        "noprefix",
    ];
    let names: Vec<&str> = options
        .split(',')
        .filter(|option| !DESCRIPTIVE.contains(option) && !option.starts_with("release_agent="))
        .collect();
    match names.as_slice() {
        [] => None,
        [name] if name.starts_with("name=") => Some(format!("none,{name}")),
        names => Some(names.join(",")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hierarchies_are_read_from_the_table_of_mounts() {
        let read = |line| hierarchy(line).map(|one| (one.file_system, one.options));
        let pair = |a: &str, b: &str| Some((a.to_owned(), b.to_owned()));
        assert_eq!(
            read("cgroup /sys/fs/cgroup/memory cgroup rw,relatime,memory 0 0"),
            pair("cgroup", "memory")
        );
        assert_eq!(
            read("cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,nosuid,cpu,cpuacct 0 0"),
            pair("cgroup", "cpu,cpuacct")
        );
        assert_eq!(
            read("cgroup /sys/fs/cgroup/systemd cgroup rw,xattr,name=systemd 0 0"),
            pair("cgroup", "none,name=systemd")
        );
        assert_eq!(
            read("cgroup2 /sys/fs/cgroup/unified cgroup2 rw,relatime 0 0"),
            pair("cgroup2", "rw")
        );
        assert_eq!(read("tmpfs /sys/fs/cgroup tmpfs rw 0 0"), None);
        assert_eq!(read("/dev/vda / ext4 rw 0 0"), None);
    }
}
