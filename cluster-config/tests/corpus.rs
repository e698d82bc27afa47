//! The committed fuzz corpus, replayed: whatever a fuzzer found once stays found.

#[path = "invariants/config.rs"]
mod config;
#[path = "invariants/ranges.rs"]
mod ranges;

use std::fs;
use std::path::Path;

#[test]
fn the_corpus_of_cluster_files_holds() {
    replay("config", config::hold);
}

#[test]
fn the_corpus_of_range_sets_holds() {
    replay("ranges", ranges::hold);
}

/// libFuzzer skips what is no text, and so do we.
fn replay(target: &str, hold: fn(&str)) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fuzz/corpus")
        .join(target);
    let mut count = 0;
    for entry in fs::read_dir(&folder).expect("corpus") {
        let bytes = fs::read(entry.expect("entry").path()).expect("bytes");
        if let Ok(text) = String::from_utf8(bytes) {
            hold(&text);
            count += 1;
        }
    }
    assert!(count > 0, "{} is empty", folder.display());
}
