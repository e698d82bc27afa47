//! `cargo xtask layering`: who may import whom.
//!
//! | rule | |
//! |---|---|
//! | R1 | `cluster-config` needs no workspace crate and no async, network or Kubernetes crate, opens no socket |
//! | R2 | `vrrp`, `haproxy-lite` and `dataplane` never import each other |
//! | R3 | `nodepool` imports no role crate and nothing that only Linux has |
//! | R4 | each technical crate has its home: Kubernetes, SSH, netlink, sockets, HTTP, TLS, clap |
//! | R5 | `*/src/proto`, `*/src/core` and `l2/src/wire` decide without doing: no runtime, sockets, files, clocks |
//! | R6 | public signatures of `cluster-config` hold no third-party type but `std::net` and `ipnet` |
//! | R7 | TLS is constructed in `daemon::tls` with one provider |
//! | R8 | version numbers stand in the workspace table only, a pin or cap with its reason beside it |
//! | R9 | `unsafe` stands in the two `sys.rs` only |

mod dependencies;
mod imports;
mod manifests;
mod surface;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;
use std::process::ExitCode;

use anyhow::Result;

use crate::metadata::Metadata;
use crate::rust::{self, Code};
use crate::source::{self, SourceFile};
use crate::{cargo, say};

/// Checks the tree and prints what breaks a rule.
///
/// # Errors
///
/// When the tree cannot be read.
pub(crate) fn run() -> Result<ExitCode> {
    let violations = check(&Tree::load(&Metadata::load()?, &source::load()?));
    for violation in &violations {
        say::result(violation);
    }
    say::progress(format!("layering: {} broken", violations.len()));
    Ok(if violations.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// All violations, by rule and place.
pub(crate) fn check(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    dependencies::check(tree, &mut found);
    imports::check(tree, &mut found);
    surface::check(tree, &mut found);
    manifests::check(tree, &mut found);
    found.sort();
    found.dedup();
    found
}

/// What the rules look at.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tree {
    pub(crate) members: Vec<Member>,
    pub(crate) files: Vec<RustFile>,
    pub(crate) manifests: Vec<SourceFile>,
}

/// One crate of the workspace.
#[derive(Debug, Clone, Default)]
pub(crate) struct Member {
    pub(crate) name: String,
    /// Direct dependencies for building and running, under both names if they have two.
    pub(crate) dependencies: BTreeSet<String>,
    /// Everything that it needs at run time.
    pub(crate) closure: BTreeSet<String>,
}

/// One source file that ends up in a program.
#[derive(Debug, Clone)]
pub(crate) struct RustFile {
    pub(crate) path: String,
    pub(crate) code: Code,
}

impl Tree {
    /// From what cargo and git say.
    pub(crate) fn load(metadata: &Metadata, sources: &[SourceFile]) -> Self {
        let root = cargo::root();
        let members = metadata.members().map(|package| {
            let direct = package
                .dependencies
                .iter()
                .filter(|entry| entry.kind.as_deref() != Some("dev"));
            Member {
                name: package.name.clone(),
                dependencies: direct
                    .flat_map(|entry| [Some(entry.name.clone()), entry.rename.clone()])
                    .flatten()
                    .collect(),
                closure: metadata
                    .runtime_closure(&package.name)
                    .into_iter()
                    .map(str::to_owned)
                    .collect(),
            }
        });
        let manifests = metadata.members().filter_map(|package| {
            let relative = package
                .directory()
                .strip_prefix(&root)
                .ok()?
                .join("Cargo.toml");
            let path = relative.to_str()?.to_owned();
            sources.iter().find(|file| file.path == path).cloned()
        });
        Self {
            members: members.collect(),
            files: rust_files(sources),
            manifests: manifests.collect(),
        }
    }
}

/// The sources that are not tests.
pub(crate) fn rust_files(sources: &[SourceFile]) -> Vec<RustFile> {
    let mut files: Vec<RustFile> = sources
        .iter()
        .filter(|file| file.path.ends_with(".rs") && !rust::is_test_file(&file.path))
        .map(|file| RustFile {
            path: file.path.clone(),
            code: Code::read(&file.text),
        })
        .collect();
    let for_tests: Vec<(String, String)> = files
        .iter()
        .flat_map(|file| {
            file.code
                .test_modules
                .iter()
                .map(|name| rust::module_files(&file.path, name))
        })
        .collect();
    files.retain(|file| {
        !for_tests
            .iter()
            .any(|(path, folder)| file.path == *path || file.path.starts_with(folder))
    });
    files
}

/// One place that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Violation {
    pub(crate) rule: &'static str,
    /// Manifest, or file and line.
    pub(crate) place: String,
    pub(crate) line: usize,
    pub(crate) reason: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            rule,
            place,
            line,
            reason,
        } = self;
        match line {
            0 => write!(f, "{place}: {rule}: {reason}"),
            _ => write!(f, "{place}:{line}: {rule}: {reason}"),
        }
    }
}
