//! Words that have no place in the repository.

use crate::source::SourceFile;

pub(super) fn check(files: &[SourceFile]) -> Vec<String> {
    let words: Vec<(String, &str)> = WORDS
        .iter()
        .map(|(parts, reason)| (parts.concat(), *reason))
        .collect();
    let mut found = Vec::new();
    for file in files.iter().filter(|file| file.path != "Cargo.lock") {
        for (index, line) in file.text.lines().enumerate() {
            for (word, reason) in words.iter().filter(|(word, _)| stands_alone(line, word)) {
                found.push(format!("{}:{}: `{word}`: {reason}", file.path, index + 1));
            }
        }
    }
    found
}

/// Whether `word` stands in `line` with nothing before it that would make it part of a longer word.
fn stands_alone(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|before| {
            before.is_alphanumeric() || before == '_' || before == '-' || before == '.'
        })
    })
}

/// In two parts each, so that this list does not find itself.
const WORDS: &[([&str; 2], &str)] = &[
    (["TO", "DO"], "finish it, or write an issue"),
    (["FIX", "ME"], "fix it, or write an issue"),
    (["X", "XX"], "say what is meant"),
    (["todo", "!("], "no stubs"),
    (["unimplemented", "!("], "no stubs"),
    (["/wo", "rk/"], "a path of one machine"),
    (["/fa", "rm"], "a path of one machine"),
    (["/root/.car", "go"], "a path of one machine"),
    (["/ho", "me/"], "a path of one machine"),
    (["index.crates", ".io"], "a host of a registry"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loose_ends_and_machine_paths_are_found_with_their_place() {
        let text = format!(
            "ok\nlet x = 1; // {}{}: later\n{}{}main\n",
            "TO", "DO", "/wo", "rk/"
        );
        let found = check(&[SourceFile {
            path: "a/src/lib.rs".to_owned(),
            text,
        }]);
        assert_eq!(found.len(), 2);
        assert!(found[0].starts_with("a/src/lib.rs:2: "), "{found:?}");
        assert!(found[1].starts_with("a/src/lib.rs:3: "), "{found:?}");
    }

    #[test]
    fn longer_words_are_left_alone() {
        let text = "target/frame-work/x my-network/ homework/ mktemp -d /tmp/x.XXXXXX".to_owned();
        assert_eq!(
            check(&[SourceFile {
                path: "a".to_owned(),
                text
            }]),
            [""; 0]
        );
    }
}
