//! One file, one concept: how long the files are, without their tests.

use crate::layering::RustFile;

/// Files over the two bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Report {
    /// Worth a look.
    pub(super) long: Vec<String>,
    /// Refused.
    pub(super) too_long: Vec<String>,
}

pub(super) fn check(files: &[RustFile]) -> Report {
    let mut sorted: Vec<(usize, &str)> = files
        .iter()
        .map(|file| (file.code.lines, &*file.path))
        .filter(|(lines, _)| *lines > AIM)
        .collect();
    sorted.sort_unstable_by(|a, b| b.cmp(a));
    let line = |(lines, path): &(usize, &str)| {
        format!("{path} has {lines} lines without tests (aim {AIM}, stop {STOP})")
    };
    let (too_long, long): (Vec<_>, Vec<_>) =
        sorted.into_iter().partition(|(lines, _)| *lines > STOP);
    Report {
        long: long.iter().map(line).collect(),
        too_long: too_long.iter().map(line).collect(),
    }
}

const AIM: usize = 400;
const STOP: usize = 700;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layering::rust_files;
    use crate::source::SourceFile;

    #[test]
    fn long_files_are_listed_and_very_long_ones_refused_longest_first() {
        let report = check(&rust_files(&[
            file("a/src/short.rs", 400, 0),
            file("a/src/long.rs", 401, 0),
            file("a/src/tested.rs", 300, 900),
            file("a/src/huge.rs", 701, 0),
            file("a/tests/any.rs", 2_000, 0),
        ]));
        assert_eq!(
            report.long,
            ["a/src/long.rs has 401 lines without tests (aim 400, stop 700)"]
        );
        assert_eq!(
            report.too_long,
            ["a/src/huge.rs has 701 lines without tests (aim 400, stop 700)"]
        );
    }

    fn file(path: &str, lines: usize, tests: usize) -> SourceFile {
        let mut text = "fn f() {}\n".repeat(lines);
        if tests > 0 {
            text.push_str("#[cfg(test)]\nmod tests {\n");
            text.push_str(&"fn f() {}\n".repeat(tests));
            text.push_str("}\n");
        }
        SourceFile {
            path: path.to_owned(),
            text,
        }
    }
}
