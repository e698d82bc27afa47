//! The router thread: waits, hands what happened to the groups, does what they want.
//!
//! It never blocks except in its wait, takes no lock that another thread holds for long, and in the
//! steady state allocates nothing.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use daemon::recorder::Recorder;
use l2::linux::poller::Poller;
use l2::linux::raw_ip::Reception;

use crate::clock::{arrival, now};
use crate::config::GroupPlan;
use crate::host::HostCommand;
use crate::mailbox::{Mailbox, Sender};
use crate::place::Place;
use crate::ports::{Port, Ports, RouterKey};
use crate::proto::packet::MAX_LEN;
use crate::proto::replay::{PacketRecord, Record};
use crate::proto::{Action, Datagram, Destination, Group, Health, Input, Link, Moment, Version};
use crate::status::Snapshot;

/// What the other threads tell.
#[derive(Debug)]
pub(crate) enum Event {
    /// An input of one group.
    Input { group: usize, input: Input },
    /// The node's health changed.
    Health(Health),
    /// A router's interface is usable, here.
    Placed {
        group: usize,
        member: usize,
        place: Place,
    },
    /// Other settings.
    Plan(BTreeMap<usize, GroupPlan>),
    /// Somebody wants to know.
    Snapshot(SyncSender<Snapshot>),
    /// Hand over and end.
    Stop,
}

/// The router thread.
pub(crate) struct Driver {
    pub(crate) groups: BTreeMap<usize, Group>,
    pub(crate) places: BTreeMap<RouterKey, Place>,
    pub(crate) send_errors: u64,
    pub(crate) unknown_vrid: u64,
    ports: Ports,
    poller: Poller,
    mail: Mailbox<Event>,
    host: Sender<HostCommand>,
    tracked: bool,
    health: Option<Health>,
    stopping: bool,
    waiting: BTreeMap<RouterKey, Place>,
    retry_at: Option<Moment>,
    records: Records,
    started: Moment,
    lifeline: Option<Lifeline>,
    notice: Notice,
}

/// The flight recorder: what is rare apart from what would wash it away.
#[derive(Debug, Clone)]
pub(crate) struct Records {
    pub(crate) inputs: Recorder,
    pub(crate) packets: Recorder,
}

/// Told whenever a group changed its state.
type Notice = Box<dyn Fn(&BTreeMap<usize, Group>) + Send>;

/// The way to the supervisor.
#[derive(Debug)]
struct Lifeline {
    stream: UnixStream,
    beaten_at: Moment,
    owning: bool,
}

/// Poller token of the mailbox; ports count from zero.
const MAIL: u32 = u32::MAX;
/// Packets taken from one socket before timers are looked at.
const BATCH: usize = 64;
const RETRY: Duration = Duration::from_millis(500);
const BEAT: Duration = Duration::from_millis(20);

impl Driver {
    /// A thread's work; `notice` is told whenever a group changed its state.
    pub(crate) fn new(
        mail: Mailbox<Event>,
        host: Sender<HostCommand>,
        tracked: bool,
        records: Records,
        lifeline: Option<UnixStream>,
        notice: impl Fn(&BTreeMap<usize, Group>) + Send + 'static,
    ) -> io::Result<Self> {
        let poller = Poller::new()?;
        poller.add(&mail, MAIL)?;
        let lifeline = lifeline.map(|stream| Lifeline {
            stream,
            beaten_at: Moment::ZERO,
            owning: false,
        });
        Ok(Self {
            groups: BTreeMap::new(),
            places: BTreeMap::new(),
            send_errors: 0,
            unknown_vrid: 0,
            ports: Ports::default(),
            poller,
            mail,
            host,
            tracked,
            health: None,
            stopping: false,
            waiting: BTreeMap::new(),
            retry_at: None,
            records,
            started: now(),
            lifeline,
            notice: Box::new(notice),
        })
    }

    /// Works until every group has stopped.
    pub(crate) fn run(mut self) -> io::Result<()> {
        let mut ready = Vec::with_capacity(64);
        loop {
            let deadline = self.groups.values().filter_map(Group::poll_timeout).min();
            let deadline = deadline.into_iter().chain(self.retry_at).min();
            let deadline = deadline.map(|at| Duration::from_nanos(at.as_nanos()));
            self.poller.wait(deadline, &mut ready)?;
            self.ports.idle(&ready, now());
            for token in ready.iter().copied() {
                if token == MAIL {
                    self.read_mail();
                } else {
                    self.read_port(token);
                }
            }
            self.fire_timers();
            self.beat();
            if self.stopping && self.groups.is_empty() {
                self.host.send(HostCommand::Finish);
                return Ok(());
            }
        }
    }

