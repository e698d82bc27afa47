//! One node: a speaker with a clock of its own, a cable, and flaws.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Flaw,
    forgery::{keys, secrets, with_old_acknowledgement, without_terms},
};
use crate::core::{
    ownership::Directory,
    peers::{datagram::Datagram, state::Fitness},
    segment::Interface,
    speaker::{Action, Speaker, Timing, Why},
};

/// What a node does to the world.
#[derive(Debug, Clone)]
pub(super) enum Effect {
    /// A heartbeat to a node, by name.
    Heartbeat { to: String, bytes: Vec<u8> },
    /// A greeting to everybody on the segment.
    Greeting(Vec<u8>),
    /// The neighbours are told that an address is here.
    Announced(IpAddr),
    /// An address came here.
    Took,
    /// For a story that is told in full.
    Said(String),
}

/// The pace of a clock that goes right.
pub(super) const PACE: u128 = 1000;

/// A node, running or not.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) speaker: Option<Speaker>,
    /// The cable to the segment.
    pub(super) linked: bool,
    /// Does not run until then.
    pub(super) paused_until: Option<Duration>,
    /// What the API said to it last.
    pub(super) directory: Directory,
    /// Where the others listen, said the API.
    pub(super) listed: BTreeMap<String, IpAddr>,
    pub(super) welcome: bool,
    pub(super) draining: bool,
    /// When it started.
    pub(super) born: Duration,
    /// When it started, or ran again after a pause.
    pub(super) awake_since: Duration,
    /// Whom it heard when it was stopped last.
    pub(super) heard_before_pause: BTreeSet<String>,
    /// When it was stopped last, in this life.
    pub(super) paused_since: Option<Duration>,
    /// It says what it does.
    pub(super) talkative: bool,
    start: Instant,
    /// Its clock: how fast it goes ([`PACE`] is right), and what it was ahead at the start.
    pace: u128,
    ahead: Duration,
    /// When it wants to run next, as long as nothing was handed to it: nothing is asked as often.
    wanted: Option<Duration>,
    /// Time it slept through without noticing (flaw).
    unnoticed: Duration,
    starts: u64,
    taken: BTreeMap<IpAddr, Duration>,
    /// What each other node knows of its own state, and in which life it was heard last (flaws).
    acknowledged: BTreeMap<String, u64>,
    lives: BTreeMap<String, u64>,
    flaw: Option<Flaw>,
    timing: Timing,
}

impl Node {
    pub(super) fn new(
        name: String,
        start: Instant,
        timing: Timing,
        pace: u128,
        ahead: Duration,
        flaw: Option<Flaw>,
    ) -> Self {
        Self {
            name,
            speaker: None,
            linked: true,
            paused_until: None,
            directory: Directory::default(),
            listed: BTreeMap::new(),
            welcome: true,
            draining: false,
            born: Duration::ZERO,
            awake_since: Duration::ZERO,
            heard_before_pause: BTreeSet::new(),
            paused_since: None,
            talkative: false,
            start,
            pace,
            ahead,
            wanted: None,
            unnoticed: Duration::ZERO,
            starts: 0,
            taken: BTreeMap::new(),
            acknowledged: BTreeMap::new(),
            lives: BTreeMap::new(),
            flaw,
            timing,
        }
    }

    /// Its own clock at the world's time `at`.
    fn clock(&self, at: Duration) -> Instant {
        let at = at.saturating_sub(self.unnoticed);
        let own = at.as_nanos() * self.pace / PACE;
        self.start + self.ahead + Duration::from_nanos(u64::try_from(own).unwrap_or(u64::MAX))
    }

    /// The world's time at which its clock shows `instant`.
    fn world_time(&self, instant: Instant) -> Duration {
        let own = instant.saturating_duration_since(self.start + self.ahead);
        // Rounded up: waking too early would spin.
        let at = (own.as_nanos() * PACE).div_ceil(self.pace);
        Duration::from_nanos(u64::try_from(at).unwrap_or(u64::MAX)) + self.unnoticed
    }

