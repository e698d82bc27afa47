//! Who sends adverts when, as tcpdump sees them at the switch.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::IpAddr;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::arena::Arena;

/// An advert on the wire.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Advert {
    /// When tcpdump told it.
    pub told: Instant,
    /// When the kernel saw it, since its epoch.
    pub stamp: Duration,
    /// Its sender.
    pub source: IpAddr,
    /// Its receiver.
    pub destination: IpAddr,
    /// Its virtual router.
    pub vrid: u8,
    /// Its priority.
    pub priority: u8,
}

/// A running record of adverts.
#[derive(Debug)]
pub struct AdvertWatch {
    child: Child,
    adverts: Receiver<Advert>,
}

impl Arena {
    /// Records who sends adverts from now on, at the switch.
    ///
    /// # Errors
    /// Without `tcpdump`.
    pub fn watch_adverts(&self) -> Result<AdvertWatch> {
        self.watch_adverts_of("ip proto 112")
    }

    /// Records those adverts that pass a filter of tcpdump's.
    ///
    /// # Errors
    /// Without `tcpdump`.
    #[expect(clippy::disallowed_methods, reason = "the instants of real frames")]
    pub fn watch_adverts_of(&self, filter: &str) -> Result<AdvertWatch> {
        let mut tcpdump = self.command("sw", "tcpdump");
        tcpdump
            .args(["-lnntti", "br0", "-Q", "in", "--immediate-mode"])
            // The ring has a place of the snapshot's length for each frame.
            .args(["-B", "8192", "-s", "128", filter])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = tcpdump.spawn().context("cannot run tcpdump")?;
        let mut said = [0; 9];
        if let Some(stderr) = &mut child.stderr {
            // It says that it listens before it does; a moment more makes it sure.
            stderr.read_exact(&mut said)?;
        }
        thread::sleep(Duration::from_millis(100));
        let stdout = child.stdout.take().context("tcpdump has no output")?;
        let (sender, adverts) = channel();
        thread::spawn(move || {
            let lines = BufReader::new(stdout).lines().map_while(Result::ok);
            for advert in lines.filter_map(|line| parse(&line, Instant::now())) {
                if sender.send(advert).is_err() {
                    return;
                }
            }
        });
        Ok(AdvertWatch { child, adverts })
    }
}

impl AdvertWatch {
    /// Waits for an advert of this router.
    ///
    /// # Errors
    /// When none comes in time.
    pub fn next_of(&self, source: IpAddr, patience: Duration) -> Result<Advert> {
        self.first(now() + patience, |advert| advert.source == source)
            .with_context(|| format!("no advert of {source} in {patience:?}"))
    }

    /// The first advert that is not of `old` and not of priority zero; `None` when none came until `end`.
    pub fn first_other(&self, old: IpAddr, end: Instant) -> Option<Advert> {
        self.first(end, |advert| advert.source != old && advert.priority != 0)
    }

    /// Forgets what was recorded.
    pub fn skip(&self) {
        while self.adverts.try_recv().is_ok() {}
    }

    fn first(&self, end: Instant, wanted: impl Fn(&Advert) -> bool) -> Option<Advert> {
        loop {
            let left = end.saturating_duration_since(now());
            let advert = self.adverts.recv_timeout(left).ok()?;
            if wanted(&advert) {
                return Some(advert);
            }
        }
    }

    /// Ends the record and gives what it holds that was not taken out.
    ///
    /// # Errors
    /// When the kernel had to drop frames: then the record is no proof.
    pub fn finish(mut self) -> Result<Vec<Advert>> {
        // What is on its way comes first.
        thread::sleep(Duration::from_millis(100));
        let process = Pid::from_raw(i32::try_from(self.child.id())?);
        kill(process, Signal::SIGINT)?;
        let mut said = String::new();
        if let Some(stderr) = &mut self.child.stderr {
            stderr.read_to_string(&mut said)?;
        }
        self.child.wait()?;
        ensure!(
            said.contains("\n0 packets dropped by kernel"),
            "tcpdump lost frames: {said}"
        );
        Ok(self.adverts.iter().collect())
    }
}

