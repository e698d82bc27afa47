//! The clients of one address, of which each sees a fault in its own way.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::LIMIT;
use crate::cluster::Cluster;
use crate::prober::{Answers, Plan, Prober, Report, Stream};
use crate::roster::Place;

/// Who watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// A client behind the router, which knows the address's hardware address, with a new connection each 5 ms.
    Neighbour,
    /// That one; a client on the segment that does not know it, with as many connections; and a stream of a thousand
    /// datagrams a second from behind the router.
    Everybody,
}

/// Clients at work.
pub(super) struct Clients {
    neighbour: Prober,
    stranger: Option<Stranger>,
    datagrams: Option<Stream>,
}

/// A client without an ARP entry.
struct Stranger {
    prober: Prober,
    oblivion: Oblivion,
}

/// What they have seen.
pub(super) struct Reports {
    pub(super) neighbour: Report,
    pub(super) stranger: Option<Report>,
    pub(super) datagrams: Option<Answers>,
}

impl Clients {
    /// Starts them, and waits until nothing has failed for three seconds.
    ///
    /// # Errors
    /// When something goes on failing, with what it is.
    pub(super) fn start(
        cluster: &Cluster<'_>,
        address: Ipv4Addr,
        audience: Audience,
    ) -> Result<Self> {
        let target = SocketAddr::from((address, 80));
        let neighbour = cluster.prober(Plan::connect(target))?;
        let mut clients = Self {
            neighbour,
            stranger: None,
            datagrams: None,
        };
        if audience == Audience::Everybody {
            clients.stranger = Some(Stranger {
                oblivion: Oblivion::of(cluster, address)?,
                prober: cluster.lab.prober(Place::Client, Plan::connect(target))?,
            });
        }
        ensure!(
            clients.wait_for_calm(Duration::from_secs(3), LIMIT),
            "connections to {address} fail before the fault: {}",
            clients.reasons()
        );
        if audience == Audience::Everybody {
            // Not sooner: a stream that begins before the node knows the Service is remembered as one that leads nowhere.
            let stream = cluster.lab.stream(Place::Outside, target, MILLISECOND)?;
            ensure!(
                stream.wait_for_an_answer(LIMIT),
                "datagrams to {address} get no answer before the fault"
            );
            clients.datagrams = Some(stream);
        }
        Ok(clients)
    }

    /// Waits until no connection has failed for `calm`, at most `limit`; false when that did not happen.
    pub(super) fn wait_for_calm(&self, calm: Duration, limit: Duration) -> bool {
        let neighbour = self.neighbour.wait_for_calm(calm, limit);
        let stranger = |stranger: &Stranger| stranger.prober.wait_for_calm(calm, limit);
        neighbour && self.stranger.as_ref().is_none_or(stranger)
    }

    /// Why connections failed so far.
    fn reasons(&self) -> String {
        let neighbour = self.neighbour.so_far();
        let mut text = format!("{:?}", neighbour.reasons());
        if let Some(stranger) = &self.stranger {
            let stranger = stranger.prober.so_far();
            text.push_str(&format!("; without an ARP entry: {:?}", stranger.reasons()));
        }
        text
    }

    /// Ends them; what is asked about began at `begin`.
    pub(super) fn finish(self, begin: Instant) -> Result<Reports> {
        let neighbour = self.neighbour.finish()?;
        let datagrams = self.datagrams.map(|stream| stream.finish(begin));
        let stranger = self.stranger.map(|mut stranger| {
            ensure!(
                stranger.oblivion.still_works()?,
                "the client on the segment was no longer made to forget"
            );
            stranger.prober.finish()
        });
        let (stranger, datagrams) = (stranger.transpose()?, datagrams.transpose()?);
        Ok(Reports {
            neighbour,
            stranger,
            datagrams,
        })
    }
}

/// Makes the client on the segment forget the hardware address ten times a second, as if each connection came from somebody
/// new. It ends with this.
#[derive(Debug)]
struct Oblivion(Child);

impl Oblivion {
    fn of(cluster: &Cluster<'_>, address: Ipv4Addr) -> Result<Self> {
        // Once in sight of whoever asks: the loop goes on when it fails. Not by removing the entry: a packet that is being sent
        // just then is lost with it.
        cluster.lab.forget_neighbour(Place::Client, address)?;
        // There is nothing to change until the first packet was sent.
        let forget = format!(
            "until ip neigh change {address} dev eth0 nud none 2>/dev/null; do sleep 0.1; done; \
             while ip neigh change {address} dev eth0 nud none; do sleep 0.1; done"
        );
        let mut shell = cluster.lab.command_in(Place::Client, "sh");
        shell.args(["-c", &forget]).stdin(Stdio::null());
        let child = shell.spawn().context("cannot run a shell")?;
        Ok(Self(child))
    }

    /// Whether it was at work all the time.
    fn still_works(&mut self) -> Result<bool> {
        Ok(self.0.try_wait()?.is_none())
    }
}

impl Drop for Oblivion {
    fn drop(&mut self) {
        // One that has ended already is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const MILLISECOND: Duration = Duration::from_millis(1);
