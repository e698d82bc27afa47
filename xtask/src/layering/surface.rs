//! R6: what `cluster-config` shows to others is its own.

use std::collections::BTreeSet;

use super::{RustFile, Tree, Violation};
use crate::rust::{Token, TokenKind};

pub(super) fn check(tree: &Tree, found: &mut Vec<Violation>) {
    let Some(member) = tree
        .members
        .iter()
        .find(|member| member.name == "cluster-config")
    else {
        return;
    };
    let third_party: BTreeSet<String> = member
        .dependencies
        .iter()
        .map(|name| name.replace('-', "_"))
        .filter(|name| !WELCOME.contains(&&**name))
        .collect();
    for file in tree
        .files
        .iter()
        .filter(|file| file.path.starts_with("cluster-config/src/"))
    {
        check_file(file, &third_party, found);
    }
}

fn check_file(file: &RustFile, third_party: &BTreeSet<String>, found: &mut Vec<Violation>) {
    let imported: BTreeSet<String> = file
        .code
        .mentions()
        .iter()
        .filter(|mention| third_party.contains(&mention.segments[0]))
        .filter_map(|mention| mention.segments.last().cloned())
        .collect();
    let tokens = &file.code.tokens;
    for at in 0..tokens.len() {
        let Some(signature) = public_signature(tokens, at) else {
            continue;
        };
        for (index, token) in signature.iter().enumerate() {
            let next = signature.get(index + 1).map(|token| &*token.text);
            let before = index.checked_sub(1).map(|index| &*signature[index].text);
            let is_type = token.kind == TokenKind::Word
                && before != Some("::")
                && before != Some(".")
                && (imported.contains(&token.text) && next != Some(":")
                    || third_party.contains(&token.text) && next == Some("::"));
            if is_type {
                found.push(Violation {
                    rule: "R6",
                    place: file.path.clone(),
                    line: token.line,
                    reason: format!("`{}` is a third party's, in a public signature", token.text),
                });
            }
        }
    }
}

/// The tokens that others see of the item, field or conversion that starts at `at`.
fn public_signature(tokens: &[Token], at: usize) -> Option<&[Token]> {
    let text = |index: usize| tokens.get(index).map(|token| &*token.text);
    if text(at) == Some("impl") {
        let end = end_of(tokens, at, &["{", ";"]);
        let is_conversion = tokens[at..end]
            .iter()
            .any(|token| CONVERSIONS.contains(&&*token.text));
        return is_conversion.then(|| &tokens[at..end]);
    }
    if text(at) != Some("pub")
        || text(at + 1) == Some("(") && text(at + 2) != Some("in") && is_restricted(tokens, at)
    {
        return None;
    }
    let end = match text(at + 1)? {
        "enum" | "trait" => {
            let open = end_of(tokens, at, &["{", ";"]);
            matching_brace(tokens, open)
        }
        "fn" | "struct" | "async" | "unsafe" | "union" => end_of(tokens, at, &["{", ";"]),
        "mod" => at,
        "const" | "static" if text(at + 2) != Some("fn") => end_of(tokens, at, &["=", ";"]),
        "const" => end_of(tokens, at, &["{", ";"]),
        "use" | "type" => end_of(tokens, at, &[";"]),
        // A field.
        _ => end_of(tokens, at, &[",", "}"]),
    };
    Some(&tokens[at..end])
}

fn is_restricted(tokens: &[Token], at: usize) -> bool {
    tokens
        .get(at + 2)
        .is_some_and(|token| ["crate", "super", "self", "in"].contains(&&*token.text))
}

/// The index of the first token in `ends` outside of brackets.
fn end_of(tokens: &[Token], at: usize, ends: &[&str]) -> usize {
    let mut depth = 0_usize;
    for (offset, token) in tokens[at..].iter().enumerate() {
        match &*token.text {
            end if depth == 0 && ends.contains(&end) => return at + offset,
            "(" | "[" | "<" => depth += 1,
            ")" | "]" | ">" => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    tokens.len()
}

fn matching_brace(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0_usize;
    for (offset, token) in tokens[open.min(tokens.len())..].iter().enumerate() {
        match &*token.text {
            "{" => depth += 1,
            "}" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return open + offset;
        }
    }
    tokens.len()
}

/// serde's traits are how a type is read and written, not a type in a signature; thiserror's derive vanishes.
const WELCOME: &[&str] = &["ipnet", "serde", "thiserror"];

const CONVERSIONS: &[&str] = &["From", "TryFrom", "Into", "TryInto", "AsRef", "Deref"];
