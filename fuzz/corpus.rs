//! Inputs that fuzzing found worth keeping; the tests of each crate look at them again.

use std::fs;
use std::path::Path;

/// Shows each kept input of a fuzz target to what the target checks.
pub(crate) fn replay(target: &str, hold: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fuzz/corpus")
        .join(target);
    let files: Vec<_> = fs::read_dir(&folder).expect("a corpus").collect();
    assert!(files.len() > 10, "{} is nearly empty", folder.display());
    for file in files {
        hold(&fs::read(file.expect("an entry").path()).expect("bytes"));
    }
}
