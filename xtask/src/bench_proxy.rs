//! `cargo xtask bench proxy`: haproxy-lite beside HAProxy and nginx in one run.
//!
//! Everything happens in network namespaces of its own on one machine: a client, a proxy host and three back ends on one
//! bridge. All contestants run at the same time on ports of their own (idle ones cost nothing); each round visits them in
//! another order. Absolute figures are the machine's; what counts is the ratio within a round.

mod contestants;
mod ground;
mod haproxy;
mod process;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, ensure};
use lab_tests::figures::Row;

use self::contestants::{Contestant, Running};
use self::ground::Ground;
use self::process::{Load, Outcome};
use crate::{cargo, dist, say};

/// Arguments of `cargo xtask bench proxy`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Rounds of each case
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Measured milliseconds of one turn
    #[arg(long, default_value_t = 800)]
    millis: u64,
    /// Idle connections
    #[arg(long, default_value_t = 5000)]
    idle: usize,
    /// Only these cases, such as new_connections; all when none is given
    #[arg(long = "case")]
    cases: Vec<String>,
    /// HAProxy to compare with instead of Debian's newest
    #[arg(long)]
    haproxy: Option<PathBuf>,
    /// lbnode to measure instead of a release build
    #[arg(long)]
    lbnode: Option<PathBuf>,
    /// Load generator (`haproxy-lite/examples/proxy_bench`) instead of a build
    #[arg(long)]
    tool: Option<PathBuf>,
}

/// What is measured, on which layout.
struct Case {
    name: &'static str,
    load: &'static [&'static str],
    contestants: &'static [Contestant],
    /// Whether client, back end and proxy share one processor: the clearest view of what each costs.
    one_processor: bool,
    /// Bulk streams beside it.
    background: Option<&'static [&'static str]>,
}

/// Four streams, 100 MB/s each: what every contestant can carry, so that none is the quicker for carrying less. Without
/// the limit a quick proxy fills the processor that client and back end share, and the requests wait there.
const STEADY: &[&str] = &["bulk", "--connections", "4", "--rate", "100000000"];

const PLAIN: &[Contestant] = &[
    Contestant::Direct,
    Contestant::HaproxyLite,
    Contestant::Haproxy,
    Contestant::Nginx,
];
const BULK: &[Contestant] = &[
    Contestant::Direct,
    Contestant::HaproxyLite,
    Contestant::Haproxy,
    Contestant::HaproxySplice,
    Contestant::HaproxyTuned,
    Contestant::Nginx,
];
const MIXED: &[Contestant] = &[
    Contestant::Direct,
    Contestant::HaproxyLite,
    Contestant::Haproxy,
    Contestant::HaproxySplice,
];

const CASES: &[Case] = &[
    Case::shared("new_connections", &["short", "--connections", "16"]),
    Case::shared("keepalive_1", &["keep", "--connections", "1"]),
    Case::shared("keepalive_64", &["keep", "--connections", "64"]),
    Case::shared("keepalive_1000", &["keep", "--connections", "1000"]),
    Case::bulk("bulk_1", &["bulk", "--connections", "1"]),
    Case::bulk("bulk_8", &["bulk", "--connections", "8"]),
    Case {
        name: "mixed",
        load: &["keep", "--connections", "64", "--rate", "1000"],
        contestants: MIXED,
        one_processor: false,
        background: Some(STEADY),
    },
];

