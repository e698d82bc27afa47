//! Where a node is in its life: listening, acquainted, serving, leaving.

use std::{collections::BTreeSet, time::Instant};

use super::{Speaker, Timing};
use crate::core::peers::state::Phase;

/// How long a node listens.
#[derive(Debug, Clone, Copy)]
pub(super) struct HoldOff {
    /// Who hears a greeting has answered by then.
    pub(super) greeted: Instant,
    /// Nobody is waited for any longer.
    pub(super) until: Instant,
}

impl HoldOff {
    /// From `now` on.
    fn new(now: Instant, timing: Timing) -> Self {
        Self {
            greeted: now + timing.greeting(),
            until: now + timing.hold_off(),
        }
    }
}

impl Speaker {
    /// Notices that this node did not run for so long that the others may have given it up.
    pub(super) fn wake(&mut self, now: Instant) {
        let asleep = now.saturating_duration_since(self.last_input);
        self.last_input = now;
        if asleep < self.timing.freeze() {
            return;
        }
        if !self.answers() {
            // The time to listen is not over because this node slept through it.
            if self.hold_off.is_some() {
                let awaited = self.awaited.take();
                self.listen_again(now, awaited);
            }
            return;
        }
        self.freezes += 1;
        let alive = self.membership.peers().filter(|(_, peer)| peer.is_alive());
        let awaited: BTreeSet<_> = alive.map(|(name, _)| name.to_owned()).collect();
        self.dirty = true;
        // Who heard nobody before has nobody to ask.
        if awaited.is_empty() {
            return;
        }
        self.listen_again(now, Some(awaited));
    }

    /// Whether it hears none of the others, of whom there are some.
    pub(super) fn is_alone(&self) -> bool {
        let mut peers = self.membership.peers().peekable();
        peers.peek().is_some() && peers.all(|(_, peer)| !peer.is_alive())
    }

    /// Stops answering until `awaited` (`None`: everybody with an address) have been heard anew, or for as long as
    /// a starting node waits: the others may have taken what this node believes to be its own, or nobody's.
    pub(super) fn listen_again(&mut self, now: Instant, awaited: Option<BTreeSet<String>>) {
        self.awaited = awaited;
        self.hold_off = Some(HoldOff::new(now, self.timing));
        self.set_phase(now, Phase::Listening);
        self.membership.renew();
        self.membership.beat(now);
        self.next_beat = now + self.timing.heartbeat;
    }

    /// Whether this node has got to the point where it answers for what it has.
    pub(super) const fn answers(&self) -> bool {
        matches!(self.phase, Phase::Serving | Phase::Leaving)
    }

    pub(super) fn set_phase(&mut self, now: Instant, phase: Phase) {
        if self.phase != phase {
            self.phase = phase;
            self.phase_since = now;
        }
    }

