//! The command line: exit codes, and what is said where.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn lbctl(words: &[&str]) -> Output {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    Command::new(env!("CARGO_BIN_EXE_lbctl"))
        .args(words)
        .current_dir(root)
        .stdin(Stdio::null())
        .output()
        .expect("lbctl runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

const EXAMPLE: &str = "examples/three-control-planes.yaml";

#[test]
fn help_and_version() {
    insta::assert_snapshot!("help", text(&lbctl(&["--help"]).stdout));
    insta::assert_snapshot!(
        "help_create_cluster",
        text(&lbctl(&["create", "cluster", "--help"]).stdout)
    );
    let version = lbctl(&["version"]);
    assert_eq!(
        text(&version.stdout),
        format!("lbctl {}\n", env!("CARGO_PKG_VERSION"))
    );
    assert!(text(&lbctl(&["completions", "bash"]).stdout).contains("_lbctl"));
}

#[test]
fn usage_errors_end_with_2() {
    assert_eq!(lbctl(&["creat"]).status.code(), Some(2));
    assert_eq!(lbctl(&["create", "cluster"]).status.code(), Some(2));
    assert_eq!(
        lbctl(&["create", "config", "-c", "Not A Name", "-o", "-"])
            .status
            .code(),
        Some(2)
    );
}

#[test]
fn software_comes_from_one_place_and_a_version_is_exact() {
    let version = "--kubernetes-version=v1.36.3";
    for words in [
        vec![version, "--bundle=/nowhere"],
        vec!["--package-repo=https://x/"],
        vec!["--package-key=/nowhere"],
    ] {
        let mut line = vec!["check", "preflight", "-f", EXAMPLE];
        line.extend(words);
        assert_eq!(lbctl(&line).status.code(), Some(2), "{line:?}");
    }
    let render = |version: &str| {
        let folder = tempfile::tempdir().expect("a folder");
        let out = folder.path().join("out").display().to_string();
        lbctl(&["render", "-f", EXAMPLE, "-o", &out, version])
    };
    let vague = render("--kubernetes-version=1.36");
    assert_eq!(vague.status.code(), Some(2));
    let said = text(&vague.stderr);
    assert!(
        said.contains("`1.36` is no version of Kubernetes"),
        "{said}"
    );
}

#[test]
fn a_valid_file_is_ok_on_stdout_and_an_invalid_one_ends_with_3() {
    let good = lbctl(&["check", "config", "-f", EXAMPLE]);
    assert_eq!(
        (good.status.code(), text(&good.stdout)),
        (Some(0), format!("{EXAMPLE}: ok\n"))
    );
    assert_eq!(text(&good.stderr), "");

    let folder = tempfile::tempdir().expect("a folder");
    let bad = changed(&folder, "10.10.0.100", "10.10.0.11");
    let bad = bad.to_str().expect("a plain path");
    let table = lbctl(&["check", "config", "-f", bad]);
    assert_eq!(
        (table.status.code(), text(&table.stdout)),
        (Some(3), String::new())
    );
    assert!(
        text(&table.stderr).contains("hint:"),
        "{}",
        text(&table.stderr)
    );
    let json = lbctl(&["check", "config", "-f", bad, "-o", "json"]);
    let list: serde_json::Value = serde_json::from_slice(&json.stdout).expect("JSON");
    assert_eq!(
        (json.status.code(), list[0]["severity"].as_str()),
        (Some(3), Some("error"))
    );

    let create = lbctl(&[
        "create",
        "cluster",
        "-f",
        bad,
        "--workspace",
        folder.path().to_str().expect("a path"),
    ]);
    assert_eq!(create.status.code(), Some(3));
    assert!(
        text(&create.stderr).contains("nothing was changed"),
        "{}",
        text(&create.stderr)
    );
}

#[test]
fn a_missing_file_and_a_missing_key_are_named() {
    let missing = lbctl(&["check", "config", "-f", "/nowhere.yaml"]);
    assert_eq!(missing.status.code(), Some(3));
    assert!(text(&missing.stderr).contains("cannot read `/nowhere.yaml`"));
    let folder = tempfile::tempdir().expect("a folder");
    let workspace = folder.path().to_str().expect("a path");
    let key = lbctl(&[
        "create",
        "cluster",
        "-f",
        EXAMPLE,
        "--workspace",
        workspace,
        "--ssh-private-key",
        "/no/key",
    ]);
    assert_eq!(key.status.code(), Some(3));
    assert!(
        text(&key.stderr).contains("the SSH key `/no/key` does not exist"),
        "{}",
        text(&key.stderr)
    );
}

#[test]
fn what_is_no_cluster_file_is_told_in_its_own_words() {
    let folder = tempfile::tempdir().expect("a folder");
    let written = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).expect("a file");
        path.to_str().expect("a path").to_owned()
    };
    let latin = written("latin.yaml", b"# caf\xe9\n");
    let cases = [
        (
            folder.path().to_str().expect("a path").to_owned(),
            "hint: name a file in it",
        ),
        ("/nowhere.yaml".to_owned(), "hint: `lbctl create config"),
        (latin.clone(), "latin.yaml:1:6"),
        (written("utf16.yaml", b"\xff\xfea\0"), "UTF-16"),
        (written("program", b"\x7fELF\0\xff"), "is not text"),
        (written("empty.yaml", b""), "has no Cluster document"),
        // Endless: read no further than a cluster file may go.
        ("/dev/zero".to_owned(), "larger than 4 MiB"),
    ];
    for (path, said) in cases {
        let checked = lbctl(&["check", "config", "-f", &path]);
        assert_eq!(checked.status.code(), Some(3), "{path}");
        assert_eq!(text(&checked.stdout), "", "{path}");
        assert!(
            text(&checked.stderr).contains(said),
            "{path}: {}",
            text(&checked.stderr)
        );
    }
    let table = lbctl(&["check", "config", "-f", &latin]);
    assert!(text(&table.stderr).ends_with("latin.yaml: 1 error\n"));
    let json = lbctl(&["check", "config", "-f", &latin, "-o", "json"]);
    let keys: Vec<usize> = [
        "code", "severity", "file", "line", "column", "message", "hint", "related",
    ]
    .iter()
    .map(|key| {
        text(&json.stdout)
            .find(&format!("\"{key}\":"))
            .expect("every key")
    })
    .collect();
    assert!(keys.is_sorted(), "{}", text(&json.stdout));
    // Nothing on stdin.
    let stdin = lbctl(&["check", "config", "-f", "-"]);
    assert_eq!(stdin.status.code(), Some(3));
    assert!(text(&stdin.stderr).contains("<stdin>:1:1"));
    assert!(text(&stdin.stderr).ends_with("<stdin>: 1 error\n"));
}

