//! Routers that die or freeze as Active, seen by a client and by its kernel.
#![expect(clippy::disallowed_methods, reason = "the instants of real faults")]

use std::net::{IpAddr, SocketAddr};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use lab_tests::duel::arena::{Arena, PORT, VIP};
use lab_tests::duel::router::Router;
use lab_tests::prober::{Plan, Prober};

use crate::Context;
use crate::answers::{Answers, last_of};
use crate::ours::three;
use crate::ownership::Ownership;
use crate::runner::Scenario;

pub(crate) const SCENARIOS: &[Scenario] = &[
    (
        "d6_a_killed_router_stops_answering_within_a_tenth_of_a_second",
        |context| {
            for _ in 0..if context.full { 10 } else { 2 } {
                killed(context, Router::kill_speaker, Duration::from_millis(100))?;
            }
            Ok(())
        },
    ),
    (
        "d6_killed_with_its_supervisor_within_two_and_a_half_seconds",
        |context| {
            let all = |router: &Router| {
                router.kill_all();
                Ok(())
            };
            for _ in 0..if context.full { 10 } else { 1 } {
                killed(context, all, Duration::from_millis(2500))?;
            }
            Ok(())
        },
    ),
    ("d7_after_a_freeze_the_client_points_to_the_active", frozen),
    (
        "d7_after_a_healed_partition_the_client_points_to_the_active",
        healed,
    ),
];

const PATIENCE: Duration = Duration::from_secs(15);
const INTERVAL: Duration = Duration::from_millis(100);
/// The way there and back, and the work of two kernels.
const ROUND_TRIP: Duration = Duration::from_millis(20);
/// What a client may feel at adverts each 100 ms.
const OUTAGE: Duration = Duration::from_millis(370);

/// A client that opens connections to the virtual address all the time.
fn client(arena: &Arena) -> Result<Prober> {
    let plan = Plan::connect(SocketAddr::new(VIP, PORT)).paced(2, 250);
    let client = Prober::start(Some(&arena.client_seat()), plan)?;
    ensure!(
        client.wait_for_calm(Duration::from_millis(300), Duration::from_secs(10)),
        "no connection before the fault: {:?}",
        client.so_far().reasons()
    );
    Ok(client)
}

/// The Active is killed somehow: how long its kernel answers ARP, and what a client feels.
fn killed(context: &Context, kill: fn(&Router) -> Result<()>, limit: Duration) -> Result<()> {
    let IpAddr::V4(address) = VIP else {
        bail!("{VIP} has no ARP");
    };
    let arena = Arena::build(3)?;
    let routers = three(&arena, context, 100)?;
    let client = client(&arena)?;
    let answers = Answers::watch(&arena, address)?;
    thread::sleep(INTERVAL);
    let instant = Instant::now();
    kill(&routers[0])?;
    thread::sleep(limit + Duration::from_secs(1));
    let answers = answers.finish()?;
    let report = client.finish()?;
    ensure!(
        answers.iter().any(|(at, who)| *at < instant && *who == 0),
        "the Active never answered"
    );
    let silent = last_of(&answers, 0, instant).unwrap_or_default();
    let successor = answers
        .iter()
        .find(|(at, who)| *at > instant && *who == 1)
        .context("the successor never answered")?;
    let felt = report.last_failure(instant);
    println!(
        "  the old one answered until {silent:?}, the new one from {:?}; {} connections failed, the last after {felt:?}",
        successor.0.duration_since(instant),
        report.failed()
    );
    ensure!(silent <= limit, "it answered for {silent:?}");
    ensure!(felt <= OUTAGE, "connections failed for {felt:?}");
    arena.wait_for_owner(1, PATIENCE)
}

/// The Active freezes, another takes over, and the first thaws.
fn frozen(context: &Context) -> Result<()> {
    let arena = Arena::build(3)?;
    let routers = three(&arena, context, 100)?;
    let client = client(&arena)?;
    let mut active = 0;
    for number in 0..if context.full { 50 } else { 3 } {
        let successor = usize::from(active == 0);
        let ownership = Ownership::watch(&arena, 3, VIP)?;
        thread::sleep(INTERVAL);
        let instant = Instant::now();
        routers[active].freeze()?;
        arena.wait_for_owner(successor, PATIENCE)?;
        thread::sleep(Duration::from_millis(300));
        routers[active].thaw();
        thread::sleep(Duration::from_millis(700));
        let record = ownership.finish()?;
        let (shared, nobody) = (record.shared(instant), record.nobody(instant));
        println!("  freeze {number}: two owners for {shared:?}, none for {nobody:?}");
        ensure!(shared <= INTERVAL + ROUND_TRIP, "two owners for {shared:?}");
        ensure!(
            !record.taken_by(active, instant),
            "it took the address back"
        );
        let owners = arena.owners()?;
        ensure!(owners == [successor], "after the thaw: {owners:?}");
        let pointed = arena.client_points_to()?;
        ensure!(
            pointed == Some(successor),
            "freeze {number}: the client points to {pointed:?}"
        );
        active = successor;
    }
    let report = client.finish()?;
    let (failed, all) = (report.failed(), report.attempts().len());
    println!("  {failed} of {all} connections failed");
    Ok(())
}

/// The Active is parted from the others until one of them has taken over, and comes back.
fn healed(context: &Context) -> Result<()> {
    let arena = Arena::build(3)?;
    let _routers = three(&arena, context, 100)?;
    let client = client(&arena)?;
    for number in 0..if context.full { 50 } else { 3 } {
        arena.isolate(0)?;
        arena.wait_until_owner(false, &[0, 1], PATIENCE)?;
        thread::sleep(Duration::from_millis(300));
        let pointed = arena.client_points_to()?;
        ensure!(
            pointed == Some(1),
            "partition {number}: the client points to {pointed:?}"
        );
        let ownership = Ownership::watch(&arena, 3, VIP)?;
        thread::sleep(INTERVAL);
        let instant = Instant::now();
        arena.join(0)?;
        arena.wait_for_owner(0, Duration::from_secs(3))?;
        thread::sleep(Duration::from_millis(150));
        let record = ownership.finish()?;
        let (shared, nobody) = (record.shared(instant), record.nobody(instant));
        println!("  heal {number}: two owners for {shared:?}, none for {nobody:?}");
        ensure!(!shared.is_zero(), "there never were two");
        ensure!(shared <= INTERVAL + ROUND_TRIP, "two owners for {shared:?}");
        ensure!(nobody.is_zero(), "no owner for {nobody:?}");
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
