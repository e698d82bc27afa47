//! Virtual routers on real network namespaces: ours alone, and ours beside Debian's keepalived.
//!
//! `cargo test -p lab-tests --test vrrp -- [--full] [FILTER…]`; the router under test is `LBNODE`, or
//! `target/dist/lbnode` as `cargo xtask dist` leaves it.
//!
//! `-- --bench [CASE…] [--rounds N]` prints the side-by-side figures instead.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test program without a harness"
)]

mod answers;
mod at_once;
mod beside_keepalived;
mod confined;
mod deaths;
mod flood;
mod hand_over;
mod heal;
mod load;
mod ours;
mod ownership;
mod places;
mod probes;
mod race;
mod runner;
mod stalls;
mod troubles;
mod wire;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use lab_tests::duel::arena;
use lab_tests::duel::{self, Case};
use lab_tests::figures;
pub(crate) use lab_tests::scenario::Skip;
use lab_tests::summary::Summary;
use runner::{Scenario, Scenarios};

/// What a scenario has at hand.
pub(crate) struct Context {
    /// The router under test.
    pub(crate) lbnode: PathBuf,
    /// Whether to take the time for repetitions.
    pub(crate) full: bool,
}

struct Options {
    list: bool,
    full: bool,
    bench: bool,
    rounds: usize,
    words: Vec<String>,
}

fn main() -> ExitCode {
    match start() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start() -> Result<ExitCode> {
    let options = options(std::env::args().skip(1))?;
    let wants = |(name, _): &Scenario| {
        options.words.is_empty() || options.words.iter().any(|word| name.contains(word))
    };
    let mut scenarios = Scenarios {
        patient: patient(),
        measured: measured(),
        long: long(),
    };
    scenarios.retain(wants);
    let names = scenarios.all().map(|(name, _)| name);
    if options.list {
        names.for_each(|name| println!("{name}: test"));
        return Ok(ExitCode::SUCCESS);
    }
    let context = match arena::possible().and_then(|()| lbnode()) {
        Ok(lbnode) => Context {
            lbnode,
            full: options.full,
        },
        Err(reason) => {
            println!("no virtual routers on this host: {reason:#}");
            let mut summary = Summary::default();
            names.for_each(|name| summary.skip(name, &format!("{reason:#}")));
            return conclude(&summary);
        }
    };
    if options.bench {
        return bench(&context, &options);
    }
    conclude(&runner::run(&context, &scenarios))
}

/// They measure milliseconds.
fn measured() -> Vec<Scenario> {
    [
        ours::SCENARIOS,
        deaths::SCENARIOS,
        heal::SCENARIOS,
        hand_over::SCENARIOS,
    ]
    .concat()
}

/// They keep the processors busy, or see to a machine that stands still themselves.
fn long() -> Vec<Scenario> {
    [
        load::SCENARIOS,
        flood::SCENARIOS,
        beside_keepalived::HASTY,
        race::SCENARIOS,
    ]
    .concat()
}

/// They wait for most of their time.
fn patient() -> Vec<Scenario> {
    [
        wire::SCENARIOS,
        places::SCENARIOS,
        probes::SCENARIOS,
        troubles::SCENARIOS,
        confined::SCENARIOS,
        beside_keepalived::SCENARIOS,
    ]
    .concat()
}

fn conclude(summary: &Summary) -> Result<ExitCode> {
    summary.publish("vrrp")?;
    println!("{}", summary.closing_line());
    Ok(if summary.failures.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn bench(context: &Context, options: &Options) -> Result<ExitCode> {
    let cases = if options.words.is_empty() {
        Case::all()
    } else {
        options
            .words
            .iter()
            .map(|word| word.parse())
            .collect::<Result<_>>()?
    };
    let rows = duel::run(&context.lbnode, &cases, options.rounds)?;
    println!("{}", figures::table(&rows));
    Ok(ExitCode::SUCCESS)
}

fn lbnode() -> Result<PathBuf> {
    if let Some(named) = std::env::var_os("LBNODE") {
        return Ok(PathBuf::from(named));
    }
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/dist/lbnode");
    built.canonicalize().context(
        "there is no target/dist/lbnode; `cargo xtask dist` makes it, or name one in LBNODE",
    )
}

fn options(arguments: impl Iterator<Item = String>) -> Result<Options> {
    let mut options = Options {
        list: false,
        full: false,
        bench: false,
        rounds: 3,
        words: Vec::new(),
    };
    let mut arguments = arguments;
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--list" => options.list = true,
            "--full" => options.full = true,
            "--bench" => options.bench = true,
            "--rounds" => {
                options.rounds = arguments
                    .next()
                    .context("`--rounds` needs a number")?
                    .parse()?;
            }
            "--nocapture" | "--quiet" | "-q" | "--test-threads=1" => {}
            other if other.starts_with('-') => bail!("there is no option `{other}`"),
            word => options.words.push(word.to_owned()),
        }
    }
    Ok(options)
}
