//! Debian's newest HAProxy, unpacked beside its own libraries, or the one that is installed.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::say;

/// How to run HAProxy.
pub(super) struct Haproxy {
    /// Program and first arguments.
    pub(super) command: Vec<String>,
    pub(super) version: String,
}

/// The one at `path`; else Debian's newest; else the installed one.
pub(super) fn find(path: Option<&Path>) -> Result<Haproxy> {
    if let Some(path) = path {
        return probe(vec![path.display().to_string()]);
    }
    newest().or_else(|error| {
        say::progress(format!(
            "Debian's newest HAProxy is not to be had ({error:#}): the installed one"
        ));
        probe(vec!["haproxy".to_owned()]).context("install it: apt-get install haproxy")
    })
}

fn newest() -> Result<Haproxy> {
    let cache = lab_tests::paths::cache()?.join("haproxy");
    let root = cache.join("root");
    let program = root.join("usr/sbin/haproxy");
    if !program.exists() {
        fetch(&cache)?;
    }
    let libraries = root.join("usr/lib/x86_64-linux-gnu");
    probe(vec![
        text(&libraries.join("ld-linux-x86-64.so.2")),
        "--library-path".to_owned(),
        text(&libraries),
        text(&program),
    ])
}

/// Downloads and unpacks; apt keeps lists and packages below `cache`, so that the machine's own stay as they are.
fn fetch(cache: &Path) -> Result<()> {
    say::progress("downloading Debian's newest HAProxy and its libraries");
    for folder in ["lists/partial", "apt/archives/partial", "packages"] {
        std::fs::create_dir_all(cache.join(folder))?;
    }
    let sources = cache.join("sources.list");
    super::write(
        &sources,
        "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] \
         http://deb.debian.org/debian sid main\n",
    )?;
    let options = [
        format!("Dir::Etc::sourcelist={}", sources.display()),
        "Dir::Etc::sourceparts=/dev/null".to_owned(),
        format!("Dir::State::lists={}", cache.join("lists").display()),
        format!("Dir::Cache={}", cache.join("apt").display()),
        "APT::Architecture=amd64".to_owned(),
        "APT::Sandbox::User=root".to_owned(),
    ];
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        for option in &options {
            command.args(["-o", option]);
        }
        command
            .arg("-q")
            .args(arguments)
            .current_dir(cache.join("packages"));
        quietly(command)
    };
    apt(&["update"])?;
    let packages: Vec<String> = PACKAGES.iter().map(|name| format!("{name}/sid")).collect();
    let wanted: Vec<&str> = ["download"]
        .into_iter()
        .chain(packages.iter().map(String::as_str))
        .collect();
    apt(&wanted)?;
    let root = cache.join("root");
    for package in std::fs::read_dir(cache.join("packages"))? {
        let mut unpack = Command::new("dpkg-deb");
        unpack.arg("-x").arg(package?.path()).arg(&root);
        quietly(unpack)?;
    }
    Ok(())
}

fn probe(command: Vec<String>) -> Result<Haproxy> {
    let output = Command::new(&command[0])
        .args(&command[1..])
        .arg("-v")
        .output()
        .context("cannot run haproxy")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let version = text
        .split_whitespace()
        .nth(2)
        .unwrap_or_default()
        .to_owned();
    if !output.status.success() || version.is_empty() {
        bail!(
            "haproxy does not run: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(Haproxy { command, version })
}

fn quietly(mut command: Command) -> Result<()> {
    let output = command
        .output()
        .with_context(|| format!("cannot run {command:?}"))?;
    if !output.status.success() {
        bail!(
            "{command:?}: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(())
}

fn text(path: &Path) -> String {
    PathBuf::from(path).display().to_string()
}

const PACKAGES: &[&str] = &[
    "haproxy",
    "libc6",
    "libcrypt1",
    "libssl3t64",
    "liblua5.4-0",
    "libpcre2-8-0",
    "libpcre2-posix3",
    "libjemalloc2",
    "libopentracing-c-wrapper0t64",
    "libopentracing1",
    "zlib1g",
    "libzstd1",
    "libgcc-s1",
    "libstdc++6",
    "libcap2",
];
