//! The arguments of lbnode: one subcommand per role, also chosen by the name of the file.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, CommandFactory, Parser, Subcommand};

/// The node side of bundled load balancing: every role in one binary.
///
/// A link named `lb-vrrp`, `lb-proxy`, ... to this file starts that role.
///
/// Exit codes: 0 success, 1 failed, 2 wrong usage, 3 configuration invalid.
#[derive(Debug, Parser)]
#[command(name = "lbnode", version = crate::version::BUILD.version, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The roles and tools.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Own the virtual addresses of the API servers (VRRP)
    Vrrp(vrrp::cli::Args),
    /// Run the TCP proxy in front of the API servers
    Proxy(haproxy_lite::cli::Args),
    /// Give Services their addresses
    Controller(dataplane::controller::cli::Args),
    /// Answer for the addresses of Services on this node
    Speaker(dataplane::speaker::cli::Args),
    /// Look at the segment: who answers for an address, which virtual routers are there
    Probe(crate::probe::cli::Args),
    /// Ask an admin page and print the answer
    Get(GetArgs),
    /// Print version, commit and target
    Version(VersionArgs),
}

/// Arguments of `lbnode get`.
#[derive(Debug, Args)]
pub(crate) struct GetArgs {
    /// Address to ask, for example `http://127.0.0.1:11003/status`; names are not resolved
    pub(crate) url: daemon::probe::ProbeUrl,
    /// PEM file with the CA that an https address is verified against
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// Name or address that the certificate must carry, if not the one in the URL
    #[arg(long, value_name = "NAME", requires = "ca")]
    pub(crate) name: Option<String>,
    /// Milliseconds until it gives up
    #[arg(long, value_name = "MILLISECONDS", default_value = "2000", value_parser = millis)]
    pub(crate) timeout_millis: Duration,
}

/// Arguments of `lbnode version`.
#[derive(Debug, Args)]
pub(crate) struct VersionArgs {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// The arguments of this process; a file name of the form `lb-<role>` becomes the first of them.
pub(crate) fn parse() -> Cli {
    Cli::parse_from(with_role(std::env::args_os().collect()))
}

fn with_role(mut args: Vec<OsString>) -> Vec<OsString> {
    let file = args
        .first()
        .and_then(|arg| Path::new(arg).file_name()?.to_str());
    let role = file
        .and_then(|file| file.strip_prefix("lb-"))
        .map(str::to_owned);
    if let Some(role) = role.filter(|role| Cli::command().find_subcommand(role).is_some()) {
        args.insert(1, role.into());
    }
    args
}

fn millis(text: &str) -> Result<Duration, String> {
    match text.parse::<u32>() {
        Ok(millis) if millis > 0 => Ok(Duration::from_millis(millis.into())),
        _ => Err("a number of milliseconds above 0 is needed".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_tree_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_file_name_chooses_the_role() {
        assert_eq!(
            words(&["/usr/bin/lb-version", "--json"]),
            ["/usr/bin/lb-version", "version", "--json"]
        );
        assert_eq!(words(&["lbnode", "version"]), ["lbnode", "version"]);
        assert_eq!(words(&["lb-unknown", "version"]), ["lb-unknown", "version"]);
        assert!(words(&[]).is_empty());
    }

    #[test]
    fn a_timeout_needs_a_positive_number() {
        assert_eq!(millis("250"), Ok(Duration::from_millis(250)));
        assert!(millis("0").is_err() && millis("-1").is_err() && millis("1s").is_err());
    }

    fn words(args: &[&str]) -> Vec<String> {
        let args = with_role(args.iter().map(OsString::from).collect());
        args.into_iter()
            .map(|arg| arg.into_string().unwrap())
            .collect()
    }
}
