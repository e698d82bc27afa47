//! What the host must have before a lab can be brought up.

use std::env;
use std::fmt;
use std::fs;
use std::path::Path;

use nix::sys::statvfs::statvfs;

use super::Kind;

/// Something the host lacks, with the cure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shortcoming {
    what: String,
    cure: String,
}

impl fmt::Display for Shortcoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.cure)
    }
}

/// The programs the lab calls, and the Debian package that has each.
const PROGRAMS: [(&str, &str); 14] = [
    ("arping", "iputils-arping"),
    ("chroot", "coreutils"),
    ("debootstrap", "debootstrap"),
    ("ip", "iproute2"),
    ("mount", "mount"),
    ("nft", "nftables"),
    ("nsenter", "util-linux"),
    ("setsid", "util-linux"),
    ("ssh", "openssh-client"),
    ("ssh-keygen", "openssh-client"),
    ("sysctl", "procps"),
    ("systemd-nspawn", "systemd-container"),
    ("tcpdump", "tcpdump"),
    ("unshare", "util-linux"),
];

/// Everything that keeps this host from running a lab; empty when nothing does.
pub fn shortcomings() -> Vec<Shortcoming> {
    let mut found = Vec::new();
    if !nix::unistd::Uid::effective().is_root() {
        found.push(Shortcoming {
            what: "namespaces and mounts need root".to_owned(),
            cure: "run it as root".to_owned(),
        });
    }
    let missing = missing_packages(is_installed);
    if !missing.is_empty() {
        let mut names = missing.join(" ");
        names.insert_str(0, "apt-get install -y ");
        found.push(Shortcoming {
            what: "programs are not installed".to_owned(),
            cure: names,
        });
    }
    let file_systems = fs::read_to_string("/proc/filesystems").unwrap_or_default();
    if !file_systems.lines().any(|line| line.ends_with("\toverlay")) {
        found.push(Shortcoming {
            what: "the kernel has no overlay file system".to_owned(),
            cure: "modprobe overlay, or a kernel with CONFIG_OVERLAY_FS".to_owned(),
        });
    }
    if let Kind::Other(why) = Kind::of_this_host() {
        found.push(Shortcoming {
            what: "its control groups do not fit".to_owned(),
            cure: why.to_owned(),
        });
    }
    found
}

/// What is wrong with the free space of the file system that holds `directory`, if something is.
pub fn tight_disk(directory: &Path) -> Option<Shortcoming> {
    let space = statvfs(directory).ok()?;
    let free = space
        .blocks_available()
        .saturating_mul(space.fragment_size());
    is_tight(free).then(|| Shortcoming {
        what: format!(
            "only {} GiB of the file system of {} are free, and a lab of three machines takes {} GiB",
            free >> 30,
            directory.display(),
            ROOM >> 30
        ),
        cure: "make room, or set LBNODE_LAB_DIR to a larger one".to_owned(),
    })
}

/// What the disks of three machines with a cluster grow to, with some to spare.
const ROOM: u64 = 8 << 30;

fn is_tight(free: u64) -> bool {
    free < ROOM
}

/// The packages of the programs that are not there, each once.
fn missing_packages(installed: impl Fn(&str) -> bool) -> Vec<&'static str> {
    let mut packages: Vec<&str> = PROGRAMS
        .iter()
        .filter(|(program, _)| !installed(program))
        .map(|(_, package)| *package)
        .collect();
    packages.sort_unstable();
    packages.dedup();
    packages
}

/// Whether a program is in the search path, or where only root's path leads.
pub fn is_installed(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .any(|directory| directory.join(program).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_programs_are_named_by_package_each_once() {
        let without_util_linux =
            |program: &str| !["nsenter", "unshare", "arping"].contains(&program);
        assert_eq!(
            missing_packages(without_util_linux),
            ["iputils-arping", "util-linux"]
        );
        assert!(missing_packages(|_| true).is_empty());
    }

    #[test]
    fn a_disk_is_tight_below_what_a_lab_takes() {
        assert!(is_tight((8 << 30) - 1));
        assert!(!is_tight(8 << 30));
    }

    #[test]
    fn every_package_is_in_the_list_that_installations_read() {
        let list = include_str!("../../lab-packages.txt");
        for (program, package) in PROGRAMS {
            let listed = list.lines().any(|line| line == package);
            assert!(listed || package == "coreutils", "{program}: {package}");
        }
    }
}
