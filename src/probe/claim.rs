//! Claims an address for a while, as a router would, without having it: the machine's own addresses stay as they are.
#![expect(clippy::disallowed_methods, reason = "driver: reads the clock")]

use std::collections::BTreeSet;
use std::io::{self, Read as _, Write as _};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use dataplane::core::echo::EchoBudget;
use dataplane::core::responder::{Addresses, Verdict, announce, respond};
use dataplane::speaker::ears::Ears;
use l2::linux::clock::boottime;
use l2::linux::link::Interface;
use l2::linux::poller::Poller;

/// Between two announcements.
const PAUSE: Duration = Duration::from_millis(500);
/// The caller shows that it is still there more often than this.
const SILENCE: Duration = Duration::from_secs(60);
/// Frames taken from a socket before the clock is looked at.
const BATCH: usize = 64;
const STDIN: u32 = u32::MAX;

/// The one address that is claimed.
struct Claimed(IpAddr);

impl Addresses for Claimed {
    fn has(&self, address: IpAddr) -> bool {
        address == self.0
    }

    fn echoes(&self, address: IpAddr, _: IpAddr) -> bool {
        self.has(address)
    }
}

/// Announces `address` on the interface and answers for it (ARP or NDP, and ping) until the input ends, stays silent
/// for a minute, or `most` has passed. Prints `ready` after the first announcement. Nothing is left behind: neither an
/// address nor a route was added.
///
/// # Errors
/// When the interface refuses.
pub(super) fn hold(interface: &Interface, address: IpAddr, most: Duration) -> anyhow::Result<()> {
    let name = &interface.name;
    let mac = interface
        .mac
        .with_context(|| format!("interface `{name}` is not Ethernet"))?;
    anyhow::ensure!(interface.up, "interface `{name}` is down or has no carrier");
    let mut ears = Ears::open(interface.index, mac)
        .with_context(|| format!("cannot open packet sockets on `{name}`"))?;
    ears.attune(BTreeSet::from([address]))?;
    let mut poller = Poller::new()?;
    for (place, socket) in (0u32..).zip(ears.descriptors()) {
        poller.add(socket, place)?;
    }
    poller
        .add(io::stdin(), STDIN)
        .context("standard input must be a pipe: its end is the end of the claim")?;

    let mut budget = EchoBudget::default();
    let end = Instant::now() + most;
    let mut heard = Instant::now();
    let mut next = heard;
    let mut ready = Vec::new();
    let mut said = false;
    loop {
        let now = Instant::now();
        let last = end.min(heard + SILENCE);
        if now >= last {
            return Ok(());
        }
        if now >= next {
            next = now + PAUSE;
            for frame in announce(address, mac) {
                ears.send(&frame)
                    .with_context(|| format!("cannot announce {address} on `{name}`"))?;
            }
        }
        if !said {
            said = true;
            writeln!(io::stdout(), "ready")?;
        }
        let left = next.min(last).saturating_duration_since(Instant::now());
        poller.wait(Some(boottime() + left), &mut ready)?;
        for token in &ready {
            if *token == STDIN {
                if io::stdin().read(&mut [0; 64])? == 0 {
                    return Ok(());
                }
                heard = Instant::now();
                continue;
            }
            let place = usize::try_from(*token)?;
            for _ in 0..BATCH {
                let Some(frame) = ears.receive(place)? else {
                    break;
                };
                let verdict = respond(Instant::now(), frame, mac, &Claimed(address), &mut budget);
                if let Ok(Verdict::Answer(answer, _)) = verdict {
                    // Whoever asked asks again.
                    let _ = ears.send(&answer);
                }
            }
        }
    }
}
