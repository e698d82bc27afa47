//! Who answers ARP for an address when, asked all the time by a stranger on the segment.
#![expect(clippy::disallowed_methods, reason = "the instants of real answers")]

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use l2::linux::filter::Filter;
use l2::linux::link::Links;
use l2::linux::packet::PacketSocket;
use l2::wire::{ArpPacket, EtherHeader, EtherType, MacAddr};
use lab_tests::duel::arena::Arena;

/// Time between two questions.
const PACE: Duration = Duration::from_millis(1);
/// Nobody's: the client's own kernel learns nothing from the answers.
const STRANGER: MacAddr = MacAddr::new([2, 0, 0, 0x98, 0xff, 1]);

/// A running record of answers.
pub(crate) struct Answers {
    stop: Arc<AtomicBool>,
    asker: JoinHandle<Result<Vec<(Instant, usize)>>>,
}

impl Answers {
    /// Asks for the address from now on, from the client's place.
    pub(crate) fn watch(arena: &Arena, address: Ipv4Addr) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let asker = arena.inside("c", {
            let stop = Arc::clone(&stop);
            move || ask(address, &stop)
        })?;
        Ok(Self { stop, asker })
    }

    /// Ends the record: when which router answered.
    pub(crate) fn finish(self) -> Result<Vec<(Instant, usize)>> {
        // What is on its way comes first.
        thread::sleep(Duration::from_millis(20));
        self.stop.store(true, Ordering::Relaxed);
        self.asker
            .join()
            .map_err(|_| anyhow!("the asker panicked"))?
    }
}

/// From an instant to a router's last answer after it; `None` when it answered no more.
pub(crate) fn last_of(
    answers: &[(Instant, usize)],
    router: usize,
    since: Instant,
) -> Option<Duration> {
    let of_router = |(at, who): &&(Instant, usize)| *who == router && *at > since;
    let last = answers.iter().rev().find(of_router)?;
    Some(last.0.duration_since(since))
}

fn ask(address: Ipv4Addr, stop: &AtomicBool) -> Result<Vec<(Instant, usize)>> {
    let index = Links::read()?.by_name("eth0").context("no eth0")?.index;
    let filter = Filter::arp_replies_from(address);
    let mut socket = PacketSocket::open(index, EtherType::Arp, &filter)?;
    let question = ArpPacket::probe(address, STRANGER).frame(MacAddr::BROADCAST);
    let mut answers = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        socket.send(&question)?;
        thread::sleep(PACE);
        while let Some(frame) = socket.receive()? {
            let arp = frame
                .get(EtherHeader::LEN..)
                .and_then(|payload| ArpPacket::parse(payload).ok());
            // Announcements of replies' form are no answers.
            let Some(arp) = arp.filter(|arp| arp.target_mac == STRANGER) else {
                continue;
            };
            let host = usize::from(arp.sender_mac.octets()[5]);
            answers.push((Instant::now(), host.saturating_sub(1)));
        }
    }
    Ok(answers)
}