impl Drop for AdvertWatch {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How regularly the adverts of a router came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rhythm {
    /// How many there were, of all virtual routers to all receivers.
    pub adverts: usize,
    /// How many virtual routers there were.
    pub virtual_routers: usize,
    /// The time between two of one virtual router to one receiver that 999 of 1000 keep.
    pub usual: Duration,
    /// The longest of these times.
    pub longest: Duration,
}

impl fmt::Display for Rhythm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} adverts of {} virtual routers, p99.9 {:.1} ms, longest {:.1} ms apart",
            self.adverts,
            self.virtual_routers,
            self.usual.as_secs_f64() * 1e3,
            self.longest.as_secs_f64() * 1e3
        )
    }
}

/// The rhythm of a router's adverts; `None` without two of one virtual router.
pub fn rhythm(adverts: &[Advert], source: IpAddr) -> Option<Rhythm> {
    let mut last = BTreeMap::new();
    let mut pauses = Vec::new();
    let ours = || adverts.iter().filter(|advert| advert.source == source);
    for advert in ours() {
        let before = last.insert((advert.vrid, advert.destination), advert.stamp);
        if let Some(before) = before {
            pauses.push(advert.stamp.saturating_sub(before));
        }
    }
    pauses.sort_unstable();
    let longest = *pauses.last()?;
    let usual = pauses[(pauses.len() - 1) * 999 / 1000];
    let vrids: BTreeSet<u8> = last.keys().map(|(vrid, _)| *vrid).collect();
    Some(Rhythm {
        adverts: ours().count(),
        virtual_routers: vrids.len(),
        usual,
        longest,
    })
}

/// `1700000000.123456 IP 10.98.0.1 > 10.98.0.2: VRRPv3, Advertisement, vrid 77, prio 240, intvl 10cs, length 12`
fn parse(line: &str, told: Instant) -> Option<Advert> {
    let (head, message) = line.split_once(": ")?;
    let mut words = head.split(' ');
    let (seconds, micros) = words.next()?.split_once('.')?;
    let stamp =
        Duration::from_secs(seconds.parse().ok()?) + Duration::from_micros(micros.parse().ok()?);
    let source = words.nth(1)?.parse().ok()?;
    let destination = words.nth(1)?.parse().ok()?;
    let field = |name: &str| {
        let rest = message.split_once(name)?.1;
        rest.split(',').next()?.trim().parse().ok()
    };
    message.starts_with("VRRPv").then_some(())?;
    Some(Advert {
        told,
        stamp,
        source,
        destination,
        vrid: field("vrid ")?,
        priority: field("prio ")?,
    })
}

#[expect(clippy::disallowed_methods, reason = "waits in real time")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(micros: u32, source: u8, vrid: u8) -> Advert {
        let line = format!(
            "1700000000.{micros:06} IP 10.98.0.{source} > 10.98.0.9: VRRPv3, Advertisement, vrid {vrid}, prio 240, intvl 10cs, length 12"
        );
        parse(&line, now()).unwrap()
    }

    #[test]
    fn a_line_of_tcpdump_is_read() {
        let advert = at(123_456, 1, 77);
        assert_eq!(advert.stamp, Duration::new(1_700_000_000, 123_456_000));
        assert_eq!(advert.source.to_string(), "10.98.0.1");
        assert_eq!(advert.destination.to_string(), "10.98.0.9");
        assert_eq!((advert.vrid, advert.priority), (77, 240));
        let arp = "1700000000.1 ARP, Request who-has 10.98.0.2 tell 10.98.0.1, length 28";
        assert_eq!(parse(arp, now()), None);
    }

    #[test]
    fn the_longest_pause_is_that_of_one_virtual_router() {
        let adverts = [
            at(0, 1, 77),
            at(50_000, 1, 78),
            at(100_000, 1, 77),
            at(190_000, 1, 78),
            at(900_000, 2, 77),
        ];
        let source = adverts[0].source;
        let expected = Rhythm {
            adverts: 4,
            virtual_routers: 2,
            usual: Duration::from_millis(100),
            longest: Duration::from_millis(140),
        };
        assert_eq!(rhythm(&adverts, source), Some(expected));
        assert_eq!(rhythm(&adverts[4..], source), None);
    }
}