    fn read_mail(&mut self) {
        let events: Vec<Event> = self.mail.drain().collect();
        for event in events {
            match event {
                Event::Input { group, input } => self.input(group, input),
                Event::Health(health) => {
                    self.health = Some(health.clone());
                    self.input_all(&Input::Health(health));
                }
                Event::Placed {
                    group,
                    member,
                    place,
                } => self.place((group, member), place),
                Event::Plan(plans) => self.plan(&plans),
                Event::Snapshot(asker) => {
                    let _ = asker.try_send(Snapshot::of(self));
                }
                Event::Stop => {
                    self.stopping = true;
                    self.input_all(&Input::Stop);
                }
            }
        }
    }

    fn input_all(&mut self, input: &Input) {
        let ids: Vec<usize> = self.groups.keys().copied().collect();
        for id in ids {
            self.input(id, input.clone());
        }
    }

    fn input(&mut self, id: usize, input: Input) {
        let now = now();
        if let Input::Link {
            member,
            link: Link::Lost { .. },
        } = &input
        {
            self.waiting.remove(&(id, *member));
        }
        if let Some(group) = self.groups.get_mut(&id) {
            let record = Record::Input {
                group: id,
                told: input.clone(),
            };
            self.records.inputs.record(now.since(self.started), &record);
            group.handle_input(now, input);
            self.act(id);
        }
    }

    fn plan(&mut self, plans: &BTreeMap<usize, GroupPlan>) {
        self.host.send(HostCommand::Plan(plans.clone()));
        for (id, plan) in plans {
            let input = if self.groups.contains_key(id) {
                Input::Reconfigure(Box::new(plan.settings.clone()))
            } else {
                let record = Record::Group {
                    group: *id,
                    tracked: self.tracked,
                    settings: Box::new(plan.settings.clone()),
                };
                self.records
                    .inputs
                    .record(now().since(self.started), &record);
                self.groups
                    .insert(*id, Group::new(plan.settings.clone(), self.tracked));
                if let Some(health) = self.health.clone() {
                    self.input(*id, Input::Health(health));
                }
                Input::Start
            };
            self.input(*id, input);
        }
        let gone: Vec<usize> = self
            .groups
            .keys()
            .copied()
            .filter(|id| !plans.contains_key(id))
            .collect();
        for id in gone {
            self.input(id, Input::Stop);
        }
    }

    /// Opens the sockets of a router and tells its group that it has a link; tries again when the kernel
    /// is not ready for it (an address that was just added, for example).
    fn place(&mut self, key: RouterKey, place: Place) {
        let Some(settings) = self.groups.get(&key.0).map(Group::settings) else {
            return;
        };
        let Some(member) = settings.members.get(key.1) else {
            return;
        };
        let (vrid, addresses) = (member.vrid.into(), member.addresses.clone());
        let link = match self
            .ports
            .attach(&self.poller, key, &place, vrid, &addresses)
        {
            Ok(()) => {
                self.waiting.remove(&key);
                let source = place.source;
                self.places.insert(key, place);
                Link::Up { source }
            }
            Err(error) => {
                let detail = format!("sockets on `{}`: {error}", place.interface);
                self.retry_at = Some(now().after(RETRY));
                self.waiting.insert(key, place);
                Link::Lost { detail }
            }
        };
        self.input(
            key.0,
            Input::Link {
                member: key.1,
                link,
            },
        );
    }

    fn read_port(&mut self, token: u32) {
        for _ in 0..BATCH {
            let Some((port, neighbours)) = self.ports.by_token(token) else {
                return;
            };
            let heard = if neighbours {
                match port.next_claim() {
                    Ok(Some(claim)) => claim.map(|(group, address, mac)| {
                        (group, Some(Input::Claimed { address, mac }))
                    }),
                    Ok(None) | Err(_) => return,
                }
            } else {
                let before = now();
                let earliest = port.drained;
                let Port {
                    receiver, routers, ..
                } = &mut *port;
                let packet = match receiver.receive() {
                    Ok(Reception::Packet(packet)) => packet,
                    Ok(Reception::Malformed(_)) => continue,
                    // An interface that goes down says so here; the host thread reports it.
                    Ok(Reception::Empty) | Err(_) => {
                        port.drained = before;
                        return;
                    }
                };
                let datagram = Datagram {
                    at: arrival(packet.stamped, earliest),
                    source: packet.source,
                    destination: packet.destination,
                    ttl: packet.ttl,
                    message: packet.payload,
                };
                let key = packet
                    .payload
                    .get(1)
                    .and_then(|vrid| routers.get(vrid))
                    .copied();
                let group =
                    key.and_then(|(id, member)| Some((id, member, self.groups.get_mut(&id)?)));
                let heard = group.map(|(id, member, group)| {
                    let now = now();
                    let record = PacketRecord::new(now, id, member, &datagram);
                    self.records
                        .packets
                        .record(now.since(self.started), &record);
                    group.handle_datagram(now, member, &datagram);
                    (id, None)
                });
                if heard.is_none() {
                    self.unknown_vrid += 1;
                }
                port.drained = datagram.at;
                heard
            };
            match heard {
                Some((id, Some(input))) => self.input(id, input),
                Some((id, None)) => self.act(id),
                None => {}
            }
        }
    }