#[test]
fn reset_without_a_terminal_asks_for_yes() {
    let folder = tempfile::tempdir().expect("a folder");
    let key = folder.path().join("key");
    std::fs::write(&key, "").expect("a file");
    let (workspace, key) = (
        folder.path().to_str().expect("a path"),
        key.to_str().expect("a path"),
    );
    let reset = lbctl(&[
        "reset",
        "cluster",
        "-f",
        EXAMPLE,
        "--workspace",
        workspace,
        "--ssh-private-key",
        key,
    ]);
    assert_eq!(reset.status.code(), Some(2));
    assert!(
        text(&reset.stderr).contains("hint: `--yes`"),
        "{}",
        text(&reset.stderr)
    );
}

#[test]
fn diff_ends_with_0_5_or_3() {
    let folder = tempfile::tempdir().expect("a folder");
    let same = lbctl(&["diff", "-f", EXAMPLE, "--against", EXAMPLE]);
    assert_eq!(
        (same.status.code(), text(&same.stdout)),
        (Some(0), "no changes\n".to_owned())
    );
    let moved = changed(
        &folder,
        "  - address: 10.10.0.13",
        "  - address: 10.10.0.14",
    );
    let moved = moved.to_str().expect("a path");
    let allowed = lbctl(&["diff", "-f", moved, "--against", EXAMPLE]);
    assert_eq!(allowed.status.code(), Some(5), "{}", text(&allowed.stdout));
    let refused = changed(
        &folder,
        "controlPlaneVIP: 10.10.0.100",
        "controlPlaneVIP: 10.10.0.101",
    );
    let refused = refused.to_str().expect("a path");
    let json = lbctl(&["diff", "-f", refused, "--against", EXAMPLE, "-o", "json"]);
    assert_eq!(json.status.code(), Some(3));
    let rows: serde_json::Value = serde_json::from_slice(&json.stdout).expect("JSON");
    assert_eq!(rows[0]["allowed"], false);
    let refusal = &rows[0]["refusal"];
    assert_eq!(
        (
            &refusal["code"],
            &refusal["file"],
            &refusal["related"][0]["file"]
        ),
        (&"V22".into(), &refused.into(), &EXAMPLE.into())
    );
    let table = lbctl(&["diff", "-f", refused, "--against", EXAMPLE]);
    assert_eq!(table.status.code(), Some(3));
    assert!(text(&table.stdout).contains("refused"));
    for said in [refused, EXAMPLE, "error[V22]", "^^^^", "----", "hint:"] {
        assert!(
            text(&table.stderr).contains(said),
            "{}",
            text(&table.stderr)
        );
    }
    let both = lbctl(&["diff", "-f", "-", "--against", "-"]);
    assert_eq!(both.status.code(), Some(2));
    assert!(text(&both.stderr).contains("not both"));
}

#[test]
fn a_written_config_is_never_overwritten() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("c.yaml");
    let file = file.to_str().expect("a path");
    let first = lbctl(&["create", "config", "-c", "edge", "-o", file]);
    assert_eq!(
        (first.status.code(), text(&first.stdout)),
        (Some(0), format!("{file}\n"))
    );
    assert!(folder.path().join("cluster.schema.json").is_file());
    let second = lbctl(&["create", "config", "-c", "edge", "-o", file]);
    assert_eq!(second.status.code(), Some(1));
    assert!(text(&second.stderr).contains("never overwritten"));
}

#[test]
fn a_closed_pipe_is_success() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut child = Command::new(env!("CARGO_BIN_EXE_lbctl"))
        .args(["completions", "zsh"])
        .current_dir(root)
        .stdout(Stdio::piped())
        .spawn()
        .expect("lbctl runs");
    drop(child.stdout.take());
    assert!(child.wait().expect("it ends").success());
}

fn changed(folder: &tempfile::TempDir, from: &str, to: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let original = std::fs::read_to_string(root.join(EXAMPLE)).expect("the example");
    assert!(original.contains(from));
    let path = folder.path().join(format!("{}.yaml", to.len()));
    std::fs::write(&path, original.replace(from, to)).expect("a file");
    path
}
