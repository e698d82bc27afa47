//! `cargo xtask bench NAME`: measures, prints a table and writes `target/bench/NAME.json`.

use std::fs;
use std::process::ExitCode;
use std::str::FromStr;

use anyhow::{Context as _, Result, ensure};
use clap::Subcommand;
use lab_tests::cluster::{Cluster, Programs};
use lab_tests::duel;
use lab_tests::failover::{self, Fault};
use lab_tests::figures::{self, Row};
use lab_tests::{Lab, Machine};

use crate::{bench_ipam, bench_lifecycle, bench_proxy, bench_service, cargo, dist, say};

/// Arguments of `cargo xtask bench`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Debug, Subcommand)]
enum Bench {
    /// What a client sees when the owner of the API's VIP fails, and when virtual routers alone do
    Failover {
        /// Faults of each kind
        #[arg(long, default_value_t = 5)]
        runs: usize,
        /// Only these cases, such as cluster/power_cut or 100ms/sigkill; all when none is given
        #[arg(long = "case")]
        cases: Vec<Case>,
        /// Leave the lab (prefix `bench`) as it is at the end
        #[arg(long)]
        keep: bool,
    },
    /// haproxy-lite beside HAProxy and nginx
    Proxy(bench_proxy::Args),
    /// Addresses for 100000 Services, and 10000 on an API server
    Ipam(bench_ipam::Args),
    /// How long lbctl takes, and what clients see of joins, leaves, upgrades, maintenance and moves
    Lifecycle(bench_lifecycle::Args),
    /// What clients see of faults of Services' nodes, and how long changes take, beside MetalLB
    Service(bench_service::Args),
}

/// Runs `cargo xtask bench`.
///
/// # Errors
///
/// When something cannot be built, brought up or measured.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let mut gaps = Vec::new();
    let (name, rows) = match &args.bench {
        Bench::Failover { runs, cases, keep } => ("failover", failover(*runs, cases, *keep)?),
        Bench::Ipam(args) => ("ipam", bench_ipam::run(args)?),
        Bench::Lifecycle(args) => ("lifecycle", bench_lifecycle::run(args)?),
        Bench::Proxy(args) => ("proxy", bench_proxy::run(args)?),
        Bench::Service(args) => ("service", bench_service::run(args, &mut gaps)?),
    };
    ensure!(!rows.is_empty(), "nothing was measured");
    let file = figures::publish(name, &rows)?;
    say::result(figures::table(&rows));
    say::progress(format_args!("written to {}", file.display()));
    ensure!(
        gaps.is_empty(),
        "not everything was measured:\n  {}",
        gaps.join("\n  ")
    );
    Ok(ExitCode::SUCCESS)
}

/// A fault of a cluster's machine, or of virtual routers alone beside keepalived's.
#[derive(Debug, Clone, Copy)]
enum Case {
    Cluster(Fault),
    Routers(duel::Case),
}

impl FromStr for Case {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        if text.starts_with("cluster/") {
            Ok(Self::Cluster(text.parse()?))
        } else {
            Ok(Self::Routers(text.parse()?))
        }
    }
}

fn failover(runs: usize, cases: &[Case], keep: bool) -> Result<Vec<Row>> {
    let all: Vec<Case> = (duel::Case::all().into_iter().map(Case::Routers))
        .chain(Fault::ALL.map(Case::Cluster))
        .collect();
    let cases = if cases.is_empty() { &all } else { cases };
    let (mut duels, mut faults) = (Vec::new(), Vec::new());
    for case in cases {
        match case {
            Case::Routers(case) => duels.push(*case),
            Case::Cluster(fault) => faults.push(*fault),
        }
    }
    let programs = built()?;
    let mut rows = Vec::new();
    if !duels.is_empty() {
        duel::arena::possible()?;
        rows.extend(duel::run(&programs.lbnode, &duels, runs)?);
    }
    if !faults.is_empty() {
        rows.extend(cluster_failover(programs, &faults, runs, keep)?);
    }
    Ok(rows)
}

fn cluster_failover(
    programs: Programs,
    faults: &[Fault],
    runs: usize,
    keep: bool,
) -> Result<Vec<Row>> {
    let lab = Lab::open("bench")?;
    lab.up(&Machine::CONTROL_PLANE)?;
    let cluster = three_control_planes(&lab, programs)?;
    cluster.create()?;
    let rows = failover::run(&cluster, faults, runs)?;
    if !keep {
        lab.down()?;
    }
    Ok(rows)
}

/// The programs, built as for every measurement.
pub(crate) fn built() -> Result<Programs> {
    let dist = dist::build(dist::Profile::Lab)?;
    Ok(Programs {
        lbctl: dist.lbctl,
        lbnode: dist.lbnode,
    })
}

/// The cluster of the smallest example.
pub(crate) fn three_control_planes(lab: &Lab, programs: Programs) -> Result<Cluster<'_>> {
    let example = cargo::root().join("examples/three-control-planes.yaml");
    let text = fs::read_to_string(&example)
        .with_context(|| format!("cannot read {}", example.display()))?;
    Cluster::new(lab, programs, &Machine::CONTROL_PLANE, &text)
}
