//! Licences of the dependencies, and crates that must not come in.

use std::collections::BTreeSet;

use crate::metadata::Package;

/// What is wrong with the dependencies, one line each; `shipped` are those that the programs need at run time.
pub(crate) fn check<'a>(
    packages: impl Iterator<Item = &'a Package>,
    shipped: &BTreeSet<&str>,
) -> Vec<String> {
    let mut found = Vec::new();
    for package in packages {
        let who = format!("{} {}", package.name, package.version);
        let ban = BANNED.iter().find(|(name, _)| *name == package.name);
        if let Some((_, reason)) = ban.filter(|(name, _)| shipped.contains(name)) {
            found.push(format!("{who}: banned: {reason}"));
        }
        match &package.license {
            None => found.push(format!("{who}: says no licence")),
            Some(text) => match Expression::parse(text) {
                None => found.push(format!("{who}: licence `{text}` is not an SPDX expression")),
                Some(expression) if !expression.is_allowed() => {
                    found.push(format!("{who}: licence `{text}` is not on the list"));
                }
                Some(_) => {}
            },
        }
    }
    found
}

/// An SPDX expression; the old form `A/B` means `A OR B`.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Expression {
    Licence(String),
    Any(Vec<Self>),
    All(Vec<Self>),
}

impl Expression {
    fn parse(text: &str) -> Option<Self> {
        let spaced = text
            .replace('(', " ( ")
            .replace(')', " ) ")
            .replace('/', " OR ");
        let words: Vec<&str> = spaced.split_whitespace().collect();
        let mut rest = &words[..];
        let expression = Self::any(&mut rest)?;
        rest.is_empty().then_some(expression)
    }

    fn any(rest: &mut &[&str]) -> Option<Self> {
        let mut parts = vec![Self::all(rest)?];
        while take(rest, "OR") {
            parts.push(Self::all(rest)?);
        }
        Some(Self::Any(parts))
    }

    fn all(rest: &mut &[&str]) -> Option<Self> {
        let mut parts = vec![Self::one(rest)?];
        while take(rest, "AND") {
            parts.push(Self::one(rest)?);
        }
        Some(Self::All(parts))
    }

    fn one(rest: &mut &[&str]) -> Option<Self> {
        if take(rest, "(") {
            let inner = Self::any(rest)?;
            return take(rest, ")").then_some(inner);
        }
        let (name, tail) = rest.split_first()?;
        if ["AND", "OR", "WITH", ")"].contains(name) {
            return None;
        }
        *rest = tail;
        let mut name = (*name).to_owned();
        if take(rest, "WITH") {
            let (exception, tail) = rest.split_first()?;
            *rest = tail;
            name = format!("{name} WITH {exception}");
        }
        Some(Self::Licence(name))
    }

    fn is_allowed(&self) -> bool {
        match self {
            Self::Licence(name) => ALLOWED.contains(&&**name),
            Self::Any(parts) => parts.iter().any(Self::is_allowed),
            Self::All(parts) => parts.iter().all(Self::is_allowed),
        }
    }
}

fn take(rest: &mut &[&str], word: &str) -> bool {
    match rest.split_first() {
        Some((first, tail)) if *first == word => {
            *rest = tail;
            true
        }
        _ => false,
    }
}

const ALLOWED: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

const BANNED: &[(&str, &str)] = &[
    ("aws-lc-rs", "ring is the only TLS provider"),
    ("aws-lc-sys", "ring is the only TLS provider"),
    ("chrono", "jiff at the edges"),
    ("openssl", "rustls"),
    ("openssl-sys", "rustls"),
    (
        "pnet_datalink",
        "captures every frame in promiscuous mode, ADR 0004",
    ),
    ("pnet_transport", "ADR 0004"),
    ("rustables", "GPL-3.0"),
    ("rustls-pemfile", "rustls-pki-types reads PEM"),
    ("serde_yaml", "archived, ADR 0003"),
    ("serde_yml", "unsound, ADR 0003"),
];

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn expressions_are_judged_by_their_structure() {
        for good in [
            "MIT",
            "MIT OR Apache-2.0",
            "MIT/Apache-2.0",
            "Apache-2.0 AND ISC",
            "(MIT OR Apache-2.0) AND Unicode-3.0",
            "LGPL-2.1-or-later OR MIT",
            "Apache-2.0 WITH LLVM-exception OR Apache-2.0 OR MIT",
            "CC0-1.0 OR MIT",
        ] {
            assert!(Expression::parse(good).unwrap().is_allowed(), "{good}");
        }
        for bad in [
            "GPL-3.0",
            "MIT AND GPL-3.0",
            "CC0-1.0",
            "MPL-2.0",
            "(MIT OR Zlib) AND MPL-2.0",
            "GPL-2.0 WITH X",
        ] {
            assert!(!Expression::parse(bad).unwrap().is_allowed(), "{bad}");
        }
        for broken in [
            "",
            "MIT OR",
            "(MIT",
            "MIT)",
            "AND MIT",
            "MIT Apache-2.0",
            "MIT WITH",
        ] {
            assert_eq!(Expression::parse(broken), None, "{broken}");
        }
    }

    #[test]
    fn packages_without_a_good_licence_and_banned_ones_are_named() {
        let packages = [
            package("good", Some("MIT")),
            package("nothing", None),
            package("copyleft", Some("GPL-3.0")),
            package("odd", Some("see LICENSE")),
            package("chrono", Some("MIT")),
            package("pnet_datalink", Some("MIT")),
        ];
        let shipped = BTreeSet::from(["good", "chrono"]);
        assert_eq!(
            check(packages.iter(), &shipped),
            [
                "nothing 1.0.0: says no licence",
                "copyleft 1.0.0: licence `GPL-3.0` is not on the list",
                "odd 1.0.0: licence `see LICENSE` is not an SPDX expression",
                "chrono 1.0.0: banned: jiff at the edges",
            ]
        );
    }

    fn package(name: &str, license: Option<&str>) -> Package {
        Package {
            id: name.to_owned(),
            name: name.to_owned(),
            version: "1.0.0".to_owned(),
            license: license.map(str::to_owned),
            manifest_path: PathBuf::new(),
            dependencies: Vec::new(),
            targets: Vec::new(),
        }
    }
}
