//! Our routers under load: floods, many virtual routers, busy processors.
#![expect(clippy::disallowed_methods, reason = "measures real time")]

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use l2::linux::raw_ip::RawSender;
use lab_tests::duel::arena::{Arena, VIP};
use lab_tests::duel::router::{Maker, Router, Setup, has_keepalived};
use vrrp::proto::packet::{MAX_LEN, Outgoing, PROTOCOL};
use vrrp::proto::{AdvertInterval, ChecksumSeen, Version, Vrid};

use crate::{Context, Scenario, Skip};

pub(crate) const SCENARIOS: &[Scenario] = &[
    ("d9_a_flood_of_adverts_moves_nothing", flood),
    (
        "d8_and_x16_two_hundred_virtual_routers_beside_keepalived",
        many,
    ),
    ("x10_busy_processors_cost_no_take_over", busy),
];

const PATIENCE: Duration = Duration::from_secs(20);

fn ours(arena: &Arena, context: &Context, index: usize, setup: &Setup) -> Result<Router> {
    Router::start(arena, index, &Maker::Lbnode(context.lbnode.clone()), setup)
}

fn two(arena: &Arena, context: &Context, base: &Setup) -> Result<[Router; 2]> {
    let setup = |priority| Setup {
        priority,
        routers: 2,
        ..base.clone()
    };
    let routers = [
        ours(arena, context, 0, &setup(200))?,
        ours(arena, context, 1, &setup(100))?,
    ];
    arena.wait_for_owner(0, PATIENCE)?;
    Ok(routers)
}

/// Adverts of a stranger, random bytes among them, as fast as the machine sends them.
fn flood(context: &Context) -> Result<()> {
    for multicast in [true, false] {
        let arena = Arena::build(2)?;
        let base = Setup {
            multicast,
            ..Setup::default()
        };
        let routers = two(&arena, context, &base)?;
        let stop = Arc::new(AtomicBool::new(false));
        let sent = Arc::new(AtomicU64::new(0));
        let targets: Vec<IpAddr> = if multicast {
            vec!["224.0.0.18".parse()?]
        } else {
            vec![arena.address(0), arena.address(1)]
        };
        let sender = arena.inside("c", {
            let (stop, sent) = (Arc::clone(&stop), Arc::clone(&sent));
            move || send_junk(&targets, &stop, &sent)
        })?;
        let begin = Instant::now();
        let lasts = Duration::from_secs(if context.full { 30 } else { 5 });
        while begin.elapsed() < lasts {
            let owners = arena.owners()?;
            ensure!(owners == [0], "owners are {owners:?} under the flood");
            thread::sleep(Duration::from_millis(50));
        }
        stop.store(true, Ordering::Relaxed);
        sender
            .join()
            .map_err(|_| anyhow::anyhow!("the flood panicked"))??;
        let rate = sent.load(Ordering::Relaxed) as f64 / begin.elapsed().as_secs_f64();
        println!("  multicast {multicast}: {rate:.0} datagrams/s");
        for router in &routers {
            let log = router.log();
            let lines = log.lines().filter(|line| line.contains("WARN")).count();
            ensure!(
                lines as f64 <= lasts.as_secs_f64() + 6.0,
                "{lines} warnings:\n{log}"
            );
            ensure!(log.matches("-> active").count() <= 1, "{log}");
        }
    }
    Ok(())
}

fn send_junk(targets: &[IpAddr], stop: &AtomicBool, sent: &AtomicU64) -> Result<()> {
    let links = l2::linux::link::Links::read()?;
    let index = links.by_name("eth0").context("no eth0")?.index;
    let source: IpAddr = "10.98.0.50".parse()?;
    let sender = RawSender::open("eth0", index, PROTOCOL, source)?;
    let mut number = 0_u64;
    while !stop.load(Ordering::Relaxed) {
        for target in targets {
            number = number
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let byte = number.to_be_bytes()[0];
            let outgoing = Outgoing {
                version: if byte & 1 == 0 {
                    Version::V3
                } else {
                    Version::V2
                },
                vrid: Vrid::try_from(77)?,
                priority: byte,
                lingers: false,
                interval: AdvertInterval::try_from(1)?,
                // Another cluster's list: ours would be an attack that no VRRP withstands.
                addresses: &["10.98.9.9".parse()?],
                password: None,
                checksum: ChecksumSeen::Rfc,
                source,
                destination: *target,
            };
            let mut buffer = [0; MAX_LEN];
            let length = outgoing.emit(&mut buffer).len();
            if byte & 6 == 0 {
                buffer[usize::from(byte) % length] ^= 0x55;
            }
            if sender.send(*target, &buffer[..length]).is_ok() {
                sent.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
    Ok(())
}

/// Two hundred virtual routers at 100 ms: processor time beside keepalived's, and no take-over.
fn many(context: &Context) -> Result<()> {
    if !has_keepalived() {
        return Err(Skip("keepalived is not installed").into());
    }
    let lasts = Duration::from_secs(if context.full { 600 } else { 10 });
    let mut spent = Vec::new();
    for maker in [Maker::Lbnode(context.lbnode.clone()), Maker::Keepalived] {
        let arena = Arena::build(2)?;
        let setup = |priority| Setup {
            priority,
            routers: 2,
            count: 200,
            ..Setup::default()
        };
        let routers: Vec<Router> = [(0, 200), (1, 100)]
            .into_iter()
            .map(|(index, priority)| Router::start(&arena, index, &maker, &setup(priority)))
            .collect::<Result<_>>()?;
        arena.wait_for_owner(0, PATIENCE)?;
        thread::sleep(Duration::from_secs(8));
        let before: Vec<f64> = routers.iter().map(Router::cpu_seconds).collect();
        thread::sleep(lasts);
        let used: Vec<f64> = routers
            .iter()
            .zip(before)
            .map(|(router, before)| router.cpu_seconds() - before)
            .collect();
        let percent: Vec<f64> = used
            .iter()
            .map(|used| used / lasts.as_secs_f64() * 100.0)
            .collect();
        println!(
            "  {maker:?}: Active {:.2} %, Backup {:.2} % of a processor",
            percent[0], percent[1]
        );
        ensure!(arena.owners()? == [0], "{:?}", arena.owners()?);
        if routers[1].is_ours() {
            let taken = routers[1].log().matches("-> active").count();
            ensure!(taken == 0, "the Backup took over {taken} times");
        }
        spent.push(percent.iter().sum::<f64>());
    }
    ensure!(
        spent[0] <= spent[1],
        "ours {:.2} %, keepalived {:.2} %",
        spent[0],
        spent[1]
    );
    Ok(())
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
    thread::sleep(Duration::from_secs(if context.full { 60 } else { 5 }));
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
    ensure!(
        !routers[1].log().contains("-> active"),
        "{} took {VIP}",
        routers[1].log()
    );
    Ok(())
}
