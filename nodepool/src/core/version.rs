//! Versions as programs and packages tell them.

use std::fmt;

/// Major, minor and patch number; what follows does not decide about anything here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// `1` of `v1.36.3`.
    pub major: u32,
    /// `36` of `v1.36.3`.
    pub minor: u32,
    /// `3` of `v1.36.3`; 0 where it is not told.
    pub patch: u32,
}

impl Version {
    /// Reads `v1.36.3`, `1.36.3-1.1`, `1.6.20~ds1` and `2.1`; nothing when there are no two numbers.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let end = text
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(text.len());
        let mut numbers = text.get(..end)?.split('.');
        Some(Self {
            major: numbers.next()?.parse().ok()?,
            minor: numbers.next()?.parse().ok()?,
            patch: numbers
                .next()
                .and_then(|patch| patch.parse().ok())
                .unwrap_or_default(),
        })
    }

    /// Reads exactly `v1.36.3`, with or without the letter.
    pub fn parse_exact(text: &str) -> Option<Self> {
        let bare = text.strip_prefix('v').unwrap_or(text);
        let version = Self::parse(bare)?;
        let same = format!("{}.{}.{}", version.major, version.minor, version.patch) == bare;
        same.then_some(version)
    }

    /// Major and minor number: what rules of skew are about.
    pub fn series(self) -> (u32, u32) {
        (self.major, self.minor)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}.{}.{}", self.major, self.minor, self.patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn version(major: u32, minor: u32, patch: u32) -> Version {
        Version {
            major,
            minor,
            patch,
        }
    }

    #[test]
    fn versions_of_programs_and_packages_are_read() {
        let cases = [
            ("v1.36.3", Some(version(1, 36, 3))),
            ("1.36.3-1.1", Some(version(1, 36, 3))),
            ("1.36.3-150500.1.1", Some(version(1, 36, 3))),
            ("1.6.20~ds1", Some(version(1, 6, 20))),
            ("v2.1.4", Some(version(2, 1, 4))),
            ("2.2.0-rc.1", Some(version(2, 2, 0))),
            ("1.36", Some(version(1, 36, 0))),
            ("v1.37.0-alpha.1+abc", Some(version(1, 37, 0))),
            ("1", None),
            ("stable-1", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(Version::parse(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_asked_for_has_three_numbers_and_nothing_else() {
        assert_eq!(Version::parse_exact("v1.36.3"), Some(version(1, 36, 3)));
        assert_eq!(Version::parse_exact("1.36.3"), Some(version(1, 36, 3)));
        for text in ["1.36", "v1.36.3-1.1", "1.036.3", "1.36.x", "stable-1", ""] {
            assert_eq!(Version::parse_exact(text), None, "{text}");
        }
    }
}
