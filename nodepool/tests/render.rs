//! Every file of a machine as it is written, reviewed as snapshots.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// Files below a directory with their content.
fn files(directory: &Path, prefix: &str, into: &mut BTreeMap<String, String>) {
    for entry in std::fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        let name = format!(
            "{prefix}/{}",
            path.file_name().expect("a name").to_string_lossy()
        );
        if path.is_dir() {
            files(&path, &name, into);
        } else {
            into.insert(name, std::fs::read_to_string(&path).expect("text"));
        }
    }
}

/// The smallest program that `lbctl` accepts: an ELF header for amd64 without a loader.
fn program(path: &Path) {
    let mut elf = vec![0u8; 64];
    elf[..6].copy_from_slice(b"\x7fELF\x02\x01");
    elf[0x12] = 62;
    std::fs::write(path, elf).expect("a file");
}

fn rendered(example: &str) -> BTreeMap<String, String> {
    let folder = tempfile::tempdir().expect("a folder");
    let lbnode = folder.path().join("lbnode");
    program(&lbnode);
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let output = Command::new(env!("CARGO_BIN_EXE_lbctl"))
        .args(["render", "-f"])
        .arg(examples.join(example))
        .arg("-o")
        .arg(folder.path().join("out"))
        .arg("--lbnode")
        .arg(&lbnode)
        .output()
        .expect("lbctl runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let mut all = BTreeMap::new();
    files(&folder.path().join("out"), "", &mut all);
    all
}

fn text(files: &BTreeMap<String, String>, machine: &str) -> String {
    let mine = files.iter().filter(|(path, _)| path.starts_with(machine));
    mine.map(|(path, content)| format!("=== {path}\n{content}\n"))
        .collect()
}

#[test]
fn three_control_planes() {
    let files = rendered("three-control-planes.yaml");
    insta::assert_snapshot!("first_control_plane", text(&files, "/10.10.0.11"));
    insta::assert_snapshot!("second_control_plane", text(&files, "/10.10.0.12"));
}

#[test]
fn a_worker_has_no_load_balancer() {
    let files = rendered("hybrid.yaml");
    insta::assert_snapshot!("worker", text(&files, "/10.200.0.21"));
}

#[test]
fn every_example_renders_the_same_twice() {
    for example in [
        "dual-stack.yaml",
        "separate-load-balancers.yaml",
        "two-networks.yaml",
    ] {
        assert_eq!(rendered(example), rendered(example), "{example}");
    }
}
