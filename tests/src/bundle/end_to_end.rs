//! Kubernetes' own end-to-end tests: the program, compiled as it is, and the image that its pods run.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::archive::{Archive, Entry};
use super::cached;
use super::programs::{self, CLUSTER_SOURCES, END_TO_END_SOURCES};
use crate::{base, cache};

/// The program with Kubernetes' end-to-end tests, built and kept in the cache.
///
/// # Errors
/// When there is no Go, or it does not compile.
pub fn end_to_end() -> Result<PathBuf> {
    let directory = cached("e2e", END_TO_END_SOURCES, &[], |directory, log| {
        let built = directory.join("built");
        programs::build(&built, programs::END_TO_END, log)?;
        fs::rename(built.join(PROGRAM), directory.join(PROGRAM))?;
        cache::remove_tree(&built)
    })?;
    Ok(directory.join(PROGRAM))
}

/// The archive with the image that the specs of the network ask for, under the name that they use.
///
/// # Errors
/// When there is no Go, or it does not compile.
pub fn end_to_end_images() -> Result<PathBuf> {
    let more = [
        base::name(),
        IMAGE.to_owned(),
        TOOLS.concat(),
        NC.to_owned(),
        WGET.to_owned(),
    ];
    let directory = cached("e2e-images", CLUSTER_SOURCES, &more, |directory, log| {
        let tree = base::directory()?;
        let built = directory.join("built");
        programs::build(&built, programs::TESTS, log)?;
        archive(&directory.join(ARCHIVE), &built, &tree)?;
        cache::remove_tree(&built)
    })?;
    Ok(directory.join(ARCHIVE))
}

/// Specs run commands in their pods: beside agnhost the image has a shell and what they call.
fn archive(file: &Path, built: &Path, tree: &Path) -> Result<()> {
    let mut archive = Archive::create(file)?;
    let mut entries: Vec<Entry> = base::with_libraries(tree, TOOLS)?
        .iter()
        .map(|(path, file)| Entry::file(path.trim_start_matches('/'), file))
        .collect();
    entries.extend([
        Entry::symbolic_link("usr/bin/sh", "dash"),
        Entry::script("usr/bin/nc", NC),
        Entry::script("usr/bin/wget", WGET),
        Entry::symbolic_link("bin", "usr/bin"),
        Entry::symbolic_link("sbin", "usr/sbin"),
    ]);
    let tools = archive.layer(&entries)?;
    let agnhost = archive.layer(&[Entry::file("agnhost", &built.join("agnhost"))])?;
    archive.image(IMAGE, &[&tools, &agnhost], "/agnhost")?;
    archive.finish()
}

const PROGRAM: &str = "e2e.test";
const ARCHIVE: &str = "images.tar";

/// What the test program of [`super::KUBERNETES_VERSION`] asks for.
const IMAGE: &str = "registry.k8s.io/e2e-test-images/agnhost:2.63.0";

/// Paths in the machines' base tree.
const TOOLS: &[&str] = &[
    "/usr/bin/cat",
    "/usr/bin/curl",
    "/usr/bin/cut",
    "/usr/bin/dash",
    "/usr/bin/date",
    "/usr/bin/echo",
    "/usr/bin/env",
    "/usr/bin/grep",
    "/usr/bin/head",
    "/usr/bin/hostname",
    "/usr/bin/id",
    "/usr/bin/ip",
    "/usr/bin/ls",
    "/usr/bin/mkdir",
    "/usr/bin/nsenter",
    "/usr/bin/sed",
    "/usr/bin/seq",
    "/usr/bin/sleep",
    "/usr/bin/socat",
    "/usr/bin/sort",
    "/usr/bin/tail",
    "/usr/bin/timeout",
    "/usr/bin/tr",
    "/usr/bin/true",
    "/usr/bin/wc",
    "/usr/sbin/nft",
];

/// `nc` as specs call it: `nc -v -t|-u [-z] -w SECONDS HOST PORT`.
const NC: &str = r#"#!/bin/sh
kind=TCP wait=5 only=
while :; do
    case $1 in
        -u) kind=UDP ;;
        -z) only=yes ;;
        -w) wait=$2; shift ;;
        -*) ;;
        *) break ;;
    esac
    shift
done
[ -z "$only" ] || exec socat -u OPEN:/dev/null "$kind:$1:$2,connect-timeout=$wait"
[ "$kind" = UDP ] && exec socat -t"$wait" - "UDP:$1:$2"
exec socat -t"$wait" -T"$wait" - "TCP:$1:$2,connect-timeout=$wait"
"#;

/// `wget` as specs call it: `wget -T SECONDS -qO- URL`.
const WGET: &str = r#"#!/bin/sh
wait=30
while :; do
    case $1 in
        -T) wait=$2; shift ;;
        -*) ;;
        *) break ;;
    esac
    shift
done
exec curl -q -g -s -f -m "$wait" "$1"
"#;
