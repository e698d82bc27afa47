//! Where a lab keeps its things on the host.

use std::env;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Context as _, Result, bail};

/// The name of a lab: lower-case letters and digits, a letter first, at most eight.
///
/// It is part of the names of namespaces, cgroups and directories, so that labs with different
/// prefixes live side by side.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Prefix(String);

impl Prefix {
    /// The prefix as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Prefix {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let letters = text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        if text.is_empty() || text.len() > 8 || !letters || text.as_bytes()[0].is_ascii_digit() {
            bail!(
                "`{text}` cannot be a lab's prefix: at most eight of a-z and 0-9, a letter first"
            );
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The directory with everything a lab writes: `LBNODE_LAB_DIR` or `/var/tmp/lbnode-lab`, and the
/// prefix below it.
pub fn state(prefix: &Prefix) -> PathBuf {
    env::var_os("LBNODE_LAB_DIR")
        .map_or_else(|| PathBuf::from("/var/tmp/lbnode-lab"), PathBuf::from)
        .join(prefix.as_str())
}

/// The directory of what is fetched or built once: `bundled-lb` in `XDG_CACHE_HOME` or `~/.cache`.
pub fn cache() -> Result<PathBuf> {
    let home = env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")));
    Ok(home
        .context("neither XDG_CACHE_HOME nor HOME is set: nowhere to keep what the lab builds")?
        .join("bundled-lb"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_short_and_plain() {
        for good in ["lab", "test", "a", "np2"] {
            assert_eq!(good.parse::<Prefix>().expect(good).as_str(), good);
        }
        for bad in ["", "Lab", "a-b", "a.b", "1a", "ninechars", "ä", "a/b"] {
            bad.parse::<Prefix>().expect_err(bad);
        }
    }
}
