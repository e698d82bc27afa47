//! R8: version numbers stand in the workspace table only.

use super::{Tree, Violation};
use crate::source::SourceFile;

pub(super) fn check(tree: &Tree, found: &mut Vec<Violation>) {
    for manifest in &tree.manifests {
        let mut section = String::new();
        let mut before = "";
        for (index, line) in manifest.text.lines().map(str::trim).enumerate() {
            if let Some(name) = line
                .strip_prefix('[')
                .and_then(|line| line.strip_suffix(']'))
            {
                section = name.to_owned();
            } else if section == "workspace.dependencies" {
                table_line(manifest, index + 1, line, before, found);
            } else if section.ends_with("dependencies") && own_version(line) {
                let reason = "takes a version of its own instead of `workspace = true`".to_owned();
                found.push(violation(manifest, index + 1, reason));
            }
            before = line;
        }
    }
}

fn table_line(
    manifest: &SourceFile,
    line: usize,
    text: &str,
    before: &str,
    found: &mut Vec<Violation>,
) {
    if text.starts_with('#') {
        return;
    }
    if text.contains("git =") {
        found.push(violation(
            manifest,
            line,
            "comes from a repository instead of the registry".to_owned(),
        ));
    }
    let is_held_back = text.contains("\"=") || text.contains("\"<") || text.contains(", <");
    if is_held_back && !before.starts_with('#') && !text.contains('#') {
        found.push(violation(
            manifest,
            line,
            "is pinned or capped without a reason beside it".to_owned(),
        ));
    }
}

fn own_version(line: &str) -> bool {
    if line.starts_with('#') {
        return false;
    }
    let Some((_, value)) = line.split_once('=') else {
        return false;
    };
    let value = value.trim();
    value.starts_with('"')
        || ["version =", "path =", "git ="]
            .iter()
            .any(|key| value.contains(key))
}

fn violation(manifest: &SourceFile, line: usize, reason: String) -> Violation {
    Violation {
        rule: "R8",
        place: manifest.path.clone(),
        line,
        reason,
    }
}
