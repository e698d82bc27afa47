//! All stations look at the segment at the same time: who hears whom, and who answers for which address.
//!
//! Everybody greets everybody else, on each channel, a few times a second, and says in each greeting whom it has
//! heard. A station is done when it has heard all, all have heard it, and all have answered by ARP; it greets on for a
//! moment then. Nobody is waited for longer than the plan allows, and the gateway no longer than it listens anyway.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use cluster_config::probe::{Hearing, Neighbour, SegmentPlan, Station};
use l2::wire::MacAddr;
use vrrp::proto::Family;
use vrrp::proto::packet::group;

use super::hello::Hello;

/// A way from station to station.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Channel {
    /// IP protocol 112 over IPv4.
    Vrrp,
    /// IP protocol 112 over IPv6.
    Vrrp6,
    /// The heartbeats' UDP port.
    Heartbeat,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    /// Send a greeting.
    Greet {
        /// Which way.
        channel: Channel,
        /// To whom.
        to: IpAddr,
        /// What.
        bytes: Vec<u8>,
    },
    /// Ask who has an address.
    Ask(Ipv4Addr),
}

/// One station's side of it.
#[derive(Debug)]
pub(super) struct Meeting {
    plan: SegmentPlan,
    begun: Duration,
    next: Duration,
    /// Since when nothing is missing.
    complete: Option<Duration>,
    channels: BTreeMap<Channel, Heard>,
    macs: BTreeMap<Ipv4Addr, BTreeSet<MacAddr>>,
    asked: u32,
    actions: VecDeque<Action>,
}

#[derive(Debug, Default)]
struct Heard {
    peers: BTreeSet<u16>,
    from: BTreeSet<u16>,
    by: BTreeSet<u16>,
    trouble: Option<String>,
}

/// Between two greetings.
const PAUSE: Duration = Duration::from_millis(200);
/// Questions for an address that was answered already: a second answer is a second machine.
const QUESTIONS: u32 = 4;
/// How long a station greets on after it has heard enough: others may not have.
const FAREWELL: Duration = Duration::from_millis(600);

impl Meeting {
    /// Begins at `now`. The plan's own place must be one of its stations.
    pub(super) fn begin(plan: SegmentPlan, now: Duration) -> Self {
        let mut channels = BTreeMap::new();
        for channel in [Channel::Vrrp, Channel::Vrrp6, Channel::Heartbeat] {
            let takes_part = |station: &Station| match channel {
                Channel::Vrrp => station.vrrp,
                Channel::Vrrp6 => station.vrrp && plan.ipv6,
                Channel::Heartbeat => station.heartbeat,
            };
            let places = (0u16..).zip(&plan.stations);
            let mut peers: BTreeSet<u16> = places
                .filter(|(_, station)| takes_part(station))
                .map(|(place, _)| place)
                .collect();
            if peers.remove(&plan.me) {
                let heard = Heard {
                    peers,
                    ..Heard::default()
                };
                channels.insert(channel, heard);
            }
        }
        let own = plan.stations.get(usize::from(plan.me));
        let own = own.map(|station| station.address);
        let others = plan.stations.iter().map(|station| station.address);
        let macs = others
            .chain(plan.gateway)
            .filter(|address| Some(*address) != own)
            .filter_map(|address| match address {
                IpAddr::V4(v4) => Some((v4, BTreeSet::new())),
                IpAddr::V6(_) => None,
            })
            .collect();
        Self {
            plan,
            begun: now,
            next: now,
            complete: None,
            channels,
            macs,
            asked: 0,
            actions: VecDeque::new(),
        }
    }

    /// Ways that this station needs.
    pub(super) fn channels(&self) -> impl Iterator<Item = Channel> {
        self.channels.keys().copied()
    }

    /// Addresses that are asked for.
    pub(super) fn questions(&self) -> impl Iterator<Item = Ipv4Addr> {
        self.macs.keys().copied()
    }

    /// A channel could not be opened, or is refused to this station.
    pub(super) fn handle_trouble(&mut self, channel: Channel, trouble: String) {
        if let Some(heard) = self.channels.get_mut(&channel) {
            heard.trouble.get_or_insert(trouble);
        }
    }

    /// Something arrived on a channel.
    pub(super) fn handle_message(&mut self, channel: Channel, bytes: &[u8]) {
        let me = self.plan.me;
        let Some(hello) = Hello::parse(bytes).filter(|hello| hello.run == self.plan.run) else {
            return;
        };
        let heard = self.channels.get_mut(&channel);
        let Some(heard) = heard.filter(|heard| heard.peers.contains(&hello.sender)) else {
            return;
        };
        heard.from.insert(hello.sender);
        if hello.heard.contains(&me) {
            heard.by.insert(hello.sender);
        }
    }

