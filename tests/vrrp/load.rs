//! Our routers under load: many virtual routers, busy processors.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lab_tests::duel::adverts::rhythm;
use lab_tests::duel::arena::{Arena, VIP};
use lab_tests::duel::router::{Maker, Router, Setup, has_keepalived};

use crate::at_once::at_once;
use crate::runner::Scenario;
use crate::stalls::undisturbed;
use crate::{Context, Skip};

pub(crate) const SCENARIOS: &[Scenario] = &[
    (
        "d8_and_x16_two_hundred_virtual_routers_beside_keepalived",
        many,
    ),
    ("x10_busy_processors_cost_no_take_over", busy),
];

const PATIENCE: Duration = Duration::from_secs(20);
const INTERVAL: Duration = Duration::from_millis(100);
/// T13: an advert so late is on time.
const LATE: Duration = Duration::from_millis(10);

fn ours(arena: &Arena, context: &Context, index: usize, setup: &Setup) -> Result<Router> {
    Router::start(arena, index, &Maker::Lbnode(context.lbnode.clone()), setup)
}

/// Two routers, the first one Active.
pub(crate) fn two(arena: &Arena, context: &Context, base: &Setup) -> Result<[Router; 2]> {
    let start = |index, priority| {
        let setup = Setup {
            priority,
            routers: 2,
            ..base.clone()
        };
        ours(arena, context, index, &setup)
    };
    let first = start(0, 200)?;
    // Without preemption whoever is first stays Active.
    arena.wait_for_owner(0, PATIENCE)?;
    let second = start(1, 100)?;
    // It has heard the first one.
    thread::sleep(INTERVAL * 3);
    Ok([first, second])
}

/// Two hundred virtual routers at 100 ms, ours and keepalived's at the same time: processor time, and every
/// advert in its time.
fn many(context: &Context) -> Result<()> {
    if !has_keepalived() {
        return Err(Skip("keepalived is not installed").into());
    }
    if !context.full {
        return Err(
            Skip("compares processor time: runs with --full, on a machine of its own").into(),
        );
    }
    // One after the other: two hundred take-overs with realtime priority leave nothing for another maker's.
    let arenas =
        [Maker::Lbnode(context.lbnode.clone()), Maker::Keepalived].map(|maker| Pair::start(&maker));
    let mut pairs = arenas.into_iter().collect::<Result<Vec<Pair>>>()?;
    let loads = undisturbed(INTERVAL, || together(&mut pairs))?;
    let spent = |load: &Load| load.active + load.backup;
    ensure!(
        spent(&loads[0]) <= spent(&loads[1]),
        "ours {:.2} %, keepalived {:.2} % of a processor",
        spent(&loads[0]),
        spent(&loads[1])
    );
    Ok(())
}

/// What each of the pairs needs while all of them run.
fn together(pairs: &mut [Pair]) -> Result<Vec<Load>> {
    for pair in &mut *pairs {
        pair.restore()?;
    }
    at_once(&*pairs, Pair::measure).into_iter().collect()
}

/// What an Active and a Backup need, in percent of a processor.
struct Load {
    active: f64,
    backup: f64,
}

/// Two routers of one maker, each with two hundred virtual routers.
struct Pair {
    // Dropped before the arena.
    routers: Vec<Router>,
    arena: Arena,
    maker: Maker,
}

impl Pair {
    const COUNT: u8 = 200;

    fn start(maker: &Maker) -> Result<Self> {
        let arena = Arena::build(2)?;
        let mut routers = Vec::new();
        for (index, priority) in [200, 100].into_iter().enumerate() {
            routers.push(Router::start(&arena, index, maker, &Self::setup(priority))?);
            // Without preemption whoever is first stays Active. The announcements of its take-over have an end after five
            // seconds, and until then keepalived is too late with its adverts on a slow machine.
            arena.wait_for_owner(0, PATIENCE)?;
            thread::sleep(Duration::from_secs(7));
        }
        Ok(Self {
            routers,
            arena,
            maker: maker.clone(),
        })
    }

    fn setup(priority: u8) -> Setup {
        Setup {
            priority,
            routers: 2,
            count: Self::COUNT,
            ..Setup::default()
        }
    }

    /// Makes the first router Active again, if the other maker's start, with realtime priority, has starved it.
    fn restore(&mut self) -> Result<()> {
        if self.arena.owners()? != [0] {
            if let Some(mut second) = self.routers.pop() {
                second.stop()?;
                self.arena.wait_for_owner(0, PATIENCE)?;
            }
            thread::sleep(Duration::from_secs(7));
            self.routers.push(Router::start(
                &self.arena,
                1,
                &self.maker,
                &Self::setup(100),
            )?);
            thread::sleep(Duration::from_secs(1));
        }
        let owners = self.arena.owners()?;
        ensure!(owners == [0], "owners before the measurement: {owners:?}");
        Ok(())
    }

