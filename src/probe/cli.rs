//! Arguments of `lbnode probe`.

use std::io::{self, Read as _, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use cluster_config::probe::{SegmentPlan, VipReport};
use l2::linux::capability::{Capability, require};
use l2::linux::link::{Interface, Links};

use super::{claim, front, listen, reach, segment, vip};

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
    /// Find out together with other nodes who hears whom; the plan is JSON on standard input
    Segment,
    /// Announce an address and answer for it until standard input ends, without adding it to the interface
    Claim(ClaimArgs),
    /// Try to reach an address that another node claims
    Reach(ReachArgs),
    /// Answer where an API server will listen, until standard input ends
    StandIn(StandInArgs),
    /// Connect to a load balancer again and again, and say which stand-ins answer behind it
    Front(FrontArgs),
}

/// An address, and where to look for it.
#[derive(Debug, clap::Args)]
struct Place {
    /// The address
    #[arg(long, value_name = "IP")]
    address: IpAddr,
    /// Interface to use
    #[arg(long, value_name = "NAME")]
    interface: Option<String>,
    /// This machine's own address; without `--interface`, the interface that holds it is used
    #[arg(long, value_name = "IP")]
    source: Option<IpAddr>,
}

/// Arguments of `lbnode probe vip`.
#[derive(Debug, clap::Args)]
struct VipArgs {
    #[command(flatten)]
    place: Place,
    /// Milliseconds to wait for an answer
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    wait_millis: u32,
}

/// Arguments of `lbnode probe claim`.
#[derive(Debug, clap::Args)]
struct ClaimArgs {
    #[command(flatten)]
    place: Place,
    /// Seconds after which it ends in any case
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
}

/// Arguments of `lbnode probe reach`.
#[derive(Debug, clap::Args)]
struct ReachArgs {
    #[command(flatten)]
    place: Place,
    /// A router on the segment that should bring packets to the address too
    #[arg(long, value_name = "IP")]
    gateway: Option<Ipv4Addr>,
    /// Leave it to the gateway; for the machine that claims the address
    #[arg(long, requires = "gateway")]
    only_gateway: bool,
    /// Milliseconds to try
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    wait_millis: u32,
}

/// Arguments of `lbnode probe stand-in`.
#[derive(Debug, clap::Args)]
struct StandInArgs {
    /// Where to listen
    #[arg(long, value_name = "IP:PORT")]
    listen: SocketAddr,
    /// A word that tells these stand-ins from others
    #[arg(long, value_name = "WORD")]
    run: String,
    /// Seconds after which it ends in any case
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
}

/// Arguments of `lbnode probe front`.
#[derive(Debug, clap::Args)]
struct FrontArgs {
    /// The load balancer
    #[arg(long, value_name = "IP:PORT")]
    target: SocketAddr,
    /// The word of the stand-ins
    #[arg(long, value_name = "WORD")]
    run: String,
    /// A stand-in that should be found, by its address; may be given several times
    #[arg(long, value_name = "IP")]
    wanted: Vec<IpAddr>,
    /// Milliseconds to go on when answers are steady and not every stand-in was found
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 2000, value_parser = clap::value_parser!(u32).range(0..=60_000))]
    linger_millis: u32,
    /// Milliseconds to try
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..=120_000))]
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
        What::Segment => probe_segment(),
        What::Claim(args) => claim_address(&args),
        What::Reach(args) => try_to_reach(&args),
        What::StandIn(args) => {
            let most = Duration::from_secs(args.seconds.into());
            front::stand_in(args.listen, &args.run, most)
        }
        What::Front(args) => look_behind(args),
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
    let links = links()?;
    let interface = args.place.interface(&links)?;
    let wait = Duration::from_millis(args.wait_millis.into());
    let answer = vip::ask(interface, args.place.address, wait)?;
    print(&VipReport {
        address: args.place.address,
        answered: answer.is_some(),
        mac: answer.map(|mac| mac.to_string()),
        interface: interface.name.clone(),
    })
}

