//! Virtual routers of two makers under the same faults: lbnode beside Debian's keepalived.
//!
//! Three routers and a client on one switch, each in a network namespace; the client opens a TCP connection to
//! the virtual address each 2 ms. No cluster, no proxy: only what the routers do is measured.

pub mod adverts;
pub mod arena;
pub mod partition;
pub mod router;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};

use crate::figures::{Row, milliseconds};
use crate::prober::{Plan, Prober, Report};
use arena::{Arena, PORT, VIP};
use router::{Maker, Router, Setup};

/// What happens to the Active.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Its cable is taken out.
    LinkCut,
    /// The process that speaks VRRP is killed.
    Sigkill,
    /// The process that speaks VRRP stops running.
    Sigstop,
    /// It is asked to stop.
    Graceful,
}

impl Cause {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::LinkCut, Self::Sigkill, Self::Sigstop, Self::Graceful];

    const fn name(self) -> &'static str {
        match self {
            Self::LinkCut => "link_cut",
            Self::Sigkill => "sigkill",
            Self::Sigstop => "sigstop",
            Self::Graceful => "graceful",
        }
    }
}

/// A fault at an advertisement interval, such as `100ms/link_cut`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Case {
    /// Advertisement interval in milliseconds.
    pub interval: u32,
    /// The fault.
    pub cause: Cause,
}

impl Case {
    /// All that are published.
    pub fn all() -> Vec<Self> {
        let intervals = [1000, 100, 10];
        intervals
            .into_iter()
            .flat_map(|interval| Cause::ALL.map(|cause| Self { interval, cause }))
            .collect()
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}ms/{}", self.interval, self.cause.name())
    }
}

impl FromStr for Case {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::all()
            .into_iter()
            .find(|case| case.to_string() == text)
            .ok_or_else(|| {
                let known: Vec<String> = Self::all().iter().map(Self::to_string).collect();
                anyhow!("there is no case `{text}`; there are {}", known.join(", "))
            })
    }
}

/// How one fault went.
#[derive(Debug, Clone)]
pub struct Round {
    /// From the fault to the last failed attempt.
    pub last_failure: Duration,
    /// The longest time between two successes.
    pub longest_gap: Duration,
    /// Failed attempts.
    pub failed: usize,
    /// Why they failed, and how often.
    pub reasons: BTreeMap<String, usize>,
    /// From the fault to the first advert of another router.
    pub takeover: Option<Duration>,
    /// How late the client was itself at worst.
    pub lateness: Duration,
}

/// Runs the cases, both makers in turn in every round, and gives the rows of
/// `cargo xtask bench failover` about routers alone.
///
/// # Errors
/// When a router does not start or nobody takes over.
pub fn run(lbnode: &std::path::Path, cases: &[Case], rounds: usize) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for case in cases {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            ours.push(round(&Maker::Lbnode(lbnode.to_owned()), *case)?);
            theirs.push(round(&Maker::Keepalived, *case)?);
        }
        rows.extend(rows_of(*case, &ours, &theirs));
    }
    Ok(rows)
}

/// One fault of three routers of one maker, right after an advert: the worst moment, and the same for all.
///
/// # Errors
/// When a router does not start or nobody takes over.
#[expect(clippy::disallowed_methods, reason = "the instant of a real fault")]
pub fn round(maker: &Maker, case: Case) -> Result<Round> {
    let arena = Arena::build(3)?;
    let mut routers = three(&arena, maker, case.interval)?;
    let client = Prober::start(
        Some(&arena.client_seat()),
        Plan::connect(std::net::SocketAddr::new(VIP, PORT)).paced(2, 250),
    )?;
    ensure!(
        client.wait_for_calm(Duration::from_millis(500), Duration::from_secs(10)),
        "no connection before the fault: {:?}",
        client.so_far().reasons()
    );
    let watch = arena.watch_adverts()?;
    let interval = Duration::from_millis(u64::from(case.interval));
    // Every Backup has heard the Active.
    thread::sleep(interval * 2);
    watch.skip();
    watch.next_of(arena.address(0), interval * 3 + Duration::from_secs(1))?;
    let instant = Instant::now();
    match case.cause {
        Cause::LinkCut => arena.cut(0)?,
        Cause::Sigkill => routers[0].kill_speaker()?,
        Cause::Sigstop => routers[0].freeze()?,
        Cause::Graceful => routers[0].stop()?,
    }
    let wait = interval * 5 + Duration::from_millis(1500);
    let takeover = watch.first_other(arena.address(0), instant + wait);
    thread::sleep(Duration::from_millis(1500));
    let report: Report = client.finish()?;
    Ok(Round {
        last_failure: report.last_failure(instant),
        longest_gap: report.longest_gap(),
        failed: report.failed(),
        reasons: report
            .reasons()
            .into_iter()
            .map(|(why, times)| (why.to_owned(), times))
            .collect(),
        takeover: takeover.map(|advert| advert.told.saturating_duration_since(instant)),
        lateness: report.lateness(),
    })
}

/// Three routers of one maker, the first of them Active.
///
/// # Errors
/// When one does not start, or another than the first has the address.
pub fn three(arena: &Arena, maker: &Maker, interval: u32) -> Result<Vec<Router>> {
    const PATIENCE: Duration = Duration::from_secs(15);
    let mut routers = Vec::new();
    for (index, priority) in [240, 160, 80].into_iter().enumerate() {
        let setup = Setup {
            priority,
            interval,
            ..Setup::default()
        };
        routers.push(Router::start(arena, index, maker, &setup)?);
        // Without preemption whoever is first stays Active. Machines whose router comes later may still hold an address
        // that an earlier life left behind.
        arena.wait_until_owner_lenient(false, 0, PATIENCE)?;
    }
    arena.wait_for_owner(0, PATIENCE)?;
    Ok(routers)
}

fn rows_of(case: Case, ours: &[Round], theirs: &[Round]) -> Vec<Row> {
    type Figure = fn(&Round) -> f64;
    let figures: [(&str, &str, Figure); 4] = [
        ("last_failure_ms", "ms", |round| {
            milliseconds(round.last_failure)
        }),
        ("longest_gap_ms", "ms", |round| {
            milliseconds(round.longest_gap)
        }),
        ("failed_connections", "", |round| round.failed as f64),
        ("takeover_ms", "ms", |round| {
            round.takeover.map_or(f64::NAN, milliseconds)
        }),
    ];
    let mut rows = Vec::new();
    for (metric, unit, figure) in figures {
        let our: Vec<f64> = ours.iter().map(figure).collect();
        let their: Vec<f64> = theirs.iter().map(figure).collect();
        let ratios: Vec<f64> = our
            .iter()
            .zip(&their)
            .filter(|(_, their)| **their > 0.0)
            .map(|(our, their)| our / their)
            .collect();
        let case = case.to_string();
        let row = Row::of(&case, "lbnode", metric, unit, &our);
        rows.extend(row.map(|row| row.compared("keepalived", &ratios)));
        rows.extend(Row::of(&case, "keepalived", metric, unit, &their));
    }
    rows
}
