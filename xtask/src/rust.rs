//! Rust source as far as the checks need it: tokens without comments, texts and tests, and the paths
//! that they mention. Not a parser: it has to be right about what the checks ask, on code that compiles.

mod lexer;
mod paths;

pub(crate) use lexer::{Token, TokenKind};
pub(crate) use paths::Mention;

/// One source file.
#[derive(Debug, Clone)]
pub(crate) struct Code {
    /// Tokens outside of items that are compiled for tests only.
    pub(crate) tokens: Vec<Token>,
    /// Lines outside of those items.
    pub(crate) lines: usize,
    /// Names of modules in files of their own that are compiled for tests only.
    pub(crate) test_modules: Vec<String>,
}

impl Code {
    /// Reads `text`.
    pub(crate) fn read(text: &str) -> Self {
        let all = lexer::tokens(text);
        let mut tokens = Vec::with_capacity(all.len());
        let mut test_modules = Vec::new();
        let mut test_lines = 0;
        let mut at = 0;
        while at < all.len() {
            if let Some(end) = test_item_end(&all, at) {
                let last = all.get(end - 1).map_or(all[at].line, |token| token.line);
                test_lines += last + 1 - all[at].line;
                test_modules.extend(module_declaration(&all[at..end]));
                at = end;
            } else {
                tokens.push(all[at].clone());
                at += 1;
            }
        }
        let lines = text.lines().count().saturating_sub(test_lines);
        Self {
            tokens,
            lines,
            test_modules,
        }
    }

    /// Every path that is written out or imported.
    pub(crate) fn mentions(&self) -> Vec<Mention> {
        paths::mentions(&self.tokens)
    }
}

/// Whether the path is that of a file with nothing but tests, benchmarks or examples.
pub(crate) fn is_test_file(path: &str) -> bool {
    let in_folder =
        |name: &str| path.contains(&format!("/{name}/")) || path.starts_with(&format!("{name}/"));
    let is_lab_library = path.starts_with("tests/src/");
    (in_folder("tests") && !is_lab_library)
        || in_folder("benches")
        || in_folder("examples")
        || in_folder("fuzz")
        || path.ends_with("/tests.rs")
}

/// The name in an item that ends with `mod name;`.
fn module_declaration(item: &[Token]) -> Option<String> {
    let [.., keyword, name, end] = item else {
        return None;
    };
    (keyword.text == "mod" && end.text == ";").then(|| name.text.clone())
}

/// Where the files of module `name` are, when the file at `path` declares it: the file, and its folder.
pub(crate) fn module_files(path: &str, name: &str) -> (String, String) {
    let stem = path.strip_suffix(".rs").unwrap_or(path);
    let folder = match stem.rsplit_once('/') {
        Some((folder, "lib" | "main" | "mod")) => folder,
        _ => stem,
    };
    (format!("{folder}/{name}.rs"), format!("{folder}/{name}/"))
}

/// The index after an item that starts at `at` with `#[cfg(test)]`.
fn test_item_end(tokens: &[Token], at: usize) -> Option<usize> {
    let words: Vec<&str> = tokens
        .get(at..at + 7)?
        .iter()
        .map(|token| &*token.text)
        .collect();
    if words != ["#", "[", "cfg", "(", "test", ")", "]"] {
        return None;
    }
    let mut depth = 0_usize;
    let mut index = at + 7;
    while let Some(token) = tokens.get(index) {
        index += 1;
        match &*token.text {
            "{" | "(" | "[" => depth += 1,
            ")" | "]" => depth = depth.saturating_sub(1),
            "}" => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    break;
                }
            }
            ";" if depth == 0 => break,
            _ => {}
        }
    }
    Some(index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_for_tests_are_left_out_and_their_lines_not_counted() {
        let text = "use a::b;\n#[cfg(test)]\nuse tokio::net;\nfn f() {}\n\n#[cfg(test)]\nmod tests {\n    use tokio::time;\n    fn t() { if x { y() } }\n}\n";
        let code = Code::read(text);
        let paths: Vec<String> = code.mentions().iter().map(Mention::path).collect();
        assert_eq!(paths, ["a::b"]);
        assert_eq!(code.lines, 3);
    }

    #[test]
    fn a_test_module_behind_an_attribute_is_left_out() {
        let text = "#[cfg(test)]\n#[expect(clippy::unwrap_used, reason = \"x\")]\nmod tests { use tokio::x; }\nuse a::b;";
        let paths: Vec<String> = Code::read(text)
            .mentions()
            .iter()
            .map(Mention::path)
            .collect();
        assert_eq!(paths, ["a::b"]);
    }

    #[test]
    fn modules_for_tests_in_files_of_their_own_are_told() {
        let code = Code::read(
            "#[cfg(test)]\nmod model;\nmod real;\n#[cfg(test)]\nmod tests { mod inner; }",
        );
        assert_eq!(code.test_modules, ["model"]);
        assert_eq!(
            module_files("a/src/lib.rs", "model"),
            ("a/src/model.rs".into(), "a/src/model/".into())
        );
        assert_eq!(
            module_files("a/src/core/allocator.rs", "model"),
            (
                "a/src/core/allocator/model.rs".into(),
                "a/src/core/allocator/model/".into()
            )
        );
    }

    #[test]
    fn files_of_tests_are_known_by_their_place() {
        for path in [
            "vrrp/tests/rfc.rs",
            "tests/lab/main.rs",
            "vrrp/src/proto/tests/table.rs",
            "l2/src/wire/tests.rs",
            "fuzz/fuzz_targets/x.rs",
        ] {
            assert!(is_test_file(path), "{path}");
        }
        for path in [
            "tests/src/lab.rs",
            "vrrp/src/driver.rs",
            "xtask/src/test.rs",
        ] {
            assert!(!is_test_file(path), "{path}");
        }
    }
}
