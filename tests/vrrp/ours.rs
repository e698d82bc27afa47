//! Our routers alone.
#![expect(clippy::disallowed_methods, reason = "the instants of real faults")]

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use lab_tests::duel::arena::{Arena, PORT, VIP};
use lab_tests::duel::router::{Maker, Router, Setup};
use lab_tests::duel::{Case, Cause, round};
use lab_tests::prober::{Plan, Prober};

use crate::{Context, Scenario};

pub(crate) const SCENARIOS: &[Scenario] = &[
    ("t09_a_cut_cable_costs_the_down_interval", cut_cable),
    ("t12_a_graceful_stop_fails_no_connection", graceful),
    (
        "d6_a_killed_router_stops_answering_within_a_tenth_of_a_second",
        killed_router,
    ),
    (
        "d6_killed_with_its_supervisor_within_two_and_a_half_seconds",
        killed_with_supervisor,
    ),
    ("a19_a_frozen_router_loses_its_addresses_and_yields", frozen),
    (
        "d7_after_a_healed_partition_the_client_points_to_the_active",
        healed,
    ),
    (
        "i04_addresses_left_behind_are_removed_at_the_start",
        left_behind,
    ),
    ("a14_a_removed_address_comes_back", removed_address),
    ("i06_waits_for_its_interface", waits_for_interface),
];

const PATIENCE: Duration = Duration::from_secs(15);

fn three(arena: &Arena, context: &Context, interval: u32) -> Result<Vec<Router>> {
    let mut routers = Vec::new();
    for (index, priority) in [240, 160, 80].into_iter().enumerate() {
        let setup = Setup {
            priority,
            interval,
            ..Setup::default()
        };
        let maker = Maker::Lbnode(context.lbnode.clone());
        routers.push(Router::start(arena, index, &maker, &setup)?);
        // Without preemption whoever is first stays Active.
        arena.wait_until_owner_lenient(false, 0, PATIENCE)?;
    }
    arena.wait_for_owner(0, PATIENCE)?;
    Ok(routers)
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

/// Time from an instant until the router's kernel has the address no more.
fn until_gone(arena: &Arena, index: usize, since: Instant) -> Result<Duration> {
    while arena.owners()?.contains(&index) {
        ensure!(
            since.elapsed() < Duration::from_secs(10),
            "router {index} keeps the address"
        );
        thread::sleep(Duration::from_millis(2));
    }
    Ok(since.elapsed())
}

fn killed_router(context: &Context) -> Result<()> {
    for interval in [100, 1000] {
        let arena = Arena::build(3)?;
        let routers = three(&arena, context, interval)?;
        let instant = Instant::now();
        routers[0].kill_speaker()?;
        let gone = until_gone(&arena, 0, instant)?;
        println!("  {interval} ms adverts: gone after {gone:?}");
        // Looking takes a few milliseconds itself.
        ensure!(gone < Duration::from_millis(150), "gone after {gone:?}");
        arena.wait_for_owner(1, PATIENCE)?;
    }
    Ok(())
}

fn killed_with_supervisor(context: &Context) -> Result<()> {
    let arena = Arena::build(3)?;
    let routers = three(&arena, context, 100)?;
    let instant = Instant::now();
    routers[0].kill_all();
    let gone = until_gone(&arena, 0, instant)?;
    println!("  gone after {gone:?}");
    ensure!(gone < Duration::from_millis(2500), "gone after {gone:?}");
    arena.wait_for_owner(1, PATIENCE)
}

fn frozen(context: &Context) -> Result<()> {
    for _ in 0..if context.full { 50 } else { 2 } {
        let arena = Arena::build(3)?;
        let routers = three(&arena, context, 100)?;
        let client = connections(&arena)?;
        routers[0].freeze()?;
        arena.wait_for_owner(1, PATIENCE)?;
        thread::sleep(Duration::from_millis(300));
        routers[0].thaw();
        thread::sleep(Duration::from_millis(700));
        let owners = arena.owners()?;
        ensure!(owners == [1], "after the thaw the owners are {owners:?}");
        ensure!(
            arena.client_points_to()? == Some(1),
            "{:?}",
            arena.client_points_to()?
        );
        let report = client.finish()?;
        println!(
            "  {} of {} connections failed",
            report.failed(),
            report.attempts().len()
        );
    }
    Ok(())
}

fn healed(context: &Context) -> Result<()> {
    let arena = Arena::build(3)?;
    let _routers = three(&arena, context, 100)?;
    let client = connections(&arena)?;
    for number in 0..if context.full { 50 } else { 3 } {
        // The Active is cut off; another takes over, and the client points there.
        arena.isolate(0)?;
        thread::sleep(Duration::from_millis(800));
        ensure!(
            arena.owners()? == [0, 1],
            "{:?} during the partition",
            arena.owners()?
        );
        ensure!(
            arena.client_points_to()? == Some(1),
            "{number}: during the partition"
        );
        arena.join(0)?;
        arena.wait_for_owner(0, Duration::from_secs(3))?;
        thread::sleep(Duration::from_millis(150));
        let pointed = arena.client_points_to()?;
        ensure!(
            pointed == Some(0),
            "heal {number}: the client points to {pointed:?}"
        );
        // Bursts in answer to rivals are a second apart.
        thread::sleep(Duration::from_millis(1200));
    }
    drop(client);
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

fn connections(arena: &Arena) -> Result<Prober> {
    let target = std::net::SocketAddr::new(VIP, PORT);
    Prober::start(
        Some(&arena.client_seat()),
        Plan::connect(target).paced(10, 250),
    )
}
