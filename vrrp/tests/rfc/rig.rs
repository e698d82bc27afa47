//! One group in virtual time, and adverts to feed it with.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use vrrp::proto::packet::{self, MAX_LEN, Outgoing};
use vrrp::proto::{
    Action, AdvertInterval, Alarm, AnnounceSettings, ChecksumSeen, Datagram, Family, Group,
    GroupSettings, Health, Input, Link, MemberSettings, Moment, Priority, State, Version, Versions,
    Vrid, Why,
};

pub(crate) const OURS: IpAddr = v4(20);
pub(crate) const LOWER_ADDRESS: IpAddr = v4(9);
pub(crate) const HIGHER_ADDRESS: IpAddr = v4(30);
pub(crate) const THIRD: IpAddr = v4(31);
pub(crate) const STRANGER: IpAddr = v4(77);
pub(crate) const VIP: IpAddr = v4(100);
pub(crate) const VRID: u8 = 51;

pub(crate) const fn v4(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, last))
}

pub(crate) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) fn us(micros: u64) -> Duration {
    Duration::from_micros(micros)
}

/// A group under test.
pub(crate) struct Rig {
    pub(crate) group: Group,
    pub(crate) now: Moment,
    /// Everything it wanted so far.
    pub(crate) log: Vec<(Moment, Action)>,
    /// Whether the rig confirms addresses at once, as the host thread does.
    pub(crate) confirms: bool,
}

pub(crate) fn settings(priority: u8, millis: u32) -> GroupSettings {
    GroupSettings {
        name: "api".to_owned(),
        priority: Priority::try_from(priority).unwrap(),
        interval: AdvertInterval::from_millis(millis).unwrap(),
        preempt: true,
        preempt_delay: Duration::ZERO,
        startup_quiet: Duration::ZERO,
        down_factor: 3,
        versions: Versions::V3,
        refuse_foreign_addresses: true,
        link_debounce: Duration::ZERO,
        hand_over_grace: Duration::ZERO,
        announce: AnnounceSettings {
            repeat: 5,
            follow_ups: vec![Duration::from_secs(1), Duration::from_secs(5)],
            refresh: Some(Duration::from_secs(60)),
            request_form: true,
            reply_form: true,
        },
        members: vec![MemberSettings {
            name: "api-v4".to_owned(),
            vrid: Vrid::try_from(VRID).unwrap(),
            family: Family::V4,
            peers: vec![LOWER_ADDRESS, HIGHER_ADDRESS, THIRD],
            addresses: vec![VIP],
            minimum_ttl: 255,
            checksum: None,
            password: None,
        }],
        seed: 1,
    }
}

impl Rig {
    /// A group that has not started and whose link is unknown.
    pub(crate) fn new(settings: GroupSettings) -> Self {
        Self {
            group: Group::new(settings, false),
            now: Moment::from_nanos(1_000_000_000_000),
            log: Vec::new(),
            confirms: true,
        }
    }

    /// One that is a Backup (or Active, with priority 255).
    pub(crate) fn started(settings: GroupSettings) -> Self {
        let mut rig = Self::new(settings);
        rig.input(Input::Start);
        rig.links_up();
        rig
    }

    /// One that is a Backup.
    pub(crate) fn backup(priority: u8, millis: u32) -> Self {
        let rig = Self::started(settings(priority, millis));
        assert_eq!(rig.state(), State::Backup);
        rig
    }

    /// One that has just become Active and has said everything it had to say about it.
    pub(crate) fn active(priority: u8, millis: u32) -> Self {
        let mut rig = Self::backup(priority, millis);
        rig.become_active();
        rig
    }

    pub(crate) fn become_active(&mut self) {
        self.run_until(State::Active);
        self.log.clear();
    }

    pub(crate) fn links_up(&mut self) {
        for member in 0..self.group.members().len() {
            let source = match self.group.settings().members[member].family {
                Family::V4 => OURS,
                Family::V6 => "fe80::20".parse().unwrap(),
            };
            self.input(Input::Link {
                member,
                link: Link::Up { source },
            });
        }
    }

    pub(crate) fn state(&self) -> State {
        self.group.state()
    }

    pub(crate) fn input(&mut self, input: Input) {
        self.group.handle_input(self.now, input);
        self.collect();
    }

    pub(crate) fn unhealthy(&mut self) {
        self.input(Input::Health(Health::Bad {
            detail: "proxy is dead".to_owned(),
        }));
    }

    fn collect(&mut self) {
        while let Some(action) = self.group.poll_action() {
            let confirm = action == Action::Own { confirm: true };
            self.log.push((self.now, action));
            if confirm && self.confirms {
                self.group.handle_input(self.now, Input::Owned);
            }
        }
    }