    /// Somebody answers that it has an address.
    pub(super) fn handle_claim(&mut self, address: Ipv4Addr, mac: MacAddr) {
        if let Some(macs) = self.macs.get_mut(&address) {
            macs.insert(mac);
        }
    }

    /// The time that [`Self::poll_timeout`] named has come.
    pub(super) fn handle_timeout(&mut self, now: Duration) {
        if now < self.next {
            return;
        }
        self.next = now + PAUSE;
        if self.complete.is_none() && self.is_complete() {
            self.complete = Some(now);
        }
        for (channel, heard) in &self.channels {
            let hello = Hello {
                run: self.plan.run,
                sender: self.plan.me,
                heard: heard.from.clone(),
            };
            let greet = |to| Action::Greet {
                channel: *channel,
                to,
                bytes: hello.emit(),
            };
            match channel {
                Channel::Vrrp6 => self.actions.push_back(greet(group(Family::V6))),
                Channel::Vrrp if self.plan.multicast => {
                    self.actions.push_back(greet(group(Family::V4)));
                }
                Channel::Vrrp | Channel::Heartbeat => {
                    let peers = heard.peers.iter();
                    let stations = peers.filter_map(|at| self.plan.stations.get(usize::from(*at)));
                    let greetings = stations.map(|station| greet(station.address));
                    self.actions.extend(greetings);
                }
            }
        }
        let again = self.asked < QUESTIONS;
        self.asked = self.asked.saturating_add(1);
        let open = self
            .macs
            .iter()
            .filter(|(_, macs)| again || macs.is_empty());
        self.actions
            .extend(open.map(|(address, _)| Action::Ask(*address)));
    }

    /// When to come back; nothing when it is over.
    pub(super) fn poll_timeout(&self, now: Duration) -> Option<Duration> {
        let passed = now.saturating_sub(self.begun);
        let most = millis(self.plan.most_millis);
        let said_all = self.complete.is_some_and(|since| now >= since + FAREWELL);
        let over = passed >= most || passed >= millis(self.plan.least_millis) && said_all;
        (!over).then(|| self.next.min(self.begun + most))
    }

    /// What to do; drained after every input.
    pub(super) fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    fn is_complete(&self) -> bool {
        let heard = |heard: &Heard| {
            heard.trouble.is_some() || heard.from == heard.peers && heard.by == heard.peers
        };
        let mut stations = self.plan.stations.iter().map(|station| station.address);
        let answered = |address| match address {
            IpAddr::V4(v4) => self.macs.get(&v4).is_none_or(|macs| !macs.is_empty()),
            IpAddr::V6(_) => true,
        };
        self.channels.values().all(heard) && stations.all(answered)
    }

    /// What was heard on a channel that this station needs.
    pub(super) fn hearing(&self, channel: Channel) -> Option<Hearing> {
        self.channels.get(&channel).map(|heard| Hearing {
            heard: heard.from.iter().copied().collect(),
            trouble: heard.trouble.clone(),
        })
    }

    /// Who answered for which address.
    pub(super) fn neighbours(&self) -> Vec<Neighbour> {
        let neighbours = self.macs.iter().map(|(address, macs)| Neighbour {
            address: IpAddr::V4(*address),
            macs: macs.iter().map(ToString::to_string).collect(),
        });
        neighbours.collect()
    }
}