impl Case {
    const fn shared(name: &'static str, load: &'static [&'static str]) -> Self {
        Self {
            name,
            load,
            contestants: PLAIN,
            one_processor: true,
            background: None,
        }
    }

    const fn bulk(name: &'static str, load: &'static [&'static str]) -> Self {
        Self {
            name,
            load,
            contestants: BULK,
            one_processor: false,
            background: None,
        }
    }
}

/// Metric by contestant, one value per round.
type Rounds = BTreeMap<(&'static str, Contestant), Vec<f64>>;

/// Measures every case.
///
/// # Errors
///
/// When something cannot be built, started or measured.
pub(crate) fn run(args: &Args) -> Result<Vec<Row>> {
    let (lbnode, origin) = match &args.lbnode {
        Some(path) => (path.clone(), "as given"),
        None => (dist::build(dist::Profile::Release)?.lbnode, "release build"),
    };
    say::progress(format!("lbnode: {} ({origin})", lbnode.display()));
    let tool = match &args.tool {
        Some(path) => path.clone(),
        None => build_tool()?,
    };
    let haproxy = haproxy::find(args.haproxy.as_deref())?;
    say::progress(format!("HAProxy {}", haproxy.version));
    let ground = Ground::new()?;
    let back_end = ground.serve(&tool)?;
    let mut rows = Vec::new();
    for one_processor in [true, false] {
        let running = Running::start(&ground, &lbnode, &haproxy, one_processor)?;
        for case in CASES
            .iter()
            .filter(|case| case.one_processor == one_processor)
        {
            if args.wants(case.name) || case.name == "keepalive_1" && args.wants("added_latency") {
                let rounds = measure(case, args, &tool, &ground, &running)?;
                rows.extend(rows_of(case.name, &rounds));
            }
        }
        if one_processor && args.wants("idle_memory") {
            let rounds = idle(args, &tool, &ground, &running)?;
            rows.extend(rows_of("idle_memory", &rounds));
        }
    }
    drop(back_end);
    Ok(rows)
}

impl Args {
    fn wants(&self, case: &str) -> bool {
        self.cases.is_empty() || self.cases.iter().any(|wanted| wanted == case)
    }
}

fn measure(
    case: &Case,
    args: &Args,
    tool: &Path,
    ground: &Ground,
    running: &Running,
) -> Result<Rounds> {
    say::progress(format!("{}: {} rounds", case.name, args.rounds));
    let mut rounds = Rounds::new();
    let mut order = Shuffle::new();
    let contestants: Vec<Contestant> = case
        .contestants
        .iter()
        .copied()
        .filter(|contestant| running.has(*contestant))
        .collect();
    for _ in 0..args.rounds {
        let mut outcomes = BTreeMap::new();
        for contestant in order.of(&contestants) {
            let load = Load {
                tool,
                arguments: case.load,
                netns: ground.client(),
                targets: &ground.targets(contestant),
                processor: 0,
                millis: args.millis,
            };
            let background = match case.background {
                Some(arguments) => {
                    let millis = args.millis + 600;
                    Some(
                        Load {
                            arguments,
                            millis,
                            ..load.clone()
                        }
                        .start()?,
                    )
                }
                None => None,
            };
            let outcome = load.run(running.processes(contestant))?;
            if let Some(background) = background {
                let beside = Outcome::of(background, || {})?;
                let carried = rounds.entry(("throughput_gbps", contestant));
                carried.or_default().push(gigabits(&beside));
            }
            ensure!(
                outcome.operations > 0.0,
                "{}: nothing came through",
                contestant.name()
            );
            ensure!(
                outcome.errors == 0.0,
                "{}: {} errors",
                contestant.name(),
                outcome.errors
            );
            outcomes.insert(contestant, outcome);
        }
        for (contestant, outcome) in &outcomes {
            for (metric, value) in figures(case.name, outcome, outcomes.get(&Contestant::Direct)) {
                rounds.entry((metric, *contestant)).or_default().push(value);
            }
        }
    }
    Ok(rounds)
}

fn figures(case: &str, outcome: &Outcome, direct: Option<&Outcome>) -> Vec<(&'static str, f64)> {
    let per_operation = outcome.cpu_seconds / outcome.operations;
    let mut figures = Vec::new();
    if case.starts_with("bulk") {
        figures.push(("cpu_s_per_gb", per_operation * 1e9));
        figures.push(("throughput_gbps", gigabits(outcome)));
        return figures;
    }
    match case {
        "new_connections" => figures.push(("cpu_us_per_connection", per_operation * 1e6)),
        "mixed" => {}
        _ => figures.push(("cpu_us_per_request", per_operation * 1e6)),
    }
    figures.push(("p50_us", outcome.p50));
    figures.push(("p99_us", outcome.p99));
    if let Some(direct) = direct.filter(|_| case == "keepalive_1") {
        figures.push(("latency_us", outcome.p50 - direct.p50));
    }
    figures
}

/// Per second; operations are bytes.
fn gigabits(outcome: &Outcome) -> f64 {
    outcome.operations * 8e-9 / outcome.seconds
}

/// Memory of a process beside that of the same process without the connections.
fn idle(args: &Args, tool: &Path, ground: &Ground, running: &Running) -> Result<Rounds> {
    let mut rounds = Rounds::new();
    let connections = args.idle.to_string();
    for contestant in [
        Contestant::HaproxyLite,
        Contestant::Haproxy,
        Contestant::Nginx,
    ]
    .into_iter()
    .filter(|contestant| running.has(*contestant))
    {
        say::progress(format!("idle_memory: {}", contestant.name()));
        let load = Load {
            tool,
            arguments: &["idle", "--connections", &connections],
            netns: ground.client(),
            targets: &ground.targets(contestant),
            processor: 0,
            millis: 0,
        };
        let processes = running.processes(contestant);
        let before = processes.memory()?;
        let started = load.start()?;
        std::thread::sleep(Duration::from_millis(1500));
        let with = processes.memory()?;
        started.finish()?;
        let each = with.saturating_sub(before) as f64 / args.idle as f64;
        rounds
            .entry(("user_bytes_per_connection", contestant))
            .or_default()
            .push(each);
    }
    Ok(rounds)
}

fn rows_of(case: &str, rounds: &Rounds) -> Vec<Row> {
    let mut rows = Vec::new();
    for ((metric, contestant), values) in rounds {
        let direct = *contestant == Contestant::Direct;
        if direct && (metric.starts_with("cpu") || *metric == "latency_us") {
            continue;
        }
        let case = if *metric == "latency_us" {
            "added_latency"
        } else {
            case
        };
        let Some(row) = Row::of(case, contestant.name(), metric, unit(metric), values) else {
            continue;
        };
        let against = |baseline: Contestant| {
            let theirs = rounds.get(&(*metric, baseline))?;
            let ratios: Vec<f64> = values
                .iter()
                .zip(theirs)
                .filter(|(_, b)| **b > 0.0)
                .map(|(a, b)| a / b)
                .collect();
            Some(row.clone().compared(baseline.name(), &ratios))
        };
        if *contestant == Contestant::Haproxy || direct {
            rows.push(row.clone());
        } else {
            rows.push(against(Contestant::Haproxy).unwrap_or_else(|| row.clone()));
        }
        if *contestant == Contestant::HaproxyLite {
            let others = [Contestant::HaproxySplice, Contestant::HaproxyTuned];
            rows.extend(others.into_iter().filter_map(against));
        }
    }
    rows
}

fn unit(metric: &str) -> &'static str {
    match metric {
        "cpu_s_per_gb" => "s",
        "throughput_gbps" => "Gbit/s",
        "user_bytes_per_connection" => "B",
        _ => "us",
    }
}

fn build_tool() -> Result<PathBuf> {
    say::progress("building the load generator");
    let arguments = [
        "build",
        "--profile",
        "lab",
        "-p",
        "haproxy-lite",
        "--example",
        "proxy_bench",
    ];
    cargo::run(cargo::command(&arguments))?;
    Ok(cargo::target_dir().join("lab/examples/proxy_bench"))
}

/// Orders that differ from round to round.
struct Shuffle(u64);

impl Shuffle {
    fn new() -> Self {
        let since_epoch = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        Self(since_epoch.as_secs() | 1)
    }

    fn of(&mut self, contestants: &[Contestant]) -> Vec<Contestant> {
        let mut keyed: Vec<(u64, Contestant)> = contestants
            .iter()
            .map(|contestant| {
                self.0 = self
                    .0
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                (self.0 >> 33, *contestant)
            })
            .collect();
        keyed.sort_unstable();
        keyed
            .into_iter()
            .map(|(_, contestant)| contestant)
            .collect()
    }
}

/// A file of the run.
fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
