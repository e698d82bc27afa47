//! When a unicast peer is asked for its hardware address.
//!
//! The kernel asks for a neighbour that does not answer once a second, and adverts to it wait as long:
//! after a healed partition two Actives would live on for that second, and a router that came back would
//! hear nobody. So a peer whom the kernel cannot reach is asked by us, at the pace of the adverts, for as
//! long as there are adverts for it. And on a link that came up every peer is asked for a while, because
//! the question tells who asks: it is the peers' memory that has to be put right.

use std::net::IpAddr;
use std::time::Duration;

use super::{AdvertInterval, GroupSettings, Moment};

/// A router whose link was lost listens for so long before it may become Active, unless it hears somebody:
/// a kernel that has given it up asks for it once a second, and then comes the next advert.
pub const RETURN_QUIET: Duration = Duration::from_millis(1500);

/// Pace of the questions.
const FASTEST: Duration = Duration::from_millis(50);
const SLOWEST: Duration = Duration::from_millis(200);

/// Schedule of one group's questions.
#[derive(Debug)]
pub struct Solicitor {
    period: Duration,
    targets: Vec<Target>,
}

#[derive(Debug, Clone, Copy)]
struct Target {
    member: usize,
    peer: IpAddr,
    /// The member's link is usable.
    linked: bool,
    unresolved: bool,
    /// Asked in any case until then: the link has just come up.
    introduced_until: Option<Moment>,
    next: Moment,
}

/// What the group does in the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Nothing.
    None,
    /// It needs to hear the peers.
    Listens,
    /// There are adverts for the peers.
    Speaks,
}

impl Target {
    fn is_wanted(&self, part: Part) -> bool {
        let unreached = part == Part::Speaks && self.unresolved;
        let unknown = part != Part::None && self.introduced_until.is_some();
        self.linked && (unreached || unknown)
    }
}

impl Solicitor {
    /// A schedule for these peers; nothing is due.
    pub fn new(settings: &GroupSettings) -> Self {
        let targets = settings.members.iter().enumerate();
        let targets = targets.flat_map(|(member, settings)| {
            settings.peers.iter().map(move |peer| Target {
                member,
                peer: *peer,
                linked: false,
                unresolved: false,
                introduced_until: None,
                next: Moment::ZERO,
            })
        });
        Self {
            period: period(settings.interval),
            targets: targets.collect(),
        }
    }

    /// Other settings; peers that stay keep their place in the schedule.
    pub fn reconfigure(&mut self, settings: &GroupSettings, linked: impl Fn(usize) -> bool) {
        let mut fresh = Self::new(settings);
        for target in &mut fresh.targets {
            let old = self.targets.iter().find(|old| old.peer == target.peer);
            if let Some(old) = old {
                let member = target.member;
                *target = Target { member, ..*old };
            }
            target.linked = linked(target.member);
        }
        *self = fresh;
    }

    /// A link came up: the peers shall learn where this router is.
    pub fn link_up(&mut self, now: Moment, member: usize) {
        for target in self.of(member) {
            target.linked = true;
            target.introduced_until = Some(now.after(RETURN_QUIET));
            target.next = now;
        }
    }

    /// A link is not usable.
    pub fn link_lost(&mut self, member: usize) {
        self.of(member).for_each(|target| target.linked = false);
    }

    /// A peer was heard: it knows where this router is.
    pub fn hear(&mut self, member: usize, peer: IpAddr) {
        for target in self.of(member).filter(|target| target.peer == peer) {
            target.introduced_until = None;
        }
    }

    /// Takes who is not resolved, and says whether somebody is that was not.
    pub fn note_unresolved(&mut self, member: usize, unresolved: &[IpAddr]) -> bool {
        let mut found = false;
        for target in self.of(member) {
            let before = target.unresolved;
            target.unresolved = unresolved.contains(&target.peer);
            found |= before && !target.unresolved;
        }
        found
    }

    /// When the next question is due.
    pub fn poll_timeout(&self, part: Part) -> Option<Moment> {
        self.targets
            .iter()
            .filter(|target| target.is_wanted(part))
            .map(|target| target.next)
            .min()
    }

    /// Hands member and peer of every question that is due to `ask`.
    pub fn handle_timeout(&mut self, now: Moment, part: Part, mut ask: impl FnMut(usize, IpAddr)) {
        for target in &mut self.targets {
            if target.is_wanted(part) && target.next <= now {
                ask(target.member, target.peer);
                target.next = now.after(self.period);
                target.introduced_until = target.introduced_until.filter(|until| *until > now);
            }
        }
    }

    fn of(&mut self, member: usize) -> impl Iterator<Item = &mut Target> {
        self.targets
            .iter_mut()
            .filter(move |target| target.member == member)
    }
}

fn period(interval: AdvertInterval) -> Duration {
    interval.duration().clamp(FASTEST, SLOWEST)
}
