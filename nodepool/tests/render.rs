//! Every file of a machine as it is written, reviewed as snapshots.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

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

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples")
}

fn lbctl_render(example: &str, lbnode: &Path, into: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lbctl"))
        .args(["render", "-f"])
        .arg(examples().join(example))
        .arg("-o")
        .arg(into)
        .arg("--lbnode")
        .arg(lbnode)
        .output()
        .expect("lbctl runs")
}

fn rendered(example: &str) -> BTreeMap<String, String> {
    let folder = tempfile::tempdir().expect("a folder");
    let lbnode = folder.path().join("lbnode");
    program(&lbnode);
    let output = lbctl_render(example, &lbnode, &folder.path().join("out"));
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
fn every_example_renders_as_reviewed_and_the_same_twice() {
    let mut examples: Vec<String> = std::fs::read_dir(examples())
        .expect("examples")
        .map(|entry| entry.expect("an entry").file_name())
        .map(|name| name.to_string_lossy().into_owned())
        .filter(|name| name.ends_with(".yaml") && name != "bgp.yaml")
        .collect();
    examples.sort();
    assert!(examples.len() >= 12, "{examples:?}");
    for example in &examples {
        let files = rendered(example);
        assert_eq!(files, rendered(example), "{example}");
        insta::with_settings!({snapshot_suffix => example.trim_end_matches(".yaml"), omit_expression => true}, {
            insta::assert_snapshot!("example", overview(&files));
        });
    }
}

/// Every path, and what is particular to a cluster: the load balancers' files of the first node that has some,
/// kubeadm's of the first node, and the pools.
fn overview(files: &BTreeMap<String, String>) -> String {
    let mut out: String = files.keys().map(|path| format!("{path}\n")).collect();
    let machine = |path: &str| path.split('/').nth(1).unwrap_or_default().to_owned();
    for part in ["/etc/lbnode/", "/kubeadm/", "/cluster/pools.yaml"] {
        let first = files.keys().find(|path| path.contains(part));
        let Some(first) = first.map(|path| machine(path)) else {
            continue;
        };
        for (path, content) in files {
            if machine(path) == first && path.contains(part) {
                out.push_str(&format!("\n=== {path}\n{content}"));
            }
        }
    }
    out
}

#[test]
fn bgp_is_not_rendered_yet() {
    let output = lbctl_render("bgp.yaml", Path::new("/nowhere"), Path::new("/nowhere"));
    assert_eq!(output.status.code(), Some(3));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("`type: bgp` is not supported yet"), "{said}");
}
