//! `cargo xtask dist`: lbctl and lbnode as static programs, in `target/dist`.

use std::env::consts::ARCH;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{self, ExitCode};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use crate::{cargo, elf, say};

/// Arguments of `cargo xtask dist`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// `release` is what users get, `lab` builds faster
    #[arg(long, value_enum, default_value_t = Profile::Release)]
    profile: Profile,
}

/// How much work goes into the optimisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Profile {
    /// Slow to build, small and fast to run.
    Release,
    /// Nearly as fast to run, quick to link.
    Lab,
}

/// The programs that [`build`] made.
#[derive(Debug, Clone)]
pub(crate) struct Dist {
    /// The operator's program, static.
    pub(crate) lbctl: PathBuf,
    /// The nodes' program, static.
    pub(crate) lbnode: PathBuf,
}

/// Builds, checks and prints sizes.
///
/// # Errors
///
/// When a build fails or a program is not static.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let dist = build(args.profile)?;
    for program in [&dist.lbctl, &dist.lbnode] {
        say::result(format!(
            "{}  {}",
            program.display(),
            megabytes(size(program)?)
        ));
    }
    let budget = size(&dist.lbnode)?;
    if args.profile == Profile::Release && budget > LBNODE_BUDGET {
        bail!(
            "lbnode has {}, its budget is {}",
            megabytes(budget),
            megabytes(LBNODE_BUDGET)
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// Builds both programs into `target/dist`. Files that did not change keep their time stamp.
///
/// # Errors
///
/// When a build fails or a program is not static.
pub(crate) fn build(profile: Profile) -> Result<Dist> {
    let root = cargo::root();
    let name = profile.name();
    let target_dir = cargo::target_dir();

    let triple = static_triple()?;
    say::progress(format!(
        "building lbctl and lbnode ({name}, static, {triple})"
    ));
    // A directory of its own: other flags in the same one would rebuild everything in turns.
    let static_dir = target_dir.join("static");
    // Both in one run with the same flags: what they share is compiled once.
    let mut both = cargo::command(&["build", "--profile", name]);
    both.args(["-p", "nodepool", "--bin", "lbctl"])
        .args(["-p", "lbnode", "--bin", "lbnode"])
        .args(["--target", &triple])
        .arg("--target-dir")
        .arg(&static_dir)
        .env("RUSTFLAGS", "-C target-feature=+crt-static");
    cargo::run(both)?;

    // Of this work tree, wherever cargo builds: work trees may share a directory for that.
    let out = root.join("target/dist");
    let dist = Dist {
        lbctl: out.join("lbctl"),
        lbnode: out.join("lbnode"),
    };
    fs::create_dir_all(&out).with_context(|| format!("cannot make `{}`", out.display()))?;
    let built = static_dir.join(&triple).join(name);
    for program in [&dist.lbctl, &dist.lbnode] {
        let file = program.file_name().unwrap_or_default();
        elf::check_static(&built.join(file))?;
        place(&built.join(file), program)?;
    }
    Ok(dist)
}

/// Copies under a temporary name and renames, so that a program that runs keeps its file.
fn place(from: &Path, to: &Path) -> Result<()> {
    let bytes = fs::read(from).with_context(|| format!("cannot read `{}`", from.display()))?;
    if fs::read(to).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    // Its own name: two runs at once may place the same program.
    let temporary = to.with_extension(format!("{}.tmp", process::id()));
    fs::copy(from, &temporary)
        .and_then(|_| fs::rename(&temporary, to))
        .with_context(|| format!("cannot write `{}`", to.display()))
}

fn static_triple() -> Result<String> {
    match ARCH {
        "x86_64" | "aarch64" => Ok(format!("{ARCH}-unknown-linux-gnu")),
        other => bail!("the programs are built for x86_64 and aarch64, this machine is {other}"),
    }
}

fn size(program: &Path) -> Result<u64> {
    Ok(fs::metadata(program)
        .with_context(|| format!("no `{}`", program.display()))?
        .len())
}

fn megabytes(bytes: u64) -> String {
    format!("{}.{} MB", bytes / 1_000_000, bytes % 1_000_000 / 100_000)
}

impl Profile {
    /// The profile's name for cargo.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Lab => "lab",
        }
    }
}

/// Largest lbnode that is worth copying to every node.
const LBNODE_BUDGET: u64 = 14_000_000;

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    #[test]
    fn an_unchanged_program_is_not_written_again() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("built"), dir.path().join("placed"));
        fs::write(&from, "one").unwrap();
        place(&from, &to).unwrap();
        let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000);
        fs::File::options()
            .write(true)
            .open(&to)
            .unwrap()
            .set_modified(old)
            .unwrap();
        place(&from, &to).unwrap();
        assert_eq!(fs::metadata(&to).unwrap().modified().unwrap(), old);
        fs::write(&from, "two").unwrap();
        place(&from, &to).unwrap();
        assert_eq!(fs::read(&to).unwrap(), b"two");
    }

    #[test]
    fn sizes_are_told_in_decimal_megabytes() {
        assert_eq!(megabytes(14_000_000), "14.0 MB");
        assert_eq!(megabytes(5_899_999), "5.8 MB");
    }
}
