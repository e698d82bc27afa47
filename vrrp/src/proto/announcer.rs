//! When which address is announced: a burst on take-over, the same again a little later, then single
//! frames for as long as the addresses are ours. A lost burst is thereby made good, and neighbours with
//! a long memory are reminded.

use std::net::IpAddr;
use std::time::Duration;

use super::{AnnounceSettings, Moment};

/// Schedule of one group's announcements.
#[derive(Debug)]
pub struct Announcer {
    settings: AnnounceSettings,
    targets: Vec<Target>,
    seed: u64,
}

#[derive(Debug)]
struct Target {
    member: usize,
    address: IpAddr,
    next: Option<(Moment, Step)>,
    begun: Moment,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    /// Burst with this index: 0 is the first one, then the follow-ups.
    Burst(usize),
    Refresh,
}

/// One frame to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// Index of the member.
    pub member: usize,
    /// The address.
    pub address: IpAddr,
    /// ARP reply form.
    pub reply: bool,
}

impl Announcer {
    /// A schedule for these addresses; nothing is due.
    pub fn new(
        settings: AnnounceSettings,
        addresses: impl Iterator<Item = (usize, IpAddr)>,
        seed: u64,
    ) -> Self {
        let targets = addresses
            .map(|(member, address)| Target {
                member,
                address,
                next: None,
                begun: Moment::ZERO,
            })
            .collect();
        Self {
            settings,
            targets,
            seed,
        }
    }

    /// Begins with every address.
    pub fn start(&mut self, now: Moment) {
        for target in &mut self.targets {
            target.start(now);
        }
    }

    /// Begins with the addresses that are not announced yet.
    pub fn start_fresh(&mut self, now: Moment) {
        for target in self
            .targets
            .iter_mut()
            .filter(|target| target.next.is_none())
        {
            target.start(now);
        }
    }

    /// Ends all of it.
    pub fn stop(&mut self) {
        for target in &mut self.targets {
            target.next = None;
        }
    }

    /// Other settings or addresses; those that stay keep their place in the schedule.
    pub fn reconfigure(
        &mut self,
        settings: AnnounceSettings,
        addresses: impl Iterator<Item = (usize, IpAddr)>,
    ) {
        let mut fresh = Self::new(settings, addresses, self.seed);
        for target in &mut fresh.targets {
            if let Some(old) = self
                .targets
                .iter()
                .find(|old| old.address == target.address)
            {
                target.next = old.next;
                target.begun = old.begun;
            }
        }
        *self = fresh;
    }

    /// When the next frame is due.
    pub fn poll_timeout(&self) -> Option<Moment> {
        self.targets
            .iter()
            .filter_map(|target| target.next)
            .map(|(at, _)| at)
            .min()
    }

    /// Hands every frame that is due to `send`.
    pub fn handle_timeout(&mut self, now: Moment, mut send: impl FnMut(Frame)) {
        for target in &mut self.targets {
            let Some((_, step)) = target.next.filter(|(at, _)| *at <= now) else {
                continue;
            };
            let count = match step {
                Step::Burst(_) => self.settings.repeat,
                Step::Refresh => 1,
            };
            for index in 0..count.max(1) {
                let both = self.settings.request_form && self.settings.reply_form;
                let reply = if both {
                    index % 2 == 1
                } else {
                    self.settings.reply_form
                };
                send(Frame {
                    member: target.member,
                    address: target.address,
                    reply,
                });
            }
            target.next = match step {
                Step::Burst(done) if done < self.settings.follow_ups.len() => Some((
                    target.begun.after(self.settings.follow_ups[done]),
                    Step::Burst(done + 1),
                )),
                Step::Burst(_) | Step::Refresh => self.settings.refresh.map(|period| {
                    let jitter = jitter(&mut self.seed, period);
                    (now.after(period).before(jitter), Step::Refresh)
                }),
            };
        }
    }
}

impl Target {
    fn start(&mut self, now: Moment) {
        self.begun = now;
        self.next = Some((now, Step::Burst(0)));
    }
}

/// Up to a tenth of the period, so that many routers do not speak in step.
fn jitter(seed: &mut u64, period: Duration) -> Duration {
    // SplitMix64.
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *seed;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    let share = u32::try_from(mixed & 0xffff).unwrap_or(0);
    (period / 10 / 0xffff).saturating_mul(share)
}
