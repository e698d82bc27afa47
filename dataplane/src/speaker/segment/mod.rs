//! The thread on the segment: sockets and clock around [`Speaker`] and the responder.

mod clerk;
mod frames;
mod inheritance;
mod interfaces;
mod packet_filter;
mod passing;
mod socket;
mod telling;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::{IpAddr, SocketAddr, UdpSocket},
    sync::Arc,
    time::{Duration, Instant},
};

use daemon::recorder::Recorder;
use l2::linux::{
    clock, link::Links, netlink::Notifications, poller::Poller, source_ranges::Admitted,
};

use self::{
    clerk::{Clerk, Engaged},
    frames::limited_segments,
    passing::Passing,
    socket::{listen, mapped, on_link},
};
use super::{
    Settings,
    bulletin::Bulletin,
    ears::Ears,
    slot::{Order, Standing},
};
use crate::core::{
    announcements::Due,
    atlas::Access,
    conflict::Conflicts,
    echo::EchoBudget,
    peers::{datagram::MAX_LEN, state::Phase},
    speaker::{Action, Speaker, Why},
};

const HEARTBEATS: u32 = 0;
const ORDERS: u32 = 1;
const LINKS: u32 = 2;
/// Tokens of the ears of the first interface; each further one has its own hundred.
const EARS: u32 = 100;
/// How long an announcement waits for the packet filter at most: who stands still for longer is soon taken for dead.
const FILTER_PATIENCE: Duration = Duration::from_millis(50);
/// Frames or datagrams taken from one socket before the others have their turn.
const BURST: usize = 64;

pub(super) struct Segment {
    speaker: Speaker,
    started: Instant,
    started_at: Duration,
    started_wall: jiff::Timestamp,
    /// `None`: the packet filter is not to be changed. Ends before `heartbeats`, as it began after it.
    clerk: Option<Clerk>,
    heartbeats: UdpSocket,
    port: u16,
    standing: Standing,
    notifications: Notifications,
    links: Links,
    poller: Poller,
    /// By index of the interface.
    ears: BTreeMap<u32, (u32, Ears)>,
    next_token: u32,
    healthy: BTreeMap<IpAddr, Access>,
    admitted: Arc<Admitted>,
    /// Interfaces on which that is looked at.
    limited_segments: BTreeSet<u32>,
    echo: EchoBudget,
    conflicts: Conflicts,
    passing: Passing,
    /// How long an announcement waits for the packet filter.
    filter_patience: Duration,
    bulletin: Bulletin,
    recorder: Recorder,
    drained: bool,
    /// Other speakers that are heard.
    alive: usize,
    /// Where the speaker was in its life when that was told last, and since when.
    phase: (Phase, Instant),
    /// The ears, the report or both may not fit any more what the speaker has.
    stale: bool,
    /// When the ears, of which some could not be opened or attuned, are tried again.
    refit_at: Option<Instant>,
}

impl Segment {
    pub(super) fn open(
        settings: &Settings,
        incarnation: u64,
        standing: Standing,
        bulletin: Bulletin,
        recorder: Recorder,
    ) -> io::Result<Self> {
        let (started, started_at) = (monotonic(), clock::boottime());
        let notifications = Notifications::open()?;
        let heartbeats = listen(settings.port)?;
        let poller = Poller::new()?;
        poller.add(&heartbeats, HEARTBEATS)?;
        poller.add(&standing, ORDERS)?;
        poller.add(&notifications, LINKS)?;
        let speaker = Speaker::new(
            started,
            settings.node.clone(),
            incarnation,
            settings.timing,
            incarnation,
        );
        let phase = speaker.phase();
        // After `listen`: a second speaker on this node ends there, before it touches the tables of the first one.
        let Engaged { clerk, passing_on } = Clerk::engage();
        let (grace, found) =
            passing_on.map_or_else(Default::default, |found| (settings.hand_over_grace, found));
        bulletin.tell_grace(grace);
        Ok(Self {
            speaker,
            started,
            started_at,
            started_wall: jiff::Timestamp::now(),
            clerk,
            heartbeats,
            port: settings.port,
            standing,
            notifications,
            links: Links::read()?,
            poller,
            ears: BTreeMap::new(),
            next_token: EARS,
            healthy: BTreeMap::new(),
            admitted: Arc::default(),
            limited_segments: BTreeSet::new(),
            echo: EchoBudget::default(),
            conflicts: Conflicts::default(),
            passing: Passing::new(started, grace, found),
            filter_patience: FILTER_PATIENCE.min(settings.timing.freeze() / 4),
            bulletin,
            recorder,
            drained: false,
            alive: 0,
            phase,
            stale: true,
            refit_at: None,
        })
    }

    /// Now, time asleep included: a machine that was suspended notices.
    fn now(&self) -> Instant {
        self.started + clock::boottime().saturating_sub(self.started_at)
    }

