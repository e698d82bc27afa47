//! The rows of `cargo xtask bench service`.

use std::fs;

use anyhow::{Context as _, Result, ensure};

use super::case::Case;
use super::clients::Audience;
use super::contestant::replace_by_metallb;
use super::control::{self, Latencies};
use super::crowd::{self, Crowd};
use super::idle::{self, Part};
use super::trial::{Setting, Trial, second_cable_cut, trial};
use super::{Contestant, Fault, LIMIT, LOOK};
use crate::bundle;
use crate::cluster::Cluster;
use crate::figures::{Row, milliseconds};
use crate::prober::Impression;
use crate::{patience, tool};

/// How often everything is done.
#[derive(Debug, Clone, Copy)]
pub struct Amount {
    /// Faults of each kind, and crowds of Services.
    pub faults: usize,
    /// Services that are created and deleted.
    pub services: usize,
    /// Edits of a pool.
    pub edits: usize,
}

/// Measures the cases for each of the contestants, ours first; the cluster is with the last of them afterwards. What cannot be
/// measured is told and noted in `gaps`, and the rest goes on.
///
/// # Errors
/// When MetalLB cannot be brought up. Where it cannot be had, the rows say why.
pub fn run(
    cluster: &Cluster<'_>,
    contestants: &[Contestant],
    cases: &[Case],
    amount: Amount,
    gaps: &mut Vec<String>,
) -> Result<Vec<Row>> {
    // Compiled before anything is measured.
    let wanted = contestants.contains(&Contestant::Metallb);
    let metallb = wanted.then(bundle::metallb);
    let mut ours = Vec::new();
    if contestants.contains(&Contestant::Lbnode) {
        ours = measure(cluster, Contestant::Lbnode, cases, amount, gaps);
    }
    let metallb = match metallb {
        None => return Ok(ours),
        Some(Ok(metallb)) => metallb,
        Some(Err(error)) => {
            let why = format!("metallb not measured: {error:#}");
            ensure!(!ours.is_empty(), "{why}");
            let rows = ours.into_iter().map(|row| row.compared(&why, &[]));
            return Ok(rows.collect());
        }
    };
    // It has no such setting.
    let cases: Vec<Case> = cases
        .iter()
        .copied()
        .filter(|case| *case != Case::PowerCutTuned)
        .collect();
    if cases.is_empty() {
        return Ok(ours);
    }
    replace_by_metallb(cluster, &metallb)?;
    let theirs = measure(cluster, Contestant::Metallb, &cases, amount, gaps);
    Ok(side_by_side(ours, theirs))
}

/// Our rows with the ratio to those of the other contestant, and those.
fn side_by_side(ours: Vec<Row>, theirs: Vec<Row>) -> Vec<Row> {
    let compared = ours.into_iter().map(|row| {
        let other = theirs
            .iter()
            .find(|other| other.case == row.case && other.metric == row.metric);
        match other {
            Some(other) if other.value > 0.0 => {
                let ratio = row.value / other.value;
                row.compared(&other.contestant, &[ratio])
            }
            Some(other) => row.compared(&other.contestant, &[]),
            None => row,
        }
    });
    let mut rows: Vec<Row> = compared.collect();
    rows.extend(theirs);
    rows
}

fn measure(
    cluster: &Cluster<'_>,
    contestant: Contestant,
    cases: &[Case],
    amount: Amount,
    gaps: &mut Vec<String>,
) -> Vec<Row> {
    let mut session = Session {
        setting: Setting {
            cluster,
            contestant,
            audience: Audience::Everybody,
        },
        amount,
        latencies: None,
        together: None,
        gaps,
    };
    let mut rows = Vec::new();
    for case in Case::all().iter().filter(|case| cases.contains(case)) {
        tool::say(format_args!("{case}, {contestant}"));
        match session.rows(*case) {
            Ok(some) => {
                for row in &some {
                    let Row {
                        metric,
                        value,
                        unit,
                        ..
                    } = row;
                    tool::say(format_args!(
                        "{case}, {contestant}: {metric} {value:.1} {unit}"
                    ));
                }
                rows.extend(some);
            }
            Err(error) => session.note(*case, &error),
        }
    }
    rows
}

/// One contestant's, with what was measured in one go for several cases.
struct Session<'a> {
    setting: Setting<'a>,
    amount: Amount,
    latencies: Option<Latencies>,
    together: Option<Crowd>,
    /// What could not be measured.
    gaps: &'a mut Vec<String>,
}

