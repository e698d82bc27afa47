//! Floods of packets that are no adverts of ours, or nearly.
#![expect(clippy::disallowed_methods, reason = "measures real time")]

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use l2::linux::filter::Filter;
use l2::linux::link::Links;
use l2::linux::packet::PacketSocket;
use l2::wire::{EtherHeader, EtherType, Ipv4Header, MacAddr};
use lab_tests::duel::adverts::rhythm;
use lab_tests::duel::arena::Arena;
use lab_tests::duel::router::Setup;
use vrrp::proto::packet::{GROUP_V4, MAX_LEN, Outgoing, PROTOCOL, TTL};
use vrrp::proto::{AdvertInterval, ChecksumSeen, Version, Vrid};

use crate::load::two;
use crate::runner::Scenario;
use crate::{Context, Skip};

pub(crate) const SCENARIOS: &[Scenario] = &[("d9_a_flood_of_adverts_moves_nothing", flood)];

/// Packets a second, from so many threads together.
const RATE: u32 = 100_000;
const SENDERS: u32 = 4;
const INTERVAL: Duration = Duration::from_millis(100);
/// An advert so late is on time: RFC 9568 says nothing, T13 allows it one in a thousand times.
const LATE: Duration = Duration::from_millis(10);
const VRID: u8 = 77;
/// Frames made beforehand.
const VARIETY: u64 = 4096;

fn flood(context: &Context) -> Result<()> {
    let mut slowest = f64::INFINITY;
    for nearly in [false, true] {
        for multicast in [true, false] {
            let kind = if nearly { "nearly valid" } else { "random" };
            let way = if multicast { "multicast" } else { "unicast" };
            let rate =
                withstands(context, nearly, multicast).with_context(|| format!("{kind}, {way}"))?;
            slowest = slowest.min(rate);
        }
    }
    if slowest < f64::from(RATE) * 0.99 {
        // Everything held, but that is not what the row says.
        return Err(Skip(
            "this machine cannot send 100 000 packets a second; all held at the rates above",
        )
        .into());
    }
    Ok(())
}

/// The packets a second that it withstood.
fn withstands(context: &Context, nearly: bool, multicast: bool) -> Result<f64> {
    let arena = Arena::build(2)?;
    let base = Setup {
        multicast,
        ..Setup::default()
    };
    let routers = two(&arena, context, &base)?;
    // The follow-ups of the take-over's burst, and whatever is said once.
    thread::sleep(Duration::from_secs(1));
    let lines = || {
        routers
            .each_ref()
            .map(|router| router.log().lines().count())
    };
    let before = lines();
    let watch = arena.watch_adverts_of("ip proto 112 and ether src 02:00:00:98:00:01")?;
    let stop = Arc::new(AtomicBool::new(false));
    let sent = Arc::new(AtomicU64::new(0));
    let frames = Arc::new(frames(&arena, nearly, multicast)?);
    let mut senders = Vec::new();
    for _ in 0..SENDERS {
        let (stop, sent, frames) = (Arc::clone(&stop), Arc::clone(&sent), Arc::clone(&frames));
        senders.push(arena.inside("c", move || send(&frames, &stop, &sent))?);
    }
    let begin = Instant::now();
    let lasts = Duration::from_secs(if context.full { 30 } else { 4 });
    while begin.elapsed() < lasts {
        let owners = arena.owners()?;
        ensure!(owners == [0], "owners are {owners:?} under the flood");
        thread::sleep(Duration::from_millis(50));
    }
    stop.store(true, Ordering::Relaxed);
    for sender in senders {
        sender.join().map_err(|_| anyhow!("the flood panicked"))??;
    }
    let rate = sent.load(Ordering::Relaxed) as f64 / begin.elapsed().as_secs_f64();
    let rhythm = rhythm(&watch.finish()?, arena.address(0)).context("no adverts")?;
    println!("  nearly valid {nearly}, multicast {multicast}: {rate:.0} packets/s, {rhythm}");
    ensure!(
        rhythm.usual <= INTERVAL + LATE,
        "adverts are late: {rhythm}"
    );
    ensure!(
        rhythm.longest < INTERVAL * 2,
        "an advert was missed: {rhythm}"
    );
    for (router, (before, after)) in routers.iter().zip(before.iter().zip(lines())) {
        let (log, written) = (router.log(), after - before);
        ensure!(
            written as f64 <= lasts.as_secs_f64(),
            "{written} lines in {lasts:?}:\n{log}"
        );
        ensure!(log.matches("-> active").count() <= 1, "{log}");
    }
    Ok(rate)
}

