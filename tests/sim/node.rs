//! One machine: a virtual router, the addresses in its kernel, and a clock of its own.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use vrrp::proto::packet::{MAX_LEN, group};
use vrrp::proto::{
    Action, AdvertInterval, AnnounceSettings, Datagram, Destination, Family, Group, GroupSettings,
    Health, Input, Link, MemberSettings, Moment, Priority, State, Version, Versions, Vrid, Why,
};

use crate::flaw::Flaw;

/// What all nodes of a history share.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Common {
    pub(crate) interval: AdvertInterval,
    pub(crate) multicast: bool,
    pub(crate) preempt: bool,
    pub(crate) nodes: usize,
    /// How long a predecessor's connections are helped on after a planned move.
    pub(crate) grace: Duration,
    pub(crate) flaw: Option<Flaw>,
}

/// A datagram on its way.
#[derive(Debug, Clone)]
pub(crate) struct Packet {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) bytes: Vec<u8>,
}

/// What a node did to the outside.
#[derive(Debug)]
pub(crate) enum Effect {
    /// A datagram for these nodes.
    Sent { to: Vec<usize>, packet: Packet },
    /// A gratuitous ARP, and what is wrong with it.
    Announced { wrong: Option<&'static str> },
    /// Wants its addresses put on the interface.
    Own,
    /// Passes on what belongs to connections of this address's node.
    PassesOn { to: IpAddr },
    /// The state changed.
    Changed { from: State, to: State, why: Why },
}

/// One machine.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) index: usize,
    pub(crate) priority: u8,
    pub(crate) group: Option<Group>,
    /// Runs at all: neither paused nor switched off.
    pub(crate) paused: bool,
    pub(crate) healthy: bool,
    pub(crate) link: bool,
    /// The VIP is on the interface until then (true time), if it is.
    pub(crate) owned_until: Option<u64>,
    /// The VIP is there silently until then (true time).
    pub(crate) lingers_until: u64,
    paused_at: u64,
    /// The address went while the process was paused.
    pub(crate) untold: bool,
    /// It died, and was not started since.
    pub(crate) crashed: bool,
    common: Common,
    /// Parts per million that its clock is fast.
    drift: i64,
    offset: u64,
    waiting: VecDeque<(Moment, Packet)>,
}

pub(crate) const VIP: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 100));
/// Address of another cluster's VIP under the same VRID.
pub(crate) const FOREIGN_VIP: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 200));
pub(crate) const VRID: u8 = 77;
/// Lifetime of an address in the kernel, nanoseconds.
pub(crate) const LIFETIME: u64 = 2_000_000_000;

pub(crate) fn address(index: usize) -> IpAddr {
    Ipv4Addr::new(10, 0, 0, u8::try_from(index + 1).unwrap_or(255)).into()
}

impl Node {
    pub(crate) fn new(index: usize, priority: u8, common: Common, drift: i64, offset: u64) -> Self {
        Self {
            index,
            priority,
            group: None,
            paused: false,
            healthy: true,
            link: true,
            owned_until: None,
            lingers_until: 0,
            paused_at: 0,
            untold: false,
            crashed: false,
            common,
            drift,
            offset,
            waiting: VecDeque::new(),
        }
    }

    fn settings(&self) -> GroupSettings {
        let flaw = self.common.flaw;
        GroupSettings {
            name: String::new(),
            priority: Priority::try_from(self.priority).expect("not zero"),
            interval: self.common.interval,
            preempt: self.common.preempt,
            preempt_delay: Duration::ZERO,
            startup_quiet: Duration::ZERO,
            down_factor: 3,
            versions: Versions::V3,
            refuse_foreign_addresses: flaw != Some(Flaw::ObeysForeign),
            link_debounce: Duration::ZERO,
            hand_over_grace: self.common.grace,
            announce: AnnounceSettings {
                repeat: 5,
                // As by default.
                follow_ups: if flaw == Some(Flaw::AnnouncesOnce) {
                    Vec::new()
                } else {
                    [1, 5].map(Duration::from_secs).into()
                },
                refresh: Some(Duration::from_secs(60)),
                request_form: true,
                reply_form: true,
            },
            members: vec![MemberSettings {
                name: String::new(),
                vrid: Vrid::try_from(VRID).expect("not zero"),
                family: Family::V4,
                peers: if self.common.multicast {
                    Vec::new()
                } else {
                    (0..self.common.nodes)
                        .filter(|other| *other != self.index)
                        .map(address)
                        .collect()
                },
                addresses: vec![VIP],
                minimum_ttl: 255,
                checksum: None,
                password: None,
            }],
            seed: self.index as u64,
        }
    }

    /// The node's own time at a true time.
    pub(crate) fn local(&self, time: u64) -> Moment {
        let drift = i128::from(time) * i128::from(self.drift) / 1_000_000;
        let local = i128::from(time) + drift + i128::from(self.offset);
        Moment::from_nanos(u64::try_from(local).unwrap_or(0))
    }