    /// Starts the speaker; `incarnation` is what its wall clock shows.
    pub(super) fn boot(&mut self, at: Duration, incarnation: u64) {
        self.starts += 1;
        self.draining = false;
        self.born = at;
        self.awake_since = at;
        self.paused_since = None;
        let early = self.flaw == Some(Flaw::NoHoldOff);
        let wait = if early {
            self.timing.hold_off()
        } else {
            Duration::ZERO
        };
        let begun = at.saturating_sub(wait);
        let now = self.clock(begun);
        let mut speaker = Speaker::new(
            now,
            self.name.clone(),
            incarnation,
            self.timing,
            incarnation ^ self.starts,
        );
        speaker.handle_keys(now, &secrets());
        self.speaker = Some(speaker);
        self.replug(begun);
        if early {
            // It sat out the time to listen where nobody was.
            let listed = std::mem::take(&mut self.listed);
            let mut waited = begun;
            while waited < at {
                self.inform(waited);
                waited += self.timing.heartbeat;
                self.tick(waited.min(at));
            }
            self.listed = listed;
        }
        self.inform(at);
    }

    pub(super) fn crash(&mut self) {
        self.speaker = None;
        self.wanted = None;
        self.taken.clear();
    }

    /// Hands the speaker what the API said last.
    pub(super) fn inform(&mut self, at: Duration) {
        let now = self.clock(at);
        self.wanted = None;
        if let Some(speaker) = &mut self.speaker {
            let directory = Arc::new(self.directory.clone());
            let welcome = self.welcome && directory.nodes.contains(&self.name);
            speaker.handle_directory(now, directory, &self.listed, welcome);
        }
    }

    /// Hands the speaker the state of its link.
    pub(super) fn replug(&mut self, at: Duration) {
        let now = self.clock(at);
        let up = self.linked || self.flaw == Some(Flaw::NoLinkCheck);
        let eth0 = Interface {
            index: 1,
            name: "eth0".to_owned(),
            mac: [2; 6],
            up,
            networks: vec![(IpAddr::from([10, 0, 0, 0]), 16)],
        };
        // It needs no cable.
        let lo = Interface {
            index: 2,
            name: "lo".to_owned(),
            mac: [0; 6],
            up: true,
            networks: vec![(IpAddr::from([127, 0, 0, 0]), 8)],
        };
        self.wanted = None;
        if let Some(speaker) = &mut self.speaker {
            speaker.handle_links(now, vec![eth0, lo]);
        }
    }

    pub(super) fn drain(&mut self, at: Duration) {
        let now = self.clock(at);
        self.draining = true;
        let patience = match self.flaw {
            Some(Flaw::NoOverlap) => Duration::ZERO,
            _ => Duration::from_secs(3),
        };
        self.wanted = None;
        if let Some(speaker) = &mut self.speaker {
            speaker.handle_drain(now, now + patience);
        }
    }

    pub(super) fn hear(&mut self, at: Duration, source: IpAddr, bytes: &[u8]) {
        let now = self.clock(at);
        if self.flaw == Some(Flaw::NoContinuity) && self.is_of_a_strange_life(now, bytes) {
            return;
        }
        let bytes = match self.flaw {
            Some(Flaw::NoTerms) => without_terms(now, bytes, &self.name),
            _ => bytes.to_vec(),
        };
        self.wanted = None;
        if let Some(speaker) = &mut self.speaker {
            // What is refused changes nothing; the checks look at what is left.
            let _ = speaker.handle_datagram(now, source, &bytes);
        }
    }

    /// The node `peer` tells the neighbours that it has `address`.
    pub(super) fn overhear(&mut self, at: Duration, peer: &str, address: IpAddr) {
        let now = self.clock(at);
        self.wanted = None;
        if let Some(speaker) = &mut self.speaker
            && self.flaw != Some(Flaw::NoObjection)
        {
            speaker.handle_peer_answer(now, peer, address);
        }
    }

    /// Whether the sender is in a life that was not heard before, and does not hear this node.
    fn is_of_a_strange_life(&mut self, now: Instant, bytes: &[u8]) -> bool {
        let Ok(datagram) = Datagram::open(&keys(now), now, bytes, &self.name) else {
            return false;
        };
        let life = self.lives.entry(datagram.sender).or_default();
        let strange = datagram.incarnation > *life && datagram.echo == 0;
        if !strange {
            *life = datagram.incarnation;
        }
        strange
    }

    pub(super) fn tick(&mut self, at: Duration) {
        let now = self.clock(at);
        self.wanted = None;
        if let Some(speaker) = &mut self.speaker {
            speaker.handle_timeout(now);
        }
    }