fn probe_segment() -> anyhow::Result<()> {
    /// A plan of thousands of stations is shorter.
    const LONGEST_PLAN: u64 = 1 << 20;
    /// Longest look.
    const MOST_MILLIS: u32 = 60_000;
    let mut text = String::new();
    io::stdin().take(LONGEST_PLAN).read_to_string(&mut text)?;
    let mut plan: SegmentPlan = serde_json::from_str(&text).context("the plan cannot be read")?;
    plan.most_millis = plan.most_millis.min(MOST_MILLIS);
    let own = plan.stations.get(usize::from(plan.me));
    let own = own.map(|station| station.address);
    let Some(IpAddr::V4(own)) = own else {
        anyhow::bail!("the plan has no IPv4 station at its place {}", plan.me);
    };
    let links = links()?;
    let interface = match &plan.interface {
        Some(name) => named(&links, name)?,
        None => holding(&links, own.into())?,
    };
    print(&segment::look(plan, interface, own)?)
}

fn claim_address(args: &ClaimArgs) -> anyhow::Result<()> {
    let links = links()?;
    let interface = args.place.interface(&links)?;
    let most = Duration::from_secs(args.seconds.into());
    claim::hold(interface, args.place.address, most)
}

fn try_to_reach(args: &ReachArgs) -> anyhow::Result<()> {
    let (IpAddr::V4(address), Some(IpAddr::V4(own))) = (args.place.address, args.place.source)
    else {
        anyhow::bail!("`--address` and `--source` must be IPv4 addresses");
    };
    let links = links()?;
    let interface = args.place.interface(&links)?;
    let question = reach::Question {
        address,
        own,
        mac: interface
            .mac
            .with_context(|| format!("interface `{}` is not Ethernet", interface.name))?,
        directly: !args.only_gateway,
        gateway: args.gateway,
        tag: u16::try_from(std::process::id() & 0xffff)?,
    };
    let wait = Duration::from_millis(args.wait_millis.into());
    print(&reach::attempt(interface, question, wait)?)
}

fn look_behind(args: FrontArgs) -> anyhow::Result<()> {
    let question = front::Question {
        target: args.target,
        run: args.run,
        wanted: args.wanted.iter().map(ToString::to_string).collect(),
        linger: Duration::from_millis(args.linger_millis.into()),
        wait: Duration::from_millis(args.wait_millis.into()),
    };
    print(&front::look(&question)?)
}

fn links() -> anyhow::Result<Links> {
    require(&[Capability::NetRaw])?;
    Ok(Links::read()?)
}

fn probe_vrrp(args: &VrrpArgs) -> anyhow::Result<()> {
    let links = links()?;
    let chosen: Vec<&Interface> = match &args.interface {
        Some(name) => vec![named(&links, name)?],
        None => links
            .iter()
            .filter(|one| one.up && one.mac.is_some())
            .collect(),
    };
    for heard in listen::virtual_routers(&chosen, Duration::from_secs(args.seconds.into()))? {
        print(&heard)?;
    }
    Ok(())
}

impl Place {
    fn interface<'a>(&self, links: &'a Links) -> anyhow::Result<&'a Interface> {
        if let Some(name) = &self.interface {
            return named(links, name);
        }
        if let Some(source) = self.source {
            return holding(links, source);
        }
        links
            .iter()
            .find(|one| one.up && vip::is_on_subnet(one, self.address))
            .ok_or_else(|| {
                anyhow::anyhow!(
                    "no interface has an address on the subnet of {}; name one with `--interface`",
                    self.address
                )
            })
    }
}

fn holding(links: &Links, address: IpAddr) -> anyhow::Result<&Interface> {
    links.holding(address).ok_or_else(|| {
        anyhow::anyhow!("no interface holds {address}; `ip address` lists what there is")
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

fn print(value: &impl serde::Serialize) -> anyhow::Result<()> {
    let line = serde_json::to_string(value)?;
    match writeln!(io::stdout(), "{line}") {
        // The reader has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}
