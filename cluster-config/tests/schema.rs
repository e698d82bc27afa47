//! The schema, judged by an independent validator; generated files are fresh.

mod editor;
mod files;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use cluster_config::{Code, Severity, json_schema, load, reference_markdown};

#[test]
fn every_example_and_sample_is_valid_to_editors() {
    let samples = files::yaml_files("tests/samples");
    for (name, text) in files::yaml_files("../examples").into_iter().chain(samples) {
        let errors = editor::errors(&text);
        assert!(errors.is_empty(), "{name}: {errors:?}");
    }
}

/// A pattern with `(?x)` may go over several lines.
#[test]
fn a_pattern_of_several_lines_is_valid_to_editors_as_well() {
    let example = include_str!("../../examples/edge.yaml");
    let text = example.replacen(
        "      addresses:\n",
        "      interfaces: [\"/(?x)\\n^eth[0-9]\\n/\"]\n      addresses:\n",
        1,
    );
    assert_ne!(text, example);
    let loaded = load(&text, "pattern.yaml");
    assert!(loaded.cluster.is_some(), "{:?}", loaded.diagnostics);
    let errors = editor::errors(&text);
    assert!(errors.is_empty(), "{errors:?}");
}

/// Rules that a schema of single documents can express. Not among them: YAML traps, which other readers take
/// for values, and rules that compare addresses or documents.
#[test]
fn bad_files_that_a_schema_can_tell_are_invalid_to_editors() {
    const EXPRESSIBLE: &[Code] = &[
        Code::V01,
        Code::V03,
        Code::V04,
        Code::V06,
        Code::V08,
        Code::V09,
        Code::V11,
        Code::V20,
        Code::V24,
        Code::V25,
        Code::V27,
        Code::V28,
        Code::F01,
        Code::F02,
        Code::F03,
        Code::F04,
        Code::F05,
    ];
    let mut judged = BTreeSet::new();
    for (name, text) in files::yaml_files("tests/bad") {
        let errors = load(&text, &name)
            .diagnostics
            .into_iter()
            .filter(|found| found.severity == Severity::Error);
        let told: Vec<Code> = errors
            .map(|found| found.code)
            .filter(|code| EXPRESSIBLE.contains(code))
            .collect();
        if told.is_empty() {
            continue;
        }
        assert!(!editor::errors(&text).is_empty(), "{name}: {told:?}");
        judged.extend(told);
    }
    assert_eq!(judged.len(), EXPRESSIBLE.len(), "{judged:?}");
}

#[test]
fn the_committed_schema_and_reference_are_fresh() {
    for (path, text) in [
        ("schema/cluster.schema.json", json_schema()),
        ("docs/config.md", reference_markdown()),
    ] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
        let committed = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            committed == text,
            "{} is stale: run `cargo xtask schema`",
            path.display()
        );
    }
}

#[test]
fn the_reference_names_every_code() {
    let reference = reference_markdown();
    for code in Code::ALL {
        assert!(reference.contains(&format!("| `{code}` |")), "{code}");
    }
    assert!(reference.contains("| `spec.loadBalancer.vrrp.virtualRouterID` |"));
}
