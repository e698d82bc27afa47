//! One of ours and one of keepalived's for the same virtual router.
#![expect(clippy::disallowed_methods, reason = "waits in real time")]

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use lab_tests::duel::arena::{Arena, PORT, VIP, VIP6};
use lab_tests::duel::router::{Maker, Router, Setup, has_keepalived};
use lab_tests::patience;
use lab_tests::prober::{Plan, Prober};

use crate::at_once::at_once;
use crate::runner::Scenario;
use crate::stalls::undisturbed;
use crate::troubles::status_of;
use crate::{Context, Skip};

/// Between two looks at a router.
const LOOK: Duration = Duration::from_millis(10);

pub(crate) const SCENARIOS: &[Scenario] = &[
    ("x17_version_3_unicast", |context| {
        rows(context, &[Setup::default()])
    }),
    ("x17_version_3_multicast", |context| {
        rows(context, &[multicast()])
    }),
    ("x17_version_3_keepalived_checksum", |context| {
        let checksum = |base| Setup {
            checksum: "keepalived",
            ..base
        };
        rows(
            context,
            &[checksum(Setup::default()), checksum(multicast())],
        )
    }),
    ("x17_version_2", |context| {
        let version_2 = |base| Setup {
            version_2: true,
            interval: 1000,
            ..base
        };
        rows(
            context,
            &[version_2(Setup::default()), version_2(multicast())],
        )
    }),
    ("x17_ipv6", |context| {
        let ipv6 = |base| Setup { ipv6: true, ..base };
        rows(context, &[ipv6(Setup::default()), ipv6(multicast())])
    }),
    (
        "x17_a_checksum_that_keepalived_refuses_is_named",
        refused_checksum,
    ),
];

/// Nothing may run beside it: routers that send each 10 ms are patient for 30.
pub(crate) const HASTY: &[Scenario] = &[("x17_version_3_unicast_10_ms", |context| {
    let fast = Setup {
        interval: 10,
        ..Setup::default()
    };
    rows(context, &[fast])
})];

fn multicast() -> Setup {
    Setup {
        multicast: true,
        ..Setup::default()
    }
}

/// Who is who in one trial.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Cell {
    base: Setup,
    /// Ours has the higher priority.
    ours_higher: bool,
    preempt: bool,
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Setup {
            interval,
            version_2,
            multicast,
            ipv6,
            checksum,
            ..
        } = &self.base;
        write!(
            f,
            "v{} {} {}, {interval} ms, checksum {checksum}, ours {}, {}",
            if *version_2 { 2 } else { 3 },
            if *ipv6 { "IPv6" } else { "IPv4" },
            if *multicast { "multicast" } else { "unicast" },
            if self.ours_higher { "higher" } else { "lower" },
            if self.preempt {
                "preempt"
            } else {
                "no preempt"
            },
        )
    }
}

/// Both ways round, with and without preemption, all at the same time in arenas of their own; but one after the other
/// where a start of keepalived beside it, with realtime priority, would last longer than a Backup waits.
fn rows(context: &Context, bases: &[Setup]) -> Result<()> {
    if !has_keepalived() {
        return Err(Skip("keepalived is not installed").into());
    }
    let mut cells = Vec::new();
    for base in bases {
        for (ours_higher, preempt) in [(true, true), (false, false), (true, false), (false, true)] {
            if context.full || ours_higher == preempt {
                cells.push(Cell {
                    base: base.clone(),
                    ours_higher,
                    preempt,
                });
            }
        }
    }
    let hasty = bases.iter().any(|base| base.interval < 100);
    let outcomes: Vec<_> = cells
        .chunks(if hasty { 1 } else { cells.len() })
        .flat_map(|cells| {
            at_once(cells, |cell| {
                // Peers wait for three intervals and a little.
                let limit = Duration::from_millis(u64::from(cell.base.interval) * 2);
                undisturbed(limit, || trial(context, cell))
            })
        })
        .collect();
    let mut wrong = Vec::new();
    for (cell, outcome) in cells.iter().zip(outcomes) {
        match outcome {
            Ok(outages) => println!("  {cell}: {outages}"),
            Err(error) => wrong.push(format!("{cell}: {error:#}")),
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("; "));
    Ok(())
}

/// For how long a client's connections failed.
#[derive(Debug, Default)]
struct Outages(Vec<(&'static str, Duration)>);

impl fmt::Display for Outages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (fault, outage)) in self.0.iter().enumerate() {
            let comma = if number > 0 { ", " } else { "" };
            write!(f, "{comma}{fault} {} ms", outage.as_millis())?;
        }
        Ok(())
    }
}

