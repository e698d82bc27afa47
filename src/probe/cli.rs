//! Arguments of `lbnode probe`.

use std::io::{self, Write};
use std::net::IpAddr;
use std::process::ExitCode;
use std::time::Duration;

use l2::linux::capability::{Capability, require};
use l2::linux::link::{Interface, Links};

use super::{listen, vip};

/// Look at the segment: who answers for an address, which virtual routers are there.
///
/// Prints one line of JSON per finding. Exit code 0 whatever was found, 1 when it could not look.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Ask who has an address (ARP probe of RFC 5227, neighbour solicitation for IPv6)
    Vip(VipArgs),
    /// Listen for virtual routers (VRRP adverts) on every interface
    Vrrp(VrrpArgs),
}

/// Arguments of `lbnode probe vip`.
#[derive(Debug, clap::Args)]
struct VipArgs {
    /// The address to ask for
    #[arg(long, value_name = "IP")]
    address: IpAddr,
    /// Interface to ask on
    #[arg(long, value_name = "NAME", conflicts_with = "source")]
    interface: Option<String>,
    /// Ask on the interface that holds this address
    #[arg(long, value_name = "IP")]
    source: Option<IpAddr>,
    /// Milliseconds to wait for an answer
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    wait_millis: u32,
}

/// Arguments of `lbnode probe vrrp`.
#[derive(Debug, clap::Args)]
struct VrrpArgs {
    /// Seconds to listen
    #[arg(long, value_name = "SECONDS", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=3600))]
    seconds: u32,
    /// Listen on this interface only
    #[arg(long, value_name = "NAME")]
    interface: Option<String>,
}

/// Runs the command.
pub(crate) fn run(args: Args) -> ExitCode {
    let result = match args.what {
        What::Vip(args) => probe_vip(&args),
        What::Vrrp(args) => probe_vrrp(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn probe_vip(args: &VipArgs) -> anyhow::Result<()> {
    require(&[Capability::NetRaw])?;
    let links = Links::read()?;
    let interface = pick(&links, args)?;
    let wait = Duration::from_millis(args.wait_millis.into());
    let answer = vip::ask(interface, args.address, wait)?;
    print(&serde_json::json!({
        "address": args.address,
        "answered": answer.is_some(),
        "mac": answer,
        "interface": interface.name,
    }))
}

fn probe_vrrp(args: &VrrpArgs) -> anyhow::Result<()> {
    require(&[Capability::NetRaw])?;
    let links = Links::read()?;
    let chosen: Vec<&Interface> = match &args.interface {
        Some(name) => vec![named(&links, name)?],
        None => links
            .iter()
            .filter(|one| one.up && one.mac.is_some())
            .collect(),
    };
    for heard in listen::virtual_routers(&chosen, Duration::from_secs(args.seconds.into()))? {
        print(&serde_json::to_value(heard)?)?;
    }
    Ok(())
}

fn pick<'a>(links: &'a Links, args: &VipArgs) -> anyhow::Result<&'a Interface> {
    if let Some(name) = &args.interface {
        return named(links, name);
    }
    if let Some(source) = args.source {
        return links.holding(source).ok_or_else(|| {
            anyhow::anyhow!("no interface holds {source}; `ip address` lists what there is")
        });
    }
    links
        .iter()
        .find(|one| one.up && vip::is_on_subnet(one, args.address))
        .ok_or_else(|| {
            anyhow::anyhow!(
                "no interface has an address on the subnet of {}; name one with `--interface`",
                args.address
            )
        })
}

fn named<'a>(links: &'a Links, name: &str) -> anyhow::Result<&'a Interface> {
    links.by_name(name).ok_or_else(|| {
        let names: Vec<_> = links.iter().map(|one| one.name.as_str()).collect();
        anyhow::anyhow!(
            "interface `{name}` does not exist; there are: {}",
            names.join(", ")
        )
    })
}

fn print(value: &serde_json::Value) -> anyhow::Result<()> {
    match writeln!(io::stdout(), "{value}") {
        // The reader has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}
