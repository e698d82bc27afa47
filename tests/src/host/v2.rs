//! Hosts with the unified cgroup v2 hierarchy and systemd as process 1: a machine is a transient
//! unit with a delegated cgroup, as `systemd-nspawn@.service` makes it.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::{Cell, children, remove_cgroup};
use crate::paths::Prefix;
use crate::roster::Machine;
use crate::tool;

const ROOT: &str = "/sys/fs/cgroup/lbnodelab.slice";
const SLICE: &str = "lbnodelab.slice";

pub(super) fn start(cell: &Cell, nspawn: &[String], console: &Path) -> Result<()> {
    let unit = unit(cell);
    // Machines have processors of their own, and must not wait for a compiler beside them.
    let weight = ["set-property", "--runtime", SLICE, "CPUWeight=1600"];
    tool::run(&mut tool::command("systemctl", weight))?;
    // A unit of that name that failed before would stand in the way.
    tool::succeeds(&mut tool::command("systemctl", ["reset-failed", &unit]))?;
    let mut start = tool::command("systemd-run", ["--quiet", "--collect"]);
    start
        .arg(format!("--unit={unit}"))
        .arg(format!("--slice=lbnodelab-{}.slice", cell.prefix))
        .args(["--property=Delegate=yes", "--property=KillMode=mixed"])
        .args([
            "--property=TasksMax=infinity",
            "--property=LimitNOFILE=1048576",
        ])
        .arg("--property=DevicePolicy=auto")
        .arg(format!(
            "--property=StandardOutput=file:{}",
            console.display()
        ))
        .arg(format!(
            "--property=StandardError=file:{}",
            console.display()
        ))
        .arg("--setenv=SYSTEMD_NSPAWN_API_VFS_WRITABLE=yes")
        .arg("--")
        .args(nspawn);
    tool::run(&mut start).map(drop)
}

/// The cgroup of the machine's unit.
pub(super) fn directory(cell: &Cell) -> PathBuf {
    slice(&cell.prefix).join(unit(cell))
}

pub(super) fn weigh(cell: &Cell, per_cent: u32) -> Result<()> {
    let weight = format!("CPUWeight={per_cent}");
    let words = ["set-property", "--runtime", &unit(cell), &weight];
    tool::run(&mut tool::command("systemctl", words)).map(drop)
}

pub(super) fn remove(cell: &Cell) -> Result<()> {
    tool::succeeds(&mut tool::command("systemctl", ["stop", &unit(cell)]))?;
    remove_cgroup(&directory(cell))
}

pub(super) fn cells(prefix: &Prefix) -> Vec<Machine> {
    children(&slice(prefix))
        .iter()
        .filter_map(|directory| {
            let name = directory.file_name()?.to_str()?;
            let machine = name.strip_suffix(".service")?;
            machine
                .strip_prefix(&format!("lbnode-lab-{prefix}-"))?
                .parse()
                .ok()
        })
        .collect()
}

pub(super) fn forget(prefix: &Prefix) {
    let slice = format!("lbnodelab-{prefix}.slice");
    // An empty slice that stays does no harm.
    let _ = tool::succeeds(&mut tool::command("systemctl", ["stop", &slice]));
}

fn slice(prefix: &Prefix) -> PathBuf {
    Path::new(ROOT).join(format!("lbnodelab-{prefix}.slice"))
}

fn unit(cell: &Cell) -> String {
    format!("lbnode-lab-{cell}.service")
}
