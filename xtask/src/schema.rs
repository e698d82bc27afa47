//! `cargo xtask schema`: writes what is generated from the table of keys of the cluster file.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::{cargo, say};

/// Writes the generated files, those that differ only.
///
/// # Errors
///
/// When a file cannot be written.
pub(crate) fn run() -> Result<ExitCode> {
    let root = cargo::root();
    for (path, text) in generated() {
        let path = root.join(path);
        if is_fresh(&path, &text) {
            continue;
        }
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
        }
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
        say::result(format!("wrote {}", path.display()));
    }
    Ok(ExitCode::SUCCESS)
}

/// The generated files that are not what they would be if written now.
pub(crate) fn stale() -> Vec<String> {
    let root = cargo::root();
    generated()
        .into_iter()
        .filter(|(path, text)| !is_fresh(&root.join(path), text))
        .map(|(path, _)| format!("{path} is stale: run `cargo xtask schema`"))
        .collect()
}

fn generated() -> [(&'static str, String); 2] {
    [
        ("schema/cluster.schema.json", cluster_config::json_schema()),
        ("docs/config.md", cluster_config::reference_markdown()),
    ]
}

fn is_fresh(path: &Path, text: &str) -> bool {
    fs::read_to_string(path).is_ok_and(|committed| committed == text)
}