    /// Stops running until `until`.
    pub(super) fn pause(&mut self, at: Duration, until: Duration) {
        self.paused_since = Some(at);
        self.paused_until = Some(until);
        let peers = self.speaker.iter().flat_map(|one| one.membership().peers());
        let heard = peers.filter(|(_, peer)| peer.is_alive());
        self.heard_before_pause = heard.map(|(name, _)| name.to_owned()).collect();
        if self.flaw == Some(Flaw::NoFreezeCheck) {
            self.unnoticed += until.saturating_sub(at);
            self.wanted = None;
        }
    }

    /// When it wants to run next.
    pub(super) fn next_tick(&mut self) -> Option<Duration> {
        let wanted = match self.wanted {
            Some(known) => known,
            None => self.world_time(self.speaker.as_ref()?.poll_timeout()?),
        };
        self.wanted = Some(wanted);
        Some(self.paused_until.map_or(wanted, |until| wanted.max(until)))
    }

    /// What it did since it was last asked.
    pub(super) fn effects(&mut self, at: Duration) -> VecDeque<Effect> {
        let mut effects = VecDeque::new();
        let mut drained = false;
        let clock = self.clock(at);
        let Some(speaker) = &mut self.speaker else {
            return effects;
        };
        while let Some(action) = speaker.poll_action() {
            if self.talkative && !matches!(action, Action::Transmit(_) | Action::Greet(_)) {
                effects.push_back(Effect::Said(format!("{} {action:?}", self.name)));
            }
            match action {
                Action::Transmit(transmit) => {
                    let listed = self.listed.contains_key(&transmit.receiver);
                    if listed || self.flaw != Some(Flaw::NoAcquaintance) {
                        let (to, mut bytes) = (transmit.receiver, transmit.bytes);
                        if self.flaw == Some(Flaw::NoForgetting) {
                            let last = &mut self.acknowledged;
                            bytes = with_old_acknowledgement(clock, bytes, &to, last);
                        }
                        effects.push_back(Effect::Heartbeat { to, bytes });
                    }
                }
                Action::Greet(greeting) => {
                    if self.flaw != Some(Flaw::NoGreeting) {
                        effects.push_back(Effect::Greeting(greeting.bytes));
                    }
                }
                Action::Announce(due) => {
                    let fresh = self.taken.get(&due.address).is_some_and(|taken| {
                        at.saturating_sub(*taken) < Duration::from_millis(2500)
                    });
                    if self.flaw != Some(Flaw::NoLastWord) || fresh {
                        effects.push_back(Effect::Announced(due.address));
                    }
                }
                Action::Took(address, why) => {
                    // A hand-over is announced again only after the last word of the one before.
                    let quiet =
                        self.flaw == Some(Flaw::NoLastWord) && matches!(why, Why::HandedOver(_));
                    self.taken
                        .insert(address, if quiet { Duration::ZERO } else { at });
                    effects.push_back(Effect::Took);
                }
                Action::Released(address, _) => {
                    self.taken.remove(&address);
                }
                Action::Drained => drained = true,
            }
        }
        if drained {
            self.crash();
        }
        effects
    }

    /// When it last heard a proven word of another.
    pub(super) fn last_heard(&self, other: &str) -> Option<Duration> {
        let peers = self.speaker.as_ref()?.membership();
        peers
            .peer(other)?
            .last_heard()
            .map(|at| self.world_time(at))
    }

    /// Whether neighbours would get an answer from it.
    pub(super) fn answers(&self, address: IpAddr) -> bool {
        self.linked
            && self.paused_until.is_none()
            && self.speaker.as_ref().is_some_and(|speaker| {
                speaker
                    .serves(address)
                    .is_some_and(|interfaces| !interfaces.is_empty())
            })
    }

    /// Addresses it has until something happens to it: it serves them as well as anybody could.
    pub(super) fn keeps(&self) -> Vec<IpAddr> {
        let holdings = self.speaker.iter().flat_map(Speaker::holdings);
        holdings
            .filter(|(_, holding)| holding.fitness == Fitness::Fit)
            .map(|(address, _)| address)
            .collect()
    }

    pub(super) fn holds(&self) -> Vec<IpAddr> {
        self.speaker
            .iter()
            .flat_map(|speaker| speaker.holdings().map(|(address, _)| address))
            .collect()
    }
}
