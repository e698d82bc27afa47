//! One refused change per rule, under `tests/bad/changes/`: each against `tests/changes/live.yaml`.
//!
//! The files mark the lines of the findings as those of `tests/bad/` do: `# <- CODE`.

mod files;

use std::collections::BTreeSet;

use cluster_config::{Code, File, changes, load, refusals, render_text};

const LIVE: &str = include_str!("changes/live.yaml");
const CHANGED: &str = "tests/bad/changes";

#[test]
fn every_refusal_stands_on_the_marked_line_and_reads_as_reviewed() {
    let old = load(LIVE, "live.yaml").cluster.expect("valid");
    for (name, text) in files::yaml_files(CHANGED) {
        let loaded = load(&text, &name);
        let Some(new) = loaded.cluster else {
            panic!("{name}\n{}", render_text(&loaded.diagnostics, false));
        };
        let changes = changes(&old, &new);
        let found = refusals(&changes, file("live.yaml", LIVE), file(&name, &text));
        let refused = changes.iter().filter(|change| change.is_refused());
        assert_eq!(found.len(), refused.count(), "{name}");
        let rendered = render_text(&found, false);
        let lines: BTreeSet<(usize, String)> = found
            .iter()
            .map(|found| (found.place.line, found.code.to_string()))
            .collect();
        assert_eq!(lines, marks(&text), "{name}\n{rendered}");
        for finding in &found {
            assert!(finding.hint.is_some(), "{name}");
            assert_eq!(finding.place.file, name);
            assert!(
                finding
                    .related
                    .iter()
                    .all(|also| also.place.file == "live.yaml")
            );
        }
        let own = name.split('-').next().unwrap_or_default();
        assert!(
            found.iter().any(|found| found.code.as_str() == own),
            "{name}"
        );
        insta::with_settings!({snapshot_suffix => name.trim_end_matches(".yaml"), omit_expression => true}, {
            insta::assert_snapshot!("bad_change", rendered);
        });
    }
}

#[test]
fn every_rule_of_changes_has_a_file() {
    let shown: BTreeSet<String> = files::yaml_files(CHANGED)
        .into_iter()
        .filter_map(|(name, _)| Some(name.split('-').next()?.to_owned()))
        .collect();
    let rules = [
        Code::V16,
        Code::V17,
        Code::V19,
        Code::V21,
        Code::V22,
        Code::V23,
        Code::V31,
        Code::F11,
        Code::E09,
    ];
    assert_eq!(shown, rules.iter().map(ToString::to_string).collect());
}

fn file<'t>(name: &'t str, text: &'t str) -> File<'t> {
    File { name, text }
}

fn marks(text: &str) -> BTreeSet<(usize, String)> {
    text.lines()
        .enumerate()
        .filter_map(|(index, line)| {
            let (_, code) = line.split_once("# <- ")?;
            Some((index + 1, code.trim().to_owned()))
        })
        .collect()
}
