//! The files of the repository: what git tracks or would track.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::cargo;

/// One text file of the repository.
#[derive(Debug, Clone)]
pub(crate) struct SourceFile {
    /// Relative to the root, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
}

/// Every text file that git tracks or would track. Without git: every file outside hidden folders and `target`.
///
/// # Errors
///
/// When the tree cannot be read.
pub(crate) fn load() -> Result<Vec<SourceFile>> {
    let root = cargo::root();
    let mut paths = match tracked(&root) {
        Some(paths) => paths,
        None => {
            let mut paths = Vec::new();
            walk(&root, "", &mut paths)?;
            paths
        }
    };
    paths.sort();
    paths.dedup();
    Ok(paths
        .into_iter()
        .filter_map(|path| read(&root, path))
        .collect())
}

fn read(root: &Path, path: String) -> Option<SourceFile> {
    // A file that was deleted but not committed, a link that leads nowhere and a picture have no text.
    let text = fs::read_to_string(root.join(&path)).ok()?;
    Some(SourceFile { path, text })
}

fn tracked(root: &Path) -> Option<Vec<String>> {
    let output = Command::new("git")
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .current_dir(root)
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let paths: Vec<String> = text
        .split('\0')
        .filter(|path| !path.is_empty())
        .map(str::to_owned)
        .collect();
    (output.status.success() && !paths.is_empty()).then_some(paths)
}

fn walk(root: &Path, folder: &str, paths: &mut Vec<String>) -> Result<()> {
    let directory = root.join(folder);
    let entries = fs::read_dir(&directory)
        .with_context(|| format!("cannot list `{}`", directory.display()))?;
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if folder.is_empty() {
            name.clone()
        } else {
            format!("{folder}/{name}")
        };
        let is_output =
            name == "target" || name.starts_with('.') && name != ".ci" && name != ".cargo";
        if entry.file_type()?.is_dir() {
            if !is_output {
                walk(root, &path, paths)?;
            }
        } else {
            paths.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_has_its_manifest_and_leaves_out_build_output() {
        let files = load().unwrap();
        assert!(files.iter().any(|file| file.path == "Cargo.toml"));
        assert!(files.iter().all(|file| !file.path.starts_with("target/")));
    }

    #[test]
    fn without_git_the_same_files_are_found_by_walking() {
        let dir = tempfile::tempdir().unwrap();
        for path in ["src/main.rs", "target/debug/x", ".git/HEAD", ".ci/run"] {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let mut paths = Vec::new();
        walk(dir.path(), "", &mut paths).unwrap();
        paths.sort();
        assert_eq!(paths, [".ci/run", "src/main.rs"]);
    }
}
