//! The thread on the segment: sockets and clock around [`Speaker`] and the responder.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

use daemon::recorder::Recorder;
use l2::{
    linux::{clock, link::Links, netlink::Notifications, poller::Poller},
    wire::MacAddr,
};

use super::{
    Settings,
    briefing::Access,
    bulletin::Bulletin,
    ears::Ears,
    slot::{Order, Standing},
};
use crate::{
    core::{
        announcements::Due,
        conflict::Conflicts,
        echo::EchoBudget,
        peers::datagram::MAX_LEN,
        responder::{self, Addresses, Answered, Verdict},
        segment::{Interface, network_of},
        speaker::{Action, Speaker},
    },
    k8s::crd::{SpeakerAddress, SpeakerInterface, SpeakerStatus},
};

const HEARTBEATS: u32 = 0;
const ORDERS: u32 = 1;
const LINKS: u32 = 2;
/// Tokens of the ears of the first interface; each further one has its own hundred.
const EARS: u32 = 100;
/// Frames or datagrams taken from one socket before the others have their turn.
const BURST: usize = 64;

pub(super) struct Segment {
    speaker: Speaker,
    started: Instant,
    started_at: Duration,
    started_wall: jiff::Timestamp,
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
    echo: EchoBudget,
    conflicts: Conflicts,
    bulletin: Bulletin,
    recorder: Recorder,
    drained: bool,
    /// Other speakers that are heard.
    alive: usize,
    /// The ears, the report or both may not fit any more what the speaker has.
    stale: bool,
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
        Ok(Self {
            speaker,
            started,
            started_at,
            started_wall: jiff::Timestamp::now(),
            heartbeats,
            port: settings.port,
            standing,
            notifications,
            links: Links::read()?,
            poller,
            ears: BTreeMap::new(),
            next_token: EARS,
            healthy: BTreeMap::new(),
            echo: EchoBudget::default(),
            conflicts: Conflicts::default(),
            bulletin,
            recorder,
            drained: false,
            alive: 0,
            stale: true,
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
            let deadline = [self.speaker.poll_timeout(), self.conflicts.poll_timeout()];
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
            let alive = self
                .speaker
                .membership()
                .peers()
                .filter(|(_, peer)| peer.is_alive())
                .count();
            self.stale |= std::mem::replace(&mut self.alive, alive) != alive;
            self.stale |= !self.conflicts.handle_timeout(now).is_empty();
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
            self.speaker
                .handle_directory(now, brief.directory, &brief.speakers, brief.welcome);
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
            let before = self.speaker.phase();
            let source = from.ip().to_canonical();
            if let Err(rejection) = self.speaker.handle_datagram(now, source, bytes) {
                self.bulletin.count_rejection(rejection.kind());
                tracing::debug!(%from, %rejection, "a heartbeat is not taken");
            }
            self.stale |= before != self.speaker.phase();
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
        let interfaces: Vec<Interface> = self
            .links
            .iter()
            .filter_map(|link| {
                let networks = link
                    .addresses
                    .iter()
                    .filter(|found| !found.finite || found.prefix_len < 32);
                let networks =
                    networks.filter_map(|found| network_of(found.held.address, found.prefix_len));
                let networks: BTreeSet<_> = networks.collect();
                Some(Interface {
                    index: link.index,
                    name: link.name.clone(),
                    mac: link.mac?.octets(),
                    up: link.up,
                    networks: networks.into_iter().collect(),
                })
            })
            .collect();
        let now = self.now();
        self.speaker.handle_links(now, interfaces);
        self.stale = true;
    }

    fn hear_frames(&mut self, token: u32) {
        let found = self.ears.iter_mut().find_map(|(index, (first, ears))| {
            let place = token
                .checked_sub(*first)
                .filter(|place| *place < ears.count())?;
            Some((*index, usize::try_from(place).ok()?, ears))
        });
        let Some((index, place, ears)) = found else {
            return;
        };
        let mac = ears.mac;
        let mut verdicts = Vec::new();
        let now = self.started + clock::boottime().saturating_sub(self.started_at);
        for _ in 0..BURST {
            let frame = match ears.receive(place) {
                Ok(Some(frame)) => frame.to_vec(),
                // The interface went down: its end is seen by netlink.
                Ok(None) | Err(_) => break,
            };
            let addresses = Held {
                speaker: &self.speaker,
                index,
                healthy: &self.healthy,
            };
            // What is no whole message is of no interest.
            if let Ok(verdict) = responder::respond(now, &frame, mac, &addresses, &mut self.echo) {
                verdicts.push(verdict);
            }
        }
        for verdict in verdicts {
            self.carry_out(index, verdict);
        }
    }

    fn carry_out(&mut self, index: u32, verdict: Verdict) {
        match verdict {
            Verdict::Answer(frame, answered) => {
                self.bulletin.count_answer(match answered {
                    Answered::Resolution(_) => "resolution",
                    Answered::Echo(_) => "echo",
                });
                self.send(index, &frame);
            }
            Verdict::Foreign { address, mac } => self.suspect(index, address, mac),
            Verdict::Ignore(_) => {}
        }
    }

    /// Another machine says that it has an address of ours; another speaker's last word is no news.
    fn suspect(&mut self, index: u32, address: IpAddr, mac: MacAddr) {
        let own = self.links.iter().any(|link| link.mac == Some(mac));
        if own || self.speaker.is_peer_mac(mac.octets()) {
            return;
        }
        let now = self.now();
        let reaction = self.conflicts.handle_foreign(now, address, mac);
        if reaction.alarm {
            self.bulletin.count_conflict();
            tracing::warn!(%address, %mac, "another machine answers for an address of ours: find it");
            self.stale = true;
        }
        if reaction.defend {
            self.announce_on(index, address);
        }
    }

    /// Does what the speaker says, and makes the ears fit.
    fn act(&mut self) {
        let mut moved = false;
        let mut announcements: Vec<Due> = Vec::new();
        while let Some(action) = self.speaker.poll_action() {
            match action {
                Action::Transmit(transmit) => {
                    let to = SocketAddr::new(transmit.address, self.port);
                    // A heartbeat that cannot be sent is lost like any other.
                    let _ = self
                        .heartbeats
                        .send_to(&transmit.bytes, mapped(&self.heartbeats, to));
                }
                Action::Announce(due) => announcements.push(due),
                Action::Took(address, why) => {
                    tracing::info!(%address, %why, "answers for an address from now on");
                    self.record(&format!("took {address}: {why}"));
                    moved = true;
                }
                Action::Released(address, why) => {
                    tracing::info!(%address, %why, "does not answer for an address any more");
                    self.record(&format!("released {address}: {why}"));
                    self.conflicts.forget(address);
                    self.echo.forget(address);
                    moved = true;
                }
                Action::Drained => self.drained = true,
            }
        }
        if moved || self.stale {
            self.stale = true;
            self.fit_ears();
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

    fn announce_on(&self, index: u32, address: IpAddr) {
        if let Some((_, ears)) = self.ears.get(&index) {
            for frame in responder::announce(address, ears.mac) {
                self.send(index, &frame);
            }
        }
    }

    fn send(&self, index: u32, frame: &[u8]) {
        if let Some((_, ears)) = self.ears.get(&index)
            && let Err(error) = ears.send(frame)
        {
            tracing::debug!(index, %error, "a frame was not sent");
        }
    }

    fn fit_ears(&mut self) {
        let mut wanted: BTreeMap<u32, BTreeSet<IpAddr>> = BTreeMap::new();
        for (address, _) in self.speaker.holdings() {
            for index in self.speaker.serves(address).unwrap_or_default() {
                wanted.entry(*index).or_default().insert(address);
            }
        }
        let macs: BTreeMap<u32, MacAddr> = self
            .links
            .iter()
            .filter_map(|link| Some((link.index, link.mac?)))
            .collect();
        // Closing takes the sockets out of the poller.
        self.ears.retain(|index, (_, ears)| {
            wanted.contains_key(index) && macs.get(index) == Some(&ears.mac)
        });
        for (index, addresses) in wanted {
            let Some(&mac) = macs.get(&index) else {
                continue;
            };
            if !self.ears.contains_key(&index) {
                match self.listen_on(index, mac) {
                    Ok(ears) => {
                        self.ears.insert(index, ears);
                    }
                    Err(error) => {
                        tracing::warn!(index, %error, "cannot listen on an interface");
                        continue;
                    }
                }
            }
            if let Some((_, ears)) = self.ears.get_mut(&index)
                && let Err(error) = ears.attune(addresses)
            {
                tracing::warn!(index, %error, "cannot listen for some addresses");
            }
        }
    }

    fn listen_on(&mut self, index: u32, mac: MacAddr) -> io::Result<(u32, Ears)> {
        let ears = Ears::open(index, mac)?;
        let first = self.next_token;
        self.next_token = self.next_token.checked_add(EARS).unwrap_or(EARS);
        for (token, descriptor) in (first..).zip(ears.descriptors()) {
            self.poller.add(descriptor, token)?;
        }
        Ok((first, ears))
    }

    fn tell_bulletin(&self) {
        let name_of = |index: &u32| self.links.by_index(*index).map(|link| link.name.clone());
        let addresses: Vec<SpeakerAddress> = self
            .speaker
            .holdings()
            .filter(|(address, _)| self.speaker.serves(*address).is_some())
            .take(LISTED)
            .map(|(address, holding)| {
                let since = holding.since.saturating_duration_since(self.started);
                let index = holding.interfaces.first();
                let ears = index.and_then(|index| self.ears.get(index));
                SpeakerAddress {
                    address: address.to_string(),
                    term: holding.term,
                    interface: index.and_then(name_of).unwrap_or_default(),
                    mac: ears
                        .map(|(_, ears)| ears.mac.to_string())
                        .unwrap_or_default(),
                    since: jiff::SignedDuration::try_from(since)
                        .map_or(self.started_wall, |since| self.started_wall + since)
                        .to_string(),
                    why: holding.why.to_string(),
                    conflict: self
                        .conflicts
                        .get(address)
                        .map(|conflict| conflict.mac.to_string()),
                }
            })
            .collect();
        let (phase, _) = self.speaker.phase();
        let peers = || self.speaker.membership().peers();
        let silent = peers().filter(|(name, peer)| {
            !peer.is_alive() && self.speaker.directory().nodes.contains(*name)
        });
        let status = SpeakerStatus {
            phase: format!("{phase:?}"),
            count: u32::try_from(addresses.len()).unwrap_or(u32::MAX),
            addresses,
            interfaces: self.interfaces(),
            silent: silent.map(|(name, _)| name.to_owned()).collect(),
            version: daemon::build_info::current().version.to_owned(),
        };
        self.bulletin
            .tell(status, self.alive, self.speaker.freezes());
    }

    fn interfaces(&self) -> Vec<SpeakerInterface> {
        let usable = self
            .speaker
            .interfaces()
            .iter()
            .filter(|one| !one.networks.is_empty());
        let report = |one: &Interface| SpeakerInterface {
            name: one.name.clone(),
            mac: MacAddr::new(one.mac).to_string(),
            up: one.up,
            networks: one
                .networks
                .iter()
                .map(|(network, prefix)| format!("{network}/{prefix}"))
                .collect(),
        };
        usable.map(report).collect()
    }
}

/// Addresses listed in a report.
const LISTED: usize = 5000;

/// What this node answers for on one interface.
struct Held<'a> {
    speaker: &'a Speaker,
    index: u32,
    healthy: &'a BTreeMap<IpAddr, Access>,
}

impl Addresses for Held<'_> {
    fn has(&self, address: IpAddr) -> bool {
        self.speaker
            .serves(address)
            .is_some_and(|interfaces| interfaces.contains(&self.index))
    }

    fn echoes(&self, address: IpAddr, source: IpAddr) -> bool {
        self.has(address)
            && self
                .healthy
                .get(&address)
                .is_some_and(|access| access.admits(source))
    }
}

fn listen(port: u16) -> io::Result<UdpSocket> {
    let any = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, port));
    // A host without IPv6.
    let socket = any.or_else(|_| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)));
    let words = |error: io::Error| {
        let words = format!("UDP port {port} for heartbeats: {error}");
        io::Error::new(error.kind(), words)
    };
    let socket = socket.map_err(words)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// The address as the socket's family writes it.
fn mapped(socket: &UdpSocket, to: SocketAddr) -> SocketAddr {
    match (socket.local_addr(), to.ip()) {
        (Ok(SocketAddr::V6(_)), IpAddr::V4(v4)) => {
            SocketAddr::new(v4.to_ipv6_mapped().into(), to.port())
        }
        _ => to,
    }
}

#[expect(clippy::disallowed_methods, reason = "the driver reads the clock")]
fn monotonic() -> Instant {
    Instant::now()
}
