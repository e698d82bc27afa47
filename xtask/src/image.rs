//! `cargo xtask image`: the OCI archive of lbnode, the same bytes for the same binary.
//!
//! lbctl makes the archive itself when it needs it; this one is for registries and for looking inside.

use std::process::ExitCode;

use anyhow::Result;

use crate::dist::{self, Profile};
use crate::{cargo, say};

/// Arguments of `cargo xtask image`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Which lbnode goes into it
    #[arg(long, value_enum, default_value_t = Profile::Release)]
    profile: Profile,
}

/// Builds lbnode and writes `target/dist/lbnode.tar`.
///
/// # Errors
///
/// When a build fails or the archive cannot be written.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let lbnode = dist::build(args.profile)?.lbnode;
    let archive = lbnode.with_extension("tar");
    say::progress("writing the image");
    // The archive's format belongs to lbctl; its example is a program of its own, so that xtask need not link lbctl.
    let mut command = cargo::command(&[
        "run",
        "--quiet",
        "--profile",
        args.profile.name(),
        "-p",
        "nodepool",
        "--example",
        "image",
        "--",
    ]);
    command.arg(&lbnode).arg(&archive);
    cargo::run(command)?;
    Ok(ExitCode::SUCCESS)
}
