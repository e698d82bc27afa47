//! Tells the build which commit and target it is made from. Reads the repository's files itself, so that
//! a machine without git, or a source archive without a repository, builds as well.

use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=LBNODE_COMMIT");
    let target = env::var("TARGET").unwrap_or_else(|_| UNKNOWN.to_owned());
    println!("cargo:rustc-env=LBNODE_TARGET={target}");
    let commit = env::var("LBNODE_COMMIT").ok().or_else(head);
    let commit = commit.as_deref().map_or(UNKNOWN, abbreviate);
    println!("cargo:rustc-env=LBNODE_BUILD_COMMIT={commit}");
}

/// The commit that is checked out.
fn head() -> Option<String> {
    let git = git_directory(Path::new(&env::var_os("CARGO_MANIFEST_DIR")?))?;
    let head = watch(&git.join("HEAD"))?;
    let Some(reference) = head.strip_prefix("ref: ") else {
        return Some(head);
    };
    // A linked work tree keeps its branches in the repository that it belongs to.
    let shared = fs::read_to_string(git.join("commondir"))
        .map_or_else(|_| git.clone(), |path| git.join(path.trim()));
    watch(&shared.join(reference)).or_else(|| {
        let packed = watch(&shared.join("packed-refs"))?;
        let line = packed
            .lines()
            .find(|line| line.ends_with(&format!(" {reference}")))?;
        Some(line.split(' ').next()?.to_owned())
    })
}

fn git_directory(root: &Path) -> Option<PathBuf> {
    let git = root.join(".git");
    if git.is_dir() {
        return Some(git);
    }
    let text = fs::read_to_string(&git).ok()?;
    Some(root.join(text.trim().strip_prefix("gitdir: ")?))
}

fn watch(path: &Path) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    println!("cargo:rerun-if-changed={}", path.display());
    Some(text.trim().to_owned())
}

fn abbreviate(commit: &str) -> &str {
    let is_hash = commit.len() >= 12 && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hash { &commit[..12] } else { UNKNOWN }
}

const UNKNOWN: &str = "unknown";