    fn fire_timers(&mut self) {
        let now = now();
        let heard_until = self.ports.drained(now);
        if self.retry_at.is_some_and(|at| at <= now) {
            self.retry_at = None;
            for (key, place) in std::mem::take(&mut self.waiting) {
                self.place(key, place);
            }
        }
        // Groups come and go only between turns, so the range is stable while they act.
        let mut next = self.groups.keys().next().copied();
        while let Some(id) = next {
            if let Some(group) = self.groups.get_mut(&id)
                && group.poll_timeout().is_some_and(|at| at <= now)
            {
                group.handle_timeout(now, heard_until);
                self.act(id);
            }
            next = self.groups.range(id + 1..).next().map(|(id, _)| *id);
        }
    }

    /// Does what a group wants.
    fn act(&mut self, id: usize) {
        while let Some(action) = self.groups.get_mut(&id).and_then(Group::poll_action) {
            match action {
                Action::Send {
                    member,
                    destination,
                    version,
                    priority,
                } => {
                    self.send((id, member), destination, version, priority);
                }
                Action::Own { confirm } => {
                    self.host.send(HostCommand::Own { group: id, confirm });
                }
                Action::Release => {
                    self.host.send(HostCommand::Release { group: id });
                }
                Action::Announce {
                    member,
                    address,
                    reply,
                } => {
                    if let Err(error) = self.ports.announce((id, member), address, reply) {
                        self.count_send_error(&error);
                    }
                }
                Action::Solicit { member, peer } => {
                    if let Err(error) = self.ports.solicit((id, member), peer, now()) {
                        self.count_send_error(&error);
                    }
                }
                Action::Transition { from, to, why } => {
                    if let Some(group) = self.groups.get(&id) {
                        let name = &group.settings().name;
                        tracing::info!(group = name, %from, %to, reason = why.kind(), "{name}: {from} -> {to}: {why}");
                    }
                    (self.notice)(&self.groups);
                }
                Action::Alarm(alarm) => {
                    tracing::warn!(alarm = alarm.kind(), "{alarm}");
                }
                Action::Stopped => self.retire(id),
            }
        }
    }

    fn send(&mut self, key: RouterKey, destination: Destination, version: Version, priority: u8) {
        let mut buffer = [0; MAX_LEN];
        let Some(group) = self.groups.get(&key.0) else {
            return;
        };
        let encoded = group.encode(key.1, destination, version, priority, &mut buffer);
        let Some((message, _, receiver)) = encoded else {
            return;
        };
        // The last word matters more than a millisecond of delay.
        let tries = if priority == 0 { 3 } else { 1 };
        for left in (0..tries).rev() {
            match self.ports.send(key, receiver, message) {
                Ok(()) => return,
                Err(error) => {
                    self.count_send_error(&error);
                    if left > 0 {
                        std::thread::sleep(Duration::from_millis(1));
                    }
                }
            }
        }
    }

    fn count_send_error(&mut self, error: &io::Error) {
        self.send_errors += 1;
        // Powers of two: a persistent fault is told again, ever more rarely.
        if self.send_errors.is_power_of_two() {
            tracing::warn!(%error, count = self.send_errors, "an advert or announcement could not be sent; a firewall on this node is one possible cause");
        }
    }

    fn retire(&mut self, id: usize) {
        let members = self
            .groups
            .remove(&id)
            .map_or(0, |group| group.members().len());
        for member in 0..members {
            self.ports.detach(&self.poller, (id, member));
            self.places.remove(&(id, member));
            self.waiting.remove(&(id, member));
        }
        self.host.send(HostCommand::Retire { group: id });
    }

    /// Tells the supervisor that this thread runs, and how long it may be silent.
    fn beat(&mut self) {
        let Some(lifeline) = &mut self.lifeline else {
            return;
        };
        let patience = self
            .groups
            .values()
            .filter_map(Group::patience_while_active)
            .min();
        let owning = patience.is_some();
        let at = now();
        if owning == lifeline.owning && (!owning || at.since(lifeline.beaten_at) < BEAT) {
            return;
        }
        let millis = patience.map_or(0, |patience| patience.as_millis());
        let millis = u32::try_from(millis).unwrap_or(u32::MAX);
        (lifeline.beaten_at, lifeline.owning) = (at, owning);
        // A supervisor that does not read has worse problems than a lost beat.
        let _ = lifeline.stream.write(&millis.to_be_bytes());
    }
}