    /// Lets time pass, with every timer served when it is due.
    pub(crate) fn advance(&mut self, duration: Duration) {
        let end = self.now.after(duration);
        while let Some(due) = self.group.poll_timeout().filter(|due| *due <= end) {
            self.now = due.max(self.now);
            self.group.handle_timeout(self.now, self.now);
            self.collect();
        }
        self.now = end;
    }

    /// Lets time pass without running the group at all: a frozen process.
    pub(crate) fn freeze(&mut self, duration: Duration) {
        self.now = self.now.after(duration);
    }

    /// Serves whatever is due at this moment.
    pub(crate) fn wake(&mut self) {
        self.group.handle_timeout(self.now, self.now);
        self.collect();
    }

    /// Lets time pass until it is in the state; says how long that took.
    pub(crate) fn run_until(&mut self, state: State) -> Duration {
        let begin = self.now;
        while self.state() != state {
            let due = self.group.poll_timeout().expect("something is due");
            assert!(due.since(begin) < Duration::from_secs(600), "never {state}");
            self.now = due.max(self.now);
            self.group.handle_timeout(self.now, self.now);
            self.collect();
        }
        self.now.since(begin)
    }

    /// An advert of `source` with our VRID and addresses arrives.
    pub(crate) fn hear(&mut self, source: IpAddr, priority: u8) {
        let interval = self.group.settings().interval;
        self.hear_every(source, priority, interval);
    }

    pub(crate) fn hear_every(&mut self, source: IpAddr, priority: u8, interval: AdvertInterval) {
        self.hear_built(Built {
            source,
            priority,
            interval,
            ..Built::default()
        });
    }

    pub(crate) fn hear_built(&mut self, built: Built) {
        let message = built.message();
        self.hear_raw(built.source, built.destination, built.ttl, &message);
    }

    pub(crate) fn hear_raw(
        &mut self,
        source: IpAddr,
        destination: IpAddr,
        ttl: u8,
        message: &[u8],
    ) {
        let member = match Family::of(source) {
            Family::V4 => 0,
            Family::V6 => self.group.members().len() - 1,
        };
        let datagram = Datagram {
            at: self.now,
            source,
            destination,
            ttl,
            message,
        };
        self.group.handle_datagram(self.now, member, &datagram);
        self.collect();
    }

    /// What was wanted since the last call.
    pub(crate) fn take(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.log)
            .into_iter()
            .map(|(_, action)| action)
            .collect()
    }

    /// Priorities of the adverts wanted since the last call (one each, however many peers).
    pub(crate) fn sent(&mut self) -> Vec<u8> {
        let mut sent: Vec<(Moment, u8)> = Vec::new();
        for (at, action) in std::mem::take(&mut self.log) {
            if let Action::Send { priority, .. } = action
                && sent.last() != Some(&(at, priority))
            {
                sent.push((at, priority));
            }
        }
        sent.into_iter().map(|(_, priority)| priority).collect()
    }

    pub(crate) fn alarms(&mut self) -> Vec<Alarm> {
        let actions = self.take();
        actions
            .into_iter()
            .filter_map(|action| match action {
                Action::Alarm(alarm) => Some(alarm),
                _ => None,
            })
            .collect()
    }

    pub(crate) fn why(&self) -> &Why {
        self.group.why()
    }

    pub(crate) fn dropped(&self, error: packet::PacketError) -> u64 {
        self.group.members()[0].counters().dropped_for(error)
    }
}

/// An advert of somebody else.
#[derive(Clone)]
pub(crate) struct Built {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) ttl: u8,
    pub(crate) version: Version,
    pub(crate) vrid: u8,
    pub(crate) priority: u8,
    pub(crate) lingers: bool,
    pub(crate) interval: AdvertInterval,
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) password: Option<[u8; 8]>,
    pub(crate) checksum: ChecksumSeen,
}

impl Default for Built {
    fn default() -> Self {
        Self {
            source: HIGHER_ADDRESS,
            destination: OURS,
            ttl: 255,
            version: Version::V3,
            vrid: VRID,
            priority: 100,
            lingers: false,
            interval: AdvertInterval::from_millis(100).unwrap(),
            addresses: vec![VIP],
            password: None,
            checksum: ChecksumSeen::Rfc,
        }
    }
}

impl Built {
    pub(crate) fn message(&self) -> Vec<u8> {
        let outgoing = Outgoing {
            version: self.version,
            vrid: Vrid::try_from(self.vrid).unwrap(),
            priority: self.priority,
            lingers: self.lingers,
            interval: self.interval,
            addresses: &self.addresses,
            password: self.password,
            checksum: self.checksum,
            source: self.source,
            destination: self.destination,
        };
        outgoing.emit(&mut [0; MAX_LEN]).to_vec()
    }
}

pub(crate) fn centis(centis: u16) -> AdvertInterval {
    AdvertInterval::try_from(centis).unwrap()
}
