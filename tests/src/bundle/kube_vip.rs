//! An image under kube-vip's name with a stand-in for its program: it keeps the lease and the address as that one does, so
//! that a cluster can be taken over from its real manifest where the program itself cannot be had.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::archive::{Archive, Entry};
use super::cached;
use crate::base;

/// The image, as kube-vip's manifest names it.
pub const KUBE_VIP_IMAGE: &str = "ghcr.io/kube-vip/kube-vip:v1.2.3";

/// The archive with the image.
///
/// # Errors
/// When the machines' base tree is not there or lacks a program.
pub fn kube_vip() -> Result<PathBuf> {
    let more = [
        base::name(),
        KUBE_VIP_IMAGE.to_owned(),
        TOOLS.concat(),
        STAND_IN.to_owned(),
    ];
    let directory = cached("kube-vip", &[], &more, |directory, _| {
        let tree = base::directory()?;
        archive(&directory.join(ARCHIVE), &tree)
    })?;
    Ok(directory.join(ARCHIVE))
}

fn archive(file: &Path, tree: &Path) -> Result<()> {
    let mut archive = Archive::create(file)?;
    let mut entries: Vec<Entry> = base::with_libraries(tree, TOOLS)?
        .iter()
        .map(|(path, file)| Entry::file(path.trim_start_matches('/'), file))
        .collect();
    entries.extend([
        Entry::symbolic_link("usr/bin/sh", "dash"),
        Entry::symbolic_link("bin", "usr/bin"),
        Entry::symbolic_link("sbin", "usr/sbin"),
        Entry::script("kube-vip", STAND_IN),
    ]);
    let layer = archive.layer(&entries)?;
    archive.image(KUBE_VIP_IMAGE, &[&layer], "/kube-vip")?;
    archive.finish()
}

const ARCHIVE: &str = "images.tar";

/// Paths in the machines' base tree.
const TOOLS: &[&str] = &[
    "/usr/bin/arping",
    "/usr/bin/base64",
    "/usr/bin/cat",
    "/usr/bin/curl",
    "/usr/bin/dash",
    "/usr/bin/date",
    "/usr/bin/head",
    "/usr/bin/ip",
    "/usr/bin/mkdir",
    "/usr/bin/sed",
    "/usr/bin/sleep",
];

/// `kube-vip manager` by ARP with leader election, as far as the API's address goes.
const STAND_IN: &str = include_str!("kube-vip.sh");
