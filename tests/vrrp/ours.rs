//! Our routers alone.
#![expect(clippy::disallowed_methods, reason = "the instants of real faults")]

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use lab_tests::duel::arena::{Arena, VIP};
use lab_tests::duel::router::{Maker, Router, Setup};
use lab_tests::duel::{self, Case, Cause, round};

use crate::Context;
use crate::ownership::Ownership;
use crate::runner::Scenario;

pub(crate) const SCENARIOS: &[Scenario] = &[
    ("t09_a_cut_cable_costs_the_down_interval", cut_cable),
    ("t12_a_graceful_stop_fails_no_connection", graceful),
    (
        "d5_the_successor_owns_it_before_the_old_one_lets_go",
        handed_over_first,
    ),
    (
        "i04_addresses_left_behind_are_removed_at_the_start",
        left_behind,
    ),
    ("a14_a_removed_address_comes_back", removed_address),
    ("i06_waits_for_its_interface", waits_for_interface),
];

const PATIENCE: Duration = Duration::from_secs(15);

pub(crate) fn three(arena: &Arena, context: &Context, interval: u32) -> Result<Vec<Router>> {
    duel::three(arena, &Maker::Lbnode(context.lbnode.clone()), interval)
}

fn cut_cable(context: &Context) -> Result<()> {
    let case = Case {
        interval: 100,
        cause: Cause::LinkCut,
    };
    let round = round(&Maker::Lbnode(context.lbnode.clone()), case)?;
    println!("  {round:?}");
    ensure!(round.failed > 0, "the fault was not felt");
    ensure!(round.last_failure < Duration::from_millis(450), "{round:?}");
    Ok(())
}

fn graceful(context: &Context) -> Result<()> {
    for interval in [10, 100, 1000] {
        let case = Case {
            interval,
            cause: Cause::Graceful,
        };
        let round = round(&Maker::Lbnode(context.lbnode.clone()), case)?;
        println!("  {interval} ms: {round:?}");
        ensure!(round.failed == 0, "{interval} ms: {round:?}");
        ensure!(round.takeover.is_some(), "{interval} ms: nobody took over");
    }
    Ok(())
}

/// The successor has the addresses before the one that leaves lets go of them.
fn handed_over_first(context: &Context) -> Result<()> {
    for interval in [10, 100, 1000] {
        let arena = Arena::build(3)?;
        let mut routers = three(&arena, context, interval)?;
        // Everybody has heard the Active.
        thread::sleep(Duration::from_millis(u64::from(interval) * 2));
        let ownership = Ownership::watch(&arena, 3, VIP)?;
        thread::sleep(Duration::from_millis(100));
        let instant = Instant::now();
        routers[0].stop()?;
        arena.wait_for_successor(0, PATIENCE)?;
        let record = ownership.finish()?;
        let (shared, nobody) = (record.shared(instant), record.nobody(instant));
        println!("  {interval} ms: two owners for {shared:?}, none for {nobody:?}");
        ensure!(nobody.is_zero(), "nobody had it for {nobody:?}");
        ensure!(!shared.is_zero(), "it was never handed over");
    }
    Ok(())
}

fn left_behind(context: &Context) -> Result<()> {
    let arena = Arena::build(3)?;
    for index in [1, 2] {
        arena.ip(&format!("r{index}"), &format!("addr add {VIP}/32 dev eth0"))?;
    }
    let _routers = three(&arena, context, 100)?;
    Ok(())
}

fn removed_address(context: &Context) -> Result<()> {
    let arena = Arena::build(3)?;
    let _routers = three(&arena, context, 100)?;
    for _ in 0..5 {
        arena.ip("r0", &format!("addr del {VIP}/32 dev eth0"))?;
        thread::sleep(Duration::from_millis(50));
        ensure!(arena.owners()? == [0], "{:?}", arena.owners()?);
    }
    Ok(())
}

fn waits_for_interface(context: &Context) -> Result<()> {
    let arena = Arena::build(2)?;
    arena.ip("r0", "link set eth0 down")?;
    let setup = Setup {
        priority: 240,
        routers: 2,
        ..Setup::default()
    };
    let router = Router::start(&arena, 0, &Maker::Lbnode(context.lbnode.clone()), &setup)?;
    thread::sleep(Duration::from_millis(700));
    ensure!(
        router.log().contains("is down or has no carrier"),
        "{}",
        router.log()
    );
    arena.ip("r0", "link set eth0 up")?;
    arena.wait_for_owner(0, PATIENCE)
}