/// Frames to both routers, each as if from the other one.
fn frames(arena: &Arena, nearly: bool, multicast: bool) -> Result<Vec<Vec<u8>>> {
    let (IpAddr::V4(first), IpAddr::V4(second)) = (arena.address(0), arena.address(1)) else {
        bail!("the routers have no IPv4 addresses");
    };
    let mut random = Random(1);
    let mut frames = Vec::new();
    for number in 0..VARIETY {
        let (source, peer) = if number % 2 == 0 {
            (first, second)
        } else {
            (second, first)
        };
        let (destination, mac) = if multicast {
            (GROUP_V4, MacAddr::new([1, 0, 0x5e, 0, 0, 18]))
        } else {
            (peer, MacAddr::new([2, 0, 0, 0x98, 0, peer.octets()[3]]))
        };
        let (ttl, message) = if nearly {
            nearly_valid(&mut random, source, destination)?
        } else {
            let length = random.below(64);
            (TTL, (0..length).map(|_| random.byte()).collect())
        };
        let ether = EtherHeader {
            destination: mac,
            source: MacAddr::new([2, 0, 0, 0x98, 0, 50]),
            ether_type: EtherType::Ipv4,
        };
        let header = Ipv4Header {
            tos: 0xc0,
            total_len: u16::try_from(Ipv4Header::MIN_LEN + message.len())?,
            ttl,
            protocol: PROTOCOL,
            source,
            destination,
        };
        frames.push([&ether.emit()[..], &header.emit()[..], &message].concat());
    }
    Ok(frames)
}

/// One thing is wrong with it.
fn nearly_valid(
    random: &mut Random,
    source: Ipv4Addr,
    destination: Ipv4Addr,
) -> Result<(u8, Vec<u8>)> {
    const VIRTUAL: Ipv4Addr = Ipv4Addr::new(10, 98, 0, 100);
    const FOREIGN: Ipv4Addr = Ipv4Addr::new(10, 98, 9, 9);
    let wrong = random.below(8);
    let outgoing = Outgoing {
        version: if wrong == 0 { Version::V2 } else { Version::V3 },
        vrid: Vrid::try_from(if wrong == 1 { VRID + 1 } else { VRID })?,
        priority: random.byte(),
        lingers: false,
        interval: AdvertInterval::try_from(1)?,
        addresses: &[if wrong == 2 { FOREIGN } else { VIRTUAL }.into()],
        password: None,
        checksum: ChecksumSeen::Rfc,
        source: source.into(),
        destination: destination.into(),
    };
    let mut buffer = [0; MAX_LEN];
    let mut message = outgoing.emit(&mut buffer).to_vec();
    let mut ttl = TTL;
    match wrong {
        // Another type, more addresses than there are, a bit, half of it.
        3 => message[0] = 0x32,
        4 => message[3] = 9,
        5 => message[6] ^= 1 << random.below(8),
        6 => message.truncate(7),
        7 => ttl = 254,
        _ => {}
    }
    Ok((ttl, message))
}

/// Sends its part of the rate, a millisecond's worth at a time.
fn send(frames: &[Vec<u8>], stop: &AtomicBool, sent: &AtomicU64) -> Result<()> {
    let index = Links::read()?.by_name("eth0").context("no eth0")?.index;
    let socket = PacketSocket::open(index, EtherType::Ipv4, &Filter::nothing())?;
    let mut frames = frames.iter().cycle();
    let begin = Instant::now();
    let mut count = 0_u128;
    while !stop.load(Ordering::Relaxed) {
        let due = begin.elapsed().as_micros() * u128::from(RATE / SENDERS) / 1_000_000;
        while count < due {
            count += 1;
            if let Some(frame) = frames.next()
                && socket.send(frame).is_ok()
            {
                sent.fetch_add(1, Ordering::Relaxed);
            }
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

struct Random(u64);

impl Random {
    fn byte(&mut self) -> u8 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.0.to_be_bytes()[0]
    }

    fn below(&mut self, end: u8) -> u8 {
        self.byte() % end
    }
}