    /// Where this node is in its life, given what it knows.
    pub(super) fn next_phase(&mut self, now: Instant) -> Phase {
        if !self.answers() {
            if !self.informed || self.membership.keys_mut().is_empty() {
                return Phase::Listening;
            }
            let timing = self.timing;
            let hold_off = *self
                .hold_off
                .get_or_insert_with(|| HoldOff::new(now, timing));
            let complete = match &self.awaited {
                Some(names) => names.iter().all(|name| {
                    self.membership
                        .peer(name)
                        .is_some_and(|peer| peer.is_alive() && peer.hears_us())
                }),
                // Somebody of whom the API does not tell answers a greeting, and nobody knows who that may be.
                None => now >= hold_off.greeted && self.membership.is_complete(),
            };
            let mut alive = self.membership.peers().filter(|(_, peer)| peer.is_alive());
            let waited_for = alive.any(|(_, peer)| peer.state().phase == Phase::Listening);
            if now < hold_off.until && !complete {
                // Somebody more may have turned up. Others count on who is acquainted.
                return self.phase;
            }
            if now < hold_off.until && waited_for {
                return Phase::Acquainted;
            }
            self.hold_off = None;
            self.awaited = None;
        }
        if self.draining.is_some() || !self.welcome {
            Phase::Leaving
        } else {
            Phase::Serving
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeMap,
        net::{IpAddr, Ipv4Addr},
        sync::Arc,
        time::Duration,
    };

    use super::*;
    use crate::core::{
        ownership::{Directory, NodeSet, Reach, Wanted},
        peers::{
            membership::Membership,
            state::{Claim, Fitness, NodeState},
        },
        samples::start,
        segment::{Interface, InterfaceFilter},
        speaker::{Action, Timing},
    };

    const TIMING: Timing = Timing {
        heartbeat: Duration::from_millis(200),
        patience: Duration::from_millis(800),
        refresh: Duration::from_secs(60),
    };

    /// What every node has: loopback, and a cable.
    fn interfaces(cable_is_in: bool) -> Vec<Interface> {
        let interface = |index, name: &str, up, network: [u8; 4], prefix| Interface {
            index,
            name: name.to_owned(),
            mac: [u8::from(index > 1); 6],
            up,
            networks: vec![(IpAddr::from(network), prefix)],
        };
        vec![
            interface(1, "lo", true, [127, 0, 0, 0], 8),
            interface(2, "eth0", cable_is_in, [10, 0, 0, 0], 24),
        ]
    }

    /// A node that starts beside another one, which is silent.
    fn starting(now: Instant) -> Speaker {
        let mut speaker = Speaker::new(now, "a", 1, TIMING, 1);
        speaker.handle_keys(now, &BTreeMap::from([("k".to_owned(), vec![1; 32])]));
        speaker.handle_links(now, interfaces(true));
        let reach = Reach {
            nodes: NodeSet::All,
            interfaces: InterfaceFilter::default(),
        };
        let wanted = Wanted {
            reaches: Arc::new([reach]),
            endpoints: None,
        };
        let directory = Directory {
            addresses: BTreeMap::from([(IpAddr::from([10, 0, 0, 9]), wanted)]),
            nodes: ["a", "b"].map(str::to_owned).into(),
        };
        let listed = BTreeMap::from([("b".to_owned(), IpAddr::from([10, 0, 0, 2]))]);
        speaker.handle_directory(now, Arc::new(directory), &listed, true);
        speaker
    }

    /// Another speaker, of which nothing but its phase is said.
    struct Other {
        place: IpAddr,
        membership: Membership,
    }

    impl Other {
        fn new(name: &str, last: u8, phase: Phase) -> Self {
            let mut membership = Membership::new(name, 5, TIMING.patience);
            let keys = BTreeMap::from([("k".to_owned(), vec![1; 32])]);
            membership.keys_mut().replace(start(), &keys);
            membership.set_addresses(&BTreeMap::from([("a".to_owned(), HERE)]));
            let state = NodeState {
                phase,
                ..NodeState::default()
            };
            membership.set_state(start(), &state);
            Self {
                place: IpAddr::from([10, 0, 0, last]),
                membership,
            }
        }

        /// They speak until they know each other.
        fn meet(&mut self, now: Instant, speaker: &mut Speaker) {
            for _ in 0..4 {
                while let Some(transmit) = self.membership.poll_transmit() {
                    let _ = speaker.handle_datagram(now, self.place, &transmit.bytes);
                }
                while let Some(action) = speaker.poll_action() {
                    if let Action::Transmit(transmit) = action
                        && transmit.receiver == self.membership.name()
                    {
                        let _ = self.membership.handle_datagram(now, HERE, &transmit.bytes);
                    }
                }
                self.membership.beat(now);
            }
        }
    }

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));

    #[test]
    fn who_is_acquainted_stays_so_when_somebody_unlisted_turns_up() {
        let begun = start();
        let mut speaker = starting(begun);
        let greeted = begun + TIMING.greeting();
        speaker.handle_timeout(begun + TIMING.heartbeat);
        speaker.handle_timeout(greeted);
        Other::new("b", 2, Phase::Listening).meet(greeted, &mut speaker);
        assert_eq!(speaker.phase().0, Phase::Acquainted);
        let mut stranger = Other::new("c", 3, Phase::Listening);
        let first = stranger.membership.poll_transmit().unwrap().bytes;
        let _ = speaker.handle_datagram(greeted, stranger.place, &first);
        speaker.handle_links(greeted, Vec::new());
        assert_eq!(speaker.phase().0, Phase::Acquainted);
        for beat in 1..=5 {
            speaker.handle_timeout(greeted + TIMING.heartbeat * beat);
        }
        assert_eq!(speaker.phase().0, Phase::Serving);
    }

    /// Somebody unlisted may have what looks unowned.
    #[test]
    fn who_hears_everybody_that_is_listed_waits_for_answers_to_its_greeting() {
        let begun = start();
        let mut speaker = starting(begun);
        Other::new("b", 2, Phase::Serving).meet(begun, &mut speaker);
        let greeted = begun + TIMING.greeting();
        let mut now = begun;
        while now < greeted {
            assert_eq!(speaker.phase().0, Phase::Listening, "{:?}", now - begun);
            now = speaker.poll_timeout().unwrap();
            assert!(now <= greeted);
            speaker.handle_timeout(now);
        }
        assert_eq!(speaker.phase().0, Phase::Serving);
    }

    /// How often it announces what it has until `end`.
    fn announcements(speaker: &mut Speaker, end: Instant) -> usize {
        let mut count = 0;
        while let Some(at) = speaker.poll_timeout().filter(|at| *at <= end) {
            speaker.handle_timeout(at);
            while let Some(action) = speaker.poll_action() {
                count += usize::from(matches!(action, Action::Announce(_)));
            }
        }
        count
    }

    /// Whoever leaves has asked another to take what it has: it must not call the neighbours back.
    #[test]
    fn who_serves_objects_and_who_leaves_does_not() {
        for leaves in [false, true] {
            let begun = start();
            let mut speaker = starting(begun);
            let settled = begun + Duration::from_secs(10);
            assert!(announcements(&mut speaker, settled) > 0);
            if leaves {
                let listed = BTreeMap::from([("b".to_owned(), IpAddr::from([10, 0, 0, 2]))]);
                speaker.handle_directory(settled, speaker.directory.clone(), &listed, false);
            }
            assert_eq!(speaker.holdings().count(), 1);
            announcements(&mut speaker, settled + Duration::from_secs(5));
            let now = settled + Duration::from_secs(5);
            speaker.handle_peer_answer(now, "b", IpAddr::from([10, 0, 0, 9]));
            let answers = announcements(&mut speaker, now + Duration::from_secs(5));
            assert_eq!(answers > 0, !leaves, "leaves: {leaves}");
        }
    }

    /// Its announcement may have been heard where no heartbeat arrived.
    #[test]
    fn a_claim_given_up_at_once_is_told_for_the_patience() {
        let address = IpAddr::from([10, 0, 0, 9]);
        for (young, told) in [(true, true), (false, false)] {
            let begun = start();
            let mut speaker = starting(begun);
            let wanted = speaker.directory.clone();
            let listed = BTreeMap::from([("b".to_owned(), IpAddr::from([10, 0, 0, 2]))]);
            let mut now = begun;
            while speaker.holdings().next().is_none() {
                now = speaker.poll_timeout().unwrap();
                speaker.handle_timeout(now);
            }
            if !young {
                now += TIMING.patience;
                announcements(&mut speaker, now);
            }
            let nothing = Arc::new(Directory {
                addresses: BTreeMap::new(),
                nodes: wanted.nodes.clone(),
            });
            speaker.handle_directory(now, nothing, &listed, true);
            assert_eq!(speaker.serves(address), None);
            let ended = speaker.state().claims.get(&address).copied();
            let unfit = Claim {
                term: 1,
                fitness: Fitness::Unfit,
            };
            assert_eq!(ended, told.then_some(unfit));
            // It is known to others: who has it next outranks it.
            let mut again = speaker.clone();
            again.handle_directory(now, wanted, &listed, true);
            assert_eq!(again.holdings[&address].term, if told { 2 } else { 1 });
            announcements(&mut speaker, now + TIMING.patience);
            assert_eq!(speaker.state().claims, BTreeMap::new());
        }
    }

    /// They hear each other's announcements and not each other's heartbeats: nobody gives in.
    #[test]
    fn a_speaker_that_insists_and_is_not_heard_is_an_alarm() {
        for heard in [false, true] {
            let begun = start();
            let address = IpAddr::from([10, 0, 0, 9]);
            let mut speaker = starting(begun);
            let mut now = begun + Duration::from_secs(10);
            announcements(&mut speaker, now);
            let mut other = Other::new("b", 2, Phase::Listening);
            let mut alarms = Vec::new();
            for _ in 0..3 {
                if heard {
                    other.meet(now, &mut speaker);
                }
                alarms.push(speaker.handle_peer_answer(now, "b", address));
                now += Duration::from_secs(11);
                assert!(announcements(&mut speaker, now) > 0, "it is answered");
            }
            assert_eq!(alarms, [false, !heard, !heard], "heard: {heard}");
        }
    }

    /// What looks unowned to it has been taken over meanwhile.
    #[test]
    fn who_is_plugged_in_again_and_heard_nobody_listens_first() {
        for heard in [false, true] {
            let begun = start();
            let mut speaker = starting(begun);
            let mut now = begun + Duration::from_secs(10);
            announcements(&mut speaker, now);
            assert_eq!(speaker.phase().0, Phase::Serving);
            speaker.handle_links(now, interfaces(false));
            now += Duration::from_secs(1);
            announcements(&mut speaker, now);
            if heard {
                // By another way.
                Other::new("b", 2, Phase::Serving).meet(now, &mut speaker);
            }
            speaker.handle_links(now, interfaces(true));
            let phase = if heard {
                Phase::Serving
            } else {
                Phase::Listening
            };
            assert_eq!(speaker.phase().0, phase, "heard: {heard}");
        }
    }

    #[test]
    fn who_sleeps_through_the_time_to_listen_listens_when_it_wakes() {
        let begun = start();
        let mut speaker = starting(begun);
        let woken = begun + TIMING.hold_off() * 2;
        speaker.handle_timeout(woken);
        assert_eq!(speaker.phase().0, Phase::Listening);
        assert_eq!(speaker.holdings().count(), 0);
        let mut now = woken;
        while now < woken + TIMING.hold_off() {
            assert_eq!(speaker.phase().0, Phase::Listening, "{:?}", now - woken);
            now += TIMING.heartbeat;
            speaker.handle_timeout(now);
        }
        assert_eq!(speaker.phase().0, Phase::Serving);
        assert_eq!(speaker.holdings().count(), 1);
    }
}