    /// What the routers said meanwhile goes with a failure.
    fn measure(&self) -> Result<Load> {
        let before: Vec<usize> = self.routers.iter().map(|one| one.log().len()).collect();
        self.measured().with_context(|| {
            let said = self.routers.iter().zip(before).map(|(router, before)| {
                let log = router.log();
                let lines: Vec<_> = log.get(before..).unwrap_or_default().lines().collect();
                let first = lines.iter().take(15).copied().collect::<Vec<_>>();
                let last = lines.iter().skip(15.max(lines.len().saturating_sub(5)));
                let last = last.copied().collect::<Vec<_>>();
                format!(
                    "{} lines:\n{}\n...\n{}",
                    lines.len(),
                    first.join("\n"),
                    last.join("\n")
                )
            });
            said.collect::<Vec<_>>().join("\n---\n")
        })
    }

    fn measured(&self) -> Result<Load> {
        let lasts = Duration::from_secs(600);
        let Self { routers, arena, .. } = self;
        let watch = arena.watch_adverts_of("ip proto 112 and src 10.98.0.1")?;
        // While the other maker's routers begin, with realtime priority, ours may have stood still.
        let taken_over = || routers[1].log().matches("-> active").count();
        let before_it = taken_over();
        let before: Vec<f64> = routers.iter().map(Router::cpu_seconds).collect();
        thread::sleep(lasts);
        let percent = |router: &Router, before: f64| {
            (router.cpu_seconds() - before) / lasts.as_secs_f64() * 100.0
        };
        let load = Load {
            active: percent(&routers[0], before[0]),
            backup: percent(&routers[1], before[1]),
        };
        let rhythm = rhythm(&watch.finish()?, arena.address(0)).context("no adverts")?;
        let ours = routers[0].is_ours();
        println!(
            "  {}: Active {:.2} %, Backup {:.2} % of a processor; {rhythm}",
            if ours { "ours" } else { "keepalived" },
            load.active,
            load.backup
        );
        if !ours && (arena.owners()? != [0] || rhythm.longest > INTERVAL * 3) {
            return Err(Skip(
                "keepalived itself cannot keep up here; ours was judged all the same",
            )
            .into());
        }
        if ours {
            ensure!(arena.owners()? == [0], "{:?}", arena.owners()?);
            ensure!(
                rhythm.virtual_routers == usize::from(Self::COUNT),
                "some of {} are silent: {rhythm}",
                Self::COUNT
            );
            ensure!(
                rhythm.longest < INTERVAL * 2,
                "an advert was missed: {rhythm}"
            );
            let taken = taken_over() - before_it;
            ensure!(taken == 0, "the Backup took over {taken} times");
        }
        Ok(load)
    }
}

/// Every processor computes; the routers' threads are realtime ones.
fn busy(context: &Context) -> Result<()> {
    let arena = Arena::build(2)?;
    let routers = two(&arena, context, &Setup::default())?;
    let stop = Arc::new(AtomicBool::new(false));
    let hogs: Vec<_> = (0..thread::available_parallelism().map_or(2, usize::from) * 2)
        .map(|_| {
            let stop = Arc::clone(&stop);
            thread::spawn(move || {
                let mut number = 1_u64;
                while !stop.load(Ordering::Relaxed) {
                    number = std::hint::black_box(number.wrapping_mul(3));
                }
            })
        })
        .collect();
    let watch = arena.watch_adverts_of("ip proto 112 and src 10.98.0.1")?;
    thread::sleep(Duration::from_secs(if context.full { 60 } else { 5 }));
    let rhythm = rhythm(&watch.finish()?, arena.address(0)).context("no adverts")?;
    stop.store(true, Ordering::Relaxed);
    for hog in hogs {
        let _ = hog.join();
    }
    ensure!(arena.owners()? == [0], "{:?}", arena.owners()?);
    for router in &routers {
        if router.log().contains("no realtime scheduling") {
            return Err(Skip("no realtime scheduling here").into());
        }
    }
    println!("  {rhythm}");
    ensure!(
        rhythm.usual <= INTERVAL + LATE,
        "adverts are late: {rhythm}"
    );
    ensure!(
        !routers[1].log().contains("-> active"),
        "{} took {VIP}",
        routers[1].log()
    );
    Ok(())
}
