//! The root file system that all machines share: a plain Debian 12 server with containerd.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::{cache, tool};

/// What a Debian server that is meant for Kubernetes has installed, and what tests look with.
const PACKAGES: &str = "ca-certificates,conntrack,containerd,containernetworking-plugins,curl,dbus,ethtool,\
iproute2,iptables,iputils-arping,iputils-ping,kmod,mount,nftables,openssh-server,procps,runc,\
socat,sudo,systemd-sysv,tcpdump";

const SUITE: &str = "bookworm";
const CUSTOMISE: &str = include_str!("customise.sh");

/// What kind of directory the cache keeps it as.
const KIND: &str = "debian";
/// What it is made from.
const INGREDIENTS: [&str; 3] = [SUITE, PACKAGES, CUSTOMISE];

/// The base tree, fetched and set up when the cache does not hold it.
pub(crate) fn directory() -> Result<PathBuf> {
    cache::directory(KIND, &INGREDIENTS.map(str::as_bytes), |tree, log| {
        let mut fetch = debootstrap(SUITE, PACKAGES, tree);
        log.step("fetching Debian for the machines", &mut fetch)?;
        let mut customise = tool::command("sh", ["-euc", CUSTOMISE, "customise"]);
        customise.arg(tree);
        log.step("setting up the machines' file system", &mut customise)
    })
}

/// The directory's name, known before it is made.
pub(crate) fn name() -> String {
    cache::name(KIND, &INGREDIENTS.map(str::as_bytes))
}

/// `debootstrap` of a minimal system with these packages (with commas between) into a directory.
pub(crate) fn debootstrap(suite: &str, packages: &str, tree: &Path) -> Command {
    let mut fetch = tool::command("debootstrap", ["--variant=minbase"]);
    fetch
        .arg(format!("--include={packages}"))
        .arg(suite)
        .arg(tree);
    if let Some(mirror) = mirror_of_the_host() {
        fetch.arg(mirror);
    }
    fetch
}

/// The Debian mirror that the host's own apt uses, if it says so.
fn mirror_of_the_host() -> Option<String> {
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    if let Ok(entries) = fs::read_dir("/etc/apt/sources.list.d") {
        let mut more: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        more.sort();
        files.extend(more);
    }
    files
        .iter()
        .filter_map(|file| fs::read_to_string(file).ok())
        .find_map(|text| mirror_in(&text))
}

/// The first address in apt's sources that is a Debian archive (and not the security archive).
fn mirror_in(sources: &str) -> Option<String> {
    sources
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .flat_map(str::split_whitespace)
        .find(|word| {
            (word.starts_with("http://") || word.starts_with("https://"))
                && word.trim_end_matches('/').ends_with("/debian")
        })
        .map(str::to_owned)
}

/// The programs `programs` (absolute paths in the base tree) and the shared libraries they load:
/// path inside the tree and where the bytes are.
pub(crate) fn with_libraries(tree: &Path, programs: &[&str]) -> Result<Vec<(String, PathBuf)>> {
    let mut files = std::collections::BTreeSet::new();
    for program in programs {
        files.insert((*program).to_owned());
        let mut ask = tool::command(
            "chroot",
            [tree.as_os_str(), "ldd".as_ref(), program.as_ref()],
        );
        let answer = tool::run(&mut ask)?;
        files.extend(
            answer
                .split_whitespace()
                .filter(|word| word.starts_with('/') && word.contains(".so"))
                .map(str::to_owned),
        );
    }
    files
        .into_iter()
        .map(|file| {
            let place = inside(tree, Path::new(&file))
                .with_context(|| format!("the base tree has no {file}"))?;
            Ok((file, place))
        })
        .collect()
}

/// The place of `path` of the tree on the host, links followed inside the tree.
fn inside(tree: &Path, path: &Path) -> Result<PathBuf> {
    let mut ask = tool::command(
        "chroot",
        [tree.as_os_str(), "readlink".as_ref(), "-e".as_ref()],
    );
    let real = tool::run(ask.arg(path))?;
    Ok(tree.join(real.trim().trim_start_matches('/')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mirror_is_found_in_both_forms_of_sources() {
        let one_line = "# deb http://old.example/debian x main\ndeb http://mirror.example/debian bookworm main\n";
        assert_eq!(
            mirror_in(one_line).as_deref(),
            Some("http://mirror.example/debian")
        );
        let fields = "Types: deb\nURIs: https://other.example/tools\n\nURIs: http://mirror.example/debian/\n";
        assert_eq!(
            mirror_in(fields).as_deref(),
            Some("http://mirror.example/debian/")
        );
        assert_eq!(
            mirror_in("deb http://mirror.example/debian-security s main"),
            None
        );
    }
}
