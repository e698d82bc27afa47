//! `cargo xtask bench service`: what clients see of faults of Services' nodes, and how long changes take, ours beside MetalLB.

use std::fmt;
use std::str::FromStr;

use anyhow::Result;
use lab_tests::bundle;
use lab_tests::figures::Row;
use lab_tests::service::{self, Amount, Contestant};
use lab_tests::{Lab, Machine};

use crate::bench_tests::Rounds;
use crate::{bench, say};

/// Arguments of `cargo xtask bench service`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Faults of each kind, and crowds of Services
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Services that are created and deleted (39 at most), twice as many as there are edits of a pool
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(2..=39))]
    services: u16,
    /// Only these cases, such as `power_cut/default` or `create_to_connect`; all when none is given
    #[arg(long = "case")]
    cases: Vec<Case>,
    /// Only these, `lbnode` or `metallb`; both when none is given
    #[arg(long = "contestant")]
    contestants: Vec<Contestant>,
    /// Leave the lab (prefix `bench`) as it is at the end
    #[arg(long)]
    keep: bool,
}

/// What is measured on a cluster in the lab, or on an API server that has nothing else to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Case {
    Cluster(service::Case),
    /// A Service is created and its address is in its status, one after the other.
    Bare,
}

impl Case {
    fn all() -> Vec<Self> {
        let cluster = service::Case::all().into_iter().map(Self::Cluster);
        [Self::Bare].into_iter().chain(cluster).collect()
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cluster(case) => case.fmt(f),
            Self::Bare => f.write_str(BARE),
        }
    }
}

impl FromStr for Case {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        if text == BARE {
            return Ok(Self::Bare);
        }
        Ok(Self::Cluster(text.parse()?))
    }
}

const BARE: &str = "create_to_status/bare";

/// Measures the cases; what cannot be measured on a cluster is noted in `gaps`.
///
/// # Errors
/// When something cannot be built, brought up or measured.
pub(crate) fn run(args: &Args, gaps: &mut Vec<String>) -> Result<Vec<Row>> {
    let all = Case::all();
    let cases = if args.cases.is_empty() {
        &all
    } else {
        &args.cases
    };
    let contestants = if args.contestants.is_empty() {
        &Contestant::ALL[..]
    } else {
        &args.contestants
    };
    let mut rows = Vec::new();
    if cases.contains(&Case::Bare) {
        rows.extend(bare(args.runs, contestants)?);
    }
    let on_cluster = cases.iter().filter_map(|case| match case {
        Case::Cluster(case) => Some(*case),
        Case::Bare => None,
    });
    let on_cluster: Vec<service::Case> = on_cluster.collect();
    if !on_cluster.is_empty() {
        rows.extend(cluster(args, contestants, &on_cluster, gaps)?);
    }
    Ok(rows)
}

/// The controller alone with an API server and its etcd; the tests of `dataplane` do the work.
fn bare(runs: usize, contestants: &[Contestant]) -> Result<Vec<Row>> {
    let kube = bundle::directory()?.join("bin/kube");
    let kube = kube.display().to_string();
    let beside = contestants.contains(&Contestant::Metallb);
    let metallb = beside.then(bundle::metallb).transpose()?;
    let metallb = metallb.map(|built| built.directory.display().to_string());
    let test = "one_service_at_a_time";
    let (mut ours, mut theirs) = (Rounds::default(), Rounds::default());
    for round in 1..=runs {
        say::progress(format_args!("{BARE}, round {round}"));
        let kube = ("BUNDLED_LB_KUBE", &*kube);
        if contestants.contains(&Contestant::Lbnode) {
            ours.measure_api(test, &[kube])?;
        }
        if let Some(directory) = &metallb {
            theirs.measure_api(test, &[kube, ("BUNDLED_LB_METALLB", directory)])?;
        }
    }
    let mut rows = if beside {
        ours.compared("lbnode", &theirs, "metallb")
    } else {
        ours.rows()
    };
    rows.extend(theirs.rows_of("metallb"));
    Ok(rows)
}

/// Brings up a cluster of three machines that all serve addresses, and measures on it.
fn cluster(
    args: &Args,
    contestants: &[Contestant],
    cases: &[service::Case],
    gaps: &mut Vec<String>,
) -> Result<Vec<Row>> {
    let programs = bench::built()?;
    let lab = Lab::open("bench")?;
    // An earlier run may have left it with MetalLB.
    lab.down()?;
    lab.up(&Machine::CONTROL_PLANE)?;
    let cluster = bench::three_control_planes(&lab, programs)?;
    cluster.create()?;
    let services = usize::from(args.services);
    let amount = Amount {
        faults: args.runs,
        services,
        edits: services / 2,
    };
    let rows = service::run(&cluster, contestants, cases, amount, gaps)?;
    if !args.keep {
        lab.down()?;
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_are_found_by_their_published_names() {
        for case in Case::all() {
            assert_eq!(case.to_string().parse::<Case>().unwrap(), case);
        }
        "create_to_nothing".parse::<Case>().unwrap_err();
    }
}
