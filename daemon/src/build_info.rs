//! Which build is running: set once by `main`, shown by `lbnode version`, `/metrics` and `/status`.

use std::sync::OnceLock;

/// Facts about a build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BuildInfo {
    /// Semantic version of the workspace.
    pub version: &'static str,
    /// Abbreviated commit, or `unknown` for a build outside a repository.
    pub commit: &'static str,
    /// Target triple.
    pub target: &'static str,
}

/// Makes `info` the build facts of this process; later calls change nothing.
pub fn install(info: BuildInfo) {
    let _ = CURRENT.set(info);
}

/// The installed build facts; before [`install`] the version of this crate, commit and target `unknown`.
#[must_use]
pub fn current() -> BuildInfo {
    CURRENT.get().copied().unwrap_or(BuildInfo {
        version: env!("CARGO_PKG_VERSION"),
        commit: "unknown",
        target: "unknown",
    })
}

static CURRENT: OnceLock<BuildInfo> = OnceLock::new();