impl Session<'_> {
    fn note(&mut self, case: Case, error: &anyhow::Error) {
        let contestant = self.setting.contestant;
        let gap = format!("{case}, {contestant}: not measured: {error:#}");
        tool::say(&gap);
        self.gaps.push(gap);
    }

    fn rows(&mut self, case: Case) -> Result<Vec<Row>> {
        let (setting, amount) = (self.setting, self.amount);
        let Setting {
            cluster,
            contestant,
            ..
        } = setting;
        let name = contestant.to_string();
        match case {
            Case::Fault(fault) => Ok(self.faults(case, || trial(setting, fault))),
            Case::SecondCableCut => Ok(self.faults(case, || second_cable_cut(setting))),
            Case::PowerCutTuned => {
                tune(cluster)?;
                Ok(self.faults(case, || trial(setting, Fault::PowerCut)))
            }
            Case::PoolEdit => {
                contestant.settle(cluster)?;
                let times = control::pool_edits(cluster, contestant, amount.edits)?;
                Ok(percentiles(case, &name, &times))
            }
            Case::CreateToStatus | Case::CreateToConnect | Case::DeleteToSilent => {
                if self.latencies.is_none() {
                    contestant.settle(cluster)?;
                    let latencies = control::create_and_delete(cluster, amount.services)?;
                    self.latencies = Some(latencies);
                }
                let times = self.latencies.as_ref();
                let times = times.map(|latencies| of_case(case, latencies));
                Ok(percentiles(case, &name, times.unwrap_or_default()))
            }
            Case::Idle => {
                contestant.settle(cluster)?;
                let usage = idle::measure(cluster, contestant)?;
                let row = |part: Part, metric: &str, unit: &str, rounds: Vec<f64>| {
                    let metric = format!("{part}_{metric}");
                    Row::of(&case.to_string(), &name, &metric, unit, &rounds)
                };
                let rows = Part::ALL.into_iter().flat_map(|part| {
                    let of = || usage.iter().filter(move |usage| usage.part == part);
                    let resident = of().map(|usage| usage.resident_mib).collect();
                    let anonymous = of().map(|usage| usage.anonymous_mib).collect();
                    let processor = of().map(|usage| usage.millicores).collect();
                    [
                        row(part, "rss_mib", "MiB", resident),
                        row(part, "anonymous_mib", "MiB", anonymous),
                        row(part, "millicores", "millicores", processor),
                    ]
                });
                Ok(rows.flatten().collect())
            }
            Case::CrowdToStatus | Case::CrowdToConnect => {
                if self.together.is_none() {
                    contestant.settle(cluster)?;
                    let crowd = crowd::create_at_once(cluster, contestant, amount.faults)?;
                    self.together = Some(crowd);
                }
                let times = self.together.as_ref().map(|crowd| of_crowd(case, crowd));
                let times = times.unwrap_or_default();
                let mut rows = percentiles(case, &name, times);
                let row = Row::percentile(&case.to_string(), &name, "max_ms", "ms", 1.0, times);
                rows.extend(row);
                Ok(rows)
            }
        }
    }

    /// Of the trials that went well.
    fn faults(&mut self, case: Case, once: impl Fn() -> Result<Trial>) -> Vec<Row> {
        let mut trials = Vec::new();
        for _ in 0..self.amount.faults {
            match once() {
                Ok(trial) => {
                    tool::say(&trial);
                    trials.push(trial);
                }
                Err(error) => self.note(case, &error),
            }
        }
        figures(case, &self.setting.contestant.to_string(), &trials)
    }
}

/// What was measured in one go, told apart.
fn of_case(case: Case, latencies: &Latencies) -> &[f64] {
    match case {
        Case::CreateToStatus => &latencies.create_to_status,
        Case::CreateToConnect => &latencies.create_to_connect,
        _ => &latencies.delete_to_silent,
    }
}

fn of_crowd(case: Case, crowd: &Crowd) -> &[f64] {
    match case {
        Case::CrowdToStatus => &crowd.to_status,
        _ => &crowd.to_connect,
    }
}

fn percentiles(case: Case, contestant: &str, times: &[f64]) -> Vec<Row> {
    let row = |metric: &str, part: f64| {
        Row::percentile(&case.to_string(), contestant, metric, "ms", part, times)
    };
    [row("p50_ms", 0.5), row("p99_ms", 0.99)]
        .into_iter()
        .flatten()
        .collect()
}

/// The client behind the router has the plain names; that without an ARP entry `cold_…`.
fn figures(case: Case, contestant: &str, trials: &[Trial]) -> Vec<Row> {
    let row = |metric: &str, unit: &str, rounds: Vec<f64>| {
        Row::of(&case.to_string(), contestant, metric, unit, &rounds)
    };
    let mut rows = Vec::new();
    let known: Vec<&Impression> = trials.iter().map(|trial| &trial.neighbour).collect();
    let cold: Vec<&Impression> = trials
        .iter()
        .filter_map(|trial| trial.stranger.as_ref())
        .collect();
    for (start, impressions) in [("", known), ("cold_", cold)] {
        for (metric, unit, figure) in METRICS {
            let rounds = impressions
                .iter()
                .map(|impression| figure(impression))
                .collect();
            rows.extend(row(&format!("{start}{metric}"), unit, rounds));
        }
    }
    let datagrams = trials.iter().filter_map(|trial| trial.datagrams);
    rows.extend(row(
        "udp_gap_ms",
        "ms",
        datagrams.map(milliseconds).collect(),
    ));
    rows
}

