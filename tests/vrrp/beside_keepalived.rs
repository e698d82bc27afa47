//! One of ours and one of keepalived's for the same virtual router.
#![expect(clippy::disallowed_methods, reason = "waits in real time")]

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use lab_tests::duel::arena::Arena;
use lab_tests::duel::router::{Maker, Router, Setup, has_keepalived};

use crate::{Context, Scenario, Skip};

pub(crate) const SCENARIOS: &[Scenario] = &[
    ("x17_version_3_unicast", |context| {
        both(context, &Setup::default())
    }),
    ("x17_version_3_multicast", |context| {
        both(
            context,
            &Setup {
                multicast: true,
                ..Setup::default()
            },
        )
    }),
    ("x17_version_2_unicast", |context| {
        both(
            context,
            &Setup {
                version_2: true,
                interval: 1000,
                ..Setup::default()
            },
        )
    }),
    ("x17_version_2_multicast", |context| {
        let setup = Setup {
            version_2: true,
            multicast: true,
            interval: 1000,
            ..Setup::default()
        };
        both(context, &setup)
    }),
    ("x17_ipv6_multicast", |context| {
        both(
            context,
            &Setup {
                ipv6: true,
                multicast: true,
                ..Setup::default()
            },
        )
    }),
    ("x17_version_3_unicast_10_ms", |context| {
        both(
            context,
            &Setup {
                interval: 10,
                ..Setup::default()
            },
        )
    }),
];

/// Both ways round: ours with the higher priority, and theirs.
fn both(context: &Context, base: &Setup) -> Result<()> {
    if !has_keepalived() {
        return Err(Skip("keepalived is not installed").into());
    }
    for ours_first in [true, false] {
        for preempt in [true, false] {
            cell(context, base, ours_first, preempt)
                .with_context(|| format!("ours first {ours_first}, preempt {preempt}"))?;
        }
    }
    Ok(())
}

fn cell(context: &Context, base: &Setup, ours_first: bool, preempt: bool) -> Result<()> {
    let arena = Arena::build(2)?;
    let ours = Maker::Lbnode(context.lbnode.clone());
    let makers = if ours_first {
        [ours, Maker::Keepalived]
    } else {
        [Maker::Keepalived, ours]
    };
    let patience = Duration::from_millis(u64::from(base.interval) * 6 + 4000);
    let setup = |priority| Setup {
        priority,
        preempt,
        routers: 2,
        ..base.clone()
    };
    let mut first = Router::start(&arena, 0, &makers[0], &setup(200))?;
    arena
        .wait_until_owner(base.ipv6, &[0], patience)
        .context("the first alone")?;
    let second = Router::start(&arena, 1, &makers[1], &setup(100))?;
    stays(&arena, base, 0)?;

    // Partition: both own it; heal: the higher one alone.
    arena.isolate(0)?;
    arena
        .wait_until_owner(base.ipv6, &[0, 1], patience)
        .context("partition")?;
    arena.join(0)?;
    arena
        .wait_until_owner(base.ipv6, &[0], patience)
        .context("heal")?;
    stays(&arena, base, 0)?;

    // Graceful stop.
    let begin = Instant::now();
    first.stop()?;
    arena
        .wait_until_owner(base.ipv6, &[1], patience)
        .context("graceful stop")?;
    let graceful = begin.elapsed();
    drop(first);

    // It comes back: by preemption or not at all.
    let first = Router::start(&arena, 0, &makers[0], &setup(200))?;
    if preempt {
        arena
            .wait_until_owner(base.ipv6, &[0], patience)
            .context("preemption")?;
    } else {
        thread::sleep(patience / 2);
        stays(&arena, base, 1)?;
        second.kill_all();
        drop(second);
        arena
            .wait_until_owner_lenient(base.ipv6, 0, patience)
            .context("crash of the second")?;
        println!(
            "  {base_line}: graceful {graceful:?}",
            base_line = line(base, ours_first, preempt)
        );
        return Ok(());
    }
    let begin = Instant::now();
    first.kill_all();
    drop(first);
    arena
        .wait_until_owner_lenient(base.ipv6, 1, patience)
        .context("crash of the first")?;
    println!(
        "  {}: graceful {graceful:?}, crash {:?}",
        line(base, ours_first, preempt),
        begin.elapsed()
    );
    Ok(())
}

fn line(base: &Setup, ours_first: bool, preempt: bool) -> String {
    format!(
        "{} ms, ours {}, preempt {preempt}",
        base.interval,
        if ours_first { "higher" } else { "lower" }
    )
}

/// For some intervals exactly this one owns it.
fn stays(arena: &Arena, base: &Setup, index: usize) -> Result<()> {
    let end = Instant::now() + Duration::from_millis(u64::from(base.interval) * 6 + 300);
    while Instant::now() < end {
        let owners = arena.owners_of(base.ipv6)?;
        ensure!(
            owners == [index],
            "owners are {owners:?}, not {index} alone"
        );
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}