/// Two routers, a client, and what happens to them.
struct Trial<'a> {
    arena: &'a Arena,
    base: &'a Setup,
    client: Prober,
    outages: Outages,
}

impl Trial<'_> {
    /// The longest patience of a Backup, and time to look.
    fn bound(&self) -> Duration {
        Duration::from_millis(u64::from(self.base.interval) * 4 + 500)
    }

    /// Exactly these own it before the bound has passed since a fault, and a while later.
    fn settles(&mut self, fault: &'static str, owners: &[usize]) -> Result<()> {
        self.comes_to(fault, |trial, bound| {
            trial
                .arena
                .wait_until_owner(trial.base.ipv6, owners, bound)?;
            stays(trial.arena, trial.base, owners)
        })
    }

    /// This one owns it, whatever the other's kernel has kept.
    fn survives(&mut self, fault: &'static str, owner: usize) -> Result<()> {
        self.comes_to(fault, |trial, bound| {
            trial
                .arena
                .wait_until_owner_lenient(trial.base.ipv6, owner, bound)
        })
    }

    fn comes_to(
        &mut self,
        fault: &'static str,
        state: impl Fn(&Self, Duration) -> Result<()>,
    ) -> Result<()> {
        let instant = Instant::now();
        state(self, self.bound()).context(fault)?;
        ensure!(
            self.client
                .wait_for_calm(Duration::from_millis(400), Duration::from_secs(5)),
            "{fault}: the client never gets through: {:?}",
            self.client.so_far().reasons()
        );
        let outage = self.client.so_far().last_failure(instant);
        self.outages.0.push((fault, outage));
        Ok(())
    }
}

fn trial(context: &Context, cell: &Cell) -> Result<Outages> {
    let arena = Arena::build(2)?;
    let mut routers = [None, None];
    course(context, cell, &arena, &mut routers).map_err(|error| {
        let logs: Vec<_> = routers.iter().flatten().map(story).collect();
        anyhow!("{error:#}\n{}", logs.join("---\n"))
    })
}

/// What a router has logged, without repetitions.
fn story(router: &Router) -> String {
    let log = router.log();
    let mut lines: Vec<_> = log.lines().collect();
    lines.dedup();
    lines.join("\n") + "\n"
}

