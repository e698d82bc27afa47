//! What speakers and controllers take when nothing happens.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr as _;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::control::{self, SERVICES};
use super::{Contestant, POOL, Web};
use crate::api::Api;
use crate::cluster::Cluster;
use crate::roster::Machine;

/// Services that have an address and pods.
const COUNT: usize = 20;
/// Until nobody has anything to do any more.
const REST: Duration = Duration::from_secs(20);
/// So long is looked.
const WINDOW: Duration = Duration::from_secs(60);

/// A program of a data plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Speaker,
    Controller,
}

impl Part {
    pub(super) const ALL: [Self; 2] = [Self::Speaker, Self::Controller];

    fn find(self, contestant: Contestant) -> String {
        match self {
            Self::Speaker => contestant.find_speaker(),
            Self::Controller => contestant.find_controller(),
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Speaker => "speaker",
            Self::Controller => "controller",
        })
    }
}

/// What one process has taken.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Usage {
    pub(super) part: Part,
    /// All that is resident, the program's own text included.
    pub(super) resident_mib: f64,
    /// Of that what is no file's.
    pub(super) anonymous_mib: f64,
    /// Thousandths of a processor.
    pub(super) millicores: f64,
}

/// Looks at every speaker and controller for a minute.
pub(super) fn measure(cluster: &Cluster<'_>, contestant: Contestant) -> Result<Vec<Usage>> {
    let api = Api::of(cluster)?;
    let pods = Web::new(cluster, "idle", "Cluster")?;
    pods.run_on(&cluster.machines)?;
    let addresses = u32::from(*POOL.start())..=u32::from(*POOL.end());
    let addresses: Vec<Ipv4Addr> = addresses.map(Ipv4Addr::from).take(COUNT).collect();
    for address in &addresses {
        let object = control::object(&control::name(*address), pods.name(), *address);
        api.create(SERVICES, &object)?;
    }
    for address in &addresses {
        let path = format!("{SERVICES}/{}", control::name(*address));
        control::has(&api, &path, *address)?;
    }
    thread::sleep(REST);
    let usage = look(cluster, contestant);
    for address in &addresses {
        api.delete(&format!("{SERVICES}/{}", control::name(*address)))?;
    }
    pods.remove()?;
    usage
}

/// A process, and what it had at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Sample {
    process: u32,
    nanoseconds: u64,
    resident_kib: u32,
    anonymous_kib: u32,
}

fn look(cluster: &Cluster<'_>, contestant: Contestant) -> Result<Vec<Usage>> {
    let begin = control::now();
    let before = samples(cluster, contestant)?;
    thread::sleep(WINDOW);
    let took = begin.elapsed();
    let after = samples(cluster, contestant)?;
    let mut usage = Vec::new();
    for ((part, machine, before), (_, _, after)) in before.iter().zip(&after) {
        ensure!(
            before.process == after.process,
            "the {part} of {machine} was started again while nothing happened"
        );
        let nanoseconds = after.nanoseconds.saturating_sub(before.nanoseconds);
        let taken = Duration::from_nanos(nanoseconds).as_secs_f64();
        usage.push(Usage {
            part: *part,
            resident_mib: f64::from(after.resident_kib) / 1024.0,
            anonymous_mib: f64::from(after.anonymous_kib) / 1024.0,
            millicores: taken / took.as_secs_f64() * 1000.0,
        });
    }
    ensure!(before.len() == after.len(), "a program has come or gone");
    Ok(usage)
}

fn samples(cluster: &Cluster<'_>, contestant: Contestant) -> Result<Vec<(Part, Machine, Sample)>> {
    let mut samples = Vec::new();
    for part in Part::ALL {
        let command = format!("{}; {SHOW}", part.find(contestant));
        let before = samples.len();
        for machine in &cluster.machines {
            let text = cluster.lab.ssh_ok(*machine, &command)?;
            for line in text.lines() {
                let sample =
                    sample(line).with_context(|| format!("{part} of {machine}: {line}"))?;
                samples.push((part, *machine, sample));
            }
        }
        ensure!(samples.len() > before, "there is no {part} of {contestant}");
    }
    Ok(samples)
}

/// A line for each process of `$all`: its id, the nanoseconds that its threads have run, and what is resident of it in KiB.
const SHOW: &str = "for p in $all; do \
    ran=$(cat /proc/$p/task/*/schedstat | awk '{ns += $1} END {printf \"%.0f\", ns}'); \
    awk -v p=$p -v ran=$ran '/^VmRSS:/ {rss = $2} /^RssAnon:/ {anon = $2} END {print p, ran, rss, anon}' /proc/$p/status; done";

fn sample(line: &str) -> Result<Sample> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [process, nanoseconds, resident, anonymous] = words[..] else {
        anyhow::bail!("not four figures");
    };
    let sample = Sample {
        process: process.parse()?,
        nanoseconds: u64::from_str(nanoseconds)?,
        resident_kib: resident.parse()?,
        anonymous_kib: anonymous.parse()?,
    };
    ensure!(sample.nanoseconds > 0, "the kernel counts no time");
    Ok(sample)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_process_is_shown_as_it_is_read() {
        let script = format!("all=$PPID; {SHOW}");
        let output = Command::new("sh").args(["-c", &script]).output();
        let text = String::from_utf8(output.expect("a shell").stdout).expect("text");
        let sample = sample(&text).expect("a sample");
        assert_eq!(sample.process, std::process::id());
        assert!(sample.resident_kib > sample.anonymous_kib && sample.anonymous_kib > 0);
    }

    #[test]
    fn what_is_not_whole_is_no_sample() {
        for line in ["", "1 2 3", "1 2 3 4 5", "1 x 3 4", "1 0 3 4"] {
            sample(line).expect_err(line);
        }
    }
}