fn millis(count: u32) -> Duration {
    Duration::from_millis(count.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: Duration = Duration::from_secs(1);
    const MOST: Duration = Duration::from_secs(5);

    fn plan(me: u16) -> SegmentPlan {
        let station = |last: u8| Station {
            address: [10, 0, 0, last].into(),
            vrrp: true,
            heartbeat: last != 3,
        };
        SegmentPlan {
            run: 7,
            me,
            interface: None,
            stations: vec![station(1), station(2), station(3)],
            gateway: Some([10, 0, 0, 254].into()),
            multicast: false,
            ipv6: false,
            heartbeat_port: 7946,
            least_millis: 1000,
            most_millis: 5000,
        }
    }

    /// Runs three stations against each other until each is over; `passes` says what the network lets through.
    fn meet(
        plan: impl Fn(u16) -> SegmentPlan,
        passes: impl Fn(Channel, u16, u16) -> bool,
    ) -> (Vec<Meeting>, Duration) {
        meet_beside(0, plan, passes)
    }

    /// The same, beside a machine that does not answer ARP.
    fn meet_beside(
        silent: u8,
        plan: impl Fn(u16) -> SegmentPlan,
        passes: impl Fn(Channel, u16, u16) -> bool,
    ) -> (Vec<Meeting>, Duration) {
        let mut stations: Vec<Meeting> = (0..3)
            .map(|me| Meeting::begin(plan(me), Duration::ZERO))
            .collect();
        let mut now = Duration::ZERO;
        while stations.iter().any(|one| one.poll_timeout(now).is_some()) {
            let mut sent = Vec::new();
            for (from, station) in (0u16..).zip(&mut stations) {
                if station.poll_timeout(now).is_none() {
                    continue;
                }
                station.handle_timeout(now);
                while let Some(action) = station.poll_action() {
                    match action {
                        Action::Greet { channel, to, bytes } => {
                            sent.push((from, channel, to, bytes));
                        }
                        Action::Ask(address) => {
                            let last = address.octets()[3];
                            if last != silent {
                                station.handle_claim(address, MacAddr::new([2, 0, 0, 0, 0, last]));
                            }
                        }
                    }
                }
            }
            for (from, channel, to, bytes) in sent {
                for (at, station) in (0u16..).zip(&mut stations) {
                    let address = IpAddr::from([10, 0, 0, u8::try_from(at + 1).unwrap()]);
                    let meant = to == address || to.is_multicast() && at != from;
                    if meant && passes(channel, from, at) {
                        station.handle_message(channel, &bytes);
                    }
                }
            }
            now += Duration::from_millis(50);
        }
        (stations, now)
    }

    fn heard(station: &Meeting, channel: Channel) -> Option<Vec<u16>> {
        station.hearing(channel).map(|hearing| hearing.heard)
    }

    #[test]
    fn everybody_hears_everybody_and_it_ends_early() {
        for multicast in [false, true] {
            let plan = |me| SegmentPlan {
                multicast,
                ipv6: multicast,
                ..plan(me)
            };
            let (stations, took) = meet(plan, |_, _, _| true);
            assert_eq!(heard(&stations[0], Channel::Vrrp), Some(vec![1, 2]));
            assert_eq!(heard(&stations[1], Channel::Heartbeat), Some(vec![0]));
            assert_eq!(heard(&stations[2], Channel::Heartbeat), None);
            let six = multicast.then(|| vec![0, 1]);
            assert_eq!(heard(&stations[2], Channel::Vrrp6), six);
            assert_eq!(stations[0].neighbours().len(), 3);
            assert!(took >= LEAST && took < LEAST + PAUSE, "{took:?}");
        }
    }

    #[test]
    fn a_direction_that_is_blocked_is_missing_on_its_side_alone() {
        let blocked = |channel, from, to| (channel, from, to) != (Channel::Vrrp, 1, 0);
        let (stations, took) = meet(plan, blocked);
        assert_eq!(heard(&stations[0], Channel::Vrrp), Some(vec![2]));
        assert_eq!(heard(&stations[1], Channel::Vrrp), Some(vec![0, 2]));
        assert_eq!(heard(&stations[0], Channel::Heartbeat), Some(vec![1]));
        assert!(took >= MOST && took < MOST + PAUSE, "{took:?}");
    }

    #[test]
    fn two_machines_with_one_address_are_both_seen() {
        let mut station = Meeting::begin(plan(0), Duration::ZERO);
        for last in [7, 8] {
            station.handle_claim(
                Ipv4Addr::new(10, 0, 0, 2),
                MacAddr::new([2, 0, 0, 0, 0, last]),
            );
        }
        // Nobody asked for it.
        station.handle_claim(Ipv4Addr::new(10, 0, 0, 77), MacAddr::BROADCAST);
        let neighbours = station.neighbours();
        assert_eq!(neighbours.len(), 3);
        assert_eq!(
            neighbours[0].macs,
            ["02:00:00:00:00:07", "02:00:00:00:00:08"]
        );
    }

    #[test]
    fn strangers_and_other_runs_are_not_heard() {
        let mut station = Meeting::begin(plan(0), Duration::ZERO);
        let hello = |run, sender| Hello {
            run,
            sender,
            heard: BTreeSet::new(),
        };
        for bytes in [
            hello(8, 1).emit(),
            hello(7, 0).emit(),
            hello(7, 99).emit(),
            b"junk".to_vec(),
        ] {
            station.handle_message(Channel::Vrrp, &bytes);
        }
        // A peer that has no heartbeats.
        station.handle_message(Channel::Heartbeat, &hello(7, 2).emit());
        assert_eq!(heard(&station, Channel::Vrrp), Some(vec![]));
        assert_eq!(heard(&station, Channel::Heartbeat), Some(vec![]));
    }

    #[test]
    fn a_channel_in_trouble_is_not_waited_for() {
        let mut station = Meeting::begin(plan(2), Duration::ZERO);
        station.handle_trouble(Channel::Vrrp, "no".to_owned());
        station.handle_trouble(Channel::Vrrp, "still no".to_owned());
        for last in [1, 2] {
            station.handle_claim(Ipv4Addr::new(10, 0, 0, last), MacAddr::ZERO);
        }
        station.handle_timeout(Duration::ZERO);
        assert_eq!(station.poll_timeout(LEAST), None);
        let hearing = station.hearing(Channel::Vrrp).unwrap();
        assert_eq!(hearing.trouble.as_deref(), Some("no"));
    }

    #[test]
    fn a_gateway_that_does_not_answer_is_not_waited_for() {
        let silent = |me| SegmentPlan {
            gateway: Some([10, 0, 0, 200].into()),
            ..plan(me)
        };
        let (stations, took) = meet_beside(200, silent, |_, _, _| true);
        assert!(took >= LEAST && took < LEAST + PAUSE, "{took:?}");
        let neighbours = stations[0].neighbours();
        let gateway = neighbours.last().unwrap();
        assert_eq!(gateway.address, IpAddr::from([10, 0, 0, 200]));
        assert_eq!(gateway.macs, [] as [String; 0]);
    }

    #[test]
    fn whoever_is_late_is_waited_for_and_hears_the_others() {
        let [mut early, mut late] = [0, 1].map(|me| {
            let plan = SegmentPlan {
                stations: plan(me).stations[..2].to_vec(),
                gateway: None,
                ..plan(me)
            };
            Meeting::begin(plan, MOST / 2 * u32::from(me))
        });
        let (mut now, mut ends) = (Duration::ZERO, [None; 2]);
        while ends.contains(&None) {
            let mut sent = Vec::new();
            for (at, station) in [&mut early, &mut late].into_iter().enumerate() {
                if now < station.begun || ends[at].is_some() {
                    continue;
                }
                if station.poll_timeout(now).is_none() {
                    ends[at] = Some(now);
                    continue;
                }
                station.handle_timeout(now);
                while let Some(action) = station.poll_action() {
                    match action {
                        Action::Greet { channel, bytes, .. } => sent.push((at, channel, bytes)),
                        Action::Ask(address) => station.handle_claim(address, MacAddr::ZERO),
                    }
                }
            }
            for (from, channel, bytes) in sent {
                let other = if from == 0 { &mut late } else { &mut early };
                if now >= other.begun {
                    other.handle_message(channel, &bytes);
                }
            }
            now += Duration::from_millis(50);
        }
        for (station, other) in [(&early, 1), (&late, 0)] {
            assert_eq!(heard(station, Channel::Vrrp), Some(vec![other]));
            assert!(station.is_complete());
        }
        assert!(ends[0] < Some(MOST) && ends[1] < Some(MOST), "{ends:?}");
    }

    #[test]
    fn a_station_that_is_done_greets_on_for_a_moment() {
        let plan = SegmentPlan {
            stations: plan(0).stations[..2].to_vec(),
            gateway: None,
            least_millis: 0,
            ..plan(0)
        };
        let mut station = Meeting::begin(plan, Duration::ZERO);
        let hello = Hello {
            run: 7,
            sender: 1,
            heard: BTreeSet::from([0]),
        };
        station.handle_message(Channel::Vrrp, &hello.emit());
        station.handle_message(Channel::Heartbeat, &hello.emit());
        station.handle_claim(Ipv4Addr::new(10, 0, 0, 2), MacAddr::ZERO);
        let mut greetings = 0;
        let mut now = Duration::ZERO;
        while let Some(next) = station.poll_timeout(now) {
            now = next;
            station.handle_timeout(now);
            while let Some(action) = station.poll_action() {
                let greets = |channel| matches!(&action, Action::Greet { channel: on, .. } if *on == channel);
                greetings += u32::from(greets(Channel::Vrrp));
            }
        }
        assert_eq!((now, greetings), (FAREWELL, 4));
    }

    #[test]
    fn a_flood_of_time_sends_a_bounded_number_of_messages() {
        let mut station = Meeting::begin(plan(0), Duration::ZERO);
        let mut sent = 0;
        for step in 0..100_000u32 {
            let now = Duration::from_micros(50) * step;
            if station.poll_timeout(now).is_some() {
                station.handle_timeout(now);
            }
            while station.poll_action().is_some() {
                sent += 1;
            }
        }
        // Six greetings and questions in each of 25 rounds.
        assert!(sent <= 25 * 6, "{sent}");
    }
}