fn course(
    context: &Context,
    cell: &Cell,
    arena: &Arena,
    [first, second]: &mut [Option<Router>; 2],
) -> Result<Outages> {
    let base = &cell.base;
    let ours = Maker::Lbnode(context.lbnode.clone());
    let makers = if cell.ours_higher {
        [ours, Maker::Keepalived]
    } else {
        [Maker::Keepalived, ours]
    };
    let setup = |priority| Setup {
        priority,
        preempt: cell.preempt,
        routers: 2,
        ..base.clone()
    };
    let start_first = || Router::start(arena, 0, &makers[0], &setup(200));
    let patience = Duration::from_millis(u64::from(base.interval) * 6 + 4000);
    first.replace(start_first()?);
    arena
        .wait_until_owner(base.ipv6, &[0], patience)
        .context("the first alone")?;
    let second = second.insert(Router::start(arena, 1, &makers[1], &setup(100))?);
    let target: IpAddr = if base.ipv6 { VIP6.parse()? } else { VIP };
    let plan = Plan::connect(SocketAddr::new(target, PORT)).paced(5, 250);
    let mut trial = Trial {
        arena,
        base,
        client: Prober::start(Some(&arena.client_seat()), plan)?,
        outages: Outages::default(),
    };
    wait_until_backup(second, patience)?;
    let mute = base.checksum == "auto" && !base.ipv6 && !base.version_2;
    if mute && makers[1] == Maker::Keepalived {
        // A Backup of keepalived's cannot read us before it has spoken itself, once; when that is, is its matter.
        wait_until_heard(arena, patience)?;
        arena.wait_until_owner(base.ipv6, &[0], trial.bound())?;
    }
    stays(arena, base, &[0]).context("the second as Backup")?;

    arena.isolate(0)?;
    trial.settles("partition", &[0, 1])?;
    arena.join(0)?;
    trial.settles("heal", &[0])?;
    first.as_mut().context("it was started")?.stop()?;
    trial.settles("graceful stop", &[1])?;
    drop(first.take());

    // It comes back: by preemption or not at all.
    let first = first.insert(start_first()?);
    if cell.preempt {
        arena
            .wait_until_owner(base.ipv6, &[0], patience)
            .context("preemption")?;
        stays(arena, base, &[0])?;
        first.kill_all();
        trial.survives("crash", 1)?;
    } else {
        // Longer than it would listen if it were to take over.
        thread::sleep(trial.bound());
        stays(arena, base, &[1]).context("no preemption")?;
        second.kill_all();
        trial.survives("crash", 0)?;
    }
    Ok(trial.outages)
}

/// Waits until the first router, ours, has heard its peer.
fn wait_until_heard(arena: &Arena, limit: Duration) -> Result<()> {
    patience::until("the first hears the second", limit, LOOK, || {
        let status = status_of(arena)?;
        let heard = status["routers"][0]["counters"]["advertsReceived"].as_u64();
        Ok(heard.filter(|adverts| *adverts > 0).map(drop))
    })
}

/// Waits until a router has opened its sockets and listens.
fn wait_until_backup(router: &Router, limit: Duration) -> Result<()> {
    patience::until("the second is a Backup", limit, LOOK, || {
        let log = router.log();
        let listens = log.contains("-> backup") || log.contains("Entering BACKUP STATE");
        Ok(listens.then_some(()))
    })
}

/// For some intervals exactly these own it.
fn stays(arena: &Arena, base: &Setup, expected: &[usize]) -> Result<()> {
    let end = Instant::now() + Duration::from_millis(u64::from(base.interval) * 4 + 300);
    while Instant::now() < end {
        let owners = arena.owners_of(base.ipv6)?;
        ensure!(
            owners == expected,
            "owners are {owners:?}, not {expected:?}"
        );
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// keepalived wants the pseudo-header; where it must not have it, both are Active and ours says why.
fn refused_checksum(context: &Context) -> Result<()> {
    if !has_keepalived() {
        return Err(Skip("keepalived is not installed").into());
    }
    let arena = Arena::build(2)?;
    let setup = |priority| Setup {
        priority,
        routers: 2,
        checksum: "rfc",
        ..Setup::default()
    };
    let ours = Router::start(
        &arena,
        0,
        &Maker::Lbnode(context.lbnode.clone()),
        &setup(200),
    )?;
    arena.wait_for_owner(0, Duration::from_secs(5))?;
    // One alarm a second, and the first one was about another matter.
    thread::sleep(Duration::from_millis(1200));
    let theirs = Router::start(&arena, 1, &Maker::Keepalived, &setup(100))?;
    arena.wait_until_owner(false, &[0, 1], Duration::from_secs(5))?;
    thread::sleep(Duration::from_millis(500));
    let log = ours.log();
    ensure!(
        log.contains("10.98.0.2 makes its IPv4 checksum with pseudo-header, this router without"),
        "{log}\n{}",
        theirs.log()
    );
    Ok(())
}
