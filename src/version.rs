//! Which build this is.

use daemon::build_info::BuildInfo;

/// Facts that the build script and cargo put into this binary.
pub(crate) const BUILD: BuildInfo = BuildInfo {
    version: env!("CARGO_PKG_VERSION"),
    commit: env!("LBNODE_BUILD_COMMIT"),
    target: env!("LBNODE_TARGET"),
};

/// What `lbnode version` prints. One literal, so that it stands in the program as it is: `lbctl` reads there which version it
/// is about to bring to the nodes.
const LINE: &str = concat!(
    "lbnode ",
    env!("CARGO_PKG_VERSION"),
    " (commit ",
    env!("LBNODE_BUILD_COMMIT"),
    ", ",
    env!("LBNODE_TARGET"),
    ")\n"
);

/// What `lbnode version` prints, with the line end.
pub(crate) fn describe(json: bool) -> String {
    let BuildInfo {
        version,
        commit,
        target,
    } = BUILD;
    if json {
        format!("{{\"version\":\"{version}\",\"commit\":\"{commit}\",\"target\":\"{target}\"}}\n")
    } else {
        LINE.to_owned()
    }
}