    /// Works until everything is handed over.
    pub(super) fn run(mut self) -> io::Result<()> {
        self.tell_links();
        let mut ready = Vec::new();
        while !self.drained {
            let deadline = [
                self.speaker.poll_timeout(),
                self.conflicts.poll_timeout(),
                self.passing.due(),
                self.refit_at,
            ];
            let deadline = deadline.into_iter().flatten().min();
            let deadline =
                deadline.map(|at| self.started_at + at.saturating_duration_since(self.started));
            self.poller.wait(deadline, &mut ready)?;
            for &token in &ready {
                match token {
                    HEARTBEATS => self.hear_heartbeats(),
                    ORDERS => {
                        let order = self.standing.take();
                        self.follow(order);
                    }
                    LINKS => self.look_at_links()?,
                    token => self.hear_frames(token),
                }
            }
            let now = self.now();
            self.speaker.handle_timeout(now);
            self.passing.tidy(now);
            let alive = self
                .speaker
                .membership()
                .peers()
                .filter(|(_, peer)| peer.is_alive())
                .count();
            self.stale |= std::mem::replace(&mut self.alive, alive) != alive;
            let phase = self.speaker.phase();
            self.stale |= std::mem::replace(&mut self.phase, phase) != phase;
            self.stale |= !self.conflicts.handle_timeout(now).is_empty();
            self.stale |= self.refit_at.is_some_and(|at| at <= now);
            self.act();
            if std::mem::take(&mut self.stale) {
                self.tell_bulletin();
            }
        }
        Ok(())
    }

    fn follow(&mut self, order: Order) {
        let now = self.now();
        if let Some(keys) = order.keys {
            for name in self.speaker.handle_keys(now, &keys) {
                tracing::warn!(
                    key = name,
                    "a key of the heartbeats is too short, and not used"
                );
            }
        }
        if let Some(brief) = order.brief {
            self.healthy = brief.healthy;
            self.admitted = brief.admitted;
            self.speaker
                .handle_directory(now, brief.directory, &brief.speakers, brief.welcome);
            self.limited_segments = limited_segments(&self.speaker, &self.admitted);
            self.stale = true;
        }
        if let Some(within) = order.drain {
            self.speaker.handle_drain(now, now + within);
        }
    }

    fn hear_heartbeats(&mut self) {
        let mut buffer = [0; MAX_LEN + 1];
        for _ in 0..BURST {
            // What cannot be received is lost; heartbeats come again.
            let Ok((length, from)) = self.heartbeats.recv_from(&mut buffer) else {
                return;
            };
            let now = self.now();
            let bytes = buffer.get(..length).unwrap_or_default();
            let source = from.ip().to_canonical();
            if let Err(rejection) = self.speaker.handle_datagram(now, source, bytes) {
                self.bulletin.count_rejection(rejection.kind());
                tracing::debug!(%from, %rejection, "a heartbeat is not taken");
            }
        }
    }

    fn look_at_links(&mut self) -> io::Result<()> {
        let mut changed = false;
        match self.notifications.receive()? {
            Some(messages) => {
                for message in &messages {
                    changed |= self.links.apply(message).is_some();
                }
            }
            None => {
                self.links = Links::read()?;
                changed = true;
            }
        }
        if changed {
            self.tell_links();
        }
        Ok(())
    }

    fn tell_links(&mut self) {
        let interfaces = self
            .links
            .iter()
            .filter_map(interfaces::interface)
            .collect();
        let now = self.now();
        self.speaker.handle_links(now, interfaces);
        self.limited_segments = limited_segments(&self.speaker, &self.admitted);
        self.stale = true;
    }

    /// Does what the speaker says, and makes the ears fit.
    fn act(&mut self) {
        let mut moved = false;
        let mut announcements: Vec<Due> = Vec::new();
        let mut handed_over: BTreeMap<String, Vec<IpAddr>> = BTreeMap::new();
        let mut released = BTreeSet::new();
        while let Some(action) = self.speaker.poll_action() {
            match action {
                Action::Transmit(transmit) => {
                    let to = SocketAddr::new(transmit.address, self.port);
                    // A heartbeat that cannot be sent is lost like any other.
                    let _ = self
                        .heartbeats
                        .send_to(&transmit.bytes, mapped(&self.heartbeats, to));
                }
                Action::Greet(greeting) => {
                    for (index, everybody) in greeting.to {
                        let to = on_link(index, SocketAddr::new(everybody, self.port));
                        // As lost as any other.
                        let _ = self
                            .heartbeats
                            .send_to(&greeting.bytes, mapped(&self.heartbeats, to));
                    }
                }
                Action::Announce(due) => announcements.push(due),
                Action::Took(address, why) => {
                    tracing::info!(%address, %why, "answers for an address from now on");
                    self.record(&format!("took {address}: {why}"));
                    moved = true;
                    if let Why::HandedOver(from) = why {
                        handed_over.entry(from).or_default().push(address);
                    }
                }
                Action::Released(address, why) => {
                    tracing::info!(%address, %why, "does not answer for an address any more");
                    self.record(&format!("released {address}: {why}"));
                    self.conflicts.forget(address);
                    self.echo.forget(address);
                    released.insert(address);
                    moved = true;
                }
                Action::Drained => self.drained = true,
            }
        }
        if moved || self.stale {
            self.stale = true;
            self.fit_ears();
        }
        self.passing.end(self.now(), &released);
        for (from, addresses) in handed_over {
            self.pass_on(&from, addresses);
        }
        // Before anybody is told to send here, and the guard with it.
        let changes = self.passing.poll_changes();
        if let Some(clerk) = &mut self.clerk {
            clerk.carry_out(changes, self.filter_patience);
        }
        for due in announcements {
            let interfaces = self
                .speaker
                .serves(due.address)
                .unwrap_or_default()
                .to_vec();
            for index in interfaces {
                self.announce_on(index, due.address);
                self.bulletin.count_announcement();
            }
        }
    }

    fn record(&self, what: &str) {
        self.recorder
            .record(clock::boottime().saturating_sub(self.started_at), &what);
    }
}

#[expect(clippy::disallowed_methods, reason = "the driver reads the clock")]
fn monotonic() -> Instant {
    Instant::now()
}
