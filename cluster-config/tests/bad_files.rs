//! One bad file per rule and per YAML trap, under `tests/bad/`.
//!
//! The files mark what is expected: `# <- CODE` on the line of an error or warning, `# <= CODE` on the line of
//! its second caret, `# expect CODE at LINE` on the first line where a mark is impossible. What people read is
//! in the snapshots.

mod files;

use std::collections::BTreeSet;

use cluster_config::{Code, Severity, load, render_json, render_text, summary};

type Marks = BTreeSet<(usize, String)>;

#[test]
fn every_finding_stands_on_the_marked_line_and_reads_as_reviewed() {
    let mut wrong = String::new();
    for (name, text) in bad_files() {
        let loaded = load(&text, &name);
        let findings = || {
            loaded
                .diagnostics
                .iter()
                .filter(|found| found.severity != Severity::Notice)
        };
        let found: Marks = findings()
            .map(|found| (found.place.line, found.code.to_string()))
            .collect();
        let related: Marks = findings()
            .flat_map(|found| {
                found
                    .related
                    .iter()
                    .map(move |also| (also.place.line, found.code))
            })
            .map(|(line, code)| (line, code.to_string()))
            .collect();
        let rendered = render_text(&loaded.diagnostics, false);
        let wanted = (expected(&text), marks(&text, "# <= "));
        if wanted != (found.clone(), related.clone()) {
            wrong.push_str(&format!(
                "{name}: wanted {wanted:?}, found {found:?}, {related:?}\n{rendered}\n"
            ));
            continue;
        }
        for finding in findings() {
            assert!(
                finding.hint.is_some(),
                "{name}: {} has no hint",
                finding.code
            );
        }
        let own = name.split('-').next().unwrap_or_default();
        assert!(found.iter().any(|(_, code)| code == own), "{name}");
        assert_eq!(loaded.cluster.is_none(), loaded.has_errors(), "{name}");
        insta::with_settings!({snapshot_suffix => name.trim_end_matches(".yaml"), omit_expression => true}, {
            insta::assert_snapshot!("bad", format!("{rendered}{}\n", summary(&loaded.diagnostics)));
        });
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn every_code_has_a_bad_file_or_a_bad_change() {
    let shown: BTreeSet<String> = bad_files()
        .iter()
        .flat_map(|(name, text)| load(text, name).diagnostics)
        .map(|found| found.code.to_string())
        .collect();
    // Shown by `tests/changes/`, `tests/hostile.rs` and the sample files.
    let elsewhere = [
        "V17", "V21", "V22", "V23", "V31", "F11", "E09", "Y07", "F06", "E03", "E04",
    ];
    for code in Code::ALL.iter().map(|code| code.as_str()) {
        assert!(shown.contains(code) != elsewhere.contains(&code), "{code}");
    }
}

#[test]
fn json_has_one_object_per_finding() {
    let (name, text) = bad_files()
        .into_iter()
        .find(|(name, _)| name.starts_with("V10"))
        .expect("file");
    insta::assert_snapshot!(render_json(&load(&text, &name).diagnostics));
}

fn bad_files() -> Vec<(String, String)> {
    files::yaml_files("tests/bad")
}

fn expected(text: &str) -> Marks {
    let mut all = marks(text, "# <- ");
    let first = text.lines().next().unwrap_or_default();
    if let Some((_, mark)) = first.split_once("# expect ") {
        let (code, line) = mark.split_once(" at ").expect("`CODE at LINE`");
        all.insert((line.trim().parse().expect("line"), code.to_owned()));
    }
    all
}

fn marks(text: &str, arrow: &str) -> Marks {
    text.lines()
        .enumerate()
        .flat_map(|(index, line)| {
            line.split(arrow)
                .skip(1)
                .filter_map(|rest| rest.split_whitespace().next())
                .map(move |code| (index + 1, code.to_owned()))
                .collect::<Vec<_>>()
        })
        .collect()
}