    /// The true time of a moment of the node's clock, rounded up.
    fn global(&self, moment: Moment) -> u64 {
        let local = i128::from(moment.as_nanos()) - i128::from(self.offset);
        let time = local * 1_000_000 / (1_000_000 + i128::from(self.drift));
        let mut time = u64::try_from(time).unwrap_or(0);
        // Rounding must not wake it before its time.
        while self.local(time) < moment {
            time += 1;
        }
        time
    }

    pub(crate) fn state(&self) -> Option<State> {
        self.group.as_ref().map(Group::state)
    }

    pub(crate) fn is_active(&self) -> bool {
        self.state() == Some(State::Active)
    }

    /// Able to own the VIP, as far as anybody outside can see.
    pub(crate) fn eligible(&self) -> bool {
        self.group.is_some() && self.healthy && self.link && !self.paused
    }

    /// Whether its kernel has the VIP: it may, too, when nobody runs the router any more.
    pub(crate) fn owns(&self, time: u64) -> bool {
        self.owned_until.is_some_and(|until| until > time)
    }

    /// Why it must not announce the VIP at this moment.
    fn wrong_announcement(&self, time: u64) -> Option<&'static str> {
        if self.lingers_until > time {
            Some("lingers and announces the VIP")
        } else if !self.owns(time) && !self.untold {
            Some("announces what it does not own")
        } else {
            None
        }
    }

    /// When it next does something by itself.
    pub(crate) fn due(&self) -> Option<u64> {
        if self.paused {
            return None;
        }
        let group = self.group.as_ref()?;
        let mut due = group.poll_timeout()?;
        if self.common.flaw == Some(Flaw::NoSkew) && group.state() == State::Backup {
            due = due.before(self.skew());
        }
        Some(self.global(due))
    }

    fn skew(&self) -> Duration {
        self.common.interval.duration() * (256 - u32::from(self.priority)) / 256
    }

    /// Whether a successor may pass on to it: it is on its way out, or keeps the VIP silently.
    pub(crate) fn takes_what_is_passed_on(&self, time: u64) -> bool {
        self.lingers_until > time || self.group.as_ref().is_some_and(Group::is_leaving)
    }

    /// Starts the router, with whatever the kernel still has removed first.
    pub(crate) fn start(&mut self, time: u64) -> Vec<Effect> {
        self.owned_until = None;
        self.untold = false;
        self.crashed = false;
        self.group = Some(Group::new(self.settings(), true));
        self.waiting.clear();
        let mut effects = self.input(time, Input::Start);
        effects.extend(self.input(time, self.health()));
        effects.extend(self.input(time, self.link_input()));
        effects
    }

    fn health(&self) -> Input {
        Input::Health(if self.healthy {
            Health::Good
        } else {
            Health::Bad {
                detail: String::new(),
            }
        })
    }

    fn link_input(&self) -> Input {
        let link = if self.link {
            Link::Up {
                source: address(self.index),
            }
        } else {
            Link::Lost {
                detail: String::new(),
            }
        };
        Input::Link { member: 0, link }
    }

    pub(crate) fn set_health(&mut self, time: u64, healthy: bool) -> Vec<Effect> {
        self.healthy = healthy;
        if self.common.flaw == Some(Flaw::LowersPriority) {
            let mut settings = self.settings();
            if !healthy {
                settings.priority = Priority::try_from(1).expect("not zero");
            }
            return self.input(time, Input::Reconfigure(Box::new(settings)));
        }
        self.input(time, self.health())
    }

    pub(crate) fn set_link(&mut self, time: u64, up: bool) -> Vec<Effect> {
        self.link = up;
        self.input(time, self.link_input())
    }

    pub(crate) fn input(&mut self, time: u64, input: Input) -> Vec<Effect> {
        let now = self.local(time);
        if self.paused {
            return Vec::new();
        }
        let confirmed = matches!(input, Input::Owned);
        if let Some(group) = &mut self.group {
            group.handle_input(now, input);
        }
        let mut effects = self.effects(time);
        if confirmed && self.common.flaw == Some(Flaw::AnnouncesEarly) {
            effects.retain(|effect| !matches!(effect, Effect::Announced { .. }));
        }
        effects
    }

    /// A datagram arrives; a paused process finds it later.
    pub(crate) fn receive(&mut self, time: u64, packet: Packet) -> Vec<Effect> {
        let at = self.local(time);
        let fenced = self.paused && self.owned_until.is_some() && self.is_successor(time, &packet);
        self.waiting.push_back((at, packet));
        if fenced {
            self.owned_until = None;
            self.untold = true;
            self.farewell()
        } else if self.paused {
            Vec::new()
        } else {
            self.read(time)
        }
    }

    /// What makes a supervisor take the addresses of a router that does not run.
    fn is_successor(&self, time: u64, packet: &Packet) -> bool {
        let interval = u64::try_from(self.common.interval.duration().as_nanos()).unwrap_or(0);
        let silent = time.saturating_sub(self.paused_at) > 4 * interval;
        let IpAddr::V4(vip) = VIP else { return false };
        silent && packet.bytes[2] > 0 && packet.bytes[8..12] == vip.octets()
    }

    /// What a supervisor says for a router that does not run.
    fn farewell(&self) -> Vec<Effect> {
        let Some(group) = &self.group else {
            return Vec::new();
        };
        let destinations: Vec<Destination> = if self.common.multicast {
            vec![Destination::Group]
        } else {
            let peers = group.settings().members[0].peers.iter();
            peers.copied().map(Destination::Peer).collect()
        };
        let version = Version::V3;
        let sent = destinations
            .into_iter()
            .filter_map(|destination| self.sent(0, destination, version, 0));
        sent.collect()
    }

    fn sent(
        &self,
        member: usize,
        destination: Destination,
        version: Version,
        priority: u8,
    ) -> Option<Effect> {
        let mut buffer = [0; MAX_LEN];
        let group = self.group.as_ref()?;
        let (bytes, source, receiver) =
            group.encode(member, destination, version, priority, &mut buffer)?;
        let to = match destination {
            Destination::Group => (0..self.common.nodes).collect(),
            Destination::Peer(peer) => (0..self.common.nodes)
                .filter(|one| address(*one) == peer)
                .collect(),
        };
        let packet = Packet {
            source,
            destination: receiver,
            bytes: bytes.to_vec(),
        };
        Some(Effect::Sent { to, packet })
    }

    /// Its process stands still; its kernel and its supervisor do not.
    pub(crate) fn pause(&mut self, time: u64) {
        self.paused = true;
        self.paused_at = time;
    }

    fn read(&mut self, time: u64) -> Vec<Effect> {
        let now = self.local(time);
        while let Some((at, packet)) = self.waiting.pop_front() {
            if let Some(group) = &mut self.group {
                let datagram = Datagram {
                    at,
                    source: packet.source,
                    destination: packet.destination,
                    ttl: 255,
                    message: &packet.bytes,
                };
                group.handle_datagram(now, 0, &datagram);
            }
        }
        self.effects(time)
    }

    /// Its timer is served.
    pub(crate) fn tick(&mut self, time: u64) -> Vec<Effect> {
        let mut now = self.local(time);
        if self.common.flaw == Some(Flaw::NoSkew) && self.state() == Some(State::Backup) {
            now = now.after(self.skew());
        }
        if let Some(group) = &mut self.group {
            group.handle_timeout(now, now);
        }
        self.effects(time)
    }

    pub(crate) fn resume(&mut self, time: u64, lost: bool) -> Vec<Effect> {
        self.paused = false;
        if lost {
            self.waiting.clear();
        }
        let mut effects = self.read(time);
        effects.extend(self.input(time, self.health()));
        effects.extend(self.input(time, self.link_input()));
        effects
    }

    /// The process dies. With a supervisor its addresses go at once.
    pub(crate) fn crash(&mut self, supervised: bool) {
        self.group = None;
        self.crashed = true;
        self.waiting.clear();
        if supervised {
            self.owned_until = None;
        }
    }

    fn effects(&mut self, time: u64) -> Vec<Effect> {
        let mut effects = Vec::new();
        let mut stopped = false;
        while let Some(action) = self.group.as_mut().and_then(Group::poll_action) {
            match action {
                Action::Send {
                    member,
                    destination,
                    version,
                    priority,
                } => {
                    effects.extend(self.sent(member, destination, version, priority));
                }
                Action::Own { confirm } => {
                    self.lingers_until = 0;
                    if confirm {
                        if self.common.flaw == Some(Flaw::AnnouncesEarly) {
                            let wrong = self.wrong_announcement(time);
                            effects.push(Effect::Announced { wrong });
                        }
                        effects.push(Effect::Own);
                    } else {
                        self.owned_until = Some(time + LIFETIME);
                    }
                }
                Action::Release => {
                    self.owned_until = None;
                    self.lingers_until = 0;
                }
                Action::Linger => {
                    self.owned_until = None;
                    let grace = self.common.grace.as_nanos();
                    self.lingers_until = time + u64::try_from(grace).unwrap_or(0);
                }
                Action::PassOn { to, .. } => effects.push(Effect::PassesOn { to }),
                Action::Announce { .. } => {
                    let wrong = self.wrong_announcement(time);
                    effects.push(Effect::Announced { wrong });
                }
                Action::Transition { from, to, why } => {
                    let outbid = matches!(why, Why::Outbid { .. });
                    if outbid && self.common.flaw == Some(Flaw::NoLastWord) {
                        effects.retain(|effect| !matches!(effect, Effect::Sent { .. }));
                    }
                    effects.push(Effect::Changed { from, to, why });
                }
                Action::Alarm(_) | Action::Solicit { .. } => {}
                Action::Stopped => stopped = true,
            }
        }
        if stopped {
            self.group = None;
        }
        effects
    }
}

/// The multicast group, for a foreign router's adverts.
pub(crate) fn everybody() -> IpAddr {
    group(Family::V4)
}
