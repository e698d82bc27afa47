//! The paths that a file mentions: imports, spelled out, and what is written in place.

use super::{Token, TokenKind};

/// A path with at least two segments, or an import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mention {
    pub(crate) segments: Vec<String>,
    pub(crate) line: usize,
}

impl Mention {
    /// `a::b::c`.
    pub(crate) fn path(&self) -> String {
        self.segments.join("::")
    }

    /// Whether the path begins with all segments of `prefix`.
    pub(crate) fn starts_with(&self, prefix: &str) -> bool {
        let mut own = self.segments.iter();
        prefix
            .split("::")
            .all(|segment| own.next().is_some_and(|have| have == segment))
    }

    /// Whether the path ends with all segments of `suffix`.
    pub(crate) fn ends_with(&self, suffix: &str) -> bool {
        let mut own = self.segments.iter().rev();
        suffix
            .rsplit("::")
            .all(|segment| own.next().is_some_and(|have| have == segment))
    }
}

pub(super) fn mentions(tokens: &[Token]) -> Vec<Mention> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let token = &tokens[at];
        if token.text == "use" && token.kind == TokenKind::Word && !captures(tokens, at) {
            at = import(tokens, at + 1, &[], &mut found);
        } else if token.kind == TokenKind::Word && starts_path(tokens, at) {
            at = written_out(tokens, at, &mut found);
        } else {
            at += 1;
        }
    }
    found
}

/// Whether the `use` at `at` names what a hidden type captures: `impl Iterator<Item = A> + use<'a, T>`.
fn captures(tokens: &[Token], at: usize) -> bool {
    tokens.get(at + 1).is_some_and(|token| token.text == "<")
}

/// Whether the word at `at` begins a path: `a::b`, but not the `b` in it, nor `<T as X>::b` or `a.b::<C>`.
fn starts_path(tokens: &[Token], at: usize) -> bool {
    let text = |index: usize| tokens.get(index).map(|token| &*token.text);
    let continues = match at.checked_sub(1).and_then(text) {
        Some(".") => true,
        Some("::") => {
            let before = at.checked_sub(2).and_then(|index| tokens.get(index));
            before.is_some_and(|before| before.kind == TokenKind::Word || before.text == ">")
        }
        _ => false,
    };
    text(at + 1) == Some("::") && !continues
}

fn written_out(tokens: &[Token], start: usize, found: &mut Vec<Mention>) -> usize {
    let mut segments = vec![tokens[start].text.clone()];
    let mut at = start + 1;
    while tokens.get(at).is_some_and(|token| token.text == "::")
        && tokens
            .get(at + 1)
            .is_some_and(|token| token.kind == TokenKind::Word)
    {
        segments.push(tokens[at + 1].text.clone());
        at += 2;
    }
    found.push(Mention {
        segments,
        line: tokens[start].line,
    });
    at
}

/// Reads one branch of an import tree from `at` on; returns the index after it.
fn import(tokens: &[Token], mut at: usize, before: &[String], found: &mut Vec<Mention>) -> usize {
    let mut segments = before.to_vec();
    let line = tokens.get(at).map_or(0, |token| token.line);
    while let Some(token) = tokens.get(at) {
        at += 1;
        match &*token.text {
            "::" => {}
            "{" => {
                while tokens.get(at).is_some_and(|token| token.text != "}") {
                    let branch = at;
                    at = import(tokens, at, &segments, found);
                    at += usize::from(tokens.get(at).is_some_and(|token| token.text == ","));
                    // What is no import ends all the same.
                    at = at.max(branch + 1);
                }
                return at + 1;
            }
            "as" => at += 1,
            "self" if !segments.is_empty() => {}
            "," | "}" | ";" => {
                at -= 1;
                break;
            }
            _ => segments.push(token.text.clone()),
        }
    }
    if !segments.is_empty() {
        found.push(Mention { segments, line });
    }
    at
}

#[cfg(test)]
mod tests {
    use super::super::Code;
    use super::*;

    #[test]
    fn imports_are_spelled_out() {
        let text = "use std::{fs, io::{self, Read as R}};\npub(crate) use tokio::net::*;\nuse crate::a;\nuse ::kube as k;";
        assert_eq!(
            paths(text),
            [
                "std::fs",
                "std::io",
                "std::io::Read",
                "tokio::net::*",
                "crate::a",
                "kube"
            ]
        );
    }

    #[test]
    fn paths_in_code_are_found_once_and_whole() {
        let text = "fn f(x: ipnet::IpNet) { let y = Vec::<u8>::new(); ::tokio::spawn(a); <T as b::C>::d(); e.f::<g::H>(); }";
        assert_eq!(
            paths(text),
            ["ipnet::IpNet", "Vec", "tokio::spawn", "b::C", "g::H"]
        );
    }

    #[test]
    fn what_a_type_captures_is_no_import() {
        let text = "fn f<'a, T>(a: &'a T) -> impl Iterator<Item = b::C> + use<'a, T> { d::e(a); } use g::h;";
        assert_eq!(paths(text), ["b::C", "d::e", "g::h"]);
    }

    #[test]
    fn what_is_no_import_ends() {
        for text in ["use a::{b; c}", "use {;", "use a::{", "use a::{b::{;}, c};"] {
            assert!(paths(text).len() < 5, "{text}");
        }
    }

    #[test]
    fn lines_are_those_of_the_place() {
        let mentions = Code::read("use a::{\n    b,\n    c,\n};\nfn f() { d::e() }").mentions();
        let lines: Vec<usize> = mentions.iter().map(|mention| mention.line).collect();
        assert_eq!(lines, [2, 3, 5]);
    }

    #[test]
    fn prefixes_and_suffixes_go_by_segment() {
        let mention = Mention {
            segments: vec!["std".into(), "time".into(), "Instant".into()],
            line: 1,
        };
        assert!(mention.starts_with("std::time") && !mention.starts_with("std::tim"));
        assert!(mention.ends_with("Instant") && !mention.ends_with("std::Instant"));
    }

    fn paths(text: &str) -> Vec<String> {
        Code::read(text)
            .mentions()
            .iter()
            .map(Mention::path)
            .collect()
    }
}