type Figure = fn(&Impression) -> f64;

const METRICS: [(&str, &str, Figure); 3] = [
    ("last_failure_ms", "ms", |seen| {
        milliseconds(seen.last_failure)
    }),
    ("longest_gap_ms", "ms", |seen| {
        milliseconds(seen.longest_gap)
    }),
    ("failed_connections", "1", failed),
];

#[expect(
    clippy::cast_precision_loss,
    reason = "a count of connections is small"
)]
fn failed(seen: &Impression) -> f64 {
    seen.failed as f64
}

/// Gives the speakers settings that notice a dead node within the fifth of a second.
fn tune(cluster: &Cluster<'_>) -> Result<()> {
    let text = fs::read_to_string(cluster.file())
        .with_context(|| format!("cannot read {}", cluster.file().display()))?;
    let edited = tuned(&text).context("the cluster file has no load balancer")?;
    cluster.edited(&cluster.machines, &edited)?.update()?;
    let words = [
        "-n",
        "lb-system",
        "rollout",
        "status",
        "daemonset/lb-speaker",
        "--timeout=9s",
    ];
    patience::until("every speaker has the new settings", LIMIT, LOOK, || {
        Ok(cluster.kubectl(&words).ok().map(drop))
    })?;
    cluster.settle().map(drop)
}

/// The cluster file with these settings; `None` when it has no place for them.
fn tuned(text: &str) -> Option<String> {
    const PLACE: &str = "  loadBalancer:\n";
    if text.contains(TUNED) {
        return Some(text.to_owned());
    }
    text.contains(PLACE)
        .then(|| text.replacen(PLACE, &format!("{PLACE}{TUNED}"), 1))
}

const TUNED: &str =
    "    dataPlane:\n      heartbeatIntervalMillis: 40\n      failoverMillis: 120\n";

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::roster::Machine;

    fn impression(milliseconds: u64, failed: usize) -> Impression {
        Impression {
            first_failure: Duration::ZERO,
            last_failure: Duration::from_millis(milliseconds),
            longest_gap: Duration::from_millis(milliseconds + 5),
            failed,
            attempts: 1000,
            reasons: String::new(),
            lateness: Duration::ZERO,
        }
    }

    fn one(milliseconds: u64, stranger: bool) -> Trial {
        Trial {
            fault: Fault::PowerCut,
            victim: Machine::cp(1),
            successor: Some(Machine::cp(2)),
            neighbour: impression(milliseconds, 7),
            stranger: stranger.then(|| impression(milliseconds * 2, 9)),
            datagrams: stranger.then_some(Duration::from_millis(3)),
            over: true,
        }
    }

    #[test]
    fn each_client_has_its_rows() {
        let case = Case::Fault(Fault::PowerCut);
        let rows = figures(
            case,
            "lbnode",
            &[one(10, true), one(30, true), one(20, true)],
        );
        let value = |metric: &str| {
            let row = rows.iter().find(|row| row.metric == metric);
            row.map(|row| (row.value, row.n))
        };
        assert_eq!(value("last_failure_ms"), Some((20.0, 3)));
        assert_eq!(value("longest_gap_ms"), Some((25.0, 3)));
        assert_eq!(value("failed_connections"), Some((7.0, 3)));
        assert_eq!(value("cold_last_failure_ms"), Some((40.0, 3)));
        assert_eq!(value("cold_failed_connections"), Some((9.0, 3)));
        assert_eq!(value("udp_gap_ms"), Some((3.0, 3)));
        assert_eq!(figures(case, "lbnode", &[one(10, false)]).len(), 3);
    }

    #[test]
    fn our_rows_are_compared_with_those_of_the_same_case_and_metric() {
        let row = |contestant: &str, metric: &str, value: f64| {
            Row::of("drain", contestant, metric, "ms", &[value]).expect("a row")
        };
        let ours = vec![
            row("lbnode", "a_ms", 1.0),
            row("lbnode", "b_ms", 0.0),
            row("lbnode", "c_ms", 1.0),
        ];
        let theirs = vec![row("metallb", "a_ms", 4.0), row("metallb", "b_ms", 0.0)];
        let rows = side_by_side(ours, theirs);
        assert_eq!(rows.len(), 5);
        assert_eq!(
            (rows[0].baseline.as_deref(), rows[0].ratio),
            (Some("metallb"), Some(0.25))
        );
        assert_eq!(
            (rows[1].baseline.as_deref(), rows[1].ratio),
            (Some("metallb"), None)
        );
        assert_eq!(rows[2].baseline, None);
    }

    #[test]
    fn the_example_can_be_tuned_and_only_once() {
        let example = include_str!("../../../examples/three-control-planes.yaml");
        let text = tuned(example).expect("it has a load balancer");
        assert_eq!(text.matches("failoverMillis: 120").count(), 1);
        assert_eq!(tuned(&text).as_deref(), Some(&*text));
        assert_eq!(tuned("kind: Cluster\n"), None);
    }
}
