//! What goes over the lines to the scripted machines: how long each command takes, and how many are under way.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::time::Instant;

/// The lines of a site. Unless they are slow, nobody looks at them.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    latency: Duration,
    seen: Mutex<Seen>,
}

/// What went over them.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    under_way: usize,
    /// The most commands at one time.
    pub(crate) most: usize,
    /// All of them, in order.
    pub(crate) commands: Vec<Command>,
}

/// A command, or what opens a line.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) begun: Instant,
    pub(crate) address: IpAddr,
    /// Its name and first argument.
    pub(crate) what: String,
}

impl Traffic {
    /// Lines on which each command takes so long.
    pub(crate) fn slow(latency: Duration) -> Arc<Self> {
        Arc::new(Self {
            latency,
            seen: Mutex::default(),
        })
    }

    pub(crate) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().expect("no test thread has panicked")
    }

    /// One command goes to a machine.
    pub(super) async fn carry(&self, address: IpAddr, id: &str, args: &[String]) {
        if self.latency.is_zero() {
            return;
        }
        let argument = args.first().map_or("", String::as_str);
        {
            let mut seen = self.seen();
            seen.under_way += 1;
            seen.most = seen.most.max(seen.under_way);
            seen.commands.push(Command {
                begun: Instant::now(),
                address,
                what: format!("{id} {argument}"),
            });
        }
        let _under_way = UnderWay(self);
        tokio::time::sleep(self.latency).await;
    }

    /// The longest time that one machine was busy with commands that began before an instant.
    pub(crate) fn slowest(&self, before: Instant) -> Duration {
        let mut busy: BTreeMap<IpAddr, Duration> = BTreeMap::new();
        for command in &self.seen().commands {
            if command.begun < before {
                *busy.entry(command.address).or_default() += self.latency;
            }
        }
        busy.into_values().max().unwrap_or_default()
    }
}

/// It ends also when nobody waits for it any more.
struct UnderWay<'a>(&'a Traffic);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.seen().under_way -= 1;
    }
}
